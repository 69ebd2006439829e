use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::bus::History;
use crate::bus::conformance::{Storage, conformance};

/// A project's folder.
struct OnDisk(TempDir);

fn on_disk() -> OnDisk {
    OnDisk(tempfile::tempdir().unwrap())
}

impl OnDisk {
    fn try_open(&self, clock: Clock) -> Result<Embedded, OpenError> {
        let blobs = Blobs::open(self.0.path().join("blobs")).unwrap();
        Embedded::open(self.0.path(), blobs, clock, Settings { poll: Duration::from_millis(2) })
    }
}

impl Storage for OnDisk {
    fn open(&self, clock: Clock) -> (Arc<dyn Bus>, Arc<dyn History>) {
        let bus = Arc::new(self.try_open(clock).unwrap());
        (bus.clone(), bus)
    }
}

conformance!(on_disk());
