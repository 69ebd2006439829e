//! Components in OCI registries, by digest, and the registries that they may come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Digest, Secret};

/// A registry that the operator named: components are taken from no other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Whether it is spoken to over plain HTTP.
    #[serde(default)]
    pub insecure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
}

/// An artifact in a registry by the digest of its manifest: `HOST/NAME@sha256:<digits>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OciReference {
    /// `HOST` or `HOST:PORT`.
    pub host: String,
    /// Of the repository in the registry.
    pub name: String,
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciReferenceError {
    #[error("{text:?} names no digest; a tag can be moved, so write HOST/NAME@sha256:<64 hex digits>")]
    NoDigest { text: String },
    #[error("{text:?} is no reference; write HOST/NAME@sha256:<64 hex digits>")]
    Malformed { text: String },
}

impl FromStr for OciReference {
    type Err = OciReferenceError;

    fn from_str(text: &str) -> Result<Self, OciReferenceError> {
        let malformed = || OciReferenceError::Malformed { text: text.to_owned() };
        let (repository, digest) =
            text.split_once('@').ok_or_else(|| OciReferenceError::NoDigest { text: text.to_owned() })?;
        let (host, name) = repository.split_once('/').ok_or_else(malformed)?;
        let host_is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        // The grammar of the distribution spec; a colon would be a tag.
        let part = |part: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            !part.is_empty() && part.bytes().all(inner) && part != "." && part != ".."
        };
        if host.is_empty() || !host_is_plain || !name.split('/').all(part) {
            return Err(malformed());
        }
        let digest = digest.parse().map_err(|_| malformed())?;
        Ok(OciReference { host: host.to_owned(), name: name.to_owned(), digest })
    }
}

impl TryFrom<String> for OciReference {
    type Error = OciReferenceError;

    fn try_from(text: String) -> Result<Self, OciReferenceError> {
        text.parse()
    }
}

impl From<OciReference> for String {
    fn from(reference: OciReference) -> String {
        reference.to_string()
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.host, self.name, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        match (text.parse::<OciReference>(), expected) {
            (Ok(read), Ok((host, name))) => {
                assert_eq!((read.host.as_str(), read.name.as_str()), (host, name));
                assert_eq!(read.to_string(), text);
            }
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (read, expected) => panic!("{text}: {read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_reference_names_host_repository_and_digest() {
        let digest = Digest::of(b"").to_string();
        check(&format!("127.0.0.1:5000/acme/shop@{digest}"), Ok(("127.0.0.1:5000", "acme/shop")));
        check(&format!("registry.example.com/shop@{digest}"), Ok(("registry.example.com", "shop")));
        check("registry.example.com/shop:main", Err("a tag can be moved"));
        check(&format!("registry.example.com/shop:main@{digest}"), Err("is no reference"));
        check(&format!("registry.example.com/../shop@{digest}"), Err("is no reference"));
        check(&format!("shop@{digest}"), Err("is no reference"));
        check("registry.example.com/shop@sha256:12", Err("is no reference"));
        check(&format!("user:secret@registry/shop@{digest}"), Err("is no reference"));
    }
}
