//! Proof of who sent a body: signatures on its raw bytes, or tokens. It is asked before anything is parsed, and every
//! comparison takes the same time whatever differs.

use std::fmt;

use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue, header};
use sha2::Sha256;

use super::Rejection;
use crate::deployment::{Proof, Secret, SecretError, Sender};

type HmacSha256 = Hmac<Sha256>;

const GITHUB_SIGNATURE: &str = "x-hub-signature-256";

/// A trigger's `Proof` with its secrets resolved: any of several is right, so that a secret can be changed on one side
/// first. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Secrets(Vec<String>),
    Tokens(Vec<String>),
    Unsigned,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Unset(#[from] SecretError),
    #[error("the webhook's secret or token is empty, so anybody could prove it; set it to a random text")]
    Empty,
}

impl Credentials {
    /// Resolves the secrets by `env`. Empty ones are refused: a signature with an empty secret proves nothing.
    pub fn resolve(proof: &Proof, env: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, CredentialsError> {
        let resolve = |secrets: &[Secret]| {
            let values =
                secrets.iter().map(|secret| Ok(secret.resolve(env)?)).collect::<Result<Vec<_>, CredentialsError>>()?;
            if values.is_empty() || values.iter().any(String::is_empty) {
                return Err(CredentialsError::Empty);
            }
            Ok(values)
        };
        Ok(match proof {
            Proof::Secret(secrets) => Credentials::Secrets(resolve(secrets)?),
            Proof::Token(tokens) => Credentials::Tokens(resolve(tokens)?),
            Proof::Unsigned => Credentials::Unsigned,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Secrets(_) => "Secrets(..)",
            Credentials::Tokens(_) => "Tokens(..)",
            Credentials::Unsigned => "Unsigned",
        })
    }
}

/// Whether the sender is proven: true for a right signature or token, false where the trigger asks for none.
/// Errors: `Unproven`, which names the header and what to do, and never what was expected.
pub fn prove(credentials: &Credentials, sender: Sender, headers: &HeaderMap, body: &[u8]) -> Result<bool, Rejection> {
    match (credentials, sender) {
        (Credentials::Unsigned, _) => Ok(false),
        (Credentials::Secrets(secrets), Sender::Github) => github(secrets, headers, body).map(|()| true),
        (
            Credentials::Secrets(_),
            Sender::S3 | Sender::Cloudevents | Sender::Distribution | Sender::Trivy | Sender::Sarif | Sender::Report,
        ) => Err(unproven(
            "this sender cannot sign, but the webhook has a secret; give the webhook a token in the project file",
        )),
        (Credentials::Tokens(tokens), _) => token(tokens, headers).map(|()| true),
    }
}

/// `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 of the raw body. The older SHA-1 header is not looked at.
fn github(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Result<(), Rejection> {
    let value = only(headers, GITHUB_SIGNATURE)?
        .ok_or_else(|| unproven("header x-hub-signature-256 is missing; set a secret in the webhook's settings"))?;
    let signature = value
        .as_bytes()
        .strip_prefix(b"sha256=")
        .and_then(decode_hex)
        .ok_or_else(|| unproven("header x-hub-signature-256 is not sha256= and 64 hex digits"))?;
    // Every secret is tried, so that the time does not tell which one is in use.
    let proven = secrets.iter().fold(false, |proven, secret| {
        let mut mac = keyed(secret.as_bytes());
        mac.update(body);
        proven | mac.verify_slice(&signature).is_ok()
    });
    proven.then_some(()).ok_or_else(|| {
        unproven(
            "header x-hub-signature-256 does not fit body and secret; give the webhook and its sender the same secret",
        )
    })
}

/// `Authorization: Bearer TOKEN` or, as MinIO can be told to send it, the token alone.
fn token(tokens: &[String], headers: &HeaderMap) -> Result<(), Rejection> {
    let value = only(headers, header::AUTHORIZATION.as_str())?.ok_or_else(|| {
        unproven("header authorization is missing; send `Authorization: Bearer` and the webhook's token")
    })?;
    let whole = value.as_bytes();
    let bearer = match whole.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
        _ => whole,
    };
    let proven = tokens
        .iter()
        .fold(false, |proven, token| proven | same(token.as_bytes(), bearer) | same(token.as_bytes(), whole));
    proven.then_some(()).ok_or_else(|| {
        unproven(
            "header authorization does not hold the webhook's token; give the webhook and its sender the same token",
        )
    })
}

/// Compares in constant time, lengths too: by a keyed hash of both.
fn same(expected: &[u8], given: &[u8]) -> bool {
    let hash = |text: &[u8]| {
        let mut mac = keyed(expected);
        mac.update(text);
        mac
    };
    hash(expected).verify(&hash(given).finalize().into_bytes()).is_ok()
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// A proof that stands twice is none: proxies disagree about which one counts.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, Rejection> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(unproven(&format!("header {name} is there more than once; send one"))),
    }
}

fn decode_hex(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn unproven(reason: &str) -> Rejection {
    Rejection::Unproven(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &str, body: &[u8]) -> String {
        let mut mac = keyed(secret.as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(credentials: Credentials, pairs: &[(&'static str, &str)], expected: Result<bool, &str>) {
        let got = prove(&credentials, Sender::Github, &headers(pairs), b"body");
        match (&got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(*got, expected),
            (Err(Rejection::Unproven(reason)), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            _ => panic!("{got:?}, expected {expected:?}"),
        }
    }

    fn secrets() -> Credentials {
        Credentials::Secrets(vec!["one".into(), "two".into()])
    }

    fn tokens() -> Credentials {
        Credentials::Tokens(vec!["one".into(), "Basic two".into()])
    }

    /// The example of GitHub's documentation on validating deliveries.
    #[test]
    fn the_documented_signature_is_right() {
        let credentials = Credentials::Secrets(vec!["It's a Secret to Everybody".into()]);
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = headers(&[("x-hub-signature-256", signature)]);
        assert_eq!(prove(&credentials, Sender::Github, &headers, b"Hello, World!"), Ok(true));
    }

    #[test]
    fn each_of_two_secrets_proves_the_sender_during_a_rotation() {
        check(secrets(), &[("x-hub-signature-256", &signed("one", b"body"))], Ok(true));
        check(secrets(), &[("x-hub-signature-256", &signed("two", b"body"))], Ok(true));
    }

    #[test]
    fn a_wrong_or_missing_signature_names_the_header() {
        check(secrets(), &[], Err("header x-hub-signature-256 is missing"));
        check(secrets(), &[("x-hub-signature", "sha1=00")], Err("header x-hub-signature-256 is missing"));
        check(secrets(), &[("x-hub-signature-256", &signed("three", b"body"))], Err("does not fit body and secret"));
        check(secrets(), &[("x-hub-signature-256", &signed("one", b"Body"))], Err("does not fit body and secret"));
        for value in ["", "sha256=", "sha1=00", "sha256=zz", &"0".repeat(64)] {
            check(secrets(), &[("x-hub-signature-256", value)], Err("is not sha256= and 64 hex digits"));
        }
        let mut map = headers(&[("x-hub-signature-256", &signed("one", b"body"))]);
        map.append("x-hub-signature-256", signed("one", b"body").parse().unwrap());
        assert!(prove(&secrets(), Sender::Github, &map, b"body").unwrap_err().to_string().contains("more than once"));
    }

    #[test]
    fn a_token_is_taken_with_bearer_and_alone() {
        check(tokens(), &[("authorization", "Bearer one")], Ok(true));
        check(tokens(), &[("authorization", "bearer one")], Ok(true));
        check(tokens(), &[("authorization", "one")], Ok(true));
        check(tokens(), &[("authorization", "Basic two")], Ok(true));
        check(tokens(), &[("authorization", "Bearer on")], Err("does not hold the webhook's token"));
        check(tokens(), &[("authorization", "Bearer ")], Err("does not hold the webhook's token"));
        check(tokens(), &[], Err("header authorization is missing"));
    }

    #[test]
    fn nothing_is_proven_where_nothing_is_asked() {
        check(Credentials::Unsigned, &[("x-hub-signature-256", &signed("one", b"body"))], Ok(false));
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let resolve = |proof: &Proof| Credentials::resolve(proof, &|_| Some(String::new()));
        let secret = Secret::new("${env:EMPTY}");
        assert_eq!(resolve(&Proof::Secret(vec![secret.clone()])), Err(CredentialsError::Empty));
        assert_eq!(resolve(&Proof::Token(vec![secret])), Err(CredentialsError::Empty));
        assert_eq!(resolve(&Proof::Unsigned), Ok(Credentials::Unsigned));
    }

    #[test]
    fn neither_a_rejection_nor_debug_output_shows_a_secret() {
        let credentials = Credentials::Tokens(vec!["hunter2".into()]);
        let reason = prove(&credentials, Sender::S3, &headers(&[("authorization", "x")]), b"").unwrap_err().to_string();
        assert!(!reason.contains("hunter2"), "{reason}");
        assert_eq!(format!("{credentials:?}"), "Tokens(..)");
    }
}
