//! What people type and files hold: times, ids, text from a file or standard input.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::CliError;
use crate::clock::Timestamp;

/// Input is read whole; nothing larger is.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The text of a file, or of standard input for `-`.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    let failed = |source| CliError::Input { path: path.to_owned(), source };
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    reader.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        return Err(failed(std::io::Error::other(format!("it has more than {INPUT_BYTES_MAX} bytes"))));
    }
    Ok(text)
}

/// The bytes of a file of at most `bytes_max`.
pub fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::Input { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(failed(std::io::Error::other(format!("it has more than {bytes_max} bytes"))));
    }
    Ok(bytes)
}

/// A time as people give one: RFC 3339, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Since::At(time) => time,
            Since::Ago(duration) => now.minus(duration),
        }
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(duration) = length(text) {
            return Ok(Since::Ago(duration));
        }
        text.parse().map(Since::At).map_err(|_| {
            format!("{text:?} is no time; write a length like 15m or 2h, or a time like 2026-11-23T04:45:00Z")
        })
    }
}

/// A whole number and `s`, `m`, `h` or `d`.
fn length(text: &str) -> Option<Duration> {
    let seconds_each = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    count.checked_mul(seconds_each).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Since>) {
        assert_eq!(text.parse::<Since>().ok(), expected, "{text}");
    }

    #[test]
    fn a_time_is_a_length_or_an_instant() {
        check("90s", Some(Since::Ago(Duration::from_secs(90))));
        check("15m", Some(Since::Ago(Duration::from_secs(900))));
        check("2d", Some(Since::Ago(Duration::from_secs(172_800))));
        check("1970-01-01T00:00:01Z", Some(Since::At(Timestamp::from_micros(1_000_000))));
        check("1970-01-01T02:00:01+02:00", Some(Since::At(Timestamp::from_micros(1_000_000))));
        for wrong in ["", "m", "-5m", "1.5h", "5 m", "yesterday", "99999999999999999999d", "12µ"] {
            check(wrong, None);
        }
    }
}
