//! What needs events that a rule would remove.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::super::rows::{self, sql};
use super::super::shared::Shared;
use crate::clock::Timestamp;
use crate::deployment::{Deployment, FunctionId, ScheduleTrigger, Trigger};
use crate::event::Position;

/// What needs one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// A function tries it again, or was given it again.
    Waiting(FunctionId),
    /// It is an open dead letter of a function.
    Letter(FunctionId),
    /// Dead letters have a rule of their own, by which this one stays.
    Resolved(FunctionId),
    /// It made a deployment active.
    Record,
    /// It may be the last tick of a schedule.
    Tick,
}

/// What the functions and triggers need, as the small tables and the queues say.
pub(super) struct Needs {
    /// Every function that counts has handled the events up to here. The last event of the log is never among them.
    pub handled: Position,
    /// The function that keeps `handled` from being the end of the log.
    pub behind: Option<FunctionId>,
    /// Functions that left the deployments so long ago that they hold nothing any more.
    gone: HashSet<FunctionId>,
    /// The types of the ticks of schedules, and from where on they are looked through for the last one.
    ticks: Vec<(String, Position)>,
    resolved_hold: bool,
}

/// Rows that go with an event, since they hold it no more.
#[derive(Debug, Default)]
pub(super) struct Along {
    pub pending: Vec<FunctionId>,
    /// Resolved dead letters, with what each counts.
    pub letters: Vec<(FunctionId, i64)>,
}

/// What holds the events of a stretch of the log, by position.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub holds: HashMap<Position, Hold>,
    pub along: HashMap<Position, Along>,
}

impl Needs {
    /// None while a deployment is in the log that is not active yet.
    pub fn read(db: &Connection, shared: &Shared, now: Timestamp) -> rusqlite::Result<Option<Self>> {
        let active = shared.active.borrow().clone();
        if rows::last_deployment(db)? != active.as_ref().map_or(0, |active| active.number) {
            return Ok(None);
        }
        let active = active.as_deref();
        let mut needs = Needs {
            handled: rows::tail(db)?.saturating_sub(1),
            behind: None,
            gone: HashSet::new(),
            ticks: ticks(db, active)?,
            resolved_hold: shared.retention.dead_letters.removes(),
        };
        for (function, written) in cursors(db)? {
            let is_deployed = active.is_some_and(|active| active.function_by_id(function).is_some());
            if !is_deployed && left_at(db, function)?.is_some_and(|at| at.plus(shared.retention.functions) <= now) {
                needs.gone.insert(function);
                continue;
            }
            let cursor = shared.queue(function).map_or(written, |queue| queue.cursor(shared).max(written));
            if cursor < needs.handled {
                (needs.handled, needs.behind) = (cursor, Some(function));
            }
        }
        Ok(Some(needs))
    }

    /// What holds the events from `first` to `last`, but for ticks.
    pub fn held(&self, db: &Connection, first: Position, last: Position) -> rusqlite::Result<Held> {
        let mut held = Held::default();
        for (function, position, letter) in letters(db, first, last)? {
            match letter {
                Letter::Open => drop(held.holds.insert(position, Hold::Letter(function))),
                Letter::Resolved { .. } if self.resolved_hold => {
                    held.holds.entry(position).or_insert(Hold::Resolved(function));
                }
                Letter::Resolved { bytes } => {
                    held.along.entry(position).or_default().letters.push((function, bytes));
                }
                Letter::Expired => held.along.entry(position).or_default().letters.push((function, 0)),
            }
        }
        for (function, position) in pending(db, first, last)? {
            match self.gone.contains(&function) {
                false => drop(held.holds.insert(position, Hold::Waiting(function))),
                true => held.along.entry(position).or_default().pending.push(function),
            }
        }
        for position in records(db, first, last)? {
            held.holds.insert(position, Hold::Record);
        }
        Ok(held)
    }

    /// Whether an event may be the last tick of a schedule.
    pub fn is_tick(&self, ty: &str, position: Position) -> bool {
        self.ticks.iter().any(|(of_ticks, from)| of_ticks == ty && position >= *from)
    }
}

/// How far every function has come that ever was deployed, as it is written.
fn cursors(db: &Connection) -> rusqlite::Result<Vec<(FunctionId, Position)>> {
    db.prepare_cached("SELECT id, position FROM functions")?
        .query_map([], |row| Ok((rows::function(row, 0)?, rows::unsigned(row, 1)?)))?
        .collect()
}

/// When a function left the deployments: the last that judged it is the first without it.
fn left_at(db: &Connection, function: FunctionId) -> rusqlite::Result<Option<Timestamp>> {
    db.prepare_cached(
        "SELECT d.at FROM judged j JOIN deployments d ON d.number = j.deployment
         WHERE j.function = ? ORDER BY j.position DESC LIMIT 1",
    )?
    .query_row([function.as_bytes()], |row| rows::time(row, 0))
    .optional()
}

/// From where on the events of each schedule's type are looked through for its last tick.
fn ticks(db: &Connection, active: Option<&Deployment>) -> rusqlite::Result<Vec<(String, Position)>> {
    let mut ticks = Vec::new();
    for trigger in active.iter().flat_map(|active| &active.triggers) {
        let Trigger::Schedule(ScheduleTrigger { ty, .. }) = trigger else { continue };
        let first = db
            .prepare_cached("SELECT position FROM events WHERE type = ? ORDER BY position DESC LIMIT 1 OFFSET ?")?
            .query_row(params![ty, sql(ScheduleTrigger::LOOKED_BACK_MAX as u64 - 1)], |row| rows::unsigned(row, 0))
            .optional()?;
        // Fewer than are looked through: all of them.
        ticks.push((ty.clone(), first.unwrap_or(0)));
    }
    Ok(ticks)
}

/// What a dead letter is to its event.
enum Letter {
    Open,
    /// `bytes`: what it counts.
    Resolved {
        bytes: i64,
    },
    Expired,
}

/// Dead letters on the events of a stretch. By functions, as their key begins with one.
fn letters(db: &Connection, first: Position, last: Position) -> rusqlite::Result<Vec<(FunctionId, Position, Letter)>> {
    db.prepare_cached(
        "SELECT d.function, d.position, d.state = 0, d.expired, d.event_bytes FROM functions f
         CROSS JOIN dead_letters d ON d.function = f.id AND d.position BETWEEN ? AND ?",
    )?
    .query_map([sql(first), sql(last)], |row| {
        let letter = match (row.get(2)?, row.get(3)?) {
            (true, _) => Letter::Open,
            (false, true) => Letter::Expired,
            (false, false) => Letter::Resolved { bytes: row.get(4)? },
        };
        Ok((rows::function(row, 0)?, rows::unsigned(row, 1)?, letter))
    })?
    .collect()
}

fn pending(db: &Connection, first: Position, last: Position) -> rusqlite::Result<Vec<(FunctionId, Position)>> {
    db.prepare_cached(
        "SELECT p.function, p.position FROM functions f
         CROSS JOIN pending p ON p.function = f.id AND p.position BETWEEN ? AND ?",
    )?
    .query_map([sql(first), sql(last)], |row| Ok((rows::function(row, 0)?, rows::unsigned(row, 1)?)))?
    .collect()
}

fn records(db: &Connection, first: Position, last: Position) -> rusqlite::Result<Vec<Position>> {
    db.prepare_cached("SELECT position FROM deployments WHERE position BETWEEN ? AND ?")?
        .query_map([sql(first), sql(last)], |row| rows::unsigned(row, 0))?
        .collect()
}
