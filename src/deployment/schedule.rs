//! Cron expressions in a time zone: which instants they plan.
//!
//! Five fields (minute, hour, day of month, month, day of week), or six with seconds first. Names of months and days; 0 and
//! 7 are both Sunday. If both days are restricted, either is enough, as POSIX says. A planned local time comes due
//! **once**: where daylight saving repeats it, the first time; where it is skipped, when the clock has jumped (several
//! that are skipped together come due together, as one).

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

use super::MissedTicks;
use crate::clock::Timestamp;

/// The most ticks that are made up for; older ones are given up.
const MISSED_MAX: usize = 1000;
/// A tick that is later than this was missed.
const LATE_MAX: Duration = Duration::from_secs(30);
/// The fields before the day of the week, and what stands in them.
const FIELDS: [(&str, &str); 5] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or jan to dec"),
];

/// A cron expression in a time zone. Invariant: it comes due some time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Schedule {
    cron: String,
    /// One, or where both days are restricted, one for each.
    either: Vec<cron::Schedule>,
    zone: Tz,
}

/// A schedule as it is stored.
#[derive(Serialize, Deserialize)]
struct Written {
    cron: String,
    timezone: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "{cron:?} has {count} of 5 or 6 fields; write minute, hour, day, month and day of the week, seconds first if wanted"
    )]
    Fields { cron: String, count: usize },
    #[error("{field:?} is no {name}; write {values}, *, or lists, ranges and steps of them")]
    Field { field: String, name: &'static str, values: &'static str },
    #[error("{0}")]
    Weekday(String),
    #[error("{cron:?} never comes due: no such month has a day {day}")]
    Never { cron: String, day: String },
    #[error("{0:?} is no time zone; write an IANA name, like Europe/Berlin or UTC")]
    Zone(String),
}

/// A time zone by its IANA name.
pub fn time_zone(name: &str) -> Result<Tz, ScheduleError> {
    Tz::from_str(name).map_err(|_| ScheduleError::Zone(name.to_owned()))
}

impl Schedule {
    pub fn new(cron: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let mut fields: Vec<&str> = cron.split_whitespace().collect();
        let count = fields.len();
        if count == 5 {
            fields.insert(0, "0");
        }
        let [seconds, minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(ScheduleError::Fields { cron: cron.to_owned(), count });
        };
        let numbered = numbered_weekdays(weekdays).map_err(ScheduleError::Weekday)?;
        // One field at a time, so that the problem names the one that is bad.
        for (index, (name, values)) in FIELDS.into_iter().enumerate() {
            let mut alone = ["*"; 6];
            alone[index] = fields[index];
            if cron::Schedule::from_str(&alone.join(" ")).is_err() {
                return Err(ScheduleError::Field { field: fields[index].to_owned(), name, values });
            }
        }
        let compile = |days: &str, weekdays: &str| {
            let text = format!("{seconds} {minutes} {hours} {days} {months} {weekdays}");
            cron::Schedule::from_str(&text).expect("every field was read alone")
        };
        let restricted = |field: &str| !field.starts_with(['*', '?']);
        let either = if restricted(days) && restricted(weekdays) {
            vec![compile(days, "*"), compile("*", &numbered)]
        } else {
            vec![compile(days, &numbered)]
        };
        let schedule = Schedule { cron: cron.to_owned(), either, zone };
        match schedule.next_after(Timestamp::EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { cron: cron.to_owned(), day: days.to_owned() }),
        }
    }

    /// The expression, as it was written.
    pub fn cron(&self) -> &str {
        &self.cron
    }

    /// The IANA name of its time zone.
    pub fn timezone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first planned instant after `instant`; none after the year 2100.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        self.after(instant).next()
    }

    /// The planned instants after `last`, up to and with `now`, that are to be told of, in order. Without a delay that is the one
    /// that has just come due; after one, what `missed` says. At most `MISSED_MAX`, the latest ones.
    pub fn due(&self, last: Timestamp, now: Timestamp, missed: MissedTicks) -> Vec<Timestamp> {
        match missed {
            MissedTicks::All => self.latest(last, now, MISSED_MAX),
            MissedTicks::One => self.latest(last, now, 1),
            MissedTicks::None => self.latest(last.max(now.minus(LATE_MAX)), now, 1),
        }
    }

    /// The latest `count` planned instants after `last`, up to and with `now`. Looks back in growing windows, so that years
    /// without a tick taken cost no walk through each second of them.
    fn latest(&self, last: Timestamp, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let mut window = Duration::from_secs(60);
        loop {
            let from = last.max(now.minus(window));
            let mut found: Vec<Timestamp> = self.after(from).take_while(|planned| *planned <= now).collect();
            if found.len() >= count || from <= last {
                return found.split_off(found.len().saturating_sub(count));
            }
            window = window.saturating_mul(8);
        }
    }

    /// Planned instants after `instant`, in order, each once. Local times are planned without a zone, then placed in it.
    fn after(&self, instant: Timestamp) -> impl Iterator<Item = Timestamp> {
        let local = instant.to_datetime().with_timezone(&self.zone).naive_local();
        let mut planned: Vec<_> =
            self.either.iter().map(|schedule| schedule.after_owned(local.and_utc()).peekable()).collect();
        let mut last = instant;
        std::iter::from_fn(move || {
            loop {
                let next = planned.iter_mut().filter_map(|times| times.peek().copied()).min()?;
                for times in &mut planned {
                    times.next_if_eq(&next);
                }
                // Placing keeps the order; local times that share an instant with the last one are not told again.
                let placed = self.place(next.naive_utc()).filter(|placed| *placed > last);
                if let Some(placed) = placed {
                    last = placed;
                    return Some(placed);
                }
            }
        })
    }

    fn place(&self, local: NaiveDateTime) -> Option<Timestamp> {
        let placed: Option<DateTime<Tz>> = match self.zone.from_local_datetime(&local) {
            chrono::LocalResult::Single(time) | chrono::LocalResult::Ambiguous(time, _) => Some(time),
            chrono::LocalResult::None => GapInfo::new(&local, &self.zone).and_then(|gap| gap.end),
        };
        placed.map(|time| time.with_timezone(&Utc).into())
    }
}

impl PartialEq for Schedule {
    /// What was written decides all the rest.
    fn eq(&self, other: &Self) -> bool {
        (&self.cron, self.zone) == (&other.cron, other.zone)
    }
}

impl TryFrom<Written> for Schedule {
    type Error = ScheduleError;

    fn try_from(written: Written) -> Result<Self, ScheduleError> {
        Schedule::new(&written.cron, time_zone(&written.timezone)?)
    }
}

impl From<Schedule> for Written {
    fn from(schedule: Schedule) -> Self {
        Written { timezone: schedule.timezone().to_owned(), cron: schedule.cron }
    }
}

/// Days of the week as the crate numbers them: 1 for Sunday to 7. `*` stays.
fn numbered_weekdays(field: &str) -> Result<String, String> {
    if field == "*" || field == "?" {
        return Ok("*".to_owned());
    }
    let mut days = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None if range == "*" => (0, 6),
            // A start with a step goes on to the end of the week.
            None => (weekday(range)?, if step.is_some() { 6 } else { weekday(range)? }),
        };
        let step = match step.map(str::parse::<usize>) {
            None => 1,
            Some(Ok(step @ 1..=7)) => step,
            Some(_) => return Err(format!("{part:?} has no step from 1 to 7")),
        };
        if first > last {
            return Err(format!("{part:?} ends before it starts; Sunday can be written as 0 or 7"));
        }
        days.extend((first..=last).step_by(step).map(|day| day % 7 + 1));
    }
    Ok(days.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

/// 0 to 7, or at least three letters of an English name.
fn weekday(text: &str) -> Result<u32, String> {
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let name = text.to_ascii_lowercase();
    let by_name = (0..7).zip(NAMES).find(|(_, full)| name.len() >= 3 && full.starts_with(&name));
    match (by_name, text.parse()) {
        (Some((number, _)), _) => Ok(number),
        (None, Ok(number @ 0..=7)) => Ok(number),
        (None, _) => Err(format!("{text:?} is no day of the week; write 0 to 7 or sun to sat")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The ticks of a schedule after an instant, as local times with their offset.
    #[track_caller]
    fn check(cron: &str, zone: &str, after: &str, expected: &[&str]) {
        let tz = time_zone(zone).unwrap();
        let schedule = Schedule::new(cron, tz).unwrap();
        let local = |tick: Timestamp| tick.to_datetime().with_timezone(&tz).to_rfc3339();
        let ticks: Vec<String> = schedule.after(at(after)).take(expected.len()).map(local).collect();
        assert_eq!(ticks, expected, "{cron} in {zone}");
        let one_by_one = std::iter::successors(schedule.next_after(at(after)), |tick| schedule.next_after(*tick));
        assert_eq!(
            one_by_one.take(expected.len()).map(local).collect::<Vec<_>>(),
            expected,
            "{cron}, asked tick by tick"
        );
    }

    #[test]
    fn five_fields_start_each_minute_and_six_have_seconds_first() {
        let after = "2026-11-23T10:02:30.5Z";
        check("*/5 * * * *", "UTC", after, &["2026-11-23T10:05:00+00:00", "2026-11-23T10:10:00+00:00"]);
        check("*/20 * * * * *", "UTC", after, &["2026-11-23T10:02:40+00:00", "2026-11-23T10:03:00+00:00"]);
        check("30 9 1 jan *", "UTC", after, &["2027-01-01T09:30:00+00:00", "2028-01-01T09:30:00+00:00"]);
    }

    #[test]
    fn zero_and_seven_and_the_name_are_sunday() {
        for sunday in ["0", "7", "sun", "Sunday"] {
            check(&format!("0 0 * * {sunday}"), "UTC", "2026-11-23T00:00:00Z", &["2026-11-29T00:00:00+00:00"]);
        }
        let weekend = ["2026-11-27T00:00:00+00:00", "2026-11-28T00:00:00+00:00", "2026-11-29T00:00:00+00:00"];
        check("0 0 * * 5-7", "UTC", "2026-11-23T12:00:00Z", &weekend);
        check("0 0 * * fri,sat,0", "UTC", "2026-11-23T12:00:00Z", &weekend);
        check(
            "0 0 * * mon-fri/2",
            "UTC",
            "2026-11-23T12:00:00Z",
            &["2026-11-25T00:00:00+00:00", "2026-11-27T00:00:00+00:00"],
        );
    }

    #[test]
    fn of_two_restricted_days_either_is_enough() {
        let expected = ["2026-11-24T00:00:00+00:00", "2026-12-01T00:00:00+00:00", "2026-12-08T00:00:00+00:00"];
        check("0 0 1 * tue", "UTC", "2026-11-23T12:00:00Z", &expected);
        check("0 0 1,24 * tue", "UTC", "2026-11-23T12:00:00Z", &expected);
    }

    #[test]
    fn a_local_time_that_daylight_saving_skips_comes_due_once_when_the_clock_has_jumped() {
        let berlin = ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
        check("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", &berlin);
        let new_york = ["2026-03-07T02:15:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"];
        check("15 2 * * *", "America/New_York", "2026-03-07T05:00:00Z", &new_york);
        let quarters = ["2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"];
        check("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", &quarters);
    }

    #[test]
    fn a_local_time_that_daylight_saving_repeats_comes_due_once() {
        let berlin = ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"];
        check("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", &berlin);
        let new_york = ["2026-10-31T01:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"];
        check("30 1 * * *", "America/New_York", "2026-10-31T04:00:00Z", &new_york);
        let halves = ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"];
        check("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", &halves);
        check("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", &["2026-10-25T03:00:00+01:00"]);
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_asked() {
        let due = |last: &str, now: &str, missed| -> Vec<String> {
            let schedule = Schedule::new("0 * * * *", Tz::UTC).unwrap();
            schedule.due(at(last), at(now), missed).iter().map(|tick| tick.to_string()[11..16].to_owned()).collect()
        };
        let (last, now) = ("2026-11-23T08:00:00Z", "2026-11-23T11:20:00Z");
        assert_eq!(due(last, now, MissedTicks::All), ["09:00", "10:00", "11:00"]);
        assert_eq!(due(last, now, MissedTicks::One), ["11:00"]);
        assert_eq!(due(last, now, MissedTicks::None), [""; 0]);
        let on_time = "2026-11-23T11:00:02Z";
        assert_eq!(due(last, on_time, MissedTicks::None), ["11:00"]);
        assert_eq!(due("2026-11-23T11:00:00Z", now, MissedTicks::All), [""; 0]);
        assert_eq!(due(now, last, MissedTicks::All), [""; 0]);
    }

    #[test]
    fn of_very_many_missed_ticks_the_latest_are_made_up_for() {
        let schedule = Schedule::new("* * * * * *", Tz::UTC).unwrap();
        let now = at("2026-11-23T00:00:00Z");
        let due = schedule.due(Timestamp::EPOCH, now, MissedTicks::All);
        assert_eq!((due.len(), due.last()), (MISSED_MAX, Some(&now)));
    }

    #[test]
    fn what_is_no_schedule_is_told_with_what_to_write() {
        let told = |cron: &str| Schedule::new(cron, Tz::UTC).unwrap_err().to_string();
        assert!(told("* * * *").contains("has 4 of 5 or 6 fields; write minute, hour"));
        assert!(time_zone("Mars/Base").unwrap_err().to_string().contains("IANA name, like Europe/Berlin"));
        assert!(told("0 0 30 2 *").contains("never comes due"));
        assert!(told("0 0 * * 8").contains("\"8\" is no day of the week"));
        assert!(told("0 0 * * sat-mon").contains("ends before it starts"));
        assert!(told("0 0 * * 1/0").contains("no step from 1 to 7"));
        assert!(told("61 * * * *").contains("\"61\" is no minute"));
        assert!(told("*/0 * * * *").contains("\"*/0\" is no minute"));
    }

    #[test]
    fn a_schedule_is_stored_as_it_was_written() {
        let schedule = Schedule::new("0 9 * * mon-fri", time_zone("Europe/Berlin").unwrap()).unwrap();
        let stored = serde_json::to_string(&schedule).unwrap();
        assert_eq!(stored, r#"{"cron":"0 9 * * mon-fri","timezone":"Europe/Berlin"}"#);
        assert_eq!(serde_json::from_str::<Schedule>(&stored).unwrap(), schedule);
        assert!(serde_json::from_str::<Schedule>(r#"{"cron":"0 9","timezone":"UTC"}"#).is_err());
    }
}
