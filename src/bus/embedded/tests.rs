//! What the conformance suite cannot ask for: faults of the disk, the folder, and what an event costs.

mod blobs;
mod fault;
mod folder;
mod reading;
mod refused;
mod retention;
mod statistics;
mod unread;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::blob::FolderBlobs;
use crate::bus::History;
use crate::bus::conformance::{Storage, conformance};
use crate::deployment::Rule;
use crate::telemetry::StorageGauges;

/// How long a folder may be in use by what is about to let go of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A project's folder, and what is kept of its log.
pub(crate) struct OnDisk {
    folder: TempDir,
    retention: Retention,
    disk_bytes_max: Option<u64>,
}

pub(crate) fn on_disk() -> OnDisk {
    OnDisk { folder: tempfile::tempdir().unwrap(), retention: Retention::default(), disk_bytes_max: None }
}

/// One that is opened quickly, for tests that open thousands.
fn in_memory() -> OnDisk {
    static EMPTY_LOG: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let disk = on_disk();
        drop(disk.try_open(Clock::system()).unwrap());
        std::fs::read(disk.path().join("log.db")).unwrap()
    });
    let shared_memory = Path::new("/dev/shm");
    let folder = match shared_memory.is_dir() {
        true => tempfile::tempdir_in(shared_memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    std::fs::write(folder.path().join("log.db"), &*EMPTY_LOG).unwrap();
    // In the place of the reserve, which takes its time.
    std::fs::File::create(folder.path().join("reserve")).unwrap().set_len(super::folder::RESERVE_BYTES).unwrap();
    OnDisk { folder, ..on_disk() }
}

impl OnDisk {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(FolderBlobs::open(self.path().join("blobs")).unwrap())
    }

    fn try_open(&self, clock: Clock) -> Result<Embedded, OpenError> {
        self.try_open_counting(clock, Metrics::new())
    }

    fn try_open_counting(&self, clock: Clock, metrics: Metrics) -> Result<Embedded, OpenError> {
        let OnDisk { ref retention, disk_bytes_max, .. } = *self;
        let poll = Duration::from_millis(2);
        let settings = Settings { metrics, poll, retention: retention.clone(), disk_bytes_max };
        Embedded::open(self.path(), self.blobs(), clock, settings)
    }
}

impl Storage for OnDisk {
    fn open(&self, clock: Clock) -> (Arc<dyn Bus>, Arc<dyn History>) {
        let begun = Instant::now();
        let bus = loop {
            match self.try_open(clock.clone()) {
                // A child that another test starts has the lock too, until it runs its own program.
                Err(OpenError::InUse { .. }) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
                opened => break Arc::new(opened.unwrap()),
            }
        };
        (bus.clone(), bus)
    }

    fn remove_after(&mut self, age: Duration) {
        let events = Rule { age: Some(age), bytes_max: None };
        self.retention = Retention { events, dedupe: age, ..Retention::default() };
    }
}

conformance!(on_disk(), in_memory());
