//! Refusals in the log's file: gathered in memory, written when the writer comes to it, and removed as newer ones come.
//!
//! Invariant: at most one request for them waits for the writer, so a flood of what is refused takes no turn from what is
//! accepted but that one.

use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, params};

use super::log::lock;
use super::rows::{self, sql};
use super::shared::Shared;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::bus::{IdQuery, REFUSALS_BYTES_MAX, REFUSALS_MAX, Refusal, RefusalQuery, Refusals};
use crate::clock::Timestamp;

/// Refusals that wait to be written. Beyond it, they are let go of.
const WAITING_MAX: usize = 64;

/// Refusals on their way to the writer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    refusals: Vec<Refusal>,
    /// When the last one was refused that was let go of, since the writer last heard.
    lost: Option<Timestamp>,
    /// Whether the writer is asked to come.
    asked: bool,
}

impl Gathered {
    fn lose(&mut self, at: Timestamp) {
        self.lost = self.lost.max(Some(at));
    }
}

impl Shared {
    /// Keeps a refusal if there is time and room for it.
    pub fn keep_refusal(&self, refusal: Refusal) {
        let has_time = !self.inbox.is_full() && self.inbox.admit().is_ok();
        let mut gathered = lock(&self.refusals.0);
        if !has_time || gathered.refusals.len() >= WAITING_MAX {
            return gathered.lose(refusal.at);
        }
        gathered.refusals.push(refusal.bounded());
        if !std::mem::replace(&mut gathered.asked, true) {
            drop(gathered);
            // A bus that is closed writes nothing more.
            let _ = self.inbox.submit(Box::new(Keep::default()));
        }
    }

    /// When the last refusal was lost that the log does not know of.
    pub fn refusal_lost(&self) -> Option<Timestamp> {
        lock(&self.refusals.0).lost
    }

    fn lose_refusals(&self, refusals: &[Refusal], lost: Option<Timestamp>) {
        let mut gathered = lock(&self.refusals.0);
        gathered.asked = false;
        let latest = refusals.iter().map(|refusal| refusal.at).max();
        latest.into_iter().chain(lost).for_each(|at| gathered.lose(at));
    }
}

/// Writes those that wait when its turn comes.
#[derive(Default)]
struct Keep {
    refusals: Vec<Refusal>,
    lost: Option<Timestamp>,
}

impl Write for Keep {
    fn bytes(&self) -> usize {
        0
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Refused
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        // A second time after a rollback it has them already.
        if self.refusals.is_empty() {
            let mut gathered = lock(&group.shared.refusals.0);
            self.refusals = std::mem::take(&mut gathered.refusals);
            self.lost = self.lost.max(gathered.lost.take());
            gathered.asked = false;
        }
        if group.is_at_disk_max()? {
            self.lost = self.refusals.iter().map(|refusal| refusal.at).chain(self.lost).max();
            self.refusals.clear();
        }
        write(group.db, &self.refusals, self.lost)
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {}

    fn failed(self: Box<Self>, shared: &Arc<Shared>, _fault: Fault) {
        // That it is missing is told as soon as something can be written again.
        shared.lose_refusals(&self.refusals, self.lost);
    }
}

/// Appends refusals, and removes the oldest as far as there are more than are kept.
fn write(db: &Connection, refusals: &[Refusal], lost: Option<Timestamp>) -> rusqlite::Result<()> {
    let (mut bytes, mut since) = kept(db)?;
    let mut newest = None;
    for refusal in refusals {
        let body = rows::to_json(refusal)?;
        bytes += sql(body.len() as u64);
        db.prepare_cached("INSERT INTO refusals (at, body) VALUES (?, ?)")?
            .execute(params![refusal.at.as_micros(), body])?;
        let sequence = db.last_insert_rowid();
        for named in &refusal.named {
            db.prepare_cached("INSERT OR IGNORE INTO refused_ids VALUES (?, ?)")?
                .execute(params![named.id, sequence])?;
        }
        newest = Some(sequence);
    }
    while let (Some(newest), Some((sequence, at, body_bytes))) = (newest, oldest(db)?) {
        if newest - sequence < sql(REFUSALS_MAX) && bytes <= sql(REFUSALS_BYTES_MAX) {
            break;
        }
        db.prepare_cached("DELETE FROM refused_ids WHERE sequence = ?")?.execute([sequence])?;
        db.prepare_cached("DELETE FROM refusals WHERE sequence = ?")?.execute([sequence])?;
        bytes -= body_bytes;
        since = since.max(at);
    }
    let since = since.max(lost.unwrap_or(since));
    db.prepare_cached("UPDATE refusals_kept SET bytes = ?, since = ?")?.execute(params![bytes, since.as_micros()])?;
    Ok(())
}

fn kept(db: &Connection) -> rusqlite::Result<(i64, Timestamp)> {
    db.prepare_cached("SELECT bytes, since FROM refusals_kept")?
        .query_row([], |row| Ok((row.get(0)?, rows::time(row, 1)?)))
}

fn oldest(db: &Connection) -> rusqlite::Result<Option<(i64, Timestamp, i64)>> {
    db.prepare_cached("SELECT sequence, at, octet_length(body) FROM refusals ORDER BY sequence LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, rows::time(row, 1)?, row.get(2)?)))
        .optional()
}

/// Newest first.
pub(super) fn read(db: &Connection, query: &RefusalQuery) -> rusqlite::Result<Refusals> {
    let (_, since) = kept(db)?;
    let after = query.since.map_or(i64::MIN, Timestamp::as_micros);
    let max = sql(query.max as u64);
    let (from, to) = match &query.named {
        None => (None, None),
        Some(IdQuery::Is(id)) => (Some(id), Some(id.clone())),
        // What starts with a text stands between it and the last text that does.
        Some(IdQuery::StartsWith(start)) => (Some(start), Some(format!("{start}{}", char::MAX))),
    };
    let named = match &query.named {
        None => "?2 IS ?3",
        Some(_) => "sequence IN (SELECT sequence FROM refused_ids WHERE id >= ?2 AND id <= ?3)",
    };
    let items = db
        .prepare_cached(&format!(
            "SELECT body FROM refusals WHERE at >= ?1 AND {named} ORDER BY sequence DESC LIMIT ?4"
        ))?
        .query_map(params![after, from, to, max], |row| rows::json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Refusals { items, since })
}
