//! What can be asked of the log. Every answer is read on connections of its own.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};
use uuid::Uuid;

use super::OpenError;
use super::folder::Folder;
use super::log::{Log, weight};
use super::rows::{self, ACCEPTED, sql};
use super::shared::Shared;
use super::unread::Shown;
use crate::blob::Blobs;
use crate::bus::{
    BusError, Chain, DeadLetter, DeadLetterState, EventPage, EventQuery, FunctionStatus, History, Invocation,
    InvocationId, InvocationQuery, JudgedRange, OpenLetter, Outline, PendingState, RecordedPage, RecordedQuery,
    RecordingBytes, RefusalQuery, Refusals, Statistics, StatisticsQuery, Storage, StoredDeployment, StoredVerdict,
    Superseded,
};
use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId};
use crate::event::{Accepted, Position};

pub(super) const INVOCATION: &str =
    "i.sequence, i.function, i.position, i.round, i.attempt, i.verdict, i.retry_at, i.failure,
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
}

#[async_trait]
impl<T: Reads> History for T {
    async fn tail(&self) -> Result<Position, BusError> {
        self.source().read("read the tail", rows::tail).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<Accepted>, BusError> {
        let source = self.source().clone();
        super::blocking(move || {
            let log = source.log();
            Ok(shown(log, position, &mut Shown::default())?.map(Arc::unwrap_or_clone))
        })
        .await?
    }

    async fn has(&self, id: &str, source: &str) -> Result<bool, BusError> {
        let (id, source) = (id.to_owned(), source.to_owned());
        let known = move |db: &Connection| {
            db.prepare_cached(
                "SELECT 1 FROM events WHERE id = ?1 AND source = ?2
                 UNION ALL SELECT 1 FROM remembered WHERE id = ?1 AND source = ?2",
            )?
            .exists([id, source])
        };
        self.source().read("look for an event", known).await
    }

    async fn find(&self, text: &str, max: usize) -> Result<Vec<Outline>, BusError> {
        let (from, to) = (text.to_owned(), format!("{text}{}", char::MAX));
        self.source()
            .read("find events", move |db| {
                db.prepare_cached(&format!(
                    "SELECT {ACCEPTED} FROM events WHERE position IN (
                     SELECT position FROM events WHERE id >= ?1 AND id < ?2
                     UNION SELECT position FROM aliases WHERE text >= ?1 AND text < ?2)
                 ORDER BY position DESC LIMIT ?3"
                ))?
                .query_map(params![from, to, sql(max as u64)], outline)?
                .collect()
            })
            .await
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, BusError> {
        let source = self.source().clone();
        super::blocking(move || page(source.log(), &query)).await?
    }

    async fn chain(&self, correlation: &str, max: usize) -> Result<Chain, BusError> {
        let chain = correlation.to_owned();
        let mut events: Vec<Outline> = self
            .source()
            .read("read a chain", move |db| {
                db.prepare_cached(&format!(
                    "SELECT {ACCEPTED} FROM events WHERE correlation = ? ORDER BY position LIMIT ?"
                ))?
                .query_map(params![chain, sql(max as u64 + 1)], outline)?
                .collect()
            })
            .await?;
        let chain = correlation.to_owned();
        let waiting = self
            .source()
            .read("read what of a chain waits", move |db| {
                // The due time stands where an event of the log has the time that it was accepted.
                db.prepare_cached(
                    "SELECT 0, due, hops, origin_kind, origin_name, origin_verified, body, data_digest
                     FROM delayed WHERE correlation = ? ORDER BY due LIMIT ?",
                )?
                .query_map(params![chain, sql(max as u64)], |row| {
                    let waiting = outline(row)?;
                    Ok((waiting.accepted_at, waiting.event.clone()))
                })?
                .collect::<rusqlite::Result<_>>()
            })
            .await?;
        let truncated = events.len() > max;
        events.truncate(max);
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

    async fn recorded(&self, query: RecordedQuery) -> Result<RecordedPage, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::recorded::page(source.log(), &query)).await?
    }

    async fn pending(&self, position: Position) -> Result<Vec<(FunctionId, PendingState)>, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::status::pending(source.log(), source.shared(), position)).await?
    }

    async fn superseded(&self, position: Position) -> Result<Vec<Superseded>, BusError> {
        self.source().read("read what is superseded", move |db| super::superseded::at(db, position)).await
    }

    async fn statistics(&self, query: StatisticsQuery) -> Result<Statistics, BusError> {
        self.source().read("read statistics", move |db| super::statistics::read(db, &query)).await
    }

    async fn dead_letters(&self, function: Option<FunctionId>, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.source()
            .read("read dead letters", move |db| match function {
                Some(function) => {
                    let which = "d.expired = 0 AND d.function = ?2";
                    dead_letters(db, which, params![sql(max as u64), function.as_bytes()])
                }
                None => dead_letters(db, "d.expired = 0", [sql(max as u64)]),
            })
            .await
    }

    async fn open_letters(
        &self,
        function: Option<FunctionId>,
        after: Option<(FunctionId, Position)>,
        max: usize,
    ) -> Result<Vec<OpenLetter>, BusError> {
        let (id, position) = after.unwrap_or((FunctionId::from_uuid(Uuid::nil()), 0));
        self.source()
            .read("read dead letters", move |db| {
                let only = if function.is_some() { "d.function = ?4" } else { "?4 IS NULL" };
                db.prepare_cached(&format!(
                    "SELECT d.function, d.position, i.failure FROM dead_letters d JOIN invocations i USING (sequence)
                     WHERE (d.function, d.position) > (?1, ?2) AND d.state = 0 AND {only}
                     ORDER BY d.function, d.position LIMIT ?3"
                ))?
                .query_map(
                    params![id.as_bytes(), sql(position), sql(max as u64), function.as_ref().map(FunctionId::as_bytes)],
                    |row| {
                        let (function, position) = (rows::function(row, 0)?, rows::unsigned(row, 1)?);
                        Ok(OpenLetter { function, position, failure: rows::json(row, 2)? })
                    },
                )?
                .collect()
            })
            .await
    }

    async fn dead_letter(&self, function: FunctionId, position: Position) -> Result<Option<DeadLetter>, BusError> {
        let which = "d.function = ?2 AND d.position = ?3";
        let found = self
            .source()
            .read("read a dead letter", move |db| {
                dead_letters(db, which, params![1, function.as_bytes(), sql(position)])
            })
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

    async fn refusals(&self, query: RefusalQuery) -> Result<Refusals, BusError> {
        // First: what is lost after this is not missing from an answer that says since when none is.
        let lost = self.source().shared().and_then(Shared::refusal_lost);
        let mut found = self.source().read("read refusals", move |db| super::refused::read(db, &query)).await?;
        found.since = found.since.max(lost.unwrap_or(found.since));
        Ok(found)
    }

    async fn storage(&self) -> Result<Storage, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::retention::storage(source.log(), source.shared())).await?
    }

    async fn functions(&self) -> Result<Vec<FunctionStatus>, BusError> {
        let source = self.source().clone();
        super::blocking(move || super::status::functions(source.log(), source.shared())).await?
    }
}

/// Reads the columns `INVOCATION`.
pub(super) fn invocation(row: &Row<'_>) -> rusqlite::Result<Invocation> {
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
fn dead_letters(db: &Connection, which: &str, values: impl Params) -> rusqlite::Result<Vec<DeadLetter>> {
    let found: Vec<(Invocation, DeadLetterState)> = db
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
            letters.push(DeadLetter { invocation, state, event: Outline::of(stored.accepted) });
        }
    }
    Ok(letters)
}

/// Reads the columns `ACCEPTED`, without what lies beside the log.
fn outline(row: &Row<'_>) -> rusqlite::Result<Outline> {
    Ok(Outline::of(rows::accepted(row)?.accepted))
}

/// The event at a position with its data, as far as that can be read.
fn shown(log: &Log, position: Position, how: &mut Shown) -> Result<Option<Arc<Accepted>>, BusError> {
    if let Some(event) = log.recent(position) {
        return Ok(Some(event));
    }
    let stored = log.read("read an event", |db| rows::event_at(db, position))?;
    Ok(stored.map(|stored| Arc::new(how.read(log, stored))))
}

/// Reads one event after the other, so that no more of them is in memory than is answered, but for the last.
fn page(log: &Log, query: &EventQuery) -> Result<EventPage, BusError> {
    let positions = log.read("find events", |db| positions(db, query))?;
    let mut page = EventPage { more: positions.len() > query.max, ..EventPage::default() };
    let (mut how, mut bytes) = (Shown::default(), 0);
    for position in positions.into_iter().take(query.max) {
        let Some(event) = shown(log, position, &mut how)? else { continue };
        bytes += weight(&event);
        if !page.events.is_empty() && query.bytes_max.is_some_and(|max| bytes > max) {
            page.more = true;
            break;
        }
        page.events.push(Arc::unwrap_or_clone(event));
    }
    Ok(page)
}

/// Where the events are that are asked for, and one more if there is. By type through the index where a pattern names few
/// types, and else through the log.
fn positions(db: &Connection, query: &EventQuery) -> rusqlite::Result<Vec<Position>> {
    let mut after = query.after.unwrap_or(0);
    if let Some(since) = query.since {
        match rows::first_since(db, since)? {
            Some(first) => after = after.max(first - 1),
            None => return Ok(Vec::new()),
        }
    }
    let (before, max) = (query.before.unwrap_or(Position::MAX), query.max.saturating_add(1));
    let order = if query.newest_first { "DESC" } else { "ASC" };
    let (condition, types) = match &query.ty {
        None => ("?1 IS NULL", vec![None]),
        Some(pattern) => {
            let types = super::types::matching(db, std::slice::from_ref(pattern), usize::MAX)?;
            ("type = ?1", types.into_iter().map(Some).collect())
        }
    };
    let mut found: Vec<Position> = Vec::new();
    for ty in types {
        let of_type = db
            .prepare_cached(&format!(
                "SELECT position FROM events WHERE {condition} AND position > ?2 AND position < ?3
                 ORDER BY position {order} LIMIT ?4"
            ))?
            .query_map(params![ty, sql(after), sql(before), sql(max as u64)], |row| rows::unsigned(row, 0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        found.extend(of_type);
    }
    found.sort_unstable();
    if query.newest_first {
        found.reverse();
    }
    found.truncate(max);
    Ok(found)
}
