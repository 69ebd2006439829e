//! `[retention]`: what is removed from the log, and when.

use std::time::Duration;

use super::read::{Item, Table};
use super::settings::{KEPT_MAX, KEPT_MIN, SIZE_BYTES_MAX, bytes, period};
use super::units;
use crate::deployment::{Retention, Rule};

const SIZE_BYTES_MIN: u64 = 1 << 20;

/// `dedupe`: how long an event is known when it comes again, where the file says it.
pub(super) fn retention(table: &mut Table<'_>, dedupe: Option<Duration>) -> Retention {
    let default = Retention::default();
    let default = Retention { dedupe: dedupe.unwrap_or(default.dedupe), ..default };
    let read = |table: &mut Table<'_>| {
        let events = table.maybe("events", |item| rule(&item, Some(default.dedupe)));
        let recordings = table.maybe("recordings", |item| rule(&item, None));
        let dead_letters = table.maybe("dead_letters", |item| rule(&item, None));
        let functions = table.maybe("functions", |item| period(&item, KEPT_MIN, KEPT_MAX));
        Retention {
            events: events.unwrap_or_default(),
            recordings: recordings.unwrap_or_default(),
            dead_letters: dead_letters.unwrap_or_default(),
            functions: functions.unwrap_or(default.functions),
            dedupe: default.dedupe,
        }
    };
    table.maybe("retention", |item| item.table(read)).unwrap_or(default)
}

/// `age` and `size`, at least one of them.
fn rule(item: &Item<'_>, dedupe: Option<Duration>) -> Option<Rule> {
    item.table(|table| {
        let (age_item, size) = (table.take("age"), table.take("size"));
        if age_item.is_none() && size.is_none() {
            table.error("removes nothing; write `age`, `size` or both, or leave it out");
        }
        let age = age_item.as_ref().and_then(|item| period(item, KEPT_MIN, KEPT_MAX));
        if let (Some(item), Some(age), Some(dedupe)) = (&age_item, age, dedupe)
            && age < dedupe
        {
            let (age, dedupe) = (units::shown(age), units::shown(dedupe));
            item.error(format!(
                "{age} is less than bus.dedupe ({dedupe}), and an event that is removed is not known when it comes again; \
                 write {dedupe} or more, or lower bus.dedupe"
            ));
        }
        let bytes_max = size.and_then(|item| bytes(&item, SIZE_BYTES_MIN, SIZE_BYTES_MAX, "1MiB to 1024TiB"));
        Rule { age, bytes_max }
    })
}
