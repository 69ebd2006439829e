//! The bus: the durable, ordered log of events, the cursors on it, and `settle`; beside it `History`, which reads.
//!
//! The traits speak of outcomes and positions, never of SQL or subjects. Both implementations make a settlement at ONE
//! atomic point. `conformance` says in tests what the traits mean, and `reference` is what they mean, for tests.

mod activation;
#[cfg(test)]
mod conformance;
pub mod embedded;
#[cfg(test)]
pub(crate) mod faulty;
mod history;
#[cfg(test)]
pub(crate) mod reference;
mod refusal;
mod settlement;
mod statistics;
mod storage;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use activation::{ACTIVATED, what_runs};
pub use history::{
    Chain, DeadLetter, DeadLetterState, EventPage, EventQuery, FunctionStatus, History, Invocation, InvocationId,
    InvocationIdError, InvocationQuery, JudgedRange, OpenLetter, Outline, PendingState, RecordedAttempt, RecordedPage,
    RecordedQuery, StoredDeployment, StoredVerdict, Superseded, UNREAD_PLACE,
};
pub use refusal::{
    IdQuery, NAMED_MAX, Named, REFUSALS_BYTES_MAX, REFUSALS_MAX, Refusal, RefusalQuery, Refusals, Shown,
};
pub use settlement::{KeyRead, KeyWrite, ReadScope, Revision, Settled, Settlement, Versioned};
pub use statistics::{Bucket, Statistics, StatisticsQuery};
pub use storage::{HELD_COUNTED_MAX, HeldBack, HeldBy, Storage};

use crate::clock::Timestamp;
use crate::deployment::{DeployedFunction, Deployment, FunctionId};
use crate::event::{Accepted, CHAIN_EVENTS_MAX, Event, Origin, Position, Replay};

/// Writes and delivers.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Accepts a batch in one commit, all or none. When it returns, the events are durable.
    async fn publish(&self, batch: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError>;

    /// Accepts live replays in one commit, all or none. One that is there already stays, and its receipt says so. Nothing
    /// else that claims to be of a live replay is accepted.
    async fn replay(&self, batch: Vec<Replay>) -> Result<Vec<Receipt>, PublishError>;

    /// The deliveries of one function, as its order, its rate and its limit let them come. One subscription a function: it
    /// follows the function through all deployments, also those that are without it, and ends when the bus closes.
    fn subscribe(&self, function: FunctionId) -> Box<dyn Subscription>;

    /// Commits all that an invocation did. `Settled::Conflict` gives the delivery back to run again at once.
    async fn settle(&self, delivery: Delivery, settlement: Settlement) -> Result<Settled, SettleError>;

    /// The committed value of a key.
    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError>;

    /// Committed keys of a space after `after`, in order, at most `max`; the revision is the whole space's.
    async fn list_keys(
        &self,
        space: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Revision, Vec<String>), BusError>;

    /// Appends a deployment and makes it active by a record in the log, if `expected` is still the running number.
    async fn activate(&self, deployment: Deployment, expected: u64, cause: Cause) -> Result<u64, ActivateError>;

    /// The active deployment, and each that follows.
    fn active(&self) -> tokio::sync::watch::Receiver<Option<Arc<Deployment>>>;

    /// Puts open dead letters back for their functions, one round higher, each to run when it is due; those that are due
    /// come in log order. Answers how many it put back.
    async fn redrive(&self, letters: Vec<PutBack>) -> Result<u64, BusError>;

    /// Gives dead letters up: the verdict is `dropped (by whom)`.
    async fn drop_letters(&self, letters: Vec<(FunctionId, Position)>, by: &str) -> Result<u64, BusError>;

    /// Keeps that something was refused, for whoever looks for it: at once, and only if there is time and room for it.
    fn keep_refusal(&self, refusal: Refusal);

    /// Counts commits: whoever waits for something to settle waits for it to change.
    fn commits(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Stops deliveries, writes cursors and checkpoints. What is in flight is delivered again at the next start.
    async fn close(&self) -> Result<(), BusError>;
}

/// Pulls the deliveries of one function.
#[async_trait]
pub trait Subscription: Send {
    /// The next delivery; while the active deployment is without the function, it waits. `None` when the bus closes.
    /// Cancel-safe.
    async fn next(&mut self) -> Option<Delivery>;
}

/// An event at the door: checked, not yet in the log.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub event: Event,
    pub origin: Origin,
}

/// A dead letter that is to run again, at `due` or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutBack {
    pub function: FunctionId,
    pub position: Position,
    pub due: Timestamp,
}

/// What the sender is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub id: String,
    /// None for an event that waits for its `deliverat`: it gets its position then.
    pub position: Option<Position>,
    /// Whether it was here before; then the rest tells of the first.
    pub duplicate: bool,
}

/// Who or what activated a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// `up` read the project file.
    ProjectFile,
    /// A person deployed a project's folder, by the named token.
    Operator(String),
    /// A person activated deployment `to` again, by the named token. `verified`: as that one was.
    Rollback {
        to: u64,
        by: String,
        #[serde(default = "verified")]
        verified: bool,
    },
    /// An event asked for it.
    Event(Position),
}

/// Of rollbacks from before it was kept: nothing was unverified then.
fn verified() -> bool {
    true
}

/// One event for one function. Dropped without being settled, it is delivered again.
pub struct Delivery {
    pub event: Arc<Accepted>,
    pub function: DeployedFunction,
    /// 1 for the first.
    pub attempt: u32,
    /// 0, and one more for each redrive.
    pub round: u32,
    /// When the first attempt started: every attempt's wall clock starts there, so that a retry builds the same request.
    pub first_attempt_at: Timestamp,
    /// How often a process died while this ran. From the second on it runs alone.
    pub lost: u32,
    /// Gives the delivery back to its bus when it is dropped.
    pub(crate) guard: Box<dyn std::any::Any + Send + Sync>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("position", &self.event.position)
            .field("function", &self.function.name)
            .field("attempt", &self.attempt)
            .field("round", &self.round)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the disk is full; nothing was accepted")]
    Full,
    #[error(
        "the log has as many bytes as bus.disk_max lets it have; nothing was accepted; `tidegate functions` tells what holds them"
    )]
    AtMax,
    #[error("the bus is closed")]
    Closed,
    #[error("the log failed ({reason}); what was accepted is on disk and is taken up at the next start")]
    Failed { reason: String },
    #[error("cannot {what}")]
    Store {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(
        "event {index} of the batch has the id and source of another event whose content differs; give it an id of its own"
    )]
    ContentDiffers { index: usize },
    #[error("event {index}: {reason}")]
    Refused { index: usize, reason: String },
    #[error("too much is waiting to be written; try again in {retry_after_seconds} s")]
    Busy { retry_after_seconds: u64 },
    #[error(
        "function {function} has {events} events before it, and takes no more from {events_max} on (backlog_max); try \
         again in {retry_after_seconds} s"
    )]
    Backlog { function: String, events: u64, events_max: u64, retry_after_seconds: u64 },
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Why a live replay is refused where its chain has no room for it.
fn chain_is_full(chain: &str) -> String {
    format!("chain {chain} has {CHAIN_EVENTS_MAX} events; no more can be added to it")
}

#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The chain is at its limit: the outcome fails as a whole.
    #[error("chain {correlation} has {events_max} events; nothing more can be emitted in it")]
    ChainTooLong { correlation: String, events_max: u64, delivery: Delivery },
    #[error(transparent)]
    Bus(#[from] BusError),
}

#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    #[error("deployment {running} is active, not {expected}; look at it and try again")]
    Moved { running: u64, expected: u64 },
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The bytes of a recording, opaque to the bus.
pub type RecordingBytes = Bytes;
