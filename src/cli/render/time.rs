//! Times and durations in words.

use std::time::Duration;

use super::Look;
use crate::clock::Timestamp;

/// `850 µs`, `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`: two figures are enough to read.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let seconds = duration.as_secs();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ if seconds < 3_600 => two(seconds, 60, "min", 1, "s"),
        _ if seconds < 86_400 => two(seconds, 3_600, "h", 60, "min"),
        _ => two(seconds, 86_400, "d", 3_600, "h"),
    }
}

fn two(seconds: u64, large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match seconds % large / small {
        0 => format!("{} {large_unit}", seconds / large),
        rest => format!("{} {large_unit} {rest} {small_unit}", seconds / large),
    }
}

/// `2026-11-23 04:45:00Z`: what a log line can be compared with.
pub fn absolute(time: Timestamp) -> String {
    time.to_datetime().format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `3 s ago`, `in 2 min`, `now`.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        return format!("in {}", duration(time.since(now)));
    }
    let passed = now.since(time);
    if passed < Duration::from_millis(1) { "now".to_owned() } else { format!("{} ago", duration(passed)) }
}

/// Both: `2026-11-23 04:45:00Z (3 s ago)`.
pub fn when(time: Timestamp, look: &Look) -> String {
    format!("{} ({})", absolute(time), ago(time, look.now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(micros: u64, expected: &str) {
        assert_eq!(duration(Duration::from_micros(micros)), expected);
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        check(0, "0 µs");
        check(850, "850 µs");
        check(1_250, "1.2 ms");
        check(12_700, "12 ms");
        check(3_420_000, "3.4 s");
        check(125_000_000, "2 min 5 s");
        check(120_000_000, "2 min");
        check(11_400_000_000, "3 h 10 min");
        check(187_200_000_000, "2 d 4 h");
    }

    #[test]
    fn a_time_is_told_from_now() {
        let now = Timestamp::from_micros(1_795_409_100_000_000);
        assert_eq!(ago(now.minus(Duration::from_secs(3)), now), "3.0 s ago");
        assert_eq!(ago(now.plus(Duration::from_secs(120)), now), "in 2 min");
        assert_eq!(ago(now, now), "now");
        assert_eq!(absolute(now), "2026-11-23 04:45:00Z");
    }
}
