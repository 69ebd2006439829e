//! Masks: a secret that a peer sends back is not seen by the guest and not recorded.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use memchr::memmem;

/// What stands in a secret's place.
const MASK: &[u8] = b"***";
/// Shorter values are no secrets, and masking them would spoil every answer.
const SECRET_BYTES_MIN: usize = 4;

/// The texts of a connection that must not come back, longest first.
#[derive(Clone, Default)]
pub struct Mask {
    secrets: Vec<Vec<u8>>,
}

impl Mask {
    /// Masks each secret as it is, and in the forms that an answer may quote it in: JSON text, URL, base64.
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN) {
            let quoted = serde_json::Value::from(secret.as_str()).to_string();
            forms.insert(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
            forms.insert(form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes());
            forms.insert(base64::engine::general_purpose::STANDARD.encode(&secret).into_bytes());
            forms.insert(secret.into_bytes());
        }
        let mut secrets: Vec<_> = forms.into_iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Mask { secrets }
    }

    /// The bytes, with every secret replaced.
    pub(super) fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut masked = Cow::Borrowed(bytes);
        for secret in &self.secrets {
            if memmem::find(&masked, secret).is_some() {
                masked = Cow::Owned(replace(&masked, secret));
            }
        }
        masked
    }
}

fn replace(bytes: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memmem::find_iter(bytes, secret) {
        replaced.extend_from_slice(&bytes[from..at]);
        replaced.extend_from_slice(MASK);
        from = at + secret.len();
    }
    replaced.extend_from_slice(&bytes[from..]);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secrets: &[&str], answer: &str, expected: &str) {
        let mask = Mask::new(secrets.iter().map(|&secret| secret.to_owned()));
        assert_eq!(String::from_utf8_lossy(&mask.bytes(answer.as_bytes())), expected, "{secrets:?}");
    }

    #[test]
    fn a_secret_is_masked_in_every_form_that_an_answer_may_quote_it_in() {
        check(&["s3cret"], "got s3cret, s3cret", "got ***, ***");
        check(&["s3cret", "Bearer s3cret"], "Bearer s3cret / s3cret", "*** / ***");
        check(&["a\"b/c"], r#"{"x":"a\"b/c"}"#, r#"{"x":"***"}"#);
        check(&["a+b=cd"], "?token=a%2Bb%3Dcd", "?token=***");
        check(&["user:pass"], "Basic dXNlcjpwYXNz", "Basic ***");
        check(&["abc"], "abc", "abc");
        check(&[], "abc", "abc");
    }
}
