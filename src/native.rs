//! The seam for functions that the runtime implements itself: `component = "native:NAME"`.
//!
//! A native is a function like any other: it is delivered to, filtered, retried, settled and explained. Only what handles
//! the event differs. It has no instance, no keys and no journal; what it returns is stamped and held against its
//! function's grants as if a guest had returned it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

use crate::bus::Delivery;
use crate::deployment::NativeKind;
use crate::event::Event;
use crate::outcome::Failure;

/// A fault of ours: no outcome, no attempt.
pub type Fault = Box<dyn Error + Send + Sync>;

/// What a native answers that ended its work because the process stops: no fault, and nothing to tell. The event is delivered
/// again at the next start.
#[derive(Debug, thiserror::Error)]
#[error("the process stops")]
pub struct Stopping;

#[async_trait]
pub trait Native: Send + Sync {
    /// Handles one delivery: the events to emit, or why the attempt failed. It may run again for the same delivery, after a
    /// crash too, and is dropped at its function's time limit.
    async fn handle(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault>;
}

/// The natives of a process, one for each kind.
pub struct Natives {
    pub process: Arc<dyn Native>,
    pub reconcile: Arc<dyn Native>,
}

impl Natives {
    pub fn get(&self, kind: NativeKind) -> &dyn Native {
        match kind {
            NativeKind::Process => &*self.process,
            NativeKind::Reconcile => &*self.reconcile,
        }
    }
}
