//! A real bus for the loops to publish to.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Intake, Notices, TriggerError};
use crate::blob::FolderBlobs;
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{Bus, EventQuery, History};
use crate::clock::Clock;
use crate::event::Accepted;
use crate::telemetry::Metrics;

/// No test waits longer for what must come.
const WITHIN: Duration = Duration::from_secs(20);

pub struct Door {
    pub intake: Intake,
    pub history: Arc<dyn History>,
    bus: Embedded,
    _folder: TempDir,
}

impl Door {
    pub fn open(clock: Clock) -> Door {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        let bus = Embedded::open(&folder.path().join("bus"), blobs, clock.clone(), Settings::default()).unwrap();
        let intake = Intake {
            bus: Arc::new(bus.clone()),
            clock,
            metrics: Metrics::new(),
            env: Arc::new(crate::s3::testing::keys),
            notices: Notices::default(),
            stop: CancellationToken::new(),
        };
        Door { intake, history: Arc::new(bus.history()), bus, _folder: folder }
    }

    /// An intake for another run of a loop, after the one before was stopped.
    pub fn restarted(&self) -> Intake {
        Intake { stop: CancellationToken::new(), ..self.intake.clone() }
    }

    /// The events in the log, in its order, once there are `count`.
    pub async fn events(&self, count: usize) -> Vec<Accepted> {
        let mut commits = self.bus.commits();
        let wait = async {
            loop {
                commits.mark_unchanged();
                let events =
                    self.history.events(EventQuery { max: 10_000, ..EventQuery::default() }).await.unwrap().events;
                if events.len() >= count {
                    return events;
                }
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(WITHIN, wait).await.expect("the events come in time")
    }
}

/// Stops a loop and waits for its end.
pub async fn stop(intake: &Intake, run: JoinHandle<Result<(), TriggerError>>) {
    intake.stop.cancel();
    tokio::time::timeout(WITHIN, run).await.expect("the loop ends when it is told to").unwrap().unwrap();
}
