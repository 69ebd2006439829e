//! What the log's rules come to: how large it is, how far it was removed, and what holds the rest.

use super::super::log::Log;
use super::super::rows;
use super::super::shared::Shared;
use super::super::sizes::Sizes;
use super::holds::{Hold, Needs};
use super::plan::{Due, Removed, candidates, judge};
use crate::bus::{BusError, HELD_COUNTED_MAX, HeldBack, HeldBy, Storage};
use crate::clock::Timestamp;
use crate::event::Position;

/// The log as bytes. What holds it is told by a bus alone: rules are those of a process.
pub(in crate::bus::embedded) fn storage(log: &Log, shared: Option<&Shared>) -> Result<Storage, BusError> {
    let write_ahead_bytes = log.write_ahead_bytes();
    log.read("measure the log", |db| {
        // One transaction: what is told is true at one position.
        let db = db.unchecked_transaction()?;
        let (removed, sizes) = (Removed::read(&db)?, Sizes::read(&db)?);
        let (used_bytes, free_bytes) = rows::used_bytes(&db)?;
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        let first = candidates(&db, removed.events_to, Position::MAX, 1)?.pop();
        let kept = candidates(&db, 0, removed.events_to, HELD_COUNTED_MAX)?;
        let mut storage = Storage {
            event_bytes: unsigned(sizes.events),
            recording_bytes: unsigned(sizes.recordings),
            letter_bytes: unsigned(sizes.letters),
            used_bytes,
            free_bytes,
            write_ahead_bytes,
            disk_bytes_max: shared.and_then(|shared| shared.disk_bytes_max),
            removed_to: removed.events_to,
            recordings_removed_to: unsigned(removed.recordings_to),
            first: first.as_ref().map(|event| (event.position, event.accepted_at)),
            events_held: kept.len() as u64,
            held: Vec::new(),
        };
        if let Some(shared) = shared {
            let now = shared.clock.now();
            let needs = Needs::read(&db, shared, now)?;
            if let (Some(needs), Some(first)) = (needs, first) {
                let due = Due::of(&shared.retention.events, now, sizes.events);
                if due.takes(first.accepted_at) {
                    storage.held.extend(front(shared, &needs, (first.position, first.accepted_at), now));
                }
                for (hold, going) in judge(&db, &needs, kept)? {
                    add(&mut storage.held, hold, going.event.position, going.event.accepted_at);
                }
            }
            if storage.is_at_max()
                && !shared.retention.events.removes()
                && let Some((position, since)) = storage.first
            {
                storage.held.push(HeldBack { by: HeldBy::NoRule, position, since, events: None });
            }
        }
        Ok(storage)
    })
}

/// What keeps the log from being looked through further, where its rule asks for it.
fn front(shared: &Shared, needs: &Needs, (position, since): (Position, Timestamp), now: Timestamp) -> Option<HeldBack> {
    let until = since.plus(shared.retention.dedupe);
    let by = match until > now {
        true => HeldBy::Dedupe { until },
        false => HeldBy::Lag(needs.behind.filter(|_| position > needs.handled)?),
    };
    Some(HeldBack { by, position, since, events: None })
}

/// Counts an event that is held, if by something that somebody can do something about.
fn add(held: &mut Vec<HeldBack>, hold: Option<Hold>, position: Position, since: Timestamp) {
    let by = match hold {
        Some(Hold::Waiting(function)) => HeldBy::Retry(function),
        Some(Hold::Letter(function)) => HeldBy::DeadLetter(function),
        Some(Hold::Resolved(_) | Hold::Record | Hold::Tick) | None => return,
    };
    match held.iter_mut().find(|held| held.by == by) {
        Some(HeldBack { events: Some(events), .. }) => *events += 1,
        Some(HeldBack { events: None, .. }) | None => {
            held.push(HeldBack { by, position, since, events: Some(1) });
        }
    }
}
