//! Events that are not run, since a newer one of their line was accepted: a verdict that is stored.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::lines::Newest;
use super::rows::{self, sql};
use super::shared::Shared;
use super::subscription::Guard;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::bus::Superseded;
use crate::deployment::{FunctionId, FunctionName, Rank, Succession};
use crate::event::Position;

/// How long one waits that could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// The newest settled event of a line.
pub(super) fn newest(db: &Connection, function: FunctionId, line: &str) -> rusqlite::Result<Option<Newest>> {
    db.prepare_cached("SELECT rank, position FROM newest WHERE function = ? AND line = ?")?
        .query_row(params![function.as_bytes(), line], |row| {
            Ok(Newest { rank: Rank::from_stored(row.get(0)?), position: rows::unsigned(row, 1)? })
        })
        .optional()
}

/// Notes that an event was settled for good: what is older is superseded by it for ever.
pub(super) fn write_newest(
    db: &Connection,
    function: FunctionId,
    succession: &Succession,
    position: Position,
) -> rusqlite::Result<()> {
    let known = newest(db, function, &succession.line)?;
    if known.is_some_and(|known| !known.rank.is_older_than(&succession.rank)) {
        return Ok(());
    }
    db.prepare_cached("INSERT OR REPLACE INTO newest (function, line, rank, position) VALUES (?, ?, ?, ?)")?
        .execute(params![function.as_bytes(), &*succession.line, succession.rank.as_str(), sql(position)])?;
    Ok(())
}

/// For which functions an event was superseded.
pub(super) fn at(db: &Connection, position: Position) -> rusqlite::Result<Vec<Superseded>> {
    db.prepare_cached("SELECT function, newer, at, deployment FROM superseded WHERE position = ?")?
        .query_map([sql(position)], |row| {
            Ok(Superseded {
                function: rows::function(row, 0)?,
                by: rows::unsigned(row, 1)?,
                at: rows::time(row, 2)?,
                deployment: rows::unsigned(row, 3)?,
            })
        })?
        .collect()
}

/// Settles an event that is not run.
pub(super) struct Supersede {
    pub guard: Guard,
    pub function: FunctionId,
    pub name: FunctionName,
    pub deployment: u64,
    pub round: u32,
    pub by: Position,
    /// Whether nothing had settled it before.
    pub is_first: bool,
}

impl Write for Supersede {
    fn bytes(&self) -> usize {
        128
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        let (function, position) = (self.function, self.guard.position());
        self.is_first = !rows::is_settled(group.db, function, position, self.round, u32::MAX)?;
        if self.is_first {
            self.write(group, position)?;
        }
        match self.guard.has_row() {
            true => rows::delete_pending(group.db, function, position),
            false => Ok(()),
        }
    }

    fn committed(self: Box<Self>, shared: &Arc<Shared>) {
        if self.is_first {
            shared.metrics.superseded(self.name.as_str());
        }
        self.guard.settled();
    }

    fn failed(self: Box<Self>, shared: &Arc<Shared>, _fault: Fault) {
        // It is no less superseded: it comes here again.
        self.guard.set_aside(shared.clock.now().plus(PAUSE));
    }
}

impl Supersede {
    fn write(&self, group: &Group<'_>, position: Position) -> rusqlite::Result<()> {
        group
            .db
            .prepare_cached(
                "INSERT OR REPLACE INTO superseded (position, function, round, newer, at, deployment)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                sql(position),
                self.function.as_bytes(),
                self.round,
                sql(self.by),
                group.now.as_micros(),
                sql(self.deployment),
            ])?;
        Ok(())
    }
}
