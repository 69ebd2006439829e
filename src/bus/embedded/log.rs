//! Reading the log: connections of its own for readers, and the events that were lately written or read, in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::folder::Folder;
use super::rows::{self, Stored};
use super::unread::Unread;
use crate::blob::{BlobError, Blobs};
use crate::bus::BusError;
use crate::deployment::Deployment;
use crate::event::{Accepted, Position};

/// Memory for events that are likely to be read again.
const RECENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Deployments that are kept in memory.
const DEPLOYMENTS_MAX: usize = 8;
/// Idle read connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 8;

pub(super) struct Log {
    folder: Folder,
    pub blobs: Arc<dyn Blobs>,
    idle: Mutex<Vec<Connection>>,
    recent: Mutex<Recent>,
    /// By number: one that is stored never changes.
    deployments: Mutex<HashMap<u64, Arc<Deployment>>>,
}

impl Log {
    pub fn new(folder: Folder, blobs: Arc<dyn Blobs>) -> Self {
        Log { folder, blobs, idle: Mutex::default(), recent: Mutex::default(), deployments: Mutex::default() }
    }

    /// Runs a short read. Each call is a transaction of its own or several; none outlives it, so that readers do not
    /// keep the write-ahead log from being moved.
    pub fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BusError> {
        let failed = |source: rusqlite::Error| BusError::Store { what, source: Box::new(source) };
        let idle = lock(&self.idle).pop();
        let db = match idle {
            Some(db) => db,
            None => self.folder.open_reader().map_err(failed)?,
        };
        let result = read(&db).map_err(failed)?;
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(db);
        }
        Ok(result)
    }

    /// An event with its data: from memory, or else from disk.
    pub fn event(&self, position: Position) -> Result<Option<Arc<Accepted>>, BusError> {
        if let Some(event) = self.recent(position) {
            return Ok(Some(event));
        }
        let Some(stored) = self.read("read an event", |db| rows::event_at(db, position))? else { return Ok(None) };
        let event = Arc::new(self.with_data(stored).map_err(|unread| unread.into_error())?);
        self.remember(&event);
        Ok(Some(event))
    }

    /// An event that is in memory.
    pub fn recent(&self, position: Position) -> Option<Arc<Accepted>> {
        lock(&self.recent).by_position.get(&position).cloned()
    }

    pub fn remember(&self, event: &Arc<Accepted>) {
        lock(&self.recent).push(event.clone());
    }

    /// Lets go of events that are in the log no more.
    pub fn forget(&self, positions: &[Position]) {
        let mut recent = lock(&self.recent);
        for position in positions {
            recent.remove(*position);
        }
    }

    /// The size of the write-ahead log.
    pub fn write_ahead_bytes(&self) -> u64 {
        self.folder.write_ahead_bytes()
    }

    /// A deployment by its number.
    pub fn deployment(&self, number: u64) -> Result<Option<Arc<Deployment>>, BusError> {
        if let Some(deployment) = lock(&self.deployments).get(&number) {
            return Ok(Some(deployment.clone()));
        }
        let found = self.read("read a deployment", |db| rows::deployment(db, number))?.map(Arc::new);
        if let Some(deployment) = &found {
            let mut known = lock(&self.deployments);
            if known.len() >= DEPLOYMENTS_MAX {
                known.clear();
            }
            known.insert(number, deployment.clone());
        }
        Ok(found)
    }

    /// Adds the data that lies in the blob store.
    pub fn with_data(&self, stored: Stored) -> Result<Accepted, Box<Unread>> {
        let Stored { mut accepted, data } = stored;
        let Some(digest) = data else { return Ok(accepted) };
        match self.blobs.get(digest) {
            Ok(data) => {
                accepted.event.data = Some(data);
                Ok(accepted)
            }
            Err(error) => Err(Box::new(Unread { accepted, error })),
        }
    }
}

pub(super) fn blob_failed(what: &'static str, error: BlobError) -> BusError {
    if error.is_full() { BusError::Full } else { BusError::Store { what, source: Box::new(error) } }
}

/// Locks. A thread that panicked with the lock left a value that is still whole: every change is one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what came first.
#[derive(Default)]
struct Recent {
    by_position: HashMap<Position, Arc<Accepted>>,
    order: VecDeque<Position>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, event: Arc<Accepted>) {
        let bytes = weight(&event);
        if bytes > RECENT_BYTES_MAX / 8 || self.by_position.contains_key(&event.position) {
            return;
        }
        self.bytes += bytes;
        self.order.push_back(event.position);
        self.by_position.insert(event.position, event);
        while self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.remove(oldest);
        }
    }

    /// Its place in `order` goes with its turn.
    fn remove(&mut self, position: Position) {
        if let Some(event) = self.by_position.remove(&position) {
            self.bytes -= weight(&event);
        }
    }
}

/// About what an event holds in memory.
pub(super) fn weight(event: &Accepted) -> usize {
    512 + event.event.attributes_bytes() + event.event.data_bytes()
}
