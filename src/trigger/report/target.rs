//! What a report is about where its bringer says so: a header of the request, or the object's key.

use http::HeaderMap;

use super::super::Rejection;
use super::super::artifact::{is_commit, is_digest};

const HEADER: &str = "tidegate-subject";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `sha256:` and 64 hex digits.
    Digest(String),
    Commit(String),
}

impl Target {
    /// What the header says, if it is there.
    pub fn of_headers(headers: &HeaderMap) -> Result<Option<Self>, Rejection> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let target = value.to_str().ok().filter(|_| values.next().is_none()).and_then(Target::of_text);
        let wrong = || format!("header {HEADER} names no digest (sha256: and 64 hex digits) or whole commit; send one");
        target.map(Some).ok_or_else(|| Rejection::Malformed(wrong()))
    }

    fn of_text(text: &str) -> Option<Self> {
        match text {
            text if is_digest(text) => Some(Target::Digest(text.to_owned())),
            text if is_commit(text) => Some(Target::Commit(text.to_owned())),
            _ => None,
        }
    }

    /// What the last folder of `.../<target>/<tool>.json` names: a commit of 40 digits, a digest with `sha256:` or without,
    /// or `<name>@sha256:<digits>`.
    pub fn of_key(key: &str) -> Option<Self> {
        let folder = key.rsplit('/').nth(1)?;
        let bare = format!("sha256:{folder}");
        match folder.split_once('@') {
            Some((_, digest)) => is_digest(digest).then(|| Target::Digest(digest.to_owned())),
            None if is_digest(&bare) => Some(Target::Digest(bare)),
            None => Target::of_text(folder),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Target::Digest(text) | Target::Commit(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";

    fn hex() -> String {
        "9d".repeat(32)
    }

    fn digest() -> Option<Target> {
        Some(Target::Digest(format!("sha256:{}", hex())))
    }

    #[test]
    fn a_key_may_name_the_target_in_its_last_folder() {
        let commit = Some(Target::Commit(COMMIT.to_owned()));
        assert_eq!(Target::of_key(&format!("scans/{COMMIT}/sast.sarif")), commit);
        assert_eq!(Target::of_key(&format!("{COMMIT}/sast")), commit);
        assert_eq!(Target::of_key(&format!("scans/{}/trivy.json", hex())), digest());
        assert_eq!(Target::of_key(&format!("scans/sha256:{}/trivy.json", hex())), digest());
        assert_eq!(Target::of_key(&format!("scans/shop@sha256:{}/trivy.json", hex())), digest());
        for key in ["", "trivy.json", "scans/latest/trivy.json", &format!("scans/x@{}/a", hex()), COMMIT] {
            assert_eq!(Target::of_key(key), None, "{key}");
        }
    }

    #[test]
    fn a_header_names_one_target_or_is_refused() {
        let headers = |values: &[&str]| -> HeaderMap {
            values.iter().map(|value| (http::HeaderName::from_static(HEADER), value.parse().unwrap())).collect()
        };
        assert_eq!(Target::of_headers(&headers(&[])), Ok(None));
        assert_eq!(Target::of_headers(&headers(&[&format!("sha256:{}", hex())])), Ok(digest()));
        assert_eq!(Target::of_headers(&headers(&[COMMIT])), Ok(Some(Target::Commit(COMMIT.to_owned()))));
        for wrong in [&["main"][..], &[""], &["6113728"], &[COMMIT, COMMIT]] {
            assert!(matches!(Target::of_headers(&headers(wrong)), Err(Rejection::Malformed(_))), "{wrong:?}");
        }
    }
}
