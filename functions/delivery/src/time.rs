//! Instants: RFC 3339 in events, UTC here.

use chrono::{DateTime, SecondsFormat, Utc};
use tidegate_sdk::clock;

pub type Instant = DateTime<Utc>;

/// The time now.
pub fn now() -> Instant {
    clock::now().into()
}

/// An instant in RFC 3339, with any offset. None: it is not one.
pub fn instant(text: &str) -> Option<Instant> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// An instant as RFC 3339, which sorts as text where all have the same precision.
pub fn rfc3339(time: Instant) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_with_its_offset_and_written_in_utc() {
        let read = instant("2026-11-23T10:00:00.25+01:00").unwrap();
        assert_eq!(rfc3339(read), "2026-11-23T09:00:00.250Z");
        assert_eq!(instant(&rfc3339(read)), Some(read));
        assert_eq!((instant("2026-11-23"), instant("yesterday")), (None, None));
    }
}
