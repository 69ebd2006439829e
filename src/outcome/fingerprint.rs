//! Which failures are the same error: their kind, where they trapped and their reason, without what differs from one event
//! to the next.

use sha2::{Digest as _, Sha256};

use super::Failure;

/// Hex digits of a fingerprint.
const DIGITS: usize = 12;
/// As many characters of hex and `-` in a row are an id or a digest.
const ID_CHARS_MIN: usize = 8;

impl Failure {
    /// 12 hex digits, the same for failures of the same error.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.kind.as_str(), &self.reason].into_iter().chain(self.backtrace.iter().map(String::as_str)) {
            hash.update(shape(part));
            hash.update("\n");
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        hex[..DIGITS].to_owned()
    }
}

/// A text with every number, id and quoted text made the same.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word: &str = &rest[..rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len())];
        let quoted = ['"', '\''].contains(&first).then(|| rest[1..].find(first)).flatten();
        let taken = match quoted {
            Some(end) => {
                shape.push('"');
                end + 2
            }
            None if word.is_empty() => {
                shape.push(first);
                first.len_utf8()
            }
            None => {
                shape.push_str(if varies(word) { "#" } else { word });
                word.len()
            }
        };
        rest = &rest[taken..];
    }
    shape
}

fn is_of_word(c: char) -> bool {
    // The apostrophe of `can't` opens no quotation.
    c.is_alphanumeric() || ['-', '_', '\''].contains(&c)
}

/// Whether a word is a number, with a unit perhaps, or an id.
fn varies(word: &str) -> bool {
    let has_digit = word.contains(|c: char| c.is_ascii_digit());
    let is_id = word.len() >= ID_CHARS_MIN && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    has_digit && (is_id || word.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::FailureKind;

    #[track_caller]
    fn check(one: &str, other: &str, same: bool) {
        let print = |reason: &str| Failure::new(FailureKind::Rejected, reason).fingerprint();
        assert_eq!(print(one) == print(other), same, "{one} | {other}: {} | {}", shape(one), shape(other));
    }

    #[test]
    fn what_differs_from_event_to_event_is_left_out() {
        check("order 17 has no price", "order 423 has no price", true);
        check("no customer \"ann\"", "no customer \"bob, jr\"", true);
        check("sha256:9f86d081884c7d65 is unknown", "sha256:60303ae22b998861 is unknown", true);
        check("event 3136ed06-2a7c-5a09-90a8-a328407337c9", "event eb85b47d-19bc-5d43-97aa-4ff0756a81ef", true);
        check("ran longer than 20ms", "ran longer than 2s", true);
        check("can't read 'a'", "can't read 'b'", true);
    }

    #[test]
    fn what_names_the_error_is_kept() {
        check("order 17 has no price", "order 17 has no customer", false);
        check("field v1 is missing", "field v2 is missing", false);
        check("the facade is bad", "the deadbeef is bad", false);
        let trapped = |frame: &str| {
            let backtrace = vec![frame.to_owned()];
            Failure { backtrace, ..Failure::new(FailureKind::Trapped, "unreachable") }.fingerprint()
        };
        assert_eq!(trapped("0x1a2b: shop!price"), trapped("0x9f00: shop!price"));
        assert_ne!(trapped("0x1a2b: shop!price"), trapped("0x1a2b: shop!total"));
        assert_ne!(
            Failure::new(FailureKind::Retry, "no").fingerprint(),
            Failure::new(FailureKind::Rejected, "no").fingerprint()
        );
    }

    #[test]
    fn a_fingerprint_stays_what_it_is() {
        assert_eq!(Failure::new(FailureKind::Trapped, "unreachable").fingerprint(), "c9cf0695e81c");
    }
}
