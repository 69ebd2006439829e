//! Every task has an owner: it is spawned here, and ends when its owner is dropped or told to stop.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns tasks. Clones own the same ones; `stop` asks them to end, `finished` waits.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    panicked: watch::Sender<bool>,
}

impl Tasks {
    pub fn new() -> Self {
        Tasks::default()
    }

    /// Tasks that end when these end, and may be told to end before.
    pub fn child(&self) -> Self {
        Tasks { stop: self.stop.child_token(), ..self.clone() }
    }

    /// Runs a task that watches `stopping` by itself and ends by returning.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let panicked = self.panicked.clone();
        self.tracker.spawn(async move {
            // Nothing that it changed is used again: whoever hears of it ends the process.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                panicked.send_replace(true);
            }
        });
    }

    /// Waits until one of these tasks, or of their children, has panicked. Cancel-safe.
    pub async fn panicked(&self) {
        let mut panicked = self.panicked.subscribe();
        panicked.wait_for(|panicked| *panicked).await.expect("this holds the sender");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_does_not_die_in_silence() {
        let tasks = Tasks::new();
        tasks.child().spawn(async { panic!("injected") });
        tasks.panicked().await;
        assert!(tasks.finished(Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn a_child_is_told_to_stop_alone_or_with_its_owner() {
        let tasks = Tasks::new();
        let (first, second) = (tasks.child(), tasks.child());
        first.stop();
        assert!(first.stopping().is_cancelled() && !second.stopping().is_cancelled());
        tasks.stop();
        assert!(second.stopping().is_cancelled());
    }
}
