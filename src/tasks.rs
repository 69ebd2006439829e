//! Every task has an owner: it is spawned here, and ends when its owner is dropped or told to stop.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns tasks. Clones own the same ones; `stop` asks them to end, `finished` waits.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    pub fn new() -> Self {
        Tasks::default()
    }

    /// Tasks that end when these end, and may be told to end before.
    pub fn child(&self) -> Self {
        Tasks { tracker: self.tracker.clone(), stop: self.stop.child_token() }
    }

    /// Runs a task that watches `stopping` by itself and ends by returning.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Cancelled once the owner says stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until every task ended, at most `grace`. Whether they did.
    pub async fn finished(&self, grace: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}
