//! The change of the log that a plan asks for.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::params;

use super::super::rows::{self, sql};
use super::super::shared::Shared;
use super::super::writer::{Fault, Group, WhenFull, Write};
use super::Step;
use super::plan::{Going, Plan};
use crate::event::Position;

/// About what a step adds to the write-ahead log: it changes more pages than it removes rows of.
const STEP_BYTES: usize = 1024 * 1024;

/// Removes one step's rows. It plans by itself, in the transaction: what the look saw may be needed by now.
pub(super) struct Remove {
    kept_after: Position,
    step: Step,
    removed: Vec<Position>,
    answer: mpsc::Sender<Step>,
}

impl Remove {
    pub fn new(kept_after: Position, answer: mpsc::Sender<Step>) -> Self {
        let step = Step { kept_after, took: Duration::ZERO, more: false, behind: false };
        Remove { kept_after, step, removed: Vec::new(), answer }
    }
}

impl Write for Remove {
    fn bytes(&self) -> usize {
        STEP_BYTES
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        let began = Instant::now();
        let plan = Plan::make(group.db, group.shared, group.now, self.kept_after)?;
        for going in &plan.events {
            group.remove_event(going)?;
        }
        for (sequence, bytes) in &plan.recordings {
            group.remove_recording(*sequence, *bytes)?;
        }
        for (function, position, bytes) in &plan.letters {
            group.expire_letter(function.as_bytes(), *position, *bytes)?;
        }
        group
            .db
            .prepare_cached("UPDATE retention SET removed_to = ?, recordings_removed_to = ?")?
            .execute(params![sql(plan.removed_to), plan.recordings_to])?;
        group.give_back(plan.pages)?;
        self.removed = plan.events.iter().map(|going| going.event.position).collect();
        let (more, behind) = (plan.is_full(), plan.behind);
        self.step = Step { kept_after: plan.kept_after, took: began.elapsed(), more, behind };
        Ok(())
    }

    fn committed(self: Box<Self>, shared: &Arc<Shared>) {
        shared.log.forget(&self.removed);
        // Whoever asked may be gone.
        let _ = self.answer.send(self.step);
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        match fault {
            Fault::Closed => {}
            Fault::Full | Fault::Store(_) => tracing::warn!(?fault, "nothing was removed from the log"),
        }
    }
}

impl Group<'_> {
    /// Removes an event with all that was settled on it.
    fn remove_event(&mut self, going: &Going) -> rusqlite::Result<()> {
        let event = &going.event;
        if let Some((id, source)) = &event.remembered {
            self.db
                .prepare_cached("INSERT OR IGNORE INTO remembered (id, source) VALUES (?, ?)")?
                .execute([id, source])?;
        }
        self.db.prepare_cached("DELETE FROM events WHERE position = ?")?.execute([sql(event.position)])?;
        self.db.prepare_cached("DELETE FROM aliases WHERE position = ?")?.execute([sql(event.position)])?;
        self.db.prepare_cached("DELETE FROM superseded WHERE position = ?")?.execute([sql(event.position)])?;
        self.sizes.events -= event.bytes;
        for attempt in &going.attempts {
            self.db.prepare_cached("DELETE FROM invocations WHERE sequence = ?")?.execute([attempt.sequence])?;
            self.sizes.events -= attempt.bytes;
            if let Some(bytes) = attempt.recording_bytes {
                self.remove_recording(attempt.sequence, bytes)?;
            }
            if attempt.is_final {
                self.statistics.uncount(&attempt.settled);
            }
        }
        for function in &going.along.pending {
            rows::delete_pending(self.db, *function, event.position)?;
        }
        for (function, bytes) in &going.along.letters {
            self.remove_letter(function.as_bytes(), event.position, *bytes)?;
        }
        Ok(())
    }

    fn remove_recording(&mut self, sequence: i64, bytes: i64) -> rusqlite::Result<()> {
        self.db.prepare_cached("DELETE FROM recordings WHERE sequence = ?")?.execute([sequence])?;
        self.sizes.recordings -= bytes;
        Ok(())
    }

    /// Takes a resolved dead letter out of those that are listed.
    fn expire_letter(&mut self, function: &[u8; 16], position: Position, bytes: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE dead_letters SET expired = 1 WHERE function = ? AND position = ?")?
            .execute(params![function, sql(position)])?;
        self.sizes.letters -= bytes;
        Ok(())
    }

    /// Removes a resolved dead letter with its event.
    fn remove_letter(&mut self, function: &[u8; 16], position: Position, bytes: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("DELETE FROM dead_letters WHERE function = ? AND position = ?")?
            .execute(params![function, sql(position)])?;
        self.sizes.letters -= bytes;
        Ok(())
    }

    /// Moves free pages out of the file; the next checkpoint makes it shorter.
    fn give_back(&self, pages: u64) -> rusqlite::Result<()> {
        if pages == 0 {
            return Ok(());
        }
        let mut vacuum = self.db.prepare_cached(&format!("PRAGMA incremental_vacuum({pages})"))?;
        // A step for each page.
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }
}
