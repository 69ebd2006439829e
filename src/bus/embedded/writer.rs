//! The writer: one thread, one connection, group commit.
//!
//! It takes whatever was queued while the last group was synced, executes each, commits once, and only then tells
//! readers and answers. A request is checked before it writes, so a refused one leaves nothing; if the store fails on
//! one, the group is rolled back and done again one by one, so that only that one fails.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, ffi, params};

use super::folder::{Folder, checkpoint};
use super::rows::sql;
use super::shared::Shared;
use super::sizes::Sizes;
use super::statistics::RollUp;
use crate::bus::BusError;
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::{Accepted, Position};

/// At so many pages (of 4 KiB) the write-ahead log is moved into the file: 16 MiB. A page that was written often is moved once.
const CHECKPOINT_PAGES: u32 = 4_096;
/// At so many, whoever still reads from it is waited for: 64 MiB.
const LOG_PAGES_MAX: u32 = 16_384;
/// Chains whose length is known without counting.
const CHAINS_KNOWN_MAX: usize = 10_000;

/// A change that the writer makes.
pub(super) trait Write: Send {
    /// About what it holds in memory.
    fn bytes(&self) -> usize;
    fn when_full(&self) -> WhenFull;
    /// Checks, then writes. It may be run again after a rollback, so it starts anew each time.
    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()>;
    /// It is durable: updates memory and answers.
    fn committed(self: Box<Self>, shared: &Arc<Shared>);
    /// Nothing of it was written.
    fn failed(self: Box<Self>, shared: &Arc<Shared>, fault: Fault);
}

/// What becomes of a change when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It would bring something in.
    Refused,
    /// Somebody waits for its answer: the reserve may have room for it, and else it is refused.
    Tried,
    /// It belongs to what was accepted.
    Waits,
}

/// Why nothing was written.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Full,
    Closed,
    Store(Arc<rusqlite::Error>),
}

impl Fault {
    pub fn into_error(self, what: &'static str) -> BusError {
        match self {
            Fault::Full => BusError::Full,
            Fault::Closed => BusError::Closed,
            Fault::Store(source) => BusError::Store { what, source: Box::new(source) },
        }
    }
}

/// What one transaction knows, and what it leaves for memory.
pub(super) struct Group<'a> {
    pub db: &'a Connection,
    pub shared: &'a Shared,
    /// `max(last, now)`: it never falls.
    pub now: Timestamp,
    pub known: &'a mut Known,
    /// Events that got a position, whole.
    pub fresh: Vec<Arc<Accepted>>,
    /// The last position that was given; 0: none was.
    pub tail: Position,
    /// The earliest time of the events that were stored to be delivered later.
    pub due: Option<Timestamp>,
    pub tallies: HashMap<FunctionId, Tally>,
    pub statistics: RollUp,
    pub sizes: Sizes,
}

/// What the writer knows without reading.
#[derive(Default)]
pub(super) struct Known {
    pub last_accepted_at: Timestamp,
    pub revision: u64,
    /// Every name that the project was ever deployed under.
    pub projects: BTreeSet<String>,
    /// Events by chain, of those that lately grew.
    pub chains: HashMap<String, u64>,
}

impl Known {
    fn read(db: &Connection) -> rusqlite::Result<Self> {
        let last: i64 = db.query_row(
            "SELECT coalesce((SELECT accepted_at FROM events ORDER BY position DESC LIMIT 1), 0)",
            [],
            |row| row.get(0),
        )?;
        let revision: i64 = db.query_row("SELECT coalesce(max(revision), 0) FROM spaces", [], |row| row.get(0))?;
        let projects = db
            .prepare("SELECT DISTINCT json_extract(body, '$.project') FROM deployments")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Known {
            last_accepted_at: Timestamp::from_micros(last),
            revision: u64::try_from(revision).unwrap_or(0),
            projects,
            chains: HashMap::new(),
        })
    }
}

/// What a group adds to a function's counts: one row for a function and group, not for each settlement.
#[derive(Default)]
pub(super) struct Tally {
    pub delivered: u64,
    pub failed: u64,
}

impl Group<'_> {
    fn write_tallies(&mut self) -> rusqlite::Result<()> {
        for (function, tally) in std::mem::take(&mut self.tallies) {
            let cursor = self.shared.queue(function).map_or(0, |queue| queue.cursor(self.shared));
            self.db
                .prepare_cached(
                    "UPDATE functions SET position = max(position, ?), delivered = delivered + ?, failed = failed + ? WHERE id = ?",
                )?
                .execute(params![sql(cursor), sql(tally.delivered), sql(tally.failed), function.as_bytes()])?;
        }
        self.statistics.write(self.db)?;
        self.sizes.write(self.db)
    }

    fn trim(&mut self) {
        if self.known.chains.len() > CHAINS_KNOWN_MAX {
            self.known.chains.clear();
        }
    }
}

/// What one committed transaction leaves.
struct Committed {
    fresh: Vec<Arc<Accepted>>,
    tail: Position,
    due: Option<Timestamp>,
}

pub(super) struct Writer {
    db: Connection,
    folder: Folder,
    shared: Arc<Shared>,
    known: Known,
    /// Pages in the write-ahead log after the last commit; SQLite tells.
    log_pages: Arc<AtomicU32>,
    /// The same after the commit before it.
    pages_before: u32,
    /// At so many pages the checkpoint thread is to move them. None: it is at it.
    checkpoint_at: Option<u32>,
}

impl Writer {
    pub fn new(mut db: Connection, folder: Folder, shared: Arc<Shared>) -> rusqlite::Result<Self> {
        let known = Known::read(&db)?;
        let log_pages = Arc::<AtomicU32>::default();
        let told = log_pages.clone();
        db.wal_hook(Some(move |_: &mut Wal, pages| {
            told.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Writer { db, folder, shared, known, log_pages, pages_before: 0, checkpoint_at: Some(CHECKPOINT_PAGES) })
    }

    /// Runs until the inbox is closed and empty, or the disk fails.
    pub fn run(mut self) {
        while let Some(group) = self.shared.inbox.take() {
            if let Err(error) = self.commit(group).and_then(|()| self.keep_log_short()) {
                self.stop(error);
                return;
            }
        }
        // Not where the file failed: what is in the log stays there.
        if self.shared.failed.borrow().is_none()
            && let Err(error) = checkpoint(&self.db, "TRUNCATE")
        {
            tracing::warn!(%error, "the write-ahead log could not be emptied; the next start does it");
        }
    }

    /// Commits a group and answers it. An error is one after which nothing may be written.
    fn commit(&mut self, mut group: Vec<Box<dyn Write>>) -> Result<(), Arc<rusqlite::Error>> {
        let error = match self.transaction(&mut group) {
            Ok(committed) => {
                self.tell(group, committed);
                return Ok(());
            }
            Err(error) => error,
        };
        match severity(&error) {
            Severity::Full => self.wait_for_room(group),
            Severity::Disk => {
                let error = Arc::new(error);
                self.fail(group, &Fault::Store(error.clone()));
                Err(error)
            }
            Severity::Request if group.len() == 1 => {
                self.fail(group, &Fault::Store(Arc::new(error)));
                Ok(())
            }
            Severity::Request => group.into_iter().try_for_each(|request| self.commit(vec![request])),
        }
    }

    fn transaction(&mut self, requests: &mut [Box<dyn Write>]) -> rusqlite::Result<Committed> {
        let now = self.shared.clock.now().max(self.known.last_accepted_at);
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let mut group = Group {
            db: &self.db,
            shared: &self.shared,
            now,
            known: &mut self.known,
            fresh: Vec::new(),
            tail: 0,
            due: None,
            tallies: HashMap::new(),
            statistics: RollUp::default(),
            sizes: Sizes::default(),
        };
        let done = requests
            .iter_mut()
            .try_for_each(|request| request.execute(&mut group))
            .and_then(|()| group.write_tallies())
            .and_then(|()| group.db.execute_batch("COMMIT"));
        group.trim();
        let Group { fresh, tail, due, .. } = group;
        if let Err(error) = done {
            self.known.chains.clear();
            if !self.db.is_autocommit() {
                self.db.execute_batch("ROLLBACK")?;
            }
            return Err(error);
        }
        self.known.last_accepted_at = now;
        Ok(Committed { fresh, tail, due })
    }

    /// Settled and synced: now memory may know, then the callers.
    fn tell(&self, group: Vec<Box<dyn Write>>, committed: Committed) {
        self.shared.hand_over(committed.fresh, committed.tail);
        if let Some(due) = committed.due {
            self.shared.expect_due(due);
        }
        for request in group {
            request.committed(&self.shared);
        }
        self.shared.commits.send_modify(|count| *count += 1);
    }

    fn fail(&self, group: Vec<Box<dyn Write>>, fault: &Fault) {
        for request in group {
            request.failed(&self.shared, fault.clone());
        }
    }

    /// The disk is full. What would bring something in is refused; the rest has the reserve, and what was accepted waits for room.
    fn wait_for_room(&mut self, group: Vec<Box<dyn Write>>) -> Result<(), Arc<rusqlite::Error>> {
        self.shared.inbox.mark_full();
        tracing::error!("the disk is full; nothing new is accepted until there is room");
        self.folder.give_up_reserve();
        let mut waiting = self.refuse_intake(group);
        loop {
            waiting = self.try_each(waiting)?;
            if waiting.is_empty() && self.folder.keep_reserve().is_ok() {
                self.shared.inbox.mark_room();
                tracing::info!("there is room on the disk again");
                return Ok(());
            }
            match self.shared.inbox.wait_while_full() {
                Some(more) => waiting.extend(self.refuse_intake(more)),
                None => {
                    self.fail(waiting, &Fault::Full);
                    return Ok(());
                }
            }
        }
    }

    /// Commits each request that finds room, alone, so that a large one does not hold up the others; gives those back that wait.
    fn try_each(&mut self, requests: Vec<Box<dyn Write>>) -> Result<Vec<Box<dyn Write>>, Arc<rusqlite::Error>> {
        let mut left = Vec::new();
        let mut requests = requests.into_iter();
        while let Some(request) = requests.next() {
            let mut one = vec![request];
            match self.transaction(&mut one) {
                Ok(committed) => self.tell(one, committed),
                Err(error) => match severity(&error) {
                    Severity::Full if one.iter().all(|request| request.when_full() == WhenFull::Waits) => {
                        left.append(&mut one);
                    }
                    Severity::Full => self.fail(one, &Fault::Full),
                    Severity::Request => self.fail(one, &Fault::Store(Arc::new(error))),
                    Severity::Disk => {
                        let error = Arc::new(error);
                        left.append(&mut one);
                        left.extend(requests);
                        self.fail(left, &Fault::Store(error.clone()));
                        return Err(error);
                    }
                },
            }
        }
        Ok(left)
    }

    fn refuse_intake(&self, group: Vec<Box<dyn Write>>) -> Vec<Box<dyn Write>> {
        let (intake, rest) = group.into_iter().partition(|request| request.when_full() == WhenFull::Refused);
        self.fail(intake, &Fault::Full);
        rest
    }

    /// The disk failed: after a failed sync nothing is known of what was written, so nothing more is.
    fn stop(&self, error: Arc<rusqlite::Error>) {
        tracing::error!(%error, "the log cannot be written; this process must end");
        self.shared.inbox.close();
        while let Some(group) = self.shared.inbox.take() {
            self.fail(group, &Fault::Store(error.clone()));
        }
        self.shared.fail(error.to_string());
    }

    /// The checkpoint thread moves the write-ahead log while this one writes. Then this one moves the little that came meanwhile,
    /// so that nothing is left and the next commit begins at its start: a sync of blocks that the file has is twice as fast as
    /// one of blocks that it gains. An error is one after which nothing may be written.
    fn keep_log_short(&mut self) -> Result<(), Arc<rusqlite::Error>> {
        let pages = self.log_pages.load(Ordering::Relaxed);
        let begins_anew = pages < std::mem::replace(&mut self.pages_before, pages);
        match self.checkpoint_at {
            Some(_) if begins_anew => self.checkpoint_at = Some(CHECKPOINT_PAGES),
            Some(at) if pages >= at => {
                self.checkpoint_at = None;
                self.shared.checkpoints.nudge();
            }
            None if self.shared.checkpoints.is_done() => {
                let mode = if pages < LOG_PAGES_MAX { "PASSIVE" } else { "TRUNCATE" };
                match checkpoint(&self.db, mode) {
                    Err(error) if is_of_the_disk(&error) => return Err(Arc::new(error)),
                    Err(error) => tracing::warn!(%error, "the write-ahead log could not be moved"),
                    Ok(_) => {}
                }
                // While somebody reads from it, it does not begin anew: once more, when it is worth it.
                self.checkpoint_at = Some(pages + CHECKPOINT_PAGES);
            }
            Some(_) | None => {}
        }
        Ok(())
    }
}

enum Severity {
    /// No room.
    Full,
    /// The disk or the file cannot be trusted any more.
    Disk,
    /// Of this request alone.
    Request,
}

/// Whether nothing more may be written after it.
pub(super) fn is_of_the_disk(error: &rusqlite::Error) -> bool {
    matches!(severity(error), Severity::Disk)
}

fn severity(error: &rusqlite::Error) -> Severity {
    match error.sqlite_error() {
        Some(ffi::Error { code: ErrorCode::DiskFull, .. }) => Severity::Full,
        // The index of the write-ahead log could not grow: there is no room either.
        Some(ffi::Error { extended_code: ffi::SQLITE_IOERR_SHMSIZE, .. }) => Severity::Full,
        Some(ffi::Error {
            code:
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly,
            ..
        }) => Severity::Disk,
        Some(_) | None => Severity::Request,
    }
}
