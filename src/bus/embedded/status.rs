//! Where events and functions stand: from the log, and from the queues of a bus in this process where there is one.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use super::log::Log;
use super::rows::{self, PENDING, sql};
use super::shared::Shared;
use super::unread::{Unread, without_data};
use crate::bus::{BusError, FunctionStatus, PendingState};
use crate::deployment::{Function, FunctionId, Judgement};
use crate::event::{Accepted, Position};
use crate::filter::Subject;

/// A longer lag is told with what was settled out of order.
const EXACT_MAX: u64 = 10_000;

/// Where each function stands with an event that it has not settled.
pub(super) fn pending(
    log: &Log,
    shared: Option<&Shared>,
    position: Position,
) -> Result<Vec<(FunctionId, PendingState)>, BusError> {
    let Some(event) = log.read("read an event", |db| rows::event_at(db, position))? else { return Ok(Vec::new()) };
    let event = log.with_data(event);
    let judges = log.read("read who judged", |db| judges(db, position))?;
    let mut found = Vec::new();
    for (id, number) in judges {
        let deployment = log.deployment(number)?;
        let Some(function) = deployment.as_ref().and_then(|deployment| deployment.function_by_id(id)) else { continue };
        // Looked at before the log: what is settled in between shows as settled.
        let queued =
            shared.and_then(|shared| shared.queue(id)).and_then(|queue| queue.look(|queue| queue.state(position)));
        let stored = log.read("read what is pending", |db| stored(db, id, position))?;
        let state = match (stored, queued) {
            (Stored::Settled, _) => None,
            (_, Some(state)) => Some(state),
            (Stored::Pending(state), None) => Some(state),
            (Stored::Nothing { cursor }, None) if is_for(function, &event) => {
                let events_before = log.read("count what waits", |db| count(db, function, cursor, position - 1))?;
                Some(PendingState::Backlog { events_before })
            }
            (Stored::Nothing { .. }, None) => None,
        };
        found.extend(state.map(|state| (id, state)));
    }
    Ok(found)
}

/// Whether a function is to get an event, or may be, where only its data could tell.
fn is_for(function: &Function, event: &Result<Accepted, Box<Unread>>) -> bool {
    match event {
        Ok(event) => {
            let passes = || matches!(function.judge(&Subject::new(event)), Judgement::Deliver(_));
            function.filter.hears(&event.event.ty) && passes()
        }
        Err(unread) => {
            let told = || without_data(&unread.accepted, function).into_item();
            function.filter.hears(&unread.accepted.event.ty) && told().is_some()
        }
    }
}

/// Each function that ever was, with the deployment that judged it at a position.
fn judges(db: &Connection, position: Position) -> rusqlite::Result<Vec<(FunctionId, u64)>> {
    db.prepare_cached(
        "SELECT f.id, (SELECT deployment FROM judged j WHERE j.function = f.id AND j.position <= ?
                       ORDER BY j.position DESC LIMIT 1) AS deployment
         FROM functions f WHERE deployment IS NOT NULL",
    )?
    .query_map([sql(position)], |row| Ok((rows::function(row, 0)?, rows::unsigned(row, 1)?)))?
    .collect()
}

/// What the log says of an event and a function.
enum Stored {
    Settled,
    Pending(PendingState),
    Nothing { cursor: Position },
}

fn stored(db: &Connection, function: FunctionId, position: Position) -> rusqlite::Result<Stored> {
    let pending = db
        .prepare_cached(&format!("SELECT {PENDING} FROM pending WHERE function = ? AND position = ?"))?
        .query_row(params![function.as_bytes(), sql(position)], rows::pending)
        .optional()?;
    if let Some((item, at)) = pending {
        return Ok(Stored::Pending(match item.judged {
            true => PendingState::Retrying { attempt: item.attempt, at },
            false => PendingState::Unreadable { at },
        }));
    }
    let settled = db
        .prepare_cached(
            "SELECT 1 FROM invocations WHERE function = ?1 AND position = ?2 AND verdict <> 1
             UNION ALL SELECT 1 FROM superseded WHERE function = ?1 AND position = ?2",
        )?
        .exists(params![function.as_bytes(), sql(position)])?;
    let cursor = db
        .prepare_cached("SELECT position FROM functions WHERE id = ?")?
        .query_row([function.as_bytes()], |row| rows::unsigned(row, 0))
        .optional()?
        .unwrap_or(0);
    // At or below the cursor and not pending means settled; filtered events have no row.
    Ok(if settled || position <= cursor { Stored::Settled } else { Stored::Nothing { cursor } })
}

/// Final settlements of events in (after, until]: what was settled past a cursor.
fn settled_between(db: &Connection, function: FunctionId, after: Position, until: Position) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT (SELECT count(DISTINCT position) FROM invocations
                 WHERE function = ?1 AND position > ?2 AND position <= ?3 AND verdict <> 1)
              + (SELECT count(*) FROM superseded WHERE position > ?2 AND position <= ?3 AND function = ?1)",
    )?
    .query_row(params![function.as_bytes(), sql(after), sql(until)], |row| rows::unsigned(row, 0))
}

/// Events of a function's types in (after, until].
pub(super) fn count(db: &Connection, function: &Function, after: Position, until: Position) -> rusqlite::Result<u64> {
    let mut sum = 0;
    for ty in super::types::matching(db, function.filter.types(), usize::MAX)? {
        sum += db
            .prepare_cached("SELECT count(*) FROM events WHERE type = ? AND position > ? AND position <= ?")?
            .query_row(params![ty, sql(after), sql(until)], |row| rows::unsigned(row, 0))?;
    }
    Ok(sum)
}

/// Every function that ever was deployed.
pub(super) fn functions(log: &Log, shared: Option<&Shared>) -> Result<Vec<FunctionStatus>, BusError> {
    let active = log.deployment(log.read("read the functions", rows::last_deployment)?)?;
    log.read("read the functions", |db| {
        let tail = rows::tail(db)?;
        let mut statuses: Vec<FunctionStatus> = db
            .prepare_cached(
                "SELECT f.id, f.position, f.delivered, f.failed,
                     (SELECT count(*) FROM pending p WHERE p.function = f.id),
                     (SELECT count(*) FROM dead_letters d WHERE d.function = f.id AND d.state = 0)
                 FROM functions f ORDER BY f.id",
            )?
            .query_map([], |row| {
                Ok(FunctionStatus {
                    function: rows::function(row, 0)?,
                    position: rows::unsigned(row, 1)?,
                    lag: 0,
                    pending: rows::unsigned(row, 4)?,
                    oldest_waiting: None,
                    delivered: rows::unsigned(row, 2)?,
                    failed_attempts: rows::unsigned(row, 3)?,
                    dead_letters_open: rows::unsigned(row, 5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        for status in &mut statuses {
            let function = active.as_ref().and_then(|active| active.function_by_id(status.function));
            measure(db, shared, function, tail, status)?;
        }
        Ok(statuses)
    })
}

/// Adds what the queue knows, and what the log tells of events that wait.
fn measure(
    db: &Connection,
    shared: Option<&Shared>,
    function: Option<&Function>,
    tail: Position,
    status: &mut FunctionStatus,
) -> rusqlite::Result<()> {
    let mut oldest: Option<Position> = db
        .prepare_cached("SELECT min(position) FROM pending WHERE function = ?")?
        .query_row([status.function.as_bytes()], |row| row.get::<_, Option<i64>>(0))?
        .and_then(|position| u64::try_from(position).ok());
    if let Some((shared, queue)) = shared.and_then(|shared| Some((shared, shared.queue(status.function)?))) {
        status.position = queue.cursor(shared).max(status.position);
        status.pending = queue.look(|queue| queue.len() as u64);
        oldest = queue.look(|queue| queue.oldest());
        // What a function that does not lag has read and not queued is not for it.
        let read = queue.frontier().unwrap_or_else(|| shared.read.load(Ordering::Acquire));
        if status.pending == 0 {
            status.position = status.position.max(read);
        }
    }
    if let Some(function) = function {
        status.lag = count(db, function, status.position, tail)?;
        if (1..=EXACT_MAX).contains(&status.lag) {
            status.lag -= settled_between(db, function.id, status.position, tail)?.min(status.lag);
        }
    }
    if let Some(position) = oldest {
        status.oldest_waiting = rows::event_at(db, position)?.map(|stored| stored.accepted.accepted_at);
    }
    Ok(())
}
