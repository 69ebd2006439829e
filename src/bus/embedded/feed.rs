//! How one function reads the log: by whom its events are judged, and pages of them by type.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::function_queue::FunctionQueue;
use super::item::Item;
use super::log::Log;
use super::queue::Queue;
use super::reader::PAGE_EVENTS_MAX;
use super::rows::{self, ACCEPTED, PENDING, Stored, sql};
use super::shared::Shared;
use super::types;
use crate::bus::BusError;
use crate::clock::Timestamp;
use crate::deployment::{Function, FunctionId, Judgement, Keys, Order};
use crate::event::Position;
use crate::filter::Subject;
use crate::telemetry::Metrics;

/// A function that asks for more types than this reads the log as it is.
const TYPES_BY_INDEX_MAX: usize = 16;

pub(super) struct Feed {
    pub queue: Arc<FunctionQueue>,
    /// By position.
    ranges: Vec<Range>,
    /// Up to here an event may have been settled before: the fence is asked.
    fenced_until: Position,
    /// What the queue had from before its function left the deployments. It comes from there or is settled, whatever was read
    /// of it meanwhile.
    pub left: HashSet<Position>,
    /// Whether the function reads on by itself, from its queue's frontier; else it is offered what is new.
    pub lags: bool,
    /// Whether it judged anything since its cursor was written.
    pub touched: bool,
    written: Position,
}

/// From a position on, the function as it was deployed; none: it was not.
struct Range {
    from: Position,
    function: Option<Arc<Function>>,
}

pub(super) struct Page {
    pub events: Vec<Stored>,
    /// Those that have a final settlement.
    pub settled: HashSet<Position>,
    /// Every event up to here that the function may want is in the page.
    pub read_to: Position,
}

impl Feed {
    /// Reads a function's cursor, its ranges and what is pending; it starts as one that lags. `queue`: the one that it had
    /// when it left the deployments, if something is out of it still; what is there is not taken in again.
    pub fn open(
        shared: &Shared,
        function: &Function,
        read: Position,
        queue: Option<Arc<FunctionQueue>>,
    ) -> Result<Self, BusError> {
        // Asked before anything is read: what is out may be settled at any time, and then the queue knows nothing of it.
        let left = queue.as_ref().map(|queue| queue.look(Queue::positions)).unwrap_or_default();
        let (cursor, judged, pending) = shared.log.read("read a cursor", |db| {
            let cursor = cursor(db, function.id)?;
            Ok((cursor, judged(db, function.id, cursor)?, pending(db, function.id)?))
        })?;
        let mut ranges = Vec::with_capacity(judged.len());
        for (from, number) in judged {
            let deployment = shared.log.deployment(number)?;
            let judging = deployment.as_ref().and_then(|deployment| deployment.function_by_id(function.id));
            ranges.push(Range { from, function: judging.cloned().map(Arc::new) });
        }
        let queue = queue.unwrap_or_else(|| Arc::new(FunctionQueue::new(function.id)));
        queue.open(cursor);
        queue.set_pace(shared, function);
        let feed = Feed { queue, ranges, fenced_until: read, left, lags: true, touched: false, written: cursor };
        feed.count_what_waits(shared, function, read)?;
        for (item, due) in pending.into_iter().filter(|(item, _)| !feed.left.contains(&item.position)) {
            feed.take_up(shared, function, item, due)?;
        }
        // What was put back and is due stands before what is read from here on.
        feed.queue.release(shared);
        Ok(feed)
    }

    /// Takes in what was put back, if its row is not in the queue yet.
    pub fn take_up_redriven(&self, shared: &Shared, function: &Function, position: Position) -> Result<(), BusError> {
        // Asked before the row is read. Items come into the queue on this thread alone, so one that is not there cannot be
        // settled meanwhile, and its row is not read too late.
        if self.queue.look(|queue| queue.contains(position)) {
            return Ok(());
        }
        match shared.log.read("read what was put back", |db| pending_at(db, function.id, position))? {
            Some((item, due)) => self.take_up(shared, function, item, due),
            None => Ok(()),
        }
    }

    fn take_up(&self, shared: &Shared, function: &Function, item: Item, due: Timestamp) -> Result<(), BusError> {
        let mut keys = keys_at(&shared.log, function, item.position)?;
        if !item.judged {
            // It may not be wanted at all, and then supersedes nothing.
            keys.succession = None;
        }
        self.queue.offer_at(shared, Item { keys, ..item }, due)
    }

    /// After `record` the function is this one.
    pub fn change(&mut self, shared: &Shared, function: &Function, record: Position) -> Result<(), BusError> {
        let before = self.ranges.last().and_then(|range| range.function.clone());
        if before.as_deref() == Some(function) {
            return Ok(());
        }
        self.queue.set_pace(shared, function);
        if before.is_none_or(|before| before.backlog_max.is_none()) {
            self.count_what_waits(shared, function, record)?;
        }
        self.ranges.push(Range { from: record + 1, function: Some(Arc::new(function.clone())) });
        Ok(())
    }

    /// Where a bound asks for it, counts the events that the function lags behind by.
    fn count_what_waits(&self, shared: &Shared, function: &Function, until: Position) -> Result<(), BusError> {
        let Some(after) = self.queue.frontier().filter(|_| function.backlog_max.is_some()) else { return Ok(()) };
        let count = |db: &Connection| super::status::count(db, function, after, until);
        self.queue.set_behind(shared.log.read("count what waits", count)?);
        Ok(())
    }

    /// Takes a fresh event in. Without room, or where its line cannot be looked up, it does not: the function lags from here on.
    pub fn offer_fresh(&self, shared: &Shared, function: &Function, item: Item) -> bool {
        let position = item.position;
        self.queue.offer_fresh(shared, item).unwrap_or_else(|error| {
            shared.metrics.unreadable(function.name.as_str(), position, &error);
            self.queue.set_frontier(Some(position - 1));
            false
        })
    }

    /// Who judges the event at `position`, and up to where.
    pub fn judging(&mut self, position: Position) -> (Option<Arc<Function>>, Position) {
        while self.ranges.get(1).is_some_and(|next| next.from <= position) {
            self.ranges.remove(0);
        }
        let end = self.ranges.get(1).map_or(Position::MAX, |next| next.from - 1);
        match self.ranges.first() {
            Some(range) if range.from <= position => (range.function.clone(), end),
            Some(range) => (None, range.from - 1),
            None => (None, Position::MAX),
        }
    }

    /// The next events of the function's types after `after` and up to `until`.
    pub fn page(
        &self,
        db: &Connection,
        function: &Function,
        after: Position,
        until: Position,
    ) -> rusqlite::Result<Page> {
        let wanted = types::matching(db, function.filter.types(), TYPES_BY_INDEX_MAX + 1)?;
        let (events, read_to) = if wanted.len() > TYPES_BY_INDEX_MAX {
            let mut events = scan(db, after, until, PAGE_EVENTS_MAX)?;
            let read_to = if events.len() < PAGE_EVENTS_MAX { until } else { last(&events).unwrap_or(until) };
            events.retain(|stored| function.filter.hears(&stored.accepted.event.ty));
            (events, read_to)
        } else {
            by_types(db, &wanted, after, until)?
        };
        let settled =
            if after < self.fenced_until { settled(db, function.id, after, read_to)? } else { HashSet::new() };
        Ok(Page { events, settled, read_to })
    }

    /// The cursor, if it moved and is worth a row.
    pub fn moved(&mut self, shared: &Shared) -> Option<Position> {
        if !std::mem::take(&mut self.touched) {
            return None;
        }
        let cursor = self.queue.cursor(shared);
        (cursor > self.written).then(|| {
            self.written = cursor;
            cursor
        })
    }
}

/// What a function's queue takes in of an event of its types; none: its filter does not want it.
pub(super) fn wanted(
    function: &Function,
    position: Position,
    subject: &Subject<'_>,
    metrics: &Metrics,
) -> Option<Item> {
    match function.judge(subject) {
        Judgement::Deliver(keys) => Some(Item { keys, ..Item::first(position) }),
        // Verdicts of filters are pure: they are computed when someone asks.
        Judgement::Filtered { .. } => None,
        Judgement::FilterFailed { clause, reason } => {
            metrics.filter_failed(function.name.as_str(), position, &clause, &reason);
            None
        }
    }
}

fn last(events: &[Stored]) -> Option<Position> {
    events.last().map(|stored| stored.accepted.position)
}

/// Each type by the index, merged in log order.
fn by_types(
    db: &Connection,
    types: &BTreeSet<String>,
    after: Position,
    until: Position,
) -> rusqlite::Result<(Vec<Stored>, Position)> {
    let mut events = Vec::new();
    let mut whole = true;
    for ty in types {
        let of_type: Vec<Stored> = db
            .prepare_cached(&format!(
                "SELECT {ACCEPTED} FROM events WHERE type = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?"
            ))?
            .query_map(params![ty, sql(after), sql(until), PAGE_EVENTS_MAX as i64], rows::accepted)?
            .collect::<rusqlite::Result<_>>()?;
        whole &= of_type.len() < PAGE_EVENTS_MAX;
        events.extend(of_type);
    }
    events.sort_by_key(|stored| stored.accepted.position);
    whole &= events.len() <= PAGE_EVENTS_MAX;
    events.truncate(PAGE_EVENTS_MAX);
    let read_to = if whole { until } else { last(&events).unwrap_or(until) };
    Ok((events, read_to))
}

/// Events as they stand in the log.
pub(super) fn scan(db: &Connection, after: Position, until: Position, max: usize) -> rusqlite::Result<Vec<Stored>> {
    db.prepare_cached(&format!(
        "SELECT {ACCEPTED} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    ))?
    .query_map(params![sql(after), sql(until), sql(max as u64)], rows::accepted)?
    .collect()
}

fn settled(
    db: &Connection,
    function: FunctionId,
    after: Position,
    until: Position,
) -> rusqlite::Result<HashSet<Position>> {
    db.prepare_cached(
        "SELECT position FROM invocations WHERE function = ?1 AND position > ?2 AND position <= ?3 AND verdict <> 1
         UNION SELECT position FROM superseded WHERE position > ?2 AND position <= ?3 AND function = ?1",
    )?
    .query_map(params![function.as_bytes(), sql(after), sql(until)], |row| rows::unsigned(row, 0))?
    .collect()
}

fn cursor(db: &Connection, function: FunctionId) -> rusqlite::Result<Position> {
    db.prepare_cached("SELECT position FROM functions WHERE id = ?")?
        .query_row([function.as_bytes()], |row| rows::unsigned(row, 0))
}

/// Which deployments judge from a cursor on.
fn judged(db: &Connection, function: FunctionId, cursor: Position) -> rusqlite::Result<Vec<(Position, u64)>> {
    let mut found: Vec<(Position, u64)> = db
        .prepare_cached("SELECT position, deployment FROM judged WHERE function = ? ORDER BY position")?
        .query_map([function.as_bytes()], |row| Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let current = found.iter().rposition(|(from, _)| *from <= cursor + 1).unwrap_or(0);
    found.drain(..current);
    Ok(found)
}

/// What waits in a row of its own, in log order.
fn pending(db: &Connection, function: FunctionId) -> rusqlite::Result<Vec<(Item, Timestamp)>> {
    db.prepare_cached(&format!("SELECT {PENDING} FROM pending WHERE function = ? ORDER BY position"))?
        .query_map([function.as_bytes()], rows::pending)?
        .collect()
}

fn pending_at(
    db: &Connection,
    function: FunctionId,
    position: Position,
) -> rusqlite::Result<Option<(Item, Timestamp)>> {
    db.prepare_cached(&format!("SELECT {PENDING} FROM pending WHERE function = ? AND position = ?"))?
        .query_row(params![function.as_bytes(), sql(position)], rows::pending)
        .optional()
}

/// The keys of an event that is in the log, as far as they can be told where its data cannot be read.
fn keys_at(log: &Log, function: &Function, position: Position) -> Result<Keys, BusError> {
    if function.order == Order::None && function.limit.is_none() && function.supersede.is_none() {
        return Ok(Keys::default());
    }
    let stored = log.read("read an event", |db| rows::event_at(db, position))?;
    let Some(stored) = stored else { return Ok(Keys::default()) };
    let told = function.keys(&Subject::without_data(&stored.accepted, "it was not read".to_owned()));
    if !function.lacks_key(&told) {
        return Ok(told);
    }
    Ok(log.with_data(stored).map_or(told, |event| function.keys(&Subject::new(&event))))
}
