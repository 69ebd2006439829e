//! The vocabulary that all registries share: artifacts by digest, and the package URLs that name them.

use serde::Serialize;

use super::payload::attribute_text;

/// `data.artifact`: where an artifact lies, and what it is. What the sender does not say is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// With the registry's host, where the sender names it: `registry.example.com/acme/shop`.
    pub repository: Option<String>,
    /// `sha256:` and 64 lower-case hex digits; anything else is none.
    pub digest: Option<String>,
    pub tag: Option<String>,
    pub media_type: Option<String>,
}

/// Whether a text is `sha256:` and 64 lower-case hex digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_hex(hex))
}

/// Whether a text is a whole commit: 40 or 64 lower-case hex digits that are not all zero.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The package URL of an artifact in an OCI repository, by digest (purl-spec, type `oci`). None where the repository is not
/// written as one, or the URL could not stand in an attribute.
pub fn purl(repository: &str, digest: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:[]".contains(&byte);
    let name = repository.rsplit('/').next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let purl = format!("pkg:oci/{name}@{}?repository_url={repository}", digest.replace(':', "%3A"));
    (repository.bytes().all(allowed) && attribute_text(&purl).is_some()).then_some(purl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lower_case_hex_is_a_digest_or_a_commit() {
        assert!(is_digest(&format!("sha256:{}", "ab".repeat(32))));
        for text in ["", "sha256:", &"ab".repeat(32), &format!("sha256:{}", "AB".repeat(32)), "sha256:ab"] {
            assert!(!is_digest(text), "{text}");
        }
        assert!(is_commit(&"1a".repeat(20)) && is_commit(&"1a".repeat(32)));
        assert!(!is_commit(&"0".repeat(40)) && !is_commit(&"1A".repeat(20)) && !is_commit("1a"));
    }

    #[test]
    fn a_package_url_names_repository_and_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(
            purl("registry:5000/acme/Shop", &digest),
            Some(format!("pkg:oci/shop@sha256%3A{}?repository_url=registry:5000/acme/Shop", "ab".repeat(32)))
        );
        for repository in ["", "acme/", "a b", "a?b=c", &"a".repeat(2000)] {
            assert_eq!(purl(repository, &digest), None, "{repository}");
        }
    }
}
