//! Events into the log: what is published, and what was stored for later and is due.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::log::blob_failed;
use super::rows::{self, Stored, sql};
use super::shared::Shared;
use super::sizes;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::blob::Blobs;
use crate::bus::{BusError, Incoming, PublishError, Receipt, chain_is_full};
use crate::clock::Timestamp;
use crate::deployment::Digest;
use crate::event::{
    self, Accepted, CHAIN_EVENTS_MAX, DATA_INLINE_BYTES_MAX, Event, Origin, OriginKind, Position, Replay,
};

/// Delayed events that get their position in one transaction.
const DUE_MAX: u32 = 500;

/// Whether an event's data belongs into the blob store.
pub(super) fn is_large(event: &Event) -> bool {
    event.data_bytes() > DATA_INLINE_BYTES_MAX
}

/// An event made ready for the log outside of the writer: encoded, its large data in the blob store.
pub(super) struct Prepared {
    event: Event,
    body: Bytes,
    data: Option<Digest>,
    due: Option<Timestamp>,
    /// What else it is known by.
    aliases: Vec<String>,
    /// Whether the sender gave a time: if not, it says nothing when the event comes again.
    has_own_time: bool,
}

impl Prepared {
    /// An event from outside, completed by what every event in the log has.
    pub fn accept(event: Event, now: Timestamp, blobs: &dyn Blobs) -> Result<Self, BusError> {
        let has_own_time = event.time.is_some();
        let event = event::accept(event, now, Uuid::now_v7().as_u128());
        Ok(Prepared { has_own_time, ..Prepared::stamped(event, blobs)? })
    }

    /// The bus's own event, whole in the log whatever its size: the writer makes it, and waits for no store.
    pub fn whole(event: Event, now: Timestamp) -> Self {
        let event = event::accept(event, now, Uuid::now_v7().as_u128());
        let (body, due, aliases) = (event.encode(), event.deliver_at(), event::aliases(&event));
        Prepared { event, body, data: None, due, aliases, has_own_time: false }
    }

    /// An event that has all it needs.
    pub fn stamped(event: Event, blobs: &dyn Blobs) -> Result<Self, BusError> {
        let due = event.deliver_at();
        let aliases = event::aliases(&event);
        let large = event.data.as_ref().filter(|_| is_large(&event));
        let (body, data) = match large {
            None => (event.encode(), None),
            Some(bytes) => {
                // Before the commit that names it.
                let digest = blobs.put(bytes).map_err(|error| blob_failed("store the data of an event", error))?;
                (Event { data: None, ..event.clone() }.encode(), Some(digest))
            }
        };
        Ok(Prepared { event, body, data, due, aliases, has_own_time: true })
    }

    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub fn identity(&self) -> (&str, &str) {
        (&self.event.id, &self.event.source)
    }

    pub fn hops_after(&self, parent: &Accepted, now: Timestamp) -> u32 {
        event::hops_after(parent, self.event.due(now))
    }

    fn correlation(&self) -> &str {
        self.event.correlation().unwrap_or(&self.event.id)
    }

    /// Whether this is the event `stored`, sent again.
    fn repeats(&self, stored: &Event) -> bool {
        if self.has_own_time {
            return event::same_content(stored, &self.event);
        }
        event::same_content(stored, &Event { time: None, ..self.event.clone() })
    }
}

/// A known event with the same id and source.
struct Known {
    position: Option<Position>,
    event: Event,
    data: Option<Digest>,
}

impl Group<'_> {
    /// Whether the log has as many bytes as it may have.
    pub fn is_at_disk_max(&self) -> rusqlite::Result<bool> {
        let Some(max) = self.shared.disk_bytes_max else { return Ok(false) };
        Ok(rows::used_bytes(self.db)?.0 >= max)
    }

    fn known(&self, id: &str, source: &str) -> rusqlite::Result<Option<Known>> {
        let read = |row: &Row<'_>| {
            Ok(Known {
                position: row.get::<_, Option<i64>>(0)?.and_then(|position| u64::try_from(position).ok()),
                event: rows::event(row, 1)?,
                data: row.get::<_, Option<[u8; 32]>>(2)?.map(Digest::from_bytes),
            })
        };
        let known = self
            .db
            .prepare_cached("SELECT position, body, data_digest FROM events WHERE id = ? AND source = ?")?
            .query_row([id, source], read)
            .optional()?;
        if known.is_some() {
            return Ok(known);
        }
        self.db
            .prepare_cached("SELECT NULL, body, data_digest FROM delayed WHERE id = ? AND source = ?")?
            .query_row([id, source], read)
            .optional()
    }

    /// Whether an event with this id and source is in the log, or waits to be.
    pub fn has_event(&self, id: &str, source: &str) -> rusqlite::Result<bool> {
        let log = self.db.prepare_cached("SELECT 1 FROM events WHERE id = ? AND source = ?")?.exists([id, source])?;
        Ok(log || self.db.prepare_cached("SELECT 1 FROM delayed WHERE id = ? AND source = ?")?.exists([id, source])?)
    }

    /// Whether somebody outside speaks as this project's runtime or one of its functions. The ids of what a function emits
    /// can be computed, so that an event published under one of them would stand in the way of the real one. Another
    /// project's events may be forwarded: their ids are none of ours.
    fn takes_our_name(&self, source: &str, origin: OriginKind) -> bool {
        match origin {
            OriginKind::Trigger | OriginKind::Api => {
                self.known.projects.iter().any(|project| event::is_source_of(project, source))
            }
            OriginKind::Function | OriginKind::Runtime => false,
        }
    }

    /// Inserts an event that is not known. None: it waits for its time.
    pub fn insert(&mut self, prepared: &Prepared, origin: &Origin, hops: u32) -> rusqlite::Result<Option<Position>> {
        if let Some(known) = self.known.chains.get_mut(prepared.correlation()) {
            *known += 1;
        }
        if let Some(due) = prepared.due.filter(|due| *due > self.now) {
            self.delay(prepared, origin, hops, due)?;
            return Ok(None);
        }
        self.write(
            "INSERT INTO events (id, source, type, correlation, accepted_at, hops, origin_kind, origin_name,
             origin_verified, body, data_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (prepared, origin, hops, self.now),
        )?;
        let position = u64::try_from(self.db.last_insert_rowid()).unwrap_or_default();
        let Event { id, source, ty, .. } = &prepared.event;
        self.sizes.events += sizes::of_event(&prepared.body, [id, source, ty, prepared.correlation()]);
        self.appended(position, prepared.event.clone(), origin.clone(), hops, &prepared.aliases)?;
        Ok(Some(position))
    }

    /// Inserts the columns that an event has whether it was accepted or waits; the time is the one or the other.
    fn write(
        &self,
        statement: &str,
        (prepared, origin, hops, time): (&Prepared, &Origin, u32, Timestamp),
    ) -> rusqlite::Result<()> {
        let event = &prepared.event;
        self.db.prepare_cached(statement)?.execute(params![
            event.id,
            event.source,
            event.ty,
            prepared.correlation(),
            time.as_micros(),
            hops,
            origin.kind.as_str(),
            origin.name,
            origin.verified,
            &prepared.body[..],
            prepared.data.as_ref().map(Digest::as_bytes),
        ])?;
        Ok(())
    }

    /// What follows from every event that has got a position.
    fn appended(
        &mut self,
        position: Position,
        event: Event,
        origin: Origin,
        hops: u32,
        aliases: &[String],
    ) -> rusqlite::Result<()> {
        for text in aliases {
            self.db
                .prepare_cached("INSERT OR IGNORE INTO aliases (text, position) VALUES (?, ?)")?
                .execute(params![text, sql(position)])?;
        }
        self.tail = position;
        self.fresh.push(Arc::new(Accepted { position, accepted_at: self.now, origin, hops, event }));
        Ok(())
    }

    fn delay(&mut self, prepared: &Prepared, origin: &Origin, hops: u32, due: Timestamp) -> rusqlite::Result<()> {
        self.write(
            "INSERT INTO delayed (id, source, type, correlation, due, hops, origin_kind, origin_name,
             origin_verified, body, data_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (prepared, origin, hops, due),
        )?;
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
        Ok(())
    }
}

/// An event that is to come in: from a door, or of the log, to be said again.
pub(super) struct Entering {
    pub event: Event,
    origin: Origin,
    hops: u32,
    is_replay: bool,
}

impl From<Incoming> for Entering {
    fn from(Incoming { event, origin }: Incoming) -> Self {
        Entering { event, origin, hops: 0, is_replay: false }
    }
}

impl From<Replay> for Entering {
    fn from(replay: Replay) -> Self {
        let (event, origin, hops) = replay.into_parts();
        Entering { event, origin, hops, is_replay: true }
    }
}

/// One of a batch, prepared.
struct Entry {
    prepared: Prepared,
    origin: Origin,
    hops: u32,
    is_replay: bool,
}

/// A batch at the door: all of it is accepted, or nothing.
pub(super) struct Publish {
    batch: Vec<Entry>,
    answer: oneshot::Sender<Result<Vec<Receipt>, PublishError>>,
    result: Result<Vec<Receipt>, PublishError>,
}

impl Publish {
    /// Checks and prepares a batch; may write blobs.
    pub fn prepare(
        batch: Vec<Entering>,
        now: Timestamp,
        blobs: &dyn Blobs,
        answer: oneshot::Sender<Result<Vec<Receipt>, PublishError>>,
    ) -> Result<Box<Self>, PublishError> {
        for (index, Entering { event, is_replay, .. }) in batch.iter().enumerate() {
            let refused = |reason: String| PublishError::Refused { index, reason };
            event.validate(now).map_err(|error| refused(error.to_string()))?;
            if let Some(reason) = event.claims_replay().filter(|_| !is_replay) {
                return Err(refused(reason));
            }
        }
        let prepare = |Entering { event, origin, hops, is_replay }: Entering| {
            Ok(Entry { prepared: Prepared::accept(event, now, blobs)?, origin, hops, is_replay })
        };
        let batch = batch.into_iter().map(prepare).collect::<Result<_, BusError>>()?;
        Ok(Box::new(Publish { batch, answer, result: Ok(Vec::new()) }))
    }

    /// Looks each event up before the first is written, so that a refused batch leaves nothing.
    fn check(&self, group: &mut Group<'_>) -> rusqlite::Result<Result<Vec<Option<Receipt>>, PublishError>> {
        let mut receipts = Vec::with_capacity(self.batch.len());
        let mut added: HashMap<&str, u64> = HashMap::new();
        for (index, Entry { prepared, origin, is_replay, .. }) in self.batch.iter().enumerate() {
            let (id, source) = (&prepared.event.id, &prepared.event.source);
            let refused = |reason| Ok(Err(PublishError::Refused { index, reason }));
            if !is_replay && group.takes_our_name(source, origin.kind) {
                return refused(format!("source {source:?} is this project's own; give the event another"));
            }
            let receipt = match group.known(id, source)? {
                None if *is_replay => {
                    let chain = prepared.correlation();
                    let added = added.entry(chain).and_modify(|added| *added += 1).or_insert(1);
                    if group.chain_events(chain)? + *added > CHAIN_EVENTS_MAX {
                        return refused(chain_is_full(chain));
                    }
                    None
                }
                None => None,
                Some(mut known) => {
                    // Large data is the same if its digest is: there is no need to read it.
                    if known.data.is_some() && known.data == prepared.data {
                        known.event.data.clone_from(&prepared.event.data);
                    }
                    if !prepared.repeats(&known.event) {
                        return Ok(Err(PublishError::ContentDiffers { index }));
                    }
                    Some(Receipt { id: id.clone(), position: known.position, duplicate: true })
                }
            };
            receipts.push(receipt);
        }
        Ok(self.check_among_themselves().map(|()| receipts))
    }

    fn check_among_themselves(&self) -> Result<(), PublishError> {
        if self.batch.len() == 1 {
            return Ok(());
        }
        let mut seen = HashMap::new();
        for (index, Entry { prepared, .. }) in self.batch.iter().enumerate() {
            let first = *seen.entry((&prepared.event.id, &prepared.event.source)).or_insert(index);
            if first != index && !prepared.repeats(&self.batch[first].prepared.event) {
                return Err(PublishError::ContentDiffers { index });
            }
        }
        Ok(())
    }

    fn insert(&self, group: &mut Group<'_>, entry: &Entry) -> rusqlite::Result<Receipt> {
        let Entry { prepared, origin, hops, .. } = entry;
        let id = prepared.event.id.clone();
        // Twice in one batch: the second is a duplicate of the first.
        let before = if self.batch.len() > 1 { group.known(&id, &prepared.event.source)? } else { None };
        Ok(match before {
            Some(first) => Receipt { id, position: first.position, duplicate: true },
            None => Receipt { id, position: group.insert(prepared, origin, *hops)?, duplicate: false },
        })
    }

    fn write(&self, group: &mut Group<'_>, known: Vec<Option<Receipt>>) -> rusqlite::Result<Vec<Receipt>> {
        let mut receipts: Vec<Receipt> = Vec::with_capacity(known.len());
        for (entry, known) in self.batch.iter().zip(known) {
            receipts.push(match known {
                Some(receipt) => receipt,
                None => self.insert(group, entry)?,
            });
        }
        Ok(receipts)
    }
}

impl Write for Publish {
    fn bytes(&self) -> usize {
        self.batch.iter().map(|entry| entry.prepared.bytes() + 512).sum()
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Refused
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.result = match self.check(group)? {
            Ok(known) if known.iter().any(Option::is_none) && group.is_at_disk_max()? => Err(BusError::AtMax.into()),
            Ok(known) => Ok(self.write(group, known)?),
            Err(refused) => Err(refused),
        };
        Ok(())
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        // Whoever asked may be gone.
        let _ = self.answer.send(self.result);
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        let _ = self.answer.send(Err(fault.into_error("write events").into()));
    }
}

/// Gives a position to what is due.
pub(super) struct Promote {
    next: Option<Timestamp>,
}

impl Promote {
    pub fn new() -> Box<Self> {
        Box::new(Promote { next: None })
    }
}

impl Write for Promote {
    fn bytes(&self) -> usize {
        0
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        let due: Vec<(i64, Stored)> = group
            .db
            .prepare_cached(
                "SELECT 0, due, hops, origin_kind, origin_name, origin_verified, body, data_digest, rowid
                 FROM delayed WHERE due <= ? ORDER BY due, rowid LIMIT ?",
            )?
            .query_map(params![group.now.as_micros(), DUE_MAX], |row| Ok((row.get(8)?, rows::accepted(row)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (rowid, stored) in due {
            group
                .db
                .prepare_cached(
                    "INSERT INTO events (id, source, type, correlation, accepted_at, hops, origin_kind, origin_name,
                     origin_verified, body, data_digest)
                     SELECT id, source, type, correlation, ?, hops, origin_kind, origin_name, origin_verified, body,
                     data_digest FROM delayed WHERE rowid = ?",
                )?
                .execute(params![group.now.as_micros(), rowid])?;
            let position = u64::try_from(group.db.last_insert_rowid()).unwrap_or_default();
            group.db.prepare_cached("DELETE FROM delayed WHERE rowid = ?")?.execute([rowid])?;
            group.sizes.events += rows::event_bytes(group.db, position)?;
            let Accepted { event, origin, hops, .. } = stored.accepted;
            let aliases = event::aliases(&event);
            group.appended(position, event, origin, hops, &aliases)?;
            if stored.data.is_some() {
                // Without its data it is not whole: the reader takes it from disk.
                group.fresh.pop();
            }
        }
        self.next = next_due(group.db)?;
        Ok(())
    }

    fn committed(self: Box<Self>, shared: &Arc<Shared>) {
        if let Some(next) = self.next {
            shared.expect_due(next);
        }
    }

    fn failed(self: Box<Self>, shared: &Arc<Shared>, _fault: Fault) {
        // The rows are there still: tried again shortly.
        shared.expect_due(shared.clock.now().plus(std::time::Duration::from_secs(1)));
    }
}

/// When the next delayed event is due.
pub(super) fn next_due(db: &rusqlite::Connection) -> rusqlite::Result<Option<Timestamp>> {
    let due: Option<i64> = db.prepare_cached("SELECT min(due) FROM delayed")?.query_row([], |row| row.get(0))?;
    Ok(due.map(Timestamp::from_micros))
}
