//! The one transaction of a settlement: fence, check of revisions, events, keys, recording, progress.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};
use tokio::sync::oneshot;

use super::intake::{Prepared, is_large};
use super::item::Item;
use super::log::blob_failed;
use super::rows::{self, sql};
use super::shared::Shared;
use super::sizes;
use super::statistics::Final;
use super::subscription::Guard;
use super::superseded;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::blob::Blobs;
use crate::bus::{
    BusError, Delivery, KeyRead, KeyWrite, ReadScope, RecordingBytes, Revision, SettleError, Settled, Settlement,
};
use crate::deployment::Digest;
use crate::event::{CHAIN_EVENTS_MAX, Event};
use crate::outcome::Decision;

/// A larger recording lies in the blob store.
const RECORDING_INLINE_BYTES_MAX: usize = 512 * 1024;

/// Whether something of it belongs into the blob store.
pub(super) fn has_blobs(settlement: &Settlement) -> bool {
    settlement.recording.as_ref().is_some_and(|bytes| bytes.len() > RECORDING_INLINE_BYTES_MAX)
        || settlement.emitted.iter().any(is_large)
}

pub(super) struct Settle {
    delivery: Delivery,
    settlement: Settlement,
    emitted: Vec<Prepared>,
    recording: Option<Recording>,
    answer: oneshot::Sender<Result<Settled, SettleError>>,
    verdict: Verdict,
}

enum Recording {
    Inline(RecordingBytes),
    Blob(Digest),
}

impl Recording {
    fn prepare(bytes: RecordingBytes, blobs: &dyn Blobs) -> Result<Self, BusError> {
        if bytes.len() <= RECORDING_INLINE_BYTES_MAX {
            return Ok(Recording::Inline(bytes));
        }
        let digest = blobs.put(&bytes).map_err(|error| blob_failed("store a recording", error))?;
        Ok(Recording::Blob(digest))
    }

    fn write(&self, group: &mut Group<'_>, sequence: i64) -> rusqlite::Result<()> {
        let (bytes, digest) = match self {
            Recording::Inline(bytes) => (Some(&bytes[..]), None),
            Recording::Blob(digest) => (None, Some(digest.as_bytes())),
        };
        group
            .db
            .prepare_cached("INSERT INTO recordings (sequence, bytes, digest) VALUES (?, ?, ?)")?
            .execute(params![sequence, bytes, digest])?;
        group.sizes.recordings += sizes::of_recording(bytes);
        Ok(())
    }
}

/// What the transaction came to.
enum Verdict {
    Settled,
    AlreadySettled,
    Conflict,
    ChainTooLong,
}

impl Settle {
    /// Prepares a settlement; may write blobs.
    pub fn prepare(
        delivery: Delivery,
        mut settlement: Settlement,
        blobs: &dyn Blobs,
        answer: oneshot::Sender<Result<Settled, SettleError>>,
    ) -> Result<Box<Self>, BusError> {
        let emitted: Vec<Event> = std::mem::take(&mut settlement.emitted);
        let emitted = emitted.into_iter().map(|event| Prepared::stamped(event, blobs)).collect::<Result<_, _>>()?;
        let recording = settlement.recording.take().map(|bytes| Recording::prepare(bytes, blobs)).transpose()?;
        Ok(Box::new(Settle { delivery, settlement, emitted, recording, answer, verdict: Verdict::Settled }))
    }

    /// None for a delivery of another bus.
    fn guard(&self) -> Option<&Guard> {
        self.delivery.guard.downcast_ref()
    }

    /// What stands against it, before anything is written.
    fn check(&self, group: &mut Group<'_>) -> rusqlite::Result<Verdict> {
        let delivery = &self.delivery;
        let position = delivery.event.position;
        if rows::is_settled(group.db, delivery.function.id, position, delivery.round, delivery.attempt)? {
            return Ok(Verdict::AlreadySettled);
        }
        for read in &self.settlement.reads {
            if group.revision(read)? != read.revision {
                return Ok(Verdict::Conflict);
            }
        }
        if !self.emitted.is_empty() && !self.fits_chain(group)? {
            return Ok(Verdict::ChainTooLong);
        }
        Ok(Verdict::Settled)
    }

    fn fits_chain(&self, group: &mut Group<'_>) -> rusqlite::Result<bool> {
        let parent = &self.delivery.event.event;
        let chain = parent.correlation().unwrap_or(&parent.id);
        let events = group.chain_events(chain)?;
        Ok(events + self.emitted.len() as u64 <= CHAIN_EVENTS_MAX)
    }

    fn write(&self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.write_events(group)?;
        for write in &self.settlement.writes {
            group.write_key(write)?;
        }
        let sequence = self.write_invocation(group)?;
        self.write_progress(group, sequence)
    }

    fn write_events(&self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        if self.emitted.is_empty() {
            return Ok(());
        }
        let origin = self.delivery.function.origin();
        let parent = &self.delivery.event;
        for prepared in &self.emitted {
            let (id, source) = prepared.identity();
            // Ids are derived: what is there already is this very event.
            if !group.has_event(id, source)? {
                group.insert(prepared, &origin, prepared.hops_after(parent, group.now))?;
            }
        }
        Ok(())
    }

    fn write_invocation(&self, group: &mut Group<'_>) -> rusqlite::Result<i64> {
        let (delivery, settlement) = (&self.delivery, &self.settlement);
        let (verdict, retry_at) = match settlement.decision {
            Decision::Ack => (0, None),
            Decision::RetryAt(at) => (1, Some(at.as_micros())),
            Decision::DeadLetter => (2, None),
        };
        let failure = settlement.failure.as_ref().map(rows::to_json).transpose()?;
        group
            .db
            .prepare_cached(
                "INSERT INTO invocations (function, position, round, attempt, verdict, retry_at, failure, settled_at,
                 duration_micros, deployment, component, emitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                delivery.function.id.as_bytes(),
                sql(delivery.event.position),
                delivery.round,
                delivery.attempt,
                verdict,
                retry_at,
                failure,
                group.now.as_micros(),
                i64::try_from(settlement.duration.as_micros()).unwrap_or(i64::MAX),
                sql(delivery.function.deployment().number),
                settlement.component.as_bytes(),
                sql(self.emitted.len() as u64),
            ])?;
        let sequence = group.db.last_insert_rowid();
        group.sizes.events += sizes::of_attempt(failure.as_deref());
        if let Some(recording) = &self.recording {
            recording.write(group, sequence)?;
        }
        Ok(sequence)
    }

    /// Retries get a row that the cursor may pass; what is final loses it. The cursor goes with the group's tallies.
    fn write_progress(&self, group: &mut Group<'_>, sequence: i64) -> rusqlite::Result<()> {
        let delivery = &self.delivery;
        let tally = group.tallies.entry(delivery.function.id).or_default();
        let position = delivery.event.position;
        match self.settlement.decision {
            Decision::RetryAt(at) => {
                tally.failed += 1;
                let again = Item {
                    round: delivery.round,
                    attempt: delivery.attempt + 1,
                    lost: delivery.lost,
                    first_attempt_at: Some(delivery.first_attempt_at),
                    ..Item::first(position)
                };
                return rows::write_pending(group.db, delivery.function.id, &again, at);
            }
            Decision::Ack => tally.delivered += 1,
            Decision::DeadLetter => {
                tally.failed += 1;
                rows::write_dead_letter(group.db, delivery.function.id, position, delivery.round, sequence)?;
            }
        }
        self.count(group);
        if let Some(succession) = self.guard().and_then(Guard::succession) {
            superseded::write_newest(group.db, delivery.function.id, succession, position)?;
        }
        match self.guard().is_some_and(Guard::has_row) {
            true => rows::delete_pending(group.db, delivery.function.id, position),
            false => Ok(()),
        }
    }

    /// Counts a final settlement.
    fn count(&self, group: &mut Group<'_>) {
        let (delivery, settlement) = (&self.delivery, &self.settlement);
        group.statistics.count(&Final {
            function: delivery.function.id,
            component: settlement.component,
            position: delivery.event.position,
            failure: settlement.failure.as_ref().map(|failure| failure.kind),
            duration: settlement.duration,
        });
    }
}

impl Write for Settle {
    fn bytes(&self) -> usize {
        let events: usize = self.emitted.iter().map(|prepared| prepared.bytes() + 512).sum();
        let keys: usize = self.settlement.writes.iter().map(|write| write.value.as_ref().map_or(0, Bytes::len)).sum();
        let recording = match &self.recording {
            Some(Recording::Inline(bytes)) => bytes.len(),
            Some(Recording::Blob(_)) | None => 0,
        };
        1024 + events + keys + recording
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.verdict = self.check(group)?;
        match self.verdict {
            Verdict::Settled => self.write(group),
            Verdict::AlreadySettled | Verdict::Conflict | Verdict::ChainTooLong => Ok(()),
        }
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        let result = match self.verdict {
            Verdict::Settled | Verdict::AlreadySettled => {
                let settled = matches!(self.verdict, Verdict::Settled);
                if let Some(guard) = self.guard() {
                    match self.settlement.decision {
                        Decision::RetryAt(at) if settled => guard.retry(at),
                        Decision::Ack | Decision::DeadLetter | Decision::RetryAt(_) => guard.settled(),
                    }
                }
                Ok(if settled { Settled::Settled } else { Settled::AlreadySettled })
            }
            Verdict::Conflict => Ok(Settled::Conflict(self.delivery)),
            Verdict::ChainTooLong => {
                let event = &self.delivery.event.event;
                let correlation = event.correlation().unwrap_or(&event.id).to_owned();
                Err(SettleError::ChainTooLong { correlation, events_max: CHAIN_EVENTS_MAX, delivery: self.delivery })
            }
        };
        // If whoever asked is gone, a delivery in the answer is dropped, and so given back.
        let _ = self.answer.send(result);
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        let _ = self.answer.send(Err(fault.into_error("write a settlement").into()));
    }
}

impl Group<'_> {
    fn revision(&self, read: &KeyRead) -> rusqlite::Result<Revision> {
        match &read.scope {
            ReadScope::Key(key) => self
                .db
                .prepare_cached("SELECT revision FROM keyvalue WHERE space = ? AND key = ?")?
                .query_row([&read.space, key], |row| rows::unsigned(row, 0)),
            ReadScope::Space => self
                .db
                .prepare_cached("SELECT revision FROM spaces WHERE space = ?")?
                .query_row([&read.space], |row| rows::unsigned(row, 0)),
        }
        .optional()
        .map(Option::unwrap_or_default)
    }

    fn write_key(&mut self, write: &KeyWrite) -> rusqlite::Result<()> {
        self.known.revision += 1;
        let revision = sql(self.known.revision);
        match &write.value {
            Some(value) => self
                .db
                .prepare_cached("INSERT OR REPLACE INTO keyvalue (space, key, revision, value) VALUES (?, ?, ?, ?)")?
                .execute(params![write.space, write.key, revision, &value[..]])?,
            None => self
                .db
                .prepare_cached("DELETE FROM keyvalue WHERE space = ? AND key = ?")?
                .execute([&write.space, &write.key])?,
        };
        self.db
            .prepare_cached("INSERT OR REPLACE INTO spaces (space, revision) VALUES (?, ?)")?
            .execute(params![write.space, revision])?;
        Ok(())
    }

    /// How many events a chain has; counted once, then kept.
    pub fn chain_events(&mut self, chain: &str) -> rusqlite::Result<u64> {
        if let Some(known) = self.known.chains.get(chain) {
            return Ok(*known);
        }
        let count = self
            .db
            .prepare_cached(
                "SELECT (SELECT count(*) FROM events WHERE correlation = ?1)
                 + (SELECT count(*) FROM delayed WHERE correlation = ?1)",
            )?
            .query_row([chain], |row| rows::unsigned(row, 0))?;
        self.known.chains.insert(chain.to_owned(), count);
        Ok(count)
    }
}
