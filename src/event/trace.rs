//! W3C trace context: `traceparent`, version 00.

use std::fmt;

use super::id::derive;

/// A parsed `traceparent`: the trace, the span that caused the event, and the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The sender asks for the trace to be recorded.
const SAMPLED: u8 = 1;

impl Parent {
    /// None if it is malformed. Versions above 00 are read by their first four fields, as the standard asks.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let version = hex(version, 2)?;
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
        (trace != 0 && span != 0).then(|| Parent { trace, span: low_half(span), flags: flags.to_le_bytes()[0] })
    }

    /// The id of the trace, in hex.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The id of the span, in hex.
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span)
    }

    /// A new trace out of random bits.
    pub fn new(random: u128) -> Self {
        let trace = random.max(1);
        Parent { trace, span: span(&trace.to_be_bytes()), flags: SAMPLED }
    }

    /// The same trace, and a span named by a hash of `seed`.
    pub fn child(self, seed: &[u8]) -> Self {
        Parent { span: span(seed), ..self }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// A span id: never zero, which the standard forbids.
fn span(seed: &[u8]) -> u64 {
    low_half(derive(&[b"span", seed]).as_u128()).max(1)
}

fn low_half(wide: u128) -> u64 {
    (wide & u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, valid: bool) {
        assert_eq!(Parent::parse(text).is_some(), valid, "{text}");
    }

    #[test]
    fn a_traceparent_has_four_fields_of_lower_case_hex_and_no_zero_ids() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", false);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
        check("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
        check("", false);
    }

    #[test]
    fn a_child_keeps_the_trace_and_its_flags_and_has_its_own_span() {
        let parent = Parent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        let child = parent.child(b"a").to_string();
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && child.ends_with("-00"), "{child}");
        assert_ne!(child, parent.to_string());
        assert_ne!(child, parent.child(b"b").to_string());
        assert_eq!(child, parent.child(b"a").to_string());
    }

    #[test]
    fn a_new_trace_can_be_read_back_whatever_the_random_bits() {
        for random in [0, 1, u128::MAX] {
            let parent = Parent::new(random);
            assert_eq!(Parent::parse(&parent.to_string()), Some(parent));
        }
    }
}
