//! Statistics: final settlements, rolled up by stretches of the log in the transaction that writes them.
//!
//! Invariant: the rows of a stretch say the same as the final rows of `invocations` at its positions. A window that begins
//! or ends inside a stretch is therefore counted exactly: whole stretches from the roll-up, its two edges from the attempts.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use super::rows::{self, Unknown, sql, unreadable};
use crate::bus::{Bucket, Statistics, StatisticsQuery};
use crate::deployment::{Digest, FunctionId};
use crate::event::Position;
use crate::outcome::FailureKind;

/// Positions of a stretch.
pub(super) const STRETCH: u64 = 1024;
/// Rows that are kept in memory while an older file's attempts are rolled up.
const ROWS_KEPT_MAX: usize = 10_000;

/// What a group adds or takes away: each row is written once for a group, not for each settlement.
#[derive(Default)]
pub(super) struct RollUp(HashMap<Key, i64>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    function: FunctionId,
    component: Digest,
    /// The stretch.
    first: Position,
    /// None: delivered.
    failure: Option<FailureKind>,
    up_to_micros: u64,
}

/// A final settlement. The duration is that of its attempt.
#[derive(Debug)]
pub(super) struct Final {
    pub function: FunctionId,
    pub component: Digest,
    pub position: Position,
    /// None: delivered.
    pub failure: Option<FailureKind>,
    pub duration: Duration,
}

impl RollUp {
    pub fn count(&mut self, settled: &Final) {
        *self.entry(settled) += 1;
    }

    /// Takes away one that was counted, whose row is removed.
    pub fn uncount(&mut self, settled: &Final) {
        *self.entry(settled) -= 1;
    }

    fn entry(&mut self, settled: &Final) -> &mut i64 {
        let Final { function, component, position, failure, duration } = *settled;
        let first = position - position % STRETCH;
        let key = Key { function, component, first, failure, up_to_micros: Bucket::bound(duration) };
        self.0.entry(key).or_default()
    }

    pub fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        for (key, count) in self.0.drain() {
            db.prepare_cached(
                "INSERT INTO statistics (function, component, first_position, outcome, up_to_micros, count)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            )?
            .execute(params![
                key.function.as_bytes(),
                key.component.as_bytes(),
                sql(key.first),
                key.failure.map_or(DELIVERED, FailureKind::as_str),
                sql(key.up_to_micros),
                count,
            ])?;
            if count < 0 {
                db.prepare_cached(
                    "DELETE FROM statistics WHERE function = ? AND component = ? AND first_position = ? AND count <= 0",
                )?
                .execute(params![
                    key.function.as_bytes(),
                    key.component.as_bytes(),
                    sql(key.first)
                ])?;
            }
        }
        Ok(())
    }
}

/// The outcome that is no failure.
const DELIVERED: &str = "delivered";

/// The outcome of a final attempt, as `RollUp::write` writes it.
pub(super) const OUTCOME: &str = "coalesce(failure ->> 'kind', 'delivered')";

pub(super) fn outcome(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<FailureKind>> {
    match row.get_ref(index)?.as_str()? {
        DELIVERED => Ok(None),
        text => match FailureKind::deserialize(StrDeserializer::<Error>::new(text)) {
            Ok(kind) => Ok(Some(kind)),
            Err(_) => Err(unreadable(index, Unknown { what: "outcome", text: text.to_owned() })),
        },
    }
}

/// Counts a window, in one transaction, so that every part of it is true at the same position.
pub(super) fn read(db: &Connection, query: &StatisticsQuery) -> rusqlite::Result<Statistics> {
    let db = db.unchecked_transaction()?;
    let position = rows::tail(&db)?;
    let mut statistics = Statistics { position, ..Statistics::default() };
    let parts = Parts::of(query.from, query.to.map_or(Position::MAX, |to| to.saturating_add(1)), position + 1);
    for edge in parts.edges {
        add_attempts(&db, query, edge, &mut statistics)?;
    }
    add_stretches(&db, query, parts.stretches, &mut statistics)?;
    Ok(statistics)
}

/// A window as whole stretches, and what stands before and after them.
#[derive(Debug, PartialEq)]
struct Parts {
    edges: [Range<Position>; 2],
    stretches: Range<Position>,
}

impl Parts {
    /// Of the positions from `from` to before `to`, in a log that ends before `end`: its last stretch is whole as it is.
    fn of(from: Position, to: Position, end: Position) -> Self {
        let to = if to >= end { end.next_multiple_of(STRETCH) } else { to };
        let first = from.min(to).next_multiple_of(STRETCH);
        let last = to - to % STRETCH;
        if first < last {
            Parts { edges: [from..first, last..to], stretches: first..last }
        } else {
            Parts { edges: [from..to, to..to], stretches: to..to }
        }
    }
}

fn add_attempts(
    db: &Connection,
    query: &StatisticsQuery,
    positions: Range<Position>,
    statistics: &mut Statistics,
) -> rusqlite::Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    let text = format!(
        "SELECT {OUTCOME}, duration_micros FROM invocations
         WHERE function = ? AND position >= ? AND position < ? AND verdict <> 1 AND component = ?"
    );
    let mut select = db.prepare_cached(&text)?;
    let (first, end) = (sql(positions.start), sql(positions.end));
    let mut rows = select.query(params![query.function.as_bytes(), first, end, query.component.as_bytes()])?;
    while let Some(row) = rows.next()? {
        statistics.add(outcome(row, 0)?, Bucket::bound(rows::duration(row, 1)?), 1);
    }
    Ok(())
}

fn add_stretches(
    db: &Connection,
    query: &StatisticsQuery,
    positions: Range<Position>,
    statistics: &mut Statistics,
) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT outcome, up_to_micros, sum(count) FROM statistics
         WHERE function = ? AND component = ? AND first_position >= ? AND first_position < ?
         GROUP BY outcome, up_to_micros",
    )?;
    let (first, end) = (sql(positions.start), sql(positions.end));
    let mut rows = select.query(params![query.function.as_bytes(), query.component.as_bytes(), first, end])?;
    while let Some(row) = rows.next()? {
        statistics.add(outcome(row, 0)?, rows::unsigned(row, 1)?, rows::unsigned(row, 2)?);
    }
    Ok(())
}

/// Rolls up what was settled before there were statistics.
pub(super) fn roll_up_all(db: &Connection) -> rusqlite::Result<()> {
    let text =
        format!("SELECT function, component, position, {OUTCOME}, duration_micros FROM invocations WHERE verdict <> 1");
    let mut select = db.prepare(&text)?;
    let mut rows = select.query([])?;
    let mut roll_up = RollUp::default();
    while let Some(row) = rows.next()? {
        roll_up.count(&Final {
            function: rows::function(row, 0)?,
            component: rows::digest(row, 1)?,
            position: rows::unsigned(row, 2)?,
            failure: outcome(row, 3)?,
            duration: rows::duration(row, 4)?,
        });
        if roll_up.0.len() >= ROWS_KEPT_MAX {
            roll_up.write(db)?;
        }
    }
    roll_up.write(db)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: Position, to: Position, end: Position, edges: [Range<Position>; 2], stretches: Range<Position>) {
        assert_eq!(Parts::of(from, to, end), Parts { edges, stretches }, "{from}..{to} of {end}");
    }

    #[test]
    fn a_window_is_whole_stretches_and_at_most_two_edges() {
        const END: Position = 10_000;
        check(0, 2048, END, [0..0, 2048..2048], 0..2048);
        check(1, 2048, END, [1..1024, 2048..2048], 1024..2048);
        check(0, 2049, END, [0..0, 2048..2049], 0..2048);
        check(1000, 5000, END, [1000..1024, 4096..5000], 1024..4096);
        check(1025, 2047, END, [1025..2047, 2047..2047], 2047..2047);
        check(1023, 1025, END, [1023..1025, 1025..1025], 1025..1025);
    }

    #[test]
    fn the_stretch_that_the_log_ends_in_is_whole() {
        check(1024, 3000, 3000, [1024..1024, 3072..3072], 1024..3072);
        check(1024, Position::MAX, 3000, [1024..1024, 3072..3072], 1024..3072);
        check(2999, Position::MAX, 3000, [2999..3072, 3072..3072], 3072..3072);
    }

    #[test]
    fn a_window_that_holds_nothing_has_nothing_to_count() {
        for (from, to, end) in [(9000, Position::MAX, 3000), (5, 5, 3000), (9, 5, 3000), (Position::MAX, 5, 3000)] {
            let parts = Parts::of(from, to, end);
            assert!(parts.edges.iter().all(Range::is_empty) && parts.stretches.is_empty(), "{from}..{to}: {parts:?}");
        }
    }
}
