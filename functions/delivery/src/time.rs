//! Instants: RFC 3339 in events, UTC here. Lengths of time: a number and a unit, as in a project file.

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

/// Milliseconds from one instant in RFC 3339 to another. None: one of them is none, or they are the other way round.
pub fn millis_between(from: &str, to: &str) -> Option<u64> {
    (instant(to)? - instant(from)?).num_milliseconds().try_into().ok()
}

/// Seconds of a length of time: a whole number and `s`, `m`, `h` or `d`.
pub fn period(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(seconds)
}

/// Milliseconds of a length of time, which may be in `ms` too.
pub fn period_millis(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(number) => period(&format!("{number}s")),
        None => period(text)?.checked_mul(1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_whole_number_and_a_unit() {
        assert_eq!(
            (period("90s"), period("10m"), period("2h"), period("1d")),
            (Some(90), Some(600), Some(7200), Some(86400))
        );
        for text in
            ["", "s", "10", "1.5h", "+1s", "-1s", "1w", "10 m", "99999999999999999999s", "300000000000000000d", "5µ"]
        {
            assert_eq!((period(text), period_millis(text)), (None, None), "{text}");
        }
        assert_eq!(
            (period_millis("250ms"), period_millis("2s"), period_millis("1m")),
            (Some(250), Some(2_000), Some(60_000))
        );
        assert_eq!((period("250ms"), period_millis("ms"), period_millis("sms")), (None, None, None));
    }

    #[test]
    fn an_instant_is_read_with_its_offset_and_written_in_utc() {
        let read = instant("2026-11-23T10:00:00.25+01:00").unwrap();
        assert_eq!(rfc3339(read), "2026-11-23T09:00:00.250Z");
        assert_eq!(instant(&rfc3339(read)), Some(read));
        assert_eq!((instant("2026-11-23"), instant("yesterday")), (None, None));
        let later = "2026-11-23T09:00:01.75Z";
        assert_eq!(millis_between(&rfc3339(read), later), Some(1_500));
        assert_eq!((millis_between(later, &rfc3339(read)), millis_between("soon", later)), (None, None));
    }
}
