//! The log as bytes, and what holds what should be gone.

use super::time::{absolute, ago, when};
use super::{Look, clean, count, facts};
use crate::api::model::{HeldByView, HeldView, StorageView};

/// What stands under a listing of functions.
pub fn storage(view: &StorageView, look: &Look) -> String {
    let log = view.first.as_ref().map_or_else(
        || "an empty log".to_owned(),
        |first| {
            let removed = if view.removed_to > 0 { "; what came before was removed" } else { "" };
            format!(
                "log from #{} to #{}, since {}{removed}",
                first.position,
                view.position,
                when(first.acceptedat, look)
            )
        },
    );
    let max = view.max_bytes.map(|max| format!(" of {} that it may have", bytes(max))).unwrap_or_default();
    let disk = format!(
        "{}{max}, {} more free to be filled; write-ahead log {}",
        bytes(view.used_bytes),
        bytes(view.free_bytes),
        bytes(view.write_ahead_bytes)
    );
    let parts = format!("events {}, recordings {}", bytes(view.events_bytes), bytes(view.recordings_bytes));
    let facts = facts(look, &[("holds", Some(parts)), ("on disk", Some(disk))]);
    let mut text = format!("{log}\n{facts}");
    if view.full {
        text += &format!("  {}\n", look.bad("the log is full: nothing new is accepted"));
    }
    for held in &view.held {
        text += &format!("  {}  {}\n", look.waiting("held back"), clean(&reason(held, look)));
    }
    text
}

/// What holds events, since when, and what to do.
fn reason(held: &HeldView, look: &Look) -> String {
    let (first, since) = (held.position, when(held.since, look));
    let events = count(held.events.unwrap_or(0), "event");
    match &held.by {
        HeldByView::Lag { function } => {
            format!("{function} has not handled #{first} of {since}; see `tidegate functions show {function}`")
        }
        HeldByView::Retry { function } => {
            format!(
                "{function} tries {events} again, the first is #{first} of {since}; see `tidegate explain @{first}`"
            )
        }
        HeldByView::DeadLetter { function } => format!(
            "{function} has {events} in dead letters, the first is #{first} of {since}; redrive or drop them with \
             `tidegate dlq`"
        ),
        HeldByView::Dedupe { until } => format!(
            "#{first} of {since} must be known if it comes again, until {} ({}); lower bus.dedupe, or keep more",
            absolute(*until),
            ago(*until, look.now)
        ),
        HeldByView::NoRule => "no rule of [retention] removes events; write one, or raise bus.disk_max".to_owned(),
    }
}

/// `512 B`, `64 KiB`, `1.5 GiB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 10.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::expect;

    use super::*;
    use crate::api::model::FirstView;
    use crate::clock::Timestamp;

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let check = |number: u64, expected: &str| assert_eq!(bytes(number), expected);
        check(0, "0 B");
        check(1_023, "1023 B");
        check(1_536, "1.5 KiB");
        check(64 << 10, "64 KiB");
        check(5 << 30, "5.0 GiB");
        check(4096 << 40, "4096 TiB");
    }

    #[test]
    fn a_log_is_told_with_its_parts_and_with_what_holds_them() {
        let at = |days: u64| Timestamp::EPOCH.plus(Duration::from_secs(days * 24 * 60 * 60));
        let look = Look { colour: false, width: usize::MAX, now: at(100) };
        let held = |by, events| HeldView { by, position: 120, since: at(60), events };
        let function = || "gate".to_owned();
        let view = StorageView {
            position: 9_000,
            events_bytes: 3 << 30,
            recordings_bytes: 700 << 20,
            dead_letters_bytes: 0,
            used_bytes: 5 << 30,
            free_bytes: 4 << 20,
            write_ahead_bytes: 8 << 20,
            max_bytes: Some(5 << 30),
            full: true,
            removed_to: 4_567,
            events_held: 2,
            first: Some(FirstView { position: 4_568, acceptedat: at(70) }),
            held: vec![
                held(HeldByView::Lag { function: function() }, None),
                held(HeldByView::Retry { function: function() }, Some(1)),
                held(HeldByView::DeadLetter { function: function() }, Some(12)),
                held(HeldByView::Dedupe { until: at(101) }, None),
                held(HeldByView::NoRule, None),
            ],
        };
        expect![[r#"
            log from #4568 to #9000, since 1970-03-12 00:00:00Z (30 d ago); what came before was removed
              holds    events 3.0 GiB, recordings 700 MiB
              on disk  5.0 GiB of 5.0 GiB that it may have, 4.0 MiB more free to be filled; write-ahead log 8.0 MiB
              the log is full: nothing new is accepted
              held back  gate has not handled #120 of 1970-03-02 00:00:00Z (40 d ago); see `tidegate functions show gate`
              held back  gate tries 1 event again, the first is #120 of 1970-03-02 00:00:00Z (40 d ago); see `tidegate explain @120`
              held back  gate has 12 events in dead letters, the first is #120 of 1970-03-02 00:00:00Z (40 d ago); redrive or drop them with `tidegate dlq`
              held back  #120 of 1970-03-02 00:00:00Z (40 d ago) must be known if it comes again, until 1970-04-12 00:00:00Z (in 1 d); lower bus.dedupe, or keep more
              held back  no rule of [retention] removes events; write one, or raise bus.disk_max
        "#]]
        .assert_eq(&storage(&view, &look));
        let whole = StorageView { removed_to: 0, held: Vec::new(), full: false, max_bytes: None, ..view };
        expect![[r#"
            log from #4568 to #9000, since 1970-03-12 00:00:00Z (30 d ago)
              holds    events 3.0 GiB, recordings 700 MiB
              on disk  5.0 GiB, 4.0 MiB more free to be filled; write-ahead log 8.0 MiB
        "#]]
        .assert_eq(&storage(&whole, &look));
    }
}
