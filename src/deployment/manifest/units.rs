//! Text with a unit: lengths of time and sizes.

use std::time::Duration;

/// Milliseconds of each unit.
const MILLIS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000), ("d", 24 * 60 * 60 * 1000)];

/// A whole number and a unit: `250ms`, `15s`, `2m`, `1h` or `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is no length of time; write one like 250ms, 15s, 2m, 1h or 7d");
    quantity(text, &MILLIS).map(Duration::from_millis).ok_or_else(error)
}

/// A whole number and a unit: `512B`, `64KiB`, `64MiB`, `2GiB` or `1TiB`; in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    quantity(text, &UNITS).ok_or_else(|| format!("{text:?} is no size; write one like 64KiB, 64MiB or 2GiB"))
}

/// A length of time as `duration` reads it, in the largest unit that it is a whole number of.
pub(super) fn shown(length: Duration) -> String {
    let millis = length.as_millis();
    let whole =
        MILLIS.iter().rev().find(|(_, unit)| millis >= u128::from(*unit) && millis.is_multiple_of(u128::from(*unit)));
    let (name, unit) = whole.unwrap_or(&MILLIS[0]);
    format!("{}{name}", millis / u128::from(*unit))
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_whole_number_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("15s", 15_000), ("2m", 120_000), ("1h", 3_600_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
        for text in ["", "15", "s", "1.5s", "-1s", "1 s", "1w", "99999999999999999d", "1h30m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [("1B", 1), ("64KiB", 65_536), ("64MiB", 67_108_864), ("2GiB", 2_147_483_648)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "64", "64MB", "64mib", "64 MiB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
