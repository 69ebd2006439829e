//! Commits, repositories, digests and package URLs, as texts.

use sha2::{Digest as _, Sha256};

/// 40 or 64 lower-case hex digits, not all zero: hosts write a commit that is not there as zeroes.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text) && text.bytes().any(|byte| byte != b'0')
}

/// `sha256:` and 64 lower-case hex digits; nothing else is a digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && is_hex(hex))
}

/// A repository on a git host, as it stands in the path of a request: two parts or more, none of which leaves the path.
pub fn is_repository(text: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(safe);
    text.contains('/') && text.split('/').all(part)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `sha256:<hex>` of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The package URL of an artifact in an OCI repository, by digest (purl-spec, type `oci`).
pub fn purl(repository: &str, digest: &str) -> String {
    let name = repository.rsplit('/').next().unwrap_or(repository).to_ascii_lowercase();
    format!("pkg:oci/{name}@{}?repository_url={repository}", digest.replace(':', "%3A"))
}

/// The digest that is the version of a package URL; its colon may be escaped.
pub fn digest_of_purl(purl: &str) -> Option<String> {
    let (_, rest) = purl.split_once("@sha256")?;
    let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix("%3A")).or_else(|| rest.strip_prefix("%3a"))?;
    let digest = format!("sha256:{}", rest.split(['?', '#']).next().unwrap_or_default());
    is_digest(&digest).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_package_url() {
        let digest = sha256(b"");
        assert_eq!(digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let purl = purl("registry.example.com/acme/Shop", &digest);
        assert!(purl.starts_with("pkg:oci/shop@sha256%3Ae3b0"), "{purl}");
        assert_eq!(digest_of_purl(&purl), Some(digest.clone()));
        assert_eq!(digest_of_purl(&digest), None);
        assert_eq!(digest_of_purl("pkg:oci/shop@sha256:short"), None);
    }

    #[test]
    fn only_whole_lower_case_hex_is_a_commit_or_a_digest() {
        assert!(is_commit(&"1a".repeat(20)) && is_commit(&"1a".repeat(32)));
        assert!(!is_commit(&"0".repeat(40)) && !is_commit(&"1A".repeat(20)) && !is_commit("1a"));
        assert!(!is_digest(&format!("sha256:{}", "AB".repeat(32))) && !is_digest(&"ab".repeat(32)));
    }

    #[test]
    fn a_repository_stays_in_the_path_of_a_request() {
        assert!(is_repository("acme/shop") && is_repository("acme/team/shop_2.x"));
        for text in ["shop", "acme/", "/shop", "acme/../shop", "acme/shop?x", "acme/sh op", "acme/%2e%2e"] {
            assert!(!is_repository(text), "{text}");
        }
    }
}
