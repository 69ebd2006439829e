//! The bare store: what SQLite with the log's settings can do at most, for `tidegate bench` and `benches/store.rs`.
//!
//! One thread commits, in durable groups, no more than any event store must: the event with its id to find duplicates
//! by, an index by type, one key, and a cursor. It has no deliveries, no history, no large data and no reserve.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::folder::Folder;
use super::{OpenError, thread};
use crate::bus::BusError;

/// As many as the log's writer takes.
const GROUP_MAX: usize = super::inbox::GROUP_REQUESTS_MAX;
const VALUE: [u8; 64] = [7; 64];

/// Dropping it writes what waits and ends its thread.
pub struct BareStore {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

struct Request {
    id: String,
    body: Vec<u8>,
    answer: oneshot::Sender<Result<(), BusError>>,
}

impl BareStore {
    /// Makes a store in a folder, which must not be a project's.
    pub fn open(path: &Path) -> Result<BareStore, OpenError> {
        let folder = Folder::new(path);
        drop(folder.lock()?);
        let db = folder.open_writer()?;
        // SQLite's own checkpoints, every 4 MiB: there is no thread for it here.
        db.execute_batch(
            "PRAGMA wal_autocheckpoint = 1000;
             CREATE TABLE bare (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
                 body BLOB NOT NULL) STRICT;
             CREATE INDEX bare_by_type ON bare (type, position);
             CREATE TABLE bare_keys (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE bare_cursor (id INTEGER PRIMARY KEY, position INTEGER NOT NULL) STRICT;",
        )
        .map_err(folder.store("set up"))?;
        let (requests, received) = mpsc::channel();
        let writer = thread("bare-store", move || run(&db, &received));
        Ok(BareStore { requests: Some(requests), writer: Some(writer) })
    }

    /// Returns when the event is durable.
    pub async fn publish(&self, id: String, body: Vec<u8>) -> Result<(), BusError> {
        let (answer, answered) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(BusError::Closed)?;
        requests.send(Request { id, body, answer }).map_err(|_| BusError::Closed)?;
        answered.await.map_err(|_| BusError::Closed)?
    }
}

impl Drop for BareStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A thread that panicked has said so.
            let _ = writer.join();
        }
    }
}

/// Group commit without a timer: what came while the last group was synced is the next one.
fn run(db: &Connection, requests: &mpsc::Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let group: Vec<Request> = std::iter::once(first).chain(requests.try_iter()).take(GROUP_MAX).collect();
        match commit(db, &group) {
            Ok(()) => group.into_iter().for_each(|request| answer(request, Ok(()))),
            Err(error) => {
                // The others are told by their senders, which are dropped.
                let failed = BusError::Store { what: "write to the bare store", source: Box::new(error) };
                if let Some(first) = group.into_iter().next() {
                    answer(first, Err(failed));
                }
                return;
            }
        }
    }
}

fn answer(request: Request, result: Result<(), BusError>) {
    // Nobody may wait any more.
    let _ = request.answer.send(result);
}

fn commit(db: &Connection, group: &[Request]) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    {
        let mut event = db.prepare_cached("INSERT INTO bare (id, type, body) VALUES (?, 'bench.event', ?)")?;
        let mut key = db.prepare_cached("INSERT OR REPLACE INTO bare_keys (key, value) VALUES (?, ?)")?;
        let mut cursor = db.prepare_cached("INSERT OR REPLACE INTO bare_cursor (id, position) VALUES (1, ?)")?;
        for request in group {
            event.execute(params![request.id, request.body])?;
            let position = db.last_insert_rowid();
            key.execute(params![format!("key-{}", position % 1000), &VALUE[..]])?;
            cursor.execute([position])?;
        }
    }
    transaction.commit()
}

/// How many events a store has.
#[cfg(test)]
pub fn events(path: &Path) -> u64 {
    let db = Folder::new(path).open_reader().unwrap();
    db.query_row("SELECT count(*) FROM bare", [], |row| super::rows::unsigned(row, 0)).unwrap()
}
