//! Between values and columns.

use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::item::Item;
use super::sizes::{self, Sizes};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest, FunctionId};
use crate::event::{Accepted, Event, Origin, OriginKind, Position};

/// The columns that `accepted` reads, in its order.
pub(super) const ACCEPTED: &str =
    "position, accepted_at, hops, origin_kind, origin_name, origin_verified, body, data_digest";

/// The columns that `pending` reads, in its order.
pub(super) const PENDING: &str = "position, round, attempt, due, lost, first_attempt_at";

/// As the file was made.
pub(super) const PAGE_BYTES: u64 = 4096;

/// SQLite's integers have a sign; positions and counts do not reach its range.
pub(super) fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_micros)
}

pub(super) fn duration(row: &Row<'_>, index: usize) -> rusqlite::Result<Duration> {
    unsigned(row, index).map(Duration::from_micros)
}

pub(super) fn function(row: &Row<'_>, index: usize) -> rusqlite::Result<FunctionId> {
    row.get::<_, [u8; 16]>(index).map(|bytes| FunctionId::from_uuid(Uuid::from_bytes(bytes)))
}

pub(super) fn digest(row: &Row<'_>, index: usize) -> rusqlite::Result<Digest> {
    row.get::<_, [u8; 32]>(index).map(Digest::from_bytes)
}

/// An event whose data may still lie in the blob store.
pub(super) struct Stored {
    pub accepted: Accepted,
    pub data: Option<Digest>,
}

/// Reads the columns `ACCEPTED`.
pub(super) fn accepted(row: &Row<'_>) -> rusqlite::Result<Stored> {
    accepted_from(row, 0)
}

/// Reads the columns `ACCEPTED` that stand behind others: the first of them at `at`.
pub(super) fn accepted_from(row: &Row<'_>, at: usize) -> rusqlite::Result<Stored> {
    let kind = origin_kind(row.get_ref(at + 3)?.as_str()?)?;
    Ok(Stored {
        accepted: Accepted {
            position: unsigned(row, at)?,
            accepted_at: time(row, at + 1)?,
            hops: row.get(at + 2)?,
            origin: Origin { kind, name: row.get(at + 4)?, verified: row.get(at + 5)? },
            event: event(row, at + 6)?,
        },
        data: row.get::<_, Option<[u8; 32]>>(at + 7)?.map(Digest::from_bytes),
    })
}

pub(super) fn event(row: &Row<'_>, index: usize) -> rusqlite::Result<Event> {
    Event::decode(row.get::<_, Vec<u8>>(index)?.into()).map_err(|error| unreadable(index, error))
}

pub(super) fn event_at(db: &Connection, position: Position) -> rusqlite::Result<Option<Stored>> {
    db.prepare_cached(&format!("SELECT {ACCEPTED} FROM events WHERE position = ?"))?
        .query_row([sql(position)], accepted)
        .optional()
}

/// What an event counts, as `sizes` does; 0 for one that is not there.
pub(super) fn event_bytes(db: &Connection, position: Position) -> rusqlite::Result<i64> {
    let bytes = db
        .prepare_cached(&format!("SELECT {} FROM events WHERE position = ?", sizes::EVENT))?
        .query_row([sql(position)], |row| row.get(0))
        .optional()?;
    Ok(bytes.unwrap_or(0))
}

/// Bytes of the file that hold something, and those that are free to be filled.
pub(super) fn used_bytes(db: &Connection) -> rusqlite::Result<(u64, u64)> {
    let (all, free) = pages(db)?;
    Ok((PAGE_BYTES * (all - free), PAGE_BYTES * free))
}

/// Pages of the file, and those of them that hold nothing.
pub(super) fn pages(db: &Connection) -> rusqlite::Result<(u64, u64)> {
    let ask = |text: &str| db.prepare_cached(text)?.query_row([], |row| unsigned(row, 0));
    Ok((ask("PRAGMA page_count")?, ask("PRAGMA freelist_count")?))
}

pub(super) fn tail(db: &Connection) -> rusqlite::Result<Position> {
    db.prepare_cached("SELECT coalesce(max(position), 0) FROM events")?.query_row([], |row| unsigned(row, 0))
}

pub(super) fn deployment(db: &Connection, number: u64) -> rusqlite::Result<Option<Deployment>> {
    db.prepare_cached("SELECT body FROM deployments WHERE number = ?")?
        .query_row([sql(number)], |row| json(row, 0))
        .optional()
}

/// The number of the last deployment; 0 before the first.
pub(super) fn last_deployment(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT coalesce(max(number), 0) FROM deployments")?.query_row([], |row| unsigned(row, 0))
}

/// Whether a final settlement of (function, position, round) is there, or one of this very attempt.
pub(super) fn is_settled(
    db: &Connection,
    function: FunctionId,
    position: Position,
    round: u32,
    attempt: u32,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM invocations
             WHERE function = ?1 AND position = ?2 AND round = ?3 AND (verdict <> 1 OR attempt >= ?4)
         UNION ALL SELECT 1 FROM superseded WHERE function = ?1 AND position = ?2 AND round = ?3",
    )?
    .exists(params![function.as_bytes(), sql(position), round, attempt])
}

fn origin_kind(text: &str) -> rusqlite::Result<OriginKind> {
    [OriginKind::Trigger, OriginKind::Function, OriginKind::Api, OriginKind::Runtime]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| unreadable(3, Unknown { what: "origin", text: text.to_owned() }))
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(index)?.as_str()?).map_err(|error| unreadable(index, error))
}

pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no {what}; the file is damaged")]
pub(super) struct Unknown {
    pub what: &'static str,
    pub text: String,
}

pub(super) fn unreadable(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, Box::new(error))
}

/// The first position accepted at `time` or later; none: all were before. `accepted_at` never falls, so halving finds it.
pub(super) fn first_since(db: &Connection, time: Timestamp) -> rusqlite::Result<Option<Position>> {
    let accepted_at = |position: Position| -> rusqlite::Result<Option<(Position, Timestamp)>> {
        db.prepare_cached("SELECT position, accepted_at FROM events WHERE position >= ? ORDER BY position LIMIT 1")?
            .query_row([sql(position)], |row| Ok((unsigned(row, 0)?, self::time(row, 1)?)))
            .optional()
    };
    let (mut low, mut high) = (1, tail(db)? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match accepted_at(middle)? {
            Some((found, at)) if at < time => low = found + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(accepted_at(low)?.map(|(position, _)| position))
}

/// The number of the deployment that the record at a position made active.
pub(super) fn deployment_of_record(db: &Connection, record: Position) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT number FROM deployments WHERE position = ?")?
        .query_row([sql(record)], |row| unsigned(row, 0))
        .optional()
}

/// Writes the row of an item that waits until `due`, in the place of one that it has.
pub(super) fn write_pending(
    db: &Connection,
    function: FunctionId,
    item: &Item,
    due: Timestamp,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO pending (function, position, round, attempt, due, lost, first_attempt_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        function.as_bytes(),
        sql(item.position),
        item.round,
        item.attempt,
        due.as_micros(),
        item.lost,
        item.first_attempt_at.map(Timestamp::as_micros),
    ])?;
    Ok(())
}

/// Reads the columns `PENDING`.
pub(super) fn pending(row: &Row<'_>) -> rusqlite::Result<(Item, Timestamp)> {
    let (round, attempt): (u32, u32) = (row.get(1)?, row.get(2)?);
    let item = Item {
        round,
        attempt,
        lost: row.get(4)?,
        first_attempt_at: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
        durable: true,
        // Every other row has an attempt or a redrive behind it.
        judged: round > 0 || attempt > 1,
        ..Item::first(unsigned(row, 0)?)
    };
    Ok((item, time(row, 3)?))
}

pub(super) fn delete_pending(db: &Connection, function: FunctionId, position: Position) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM pending WHERE function = ? AND position = ?")?
        .execute(params![function.as_bytes(), sql(position)])?;
    Ok(())
}

pub(super) fn write_dead_letter(
    db: &Connection,
    function: FunctionId,
    position: Position,
    round: u32,
    sequence: i64,
) -> rusqlite::Result<()> {
    let resolved: Option<i64> = db
        .prepare_cached(
            "SELECT event_bytes FROM dead_letters
             WHERE function = ? AND position = ? AND state <> 0 AND expired = 0",
        )?
        .query_row(params![function.as_bytes(), sql(position)], |row| row.get(0))
        .optional()?;
    Sizes { letters: -resolved.unwrap_or(0), ..Sizes::default() }.write(db)?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO dead_letters (function, position, sequence, round, state, changed_at, dropped_by)
         VALUES (?, ?, ?, ?, 0, NULL, NULL)",
    )?
    .execute(params![function.as_bytes(), sql(position), sequence, round])?;
    Ok(())
}
