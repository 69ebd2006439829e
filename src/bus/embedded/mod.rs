//! The embedded bus: one SQLite file, one writer thread with group commit, one reader that follows the tail.
//!
//! ```text
//! callers -> inbox -> writer (one transaction for a group, synced) -> answers, queues
//!                       | fresh events
//!                       v
//!                     reader (routes) -> a queue for each function -> subscriptions
//! ```
//!
//! Invariants: nothing is told before it is synced; an item of a queue is settled in memory after it is in the log; a
//! cursor never passes what is neither settled nor has a row of its own. SQL stays in this folder.

mod backlog;
pub mod bare;
mod feed;
mod folder;
mod function_queue;
mod history;
mod inbox;
mod intake;
mod item;
mod lines;
mod log;
mod operate;
mod queue;
mod reader;
mod recorded;
mod recover;
mod refused;
mod retention;
mod rows;
mod schema;
mod settle;
mod shared;
mod signal;
mod sizes;
mod starts;
mod statistics;
mod status;
mod subscription;
mod superseded;
mod sweep;
#[cfg(test)]
pub(super) mod tests;
mod throttle;
mod types;
mod unread;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

pub use folder::OpenError;
pub use history::EmbeddedHistory;

use self::folder::Folder;
use self::history::{Reads, Source};
use self::intake::{Entering, Publish};
use self::log::{Log, lock};
use self::operate::{Activate, Cursors, DropLetters, Redrive};
use self::reader::Reader;
use self::settle::Settle;
use self::shared::Shared;
use self::starts::Starts;
use self::subscription::FunctionSubscription;
use self::writer::{Fault, Write, Writer};
use super::{
    ActivateError, Bus, BusError, Cause, Delivery, Incoming, PublishError, PutBack, Receipt, Refusal, Revision,
    SettleError, Settled, Settlement, Subscription, Versioned,
};
use crate::blob::Blobs;
use crate::clock::Clock;
use crate::deployment::{Deployment, FunctionId, Retention};
use crate::event::{Position, Replay};
use crate::telemetry::Metrics;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where filters that cannot be evaluated, and what cannot be read, are counted.
    pub metrics: Metrics,
    /// The longest sleep of the reader: a clock that is set, or moved by a test, is noticed within it.
    pub poll: Duration,
    /// What is removed from the log, and when.
    pub retention: Retention,
    /// At so many bytes of the log nothing new is accepted.
    pub disk_bytes_max: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            metrics: Metrics::new(),
            poll: Duration::from_secs(1),
            retention: Retention::default(),
            disk_bytes_max: None,
        }
    }
}

/// The bus of one process. Cheap to clone; the project is free again when the last clone is dropped.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    source: Arc<Source>,
    project: Uuid,
    writer: Mutex<Option<JoinHandle<()>>>,
    others: Mutex<Vec<JoinHandle<()>>>,
    /// Keeps other processes out.
    _lock: File,
}

impl Embedded {
    /// Opens a project's folder, makes it at first, and starts to deliver. `blobs` holds large data and recordings.
    pub fn open(path: &Path, blobs: Arc<dyn Blobs>, clock: Clock, settings: Settings) -> Result<Embedded, OpenError> {
        let folder = Folder::new(path);
        let lock = folder.lock()?;
        let mut db = folder.open_writer()?;
        let project = folder::project(&db).map_err(folder.store("read"))?;
        let starts_failed = |source| OpenError::Io { what: "open", path: folder.starts(), source };
        let (starts, left) = Starts::open(&folder.starts()).map_err(starts_failed)?;
        recover::count_lost(&mut db, &left, clock.now()).map_err(folder.store("recover"))?;
        starts.reset().map_err(starts_failed)?;
        if folder.keep_reserve().is_err() {
            tracing::warn!("there is no room for the reserve; the disk is nearly full");
        }
        let due = intake::next_due(&db).map_err(folder.store("read"))?;
        let poll = settings.poll;
        let shared = Arc::new(Shared::new(clock, Log::new(folder.clone(), blobs), starts, settings));
        if let Some(due) = due {
            shared.expect_due(due);
        }
        let writer = Writer::new(db, folder.clone(), shared.clone()).map_err(folder.store("read"))?;
        let reader = Reader::open(shared.clone(), poll)
            .map_err(|error| folder.store("read")(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let mut others = vec![
            watched("bus-sweep", &shared, {
                let shared = shared.clone();
                move || sweep::run(&shared)
            }),
            watched("bus-reader", &shared, move || reader.run()),
            watched("bus-checkpoint", &shared, {
                let (shared, folder) = (shared.clone(), folder.clone());
                move || run_checkpoints(&shared, &folder)
            }),
        ];
        if shared.retention.removes() {
            others.push(watched("bus-retention", &shared, {
                let shared = shared.clone();
                move || retention::run(&shared, poll)
            }));
        }
        let writer = watched("bus-writer", &shared, move || writer.run());
        Ok(Embedded(Arc::new(Inner {
            source: Arc::new(Source::Live(shared.clone())),
            shared,
            project,
            writer: Mutex::new(Some(writer)),
            others: Mutex::new(others),
            _lock: lock,
        })))
    }

    /// The project's UUID: given when the folder was made.
    pub fn project(&self) -> Uuid {
        self.0.project
    }

    /// Reads what this bus writes, and where its deliveries stand. The bus itself answers the same.
    pub fn history(&self) -> EmbeddedHistory {
        EmbeddedHistory::of(self.0.source.clone())
    }

    /// Waits until the log can be written or read no more, and tells why. From then on nothing is: the process must end.
    pub async fn failed(&self) -> String {
        let mut failed = self.0.shared.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until nothing more is delivered, and tells why.
    async fn ended(&self) -> BusError {
        self.0.shared.closing.cancelled().await;
        let failed = self.0.shared.failed.borrow().clone();
        failed.map_or(BusError::Closed, |reason| BusError::Failed { reason })
    }

    async fn take_in(&self, batch: Vec<Entering>) -> Result<Vec<Receipt>, PublishError> {
        let shared = &self.0.shared;
        if shared.inbox.is_full() {
            return Err(BusError::Full.into());
        }
        if let Err(busy) = shared.inbox.admit() {
            return Err(PublishError::Busy { retry_after_seconds: busy.retry_after_seconds });
        }
        shared.backlogs().admit(&batch)?;
        let (answer, answered) = oneshot::channel();
        let now = shared.clock.now();
        let has_blobs = batch.iter().any(|entering| intake::is_large(&entering.event));
        let request = if has_blobs {
            let blobs = shared.log.blobs.clone();
            blocking(move || Publish::prepare(batch, now, &*blobs, answer)).await??
        } else {
            Publish::prepare(batch, now, &*shared.log.blobs, answer)?
        };
        self.submit(request, answered).await?
    }

    async fn submit<T>(&self, request: Box<dyn Write>, answer: oneshot::Receiver<T>) -> Result<T, BusError> {
        let shared = &self.0.shared;
        if let Err(request) = shared.inbox.submit(request) {
            request.failed(shared, Fault::Closed);
        }
        answer.await.map_err(|_| BusError::Closed)
    }
}

impl Reads for Embedded {
    fn source(&self) -> &Arc<Source> {
        &self.0.source
    }
}

impl Inner {
    /// Ends the threads. What waits for the writer is written first.
    fn stop(&self) {
        let shared = &self.shared;
        shared.stop_deliveries();
        shared.reader.wake(|signals| signals.stop = true);
        shared.checkpoints.stop();
        shared.housekeeping.stop();
        shared.inbox.close();
        if let Some(writer) = lock(&self.writer).take() {
            // A thread that panicked has said so.
            let _ = writer.join();
        }
        for thread in lock(&self.others).drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a thread of the bus. Should it panic, the bus has failed: nobody waits for an answer that never comes.
fn watched(name: &'static str, shared: &Arc<Shared>, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let alarm = Alarm { shared: shared.clone(), thread: name };
    thread(name, move || {
        let _alarm = alarm;
        run();
    })
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the system has room for a few threads")
}

/// Stops the bus when the thread that holds it panics.
struct Alarm {
    shared: Arc<Shared>,
    thread: &'static str,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.shared.fail(format!("the thread {} panicked; its message is in the log", self.thread));
    }
}

/// Moves the write-ahead log into the file while the writer goes on.
fn run_checkpoints(shared: &Shared, folder: &Folder) {
    let db = match folder.open_reader() {
        Ok(db) => Some(db),
        Err(error) => {
            tracing::warn!(%error, "no checkpoints beside the writer: it moves the write-ahead log by itself");
            None
        }
    };
    while shared.checkpoints.wait() {
        match db.as_ref().map(|db| folder::checkpoint(db, "PASSIVE")) {
            Some(Err(error)) if writer::is_of_the_disk(&error) => {
                tracing::error!(%error, "the write-ahead log cannot be moved; this process must end");
                return shared.fail(error.to_string());
            }
            Some(Err(error)) => tracing::warn!(%error, "the write-ahead log could not be moved"),
            Some(Ok(_)) | None => {}
        }
        shared.checkpoints.set_done();
    }
}

/// Runs what may write or read large blobs off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BusError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| BusError::Closed)
}

#[async_trait]
impl Bus for Embedded {
    async fn publish(&self, batch: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError> {
        self.take_in(batch.into_iter().map(Entering::from).collect()).await
    }

    async fn replay(&self, batch: Vec<Replay>) -> Result<Vec<Receipt>, PublishError> {
        self.take_in(batch.into_iter().map(Entering::from).collect()).await
    }

    fn subscribe(&self, function: FunctionId) -> Box<dyn Subscription> {
        Box::new(FunctionSubscription::new(self.0.shared.clone(), function))
    }

    async fn settle(&self, delivery: Delivery, settlement: Settlement) -> Result<Settled, SettleError> {
        let shared = &self.0.shared;
        let (answer, answered) = oneshot::channel();
        let request = if settle::has_blobs(&settlement) {
            let blobs = shared.log.blobs.clone();
            blocking(move || Settle::prepare(delivery, settlement, &*blobs, answer)).await??
        } else {
            Settle::prepare(delivery, settlement, &*shared.log.blobs, answer)?
        };
        self.submit(request, answered).await?
    }

    // A key is read in microseconds from memory that the system shares: a hand-over to another thread costs more.
    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError> {
        self.0.shared.log.read("read a key", |db| {
            let found = db
                .prepare_cached("SELECT revision, value FROM keyvalue WHERE space = ? AND key = ?")?
                .query_row([space, key], |row| {
                    Ok(Versioned { revision: rows::unsigned(row, 0)?, value: Some(row.get::<_, Vec<u8>>(1)?.into()) })
                })
                .optional()?;
            Ok(found.unwrap_or(Versioned { revision: 0, value: None }))
        })
    }

    async fn list_keys(
        &self,
        space: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Revision, Vec<String>), BusError> {
        self.0.shared.log.read("list keys", |db| {
            // One transaction: the revision is that of the keys listed.
            let transaction = db.unchecked_transaction()?;
            let revision = transaction
                .prepare_cached("SELECT revision FROM spaces WHERE space = ?")?
                .query_row([space], |row| rows::unsigned(row, 0))
                .optional()?;
            let keys = transaction
                .prepare_cached("SELECT key FROM keyvalue WHERE space = ? AND key > ? ORDER BY key LIMIT ?")?
                .query_map((space, after.unwrap_or_default(), rows::sql(max as u64)), |row: &Row<'_>| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok((revision.unwrap_or(0), keys))
        })
    }

    async fn activate(&self, deployment: Deployment, expected: u64, cause: Cause) -> Result<u64, ActivateError> {
        let (answer, answered) = oneshot::channel();
        let request = Activate { project: self.0.project, deployment, expected, cause, answer, result: Ok(0) };
        let number = self.submit(Box::new(request), answered).await??;
        // Whoever asked may subscribe to what it brings.
        let mut active = self.active();
        let reached = |active: &Option<Arc<Deployment>>| active.as_ref().is_some_and(|active| active.number >= number);
        // Both are cancel-safe: they look at a state.
        tokio::select! {
            reached = active.wait_for(reached) => reached.map(|_| number).map_err(|_| BusError::Closed.into()),
            ended = self.ended() => Err(ended.into()),
        }
    }

    fn active(&self) -> watch::Receiver<Option<Arc<Deployment>>> {
        self.0.shared.active.subscribe()
    }

    async fn redrive(&self, letters: Vec<PutBack>) -> Result<u64, BusError> {
        let (answer, answered) = oneshot::channel();
        self.submit(Box::new(Redrive { letters, answer, put_back: Vec::new() }), answered).await?
    }

    async fn drop_letters(&self, letters: Vec<(FunctionId, Position)>, by: &str) -> Result<u64, BusError> {
        let (answer, answered) = oneshot::channel();
        self.submit(Box::new(DropLetters { letters, by: by.to_owned(), answer, dropped: 0 }), answered).await?
    }

    fn keep_refusal(&self, refusal: Refusal) {
        self.0.shared.keep_refusal(refusal);
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.0.shared.commits.subscribe()
    }

    async fn close(&self) -> Result<(), BusError> {
        let shared = &self.0.shared;
        shared.stop_deliveries();
        let cursors = shared.queues().into_iter().map(|(id, queue)| (id, queue.cursor(shared))).collect();
        // A writer that has stopped wrote what it could.
        let _ = shared.inbox.submit(Box::new(Cursors(cursors)));
        let inner = self.0.clone();
        blocking(move || inner.stop()).await?;
        if shared.failed.borrow().is_none() {
            let reset = shared.starts.reset();
            reset.map_err(|source| BusError::Store { what: "clear the starts", source: Box::new(source) })?;
        }
        Ok(())
    }
}
