//! Recorded attempts of a function with their events, page by page in log order.

use rusqlite::params;

use super::history::{INVOCATION, invocation};
use super::log::{Log, blob_failed, weight};
use super::rows::{self, Stored, sql};
use super::unread::Shown;
use crate::bus::{BusError, Invocation, RecordedAttempt, RecordedPage, RecordedQuery, RecordingBytes};
use crate::deployment::Digest;
use crate::event::Position;

/// The columns of an event behind those of its invocation and its recording.
const EVENT: &str =
    "e.position, e.accepted_at, e.hops, e.origin_kind, e.origin_name, e.origin_verified, e.body, e.data_digest";
const RECORDING_AT: usize = 13;

struct Found {
    invocation: Invocation,
    bytes: Option<Vec<u8>>,
    digest: Option<Digest>,
    event: Stored,
}

pub(super) fn page(log: &Log, query: &RecordedQuery) -> Result<RecordedPage, BusError> {
    let (found, more) = log.read("read recordings", |db| {
        let position_of = |time| rows::first_since(db, time);
        let from = query.since.map(position_of).transpose()?.map_or(Some(0), |first| first);
        let to = query.until.map(position_of).transpose()?.flatten().unwrap_or(Position::MAX);
        let Some(from) = from else { return Ok((Vec::new(), false)) };
        let after = query.after.map_or((0, 0, 0), |after| (after.position, after.round, after.attempt));
        let failed = if query.failed_only { "AND i.verdict <> 0" } else { "" };
        let mut statement = db.prepare_cached(&format!(
            "SELECT {INVOCATION}, r.bytes, r.digest, {EVENT}
             FROM invocations i LEFT JOIN recordings r ON r.sequence = i.sequence JOIN events e ON e.position = i.position
             WHERE i.function = ?1 AND (i.position, i.round, i.attempt) > (?2, ?3, ?4)
               AND i.position >= ?5 AND i.position < ?6 {failed}
             ORDER BY i.position, i.round, i.attempt LIMIT ?7"
        ))?;
        let rows = statement.query_map(
            params![
                query.function.as_bytes(),
                sql(after.0),
                after.1,
                after.2,
                sql(from),
                sql(to),
                sql(query.max as u64 + 1)
            ],
            |row| {
                Ok(Found {
                    invocation: invocation(row)?,
                    bytes: row.get(RECORDING_AT)?,
                    digest: row.get::<_, Option<[u8; 32]>>(RECORDING_AT + 1)?.map(Digest::from_bytes),
                    event: rows::accepted_from(row, RECORDING_AT + 2)?,
                })
            },
        )?;
        take(rows, query)
    })?;
    read(log, query, found, more)
}

/// As many rows as are asked for, and no more than about their bytes. Whether there are more.
fn take(
    rows: impl Iterator<Item = rusqlite::Result<Found>>,
    query: &RecordedQuery,
) -> rusqlite::Result<(Vec<Found>, bool)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for row in rows {
        if found.len() == query.max || bytes > query.bytes_max {
            return Ok((found, true));
        }
        let row = row?;
        bytes += row.bytes.as_ref().map_or(0, Vec::len) + row.event.accepted.event.data_bytes();
        found.push(row);
    }
    Ok((found, false))
}

/// Takes what fits, with what lies in the blob store.
fn read(log: &Log, query: &RecordedQuery, found: Vec<Found>, more: bool) -> Result<RecordedPage, BusError> {
    let (mut page, mut how, mut bytes) = (RecordedPage::default(), Shown::default(), 0);
    for found in found {
        let id = found.invocation.id;
        if query.ty.as_ref().is_some_and(|ty| !ty.matches(&found.event.accepted.event.ty)) {
            page.next = Some(id);
            continue;
        }
        let recording = match (found.bytes, found.digest) {
            (_, Some(digest)) => log.blobs.get(digest).map_err(|error| blob_failed("read a recording", error))?,
            (Some(bytes), None) => RecordingBytes::from(bytes),
            (None, None) => {
                page.unrecorded += 1;
                page.next = Some(id);
                continue;
            }
        };
        let event = how.read(log, found.event);
        bytes += weight(&event) + recording.len();
        if !page.attempts.is_empty() && bytes > query.bytes_max {
            return Ok(page);
        }
        page.next = Some(id);
        page.attempts.push(RecordedAttempt { invocation: found.invocation, event, recording });
    }
    if !more {
        page.next = None;
    }
    Ok(page)
}
