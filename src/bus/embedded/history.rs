//! What can be asked of the log. Every answer is read on connections of its own.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use uuid::Uuid;

use super::OpenError;
use super::folder::Folder;
use super::log::Log;
use super::rows::{self, ACCEPTED, Stored, sql};
use super::shared::Shared;
use super::unread::listed;
use crate::blob::Blobs;
use crate::bus::{
    BusError, Chain, DeadLetter, DeadLetterState, EventQuery, FunctionStatus, History, Invocation, InvocationId,
    InvocationQuery, JudgedRange, PendingState, RecordingBytes, Statistics, StatisticsQuery, StoredDeployment,
    StoredVerdict,
};
use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId};
use crate::event::{Accepted, Position};

const INVOCATION: &str = "i.sequence, i.function, i.position, i.round, i.attempt, i.verdict, i.retry_at, i.failure,
     i.settled_at, i.duration_micros, i.deployment, i.component, i.emitted";

/// Reads a project's log: of a bus in this process, or of one that is stopped or runs elsewhere.
#[derive(Clone)]
pub struct EmbeddedHistory {
    source: Arc<Source>,
}

/// What reads a log: a bus too, so that whoever has it can ask it.
pub(super) trait Reads: Send + Sync {
    fn source(&self) -> &Arc<Source>;
}

impl Reads for EmbeddedHistory {
    fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

/// Where a log is read.
pub(super) enum Source {
    Live(Arc<Shared>),
    Folder(Box<Log>),
}

impl EmbeddedHistory {
    pub(super) fn of(source: Arc<Source>) -> Self {
        EmbeddedHistory { source }
    }

    /// Opens a project's folder for reading alone, whether or not a process serves it.
    pub fn open(path: &Path, blobs: Arc<dyn Blobs>) -> Result<Self, OpenError> {
        let folder = Folder::new(path);
        folder.check_readable()?;
        Ok(EmbeddedHistory { source: Arc::new(Source::Folder(Box::new(Log::new(folder, blobs)))) })
    }
}

impl Source {
    fn log(&self) -> &Log {
        match self {
            Source::Live(shared) => &shared.log,
            Source::Folder(log) => log,
        }
    }

    fn shared(&self) -> Option<&Shared> {
        match self {
            Source::Live(shared) => Some(shared),
            Source::Folder(_) => None,
        }
    }

    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BusError> {
        let source = self.clone();
        super::blocking(move || source.log().read(what, read)).await?
    }

    /// Reads events and the data that lies beside the log.
    async fn events_of(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<Vec<Stored>> + Send + 'static,
    ) -> Result<Vec<Accepted>, BusError> {
        let source = self.clone();
        super::blocking(move || {
            let log = source.log();
            Ok(listed(log, log.read("read events", read)?))
        })
        .await?
    }

    async fn letters(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<Vec<(Letter, Stored)>> + Send + 'static,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let source = self.clone();
        super::blocking(move || {
            let log = source.log();
            let (letters, stored): (Vec<Letter>, Vec<Stored>) =
                log.read("read dead letters", read)?.into_iter().unzip();
            let letters = letters.into_iter().zip(listed(log, stored));
            Ok(letters.map(|((invocation, state), event)| DeadLetter { invocation, state, event }).collect())
        })
        .await?
    }
}

type Letter = (Invocation, DeadLetterState);

#[async_trait]
impl<T: Reads> History for T {
    async fn tail(&self) -> Result<Position, BusError> {
        self.source().read("read the tail", rows::tail).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Accepted>, BusError> {
        let source = self.source().clone();
        super::blocking(move || {
            let log = source.log();
            if let Some(event) = log.recent(position) {
                return Ok(Some(Arc::unwrap_or_clone(event)));
            }
            let stored = log.read("read an event", |db| rows::event_at(db, position))?;
            Ok(listed(log, stored.into_iter().collect()).pop())
        })
        .await?
    }

    async fn has(&self, id: &str, source: &str) -> Result<bool, BusError> {
        let (id, source) = (id.to_owned(), source.to_owned());
        let known = move |db: &Connection| {
            db.prepare_cached("SELECT 1 FROM events WHERE id = ? AND source = ?")?.exists([id, source])
        };
        self.source().read("look for an event", known).await
    }

    async fn find(&self, text: &str, max: usize) -> Result<Vec<Accepted>, BusError> {
        let (from, to) = (text.to_owned(), format!("{text}{}", char::MAX));
        self.source()
            .events_of(move |db| {
                db.prepare_cached(&format!(
                    "SELECT {ACCEPTED} FROM events WHERE position IN (
                     SELECT position FROM events WHERE id >= ?1 AND id < ?2
                     UNION SELECT position FROM aliases WHERE text >= ?1 AND text < ?2)
                 ORDER BY position DESC LIMIT ?3"
                ))?
                .query_map(params![from, to, sql(max as u64)], rows::accepted)?
                .collect()
            })
            .await
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Accepted>, BusError> {
        self.source().events_of(move |db| events(db, &query)).await
    }

    async fn chain(&self, correlation: &str, max: usize) -> Result<Chain, BusError> {
        let chain = correlation.to_owned();
        let mut events = self
            .source()
            .events_of(move |db| {
                db.prepare_cached(&format!(
                    "SELECT {ACCEPTED} FROM events WHERE correlation = ? ORDER BY position LIMIT ?"
                ))?
                .query_map(params![chain, sql(max as u64 + 1)], rows::accepted)?
                .collect()
            })
            .await?;
        let chain = correlation.to_owned();
        let waiting = self
            .source()
            .events_of(move |db| {
                // The due time stands where an event of the log has the time that it was accepted.
                db.prepare_cached(
                    "SELECT 0, due, hops, origin_kind, origin_name, origin_verified, body, data_digest
                     FROM delayed WHERE correlation = ? ORDER BY due LIMIT ?",
                )?
                .query_map(params![chain, sql(max as u64)], rows::accepted)?
                .collect()
            })
            .await?;
        let truncated = events.len() > max;
        events.truncate(max);
        let waiting = waiting.into_iter().map(|accepted| (accepted.accepted_at, accepted.event)).collect();
        Ok(Chain { events, waiting, truncated })
    }

    async fn attempts(&self, position: Position) -> Result<Vec<Invocation>, BusError> {
        self.source().read("read attempts", move |db| {
            // By the functions there are, so that one index serves this and a function's listing.
            db.prepare_cached(&format!(
                "SELECT {INVOCATION} FROM invocations i WHERE i.function IN (SELECT id FROM functions) AND i.position = ?
                 ORDER BY i.function, i.round, i.attempt"
            ))?
            .query_map([sql(position)], invocation)?
            .collect()
        })
        .await
    }

    async fn invocations(&self, query: InvocationQuery) -> Result<Vec<Invocation>, BusError> {
        self.source()
            .read("read invocations", move |db| {
                let before = sql(query.before.unwrap_or(u64::MAX));
                let max = sql(query.max as u64);
                let mut sql = format!("SELECT {INVOCATION} FROM invocations i WHERE i.sequence < ?1");
                let function = query.function.map(|function| *function.as_bytes());
                let mut values: Vec<&dyn ToSql> = vec![&before, &max];
                if let Some(function) = &function {
                    sql.push_str(" AND i.function = ?3");
                    values.push(function);
                }
                if query.failed_only {
                    sql.push_str(" AND i.verdict <> 0");
                }
                sql.push_str(" ORDER BY i.sequence DESC LIMIT ?2");
                db.prepare_cached(&sql)?.query_map(&values[..], invocation)?.collect()
            })
            .await
    }

    async fn invocation(&self, id: &InvocationId) -> Result<Option<Invocation>, BusError> {
        let id = *id;
        self.source()
            .read("read an invocation", move |db| {
                db.prepare_cached(&format!(
                    "SELECT {INVOCATION} FROM invocations i
                 WHERE i.function = ? AND i.position = ? AND i.round = ? AND i.attempt = ?"
                ))?
                .query_row(params![id.function.as_bytes(), sql(id.position), id.round, id.attempt], invocation)
                .optional()
            })
            .await
    }

    async fn recording(&self, id: &InvocationId) -> Result<Option<RecordingBytes>, BusError> {
        let (id, source) = (*id, self.source().clone());
        super::blocking(move || {
            let log = source.log();
            let found = log.read("read a recording", |db| recording(db, &id))?;
            match found {
                Some((_, Some(digest))) => {
                    log.blobs.get(digest).map(Some).map_err(|error| super::log::blob_failed("read a recording", error))
                }
                Some((bytes, None)) => Ok(bytes.map(RecordingBytes::from)),
                None => Ok(None),
            }
        })
        .await?
    }

    async fn pending(&self, position: Position) -> Result<Vec<(FunctionId, PendingState)>, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::status::pending(source.log(), source.shared(), position)).await?
    }

    async fn statistics(&self, query: StatisticsQuery) -> Result<Statistics, BusError> {
        self.source().read("read statistics", move |db| super::statistics::read(db, &query)).await
    }

    async fn dead_letters(&self, function: Option<FunctionId>, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.source()
            .letters(move |db| match function {
                Some(function) => dead_letters(db, "d.function = ?2", params![sql(max as u64), function.as_bytes()]),
                None => dead_letters(db, "true", [sql(max as u64)]),
            })
            .await
    }

    async fn open_letters(
        &self,
        function: Option<FunctionId>,
        after: Option<(FunctionId, Position)>,
        max: usize,
    ) -> Result<Vec<(FunctionId, Position)>, BusError> {
        let (id, position) = after.unwrap_or((FunctionId::from_uuid(Uuid::nil()), 0));
        self.source()
            .read("read dead letters", move |db| {
                let only = if function.is_some() { "function = ?4" } else { "?4 IS NULL" };
                db.prepare_cached(&format!(
                    "SELECT function, position FROM dead_letters
                     WHERE (function, position) > (?1, ?2) AND state = 0 AND {only} ORDER BY function, position LIMIT ?3"
                ))?
                .query_map(
                    params![id.as_bytes(), sql(position), sql(max as u64), function.as_ref().map(FunctionId::as_bytes)],
                    |row| Ok((rows::function(row, 0)?, rows::unsigned(row, 1)?)),
                )?
                .collect()
            })
            .await
    }

    async fn dead_letter(&self, function: FunctionId, position: Position) -> Result<Option<DeadLetter>, BusError> {
        let which = "d.function = ?2 AND d.position = ?3";
        let found = self
            .source()
            .letters(move |db| dead_letters(db, which, params![1, function.as_bytes(), sql(position)]))
            .await?;
        Ok(found.into_iter().next())
    }

    async fn deployments(&self) -> Result<Vec<StoredDeployment>, BusError> {
        self.source()
            .read("read deployments", |db| {
                db.prepare_cached("SELECT body, position, at, cause FROM deployments ORDER BY number")?
                    .query_map([], |row| {
                        Ok(StoredDeployment {
                            deployment: rows::json(row, 0)?,
                            position: rows::unsigned(row, 1)?,
                            at: rows::time(row, 2)?,
                            cause: rows::json(row, 3)?,
                        })
                    })?
                    .collect()
            })
            .await
    }

    async fn judged(&self, function: FunctionId) -> Result<Vec<JudgedRange>, BusError> {
        self.source()
            .read("read who judged", move |db| {
                db.prepare_cached("SELECT position, deployment FROM judged WHERE function = ? ORDER BY position")?
                    .query_map([function.as_bytes()], |row| {
                        Ok(JudgedRange { from: rows::unsigned(row, 0)?, deployment: rows::unsigned(row, 1)? })
                    })?
                    .collect()
            })
            .await
    }

    async fn functions(&self) -> Result<Vec<FunctionStatus>, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::status::functions(source.log(), source.shared())).await?
    }
}

/// Reads the columns `INVOCATION`.
fn invocation(row: &Row<'_>) -> rusqlite::Result<Invocation> {
    let retry_at = row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros);
    let failure = row.get_ref(7)?.as_str_or_null()?.map(serde_json::from_str).transpose();
    Ok(Invocation {
        sequence: rows::unsigned(row, 0)?,
        id: InvocationId {
            function: rows::function(row, 1)?,
            position: rows::unsigned(row, 2)?,
            round: row.get(3)?,
            attempt: row.get(4)?,
        },
        verdict: match row.get::<_, i64>(5)? {
            0 => StoredVerdict::Delivered,
            1 => StoredVerdict::Retried(retry_at.unwrap_or_default()),
            _ => StoredVerdict::DeadLettered,
        },
        failure: failure.map_err(|error| rows::unreadable(7, error))?,
        settled_at: rows::time(row, 8)?,
        duration: rows::duration(row, 9)?,
        deployment: rows::unsigned(row, 10)?,
        component: rows::digest(row, 11)?,
        emitted: row.get(12)?,
    })
}

type RecordingRow = (Option<Vec<u8>>, Option<Digest>);

fn recording(db: &Connection, id: &InvocationId) -> rusqlite::Result<Option<RecordingRow>> {
    db.prepare_cached(
        "SELECT r.bytes, r.digest FROM invocations i JOIN recordings r ON r.sequence = i.sequence
         WHERE i.function = ? AND i.position = ? AND i.round = ? AND i.attempt = ?",
    )?
    .query_row(params![id.function.as_bytes(), sql(id.position), id.round, id.attempt], |row| {
        Ok((row.get(0)?, row.get::<_, Option<[u8; 32]>>(1)?.map(Digest::from_bytes)))
    })
    .optional()
}

/// `which`: a condition on the dead letter `d`.
fn dead_letters(db: &Connection, which: &str, values: impl Params) -> rusqlite::Result<Vec<(Letter, Stored)>> {
    let found: Vec<Letter> = db
        .prepare_cached(&format!(
            "SELECT {INVOCATION}, d.state, d.changed_at, d.dropped_by
             FROM dead_letters d JOIN invocations i ON i.sequence = d.sequence
             WHERE {which} ORDER BY d.sequence DESC LIMIT ?1"
        ))?
        .query_map(values, |row| {
            let at = row.get::<_, Option<i64>>(14)?.map_or(Timestamp::EPOCH, Timestamp::from_micros);
            let state = match row.get::<_, i64>(13)? {
                0 => DeadLetterState::Open,
                1 => DeadLetterState::Redriven { at },
                _ => DeadLetterState::Dropped { at, by: row.get::<_, Option<String>>(15)?.unwrap_or_default() },
            };
            Ok((invocation(row)?, state))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut letters = Vec::with_capacity(found.len());
    for (invocation, state) in found {
        if let Some(stored) = rows::event_at(db, invocation.id.position)? {
            letters.push(((invocation, state), stored));
        }
    }
    Ok(letters)
}

/// By type through the index where a pattern names few types, and else through the log.
fn events(db: &Connection, query: &EventQuery) -> rusqlite::Result<Vec<Stored>> {
    let mut after = query.after.unwrap_or(0);
    if let Some(since) = query.since {
        match rows::first_since(db, since)? {
            Some(first) => after = after.max(first - 1),
            None => return Ok(Vec::new()),
        }
    }
    let order = if query.newest_first { "DESC" } else { "ASC" };
    let (condition, types) = match &query.ty {
        None => ("?1 IS NULL", vec![None]),
        Some(pattern) => {
            let types = super::types::matching(db, std::slice::from_ref(pattern), usize::MAX)?;
            ("type = ?1", types.into_iter().map(Some).collect())
        }
    };
    let mut found: Vec<Stored> = Vec::new();
    for ty in types {
        let statement = format!(
            "SELECT {ACCEPTED} FROM events WHERE {condition} AND position > ?2 ORDER BY position {order} LIMIT ?3"
        );
        let of_type = db
            .prepare_cached(&statement)?
            .query_map(params![ty, sql(after), sql(query.max as u64)], rows::accepted)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        found.extend(of_type);
    }
    found.sort_by_key(|stored| stored.accepted.position);
    if query.newest_first {
        found.reverse();
    }
    found.truncate(query.max);
    Ok(found)
}
