//! Whether a schedule's expression can be read: five fields, or six with seconds first.

use std::str::FromStr;

use ::cron::Schedule;
use chrono::{DateTime, Utc};

/// The fields before the day of the week, and what stands in them.
const FIELDS: [(&str, &str); 5] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or jan to dec"),
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The expression itself, if it is one.
pub(super) fn cron(text: &str) -> Result<String, String> {
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    match fields.len() {
        5 => fields.insert(0, "0"),
        6 => {}
        count => {
            return Err(format!(
                "{text:?} has {count} of 5 or 6 fields; write minute, hour, day, month and day of the week, \
                 seconds first if wanted"
            ));
        }
    }
    // Days of the week are checked apart: the crate counts them from 1 and does not know that 0 and 7 are both Sunday.
    if !fields[5].split(',').all(is_day_range) {
        return Err(format!("{:?} is no day of the week; write 0 to 7 or sun to sat", fields[5]));
    }
    // One field at a time, so that the problem names the one that is bad.
    for (index, (name, range)) in FIELDS.iter().enumerate() {
        let mut alone = ["*"; 6];
        alone[index] = fields[index];
        if Schedule::from_str(&alone.join(" ")).is_err() {
            return Err(format!(
                "{:?} is no {name}; write {range}, *, or lists, ranges and steps of them",
                fields[index]
            ));
        }
    }
    // A restricted day of the week comes every week; only a day of the month can be one that never is.
    let any_weekday = fields[5].starts_with(['*', '?']);
    fields[5] = "*";
    let schedule =
        Schedule::from_str(&fields.join(" ")).map_err(|error| format!("{text:?} is no schedule: {error}"))?;
    if any_weekday && schedule.after(&DateTime::<Utc>::UNIX_EPOCH).next().is_none() {
        return Err(format!("{text:?} never comes due: no such month has a day {}", fields[3]));
    }
    Ok(text.to_owned())
}

fn is_day_range(part: &str) -> bool {
    let (range, step) = part.split_once('/').unwrap_or((part, "1"));
    let stepped = step.parse::<u8>().is_ok_and(|step| (1..=7).contains(&step));
    let known = match range.split_once('-') {
        Some((first, last)) => is_day(first) && is_day(last),
        None => range == "*" || range == "?" || is_day(range),
    };
    stepped && known
}

fn is_day(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'7']) || DAYS.contains(&text.to_ascii_lowercase().as_str())
}
