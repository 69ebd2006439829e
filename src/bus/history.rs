//! What can be asked of the log: it never changes anything.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BusError, Cause, RecordingBytes, RefusalQuery, Refusals, Statistics, StatisticsQuery, Storage};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest, FunctionId};
use crate::event::{Accepted, Event, Position};
use crate::outcome::Failure;

/// Dead letters that are gone through for one.
const DEAD_LETTERS_SEARCHED_MAX: usize = 1_000_000;

/// What the `dataref` of an event begins with whose own data cannot be read: then the blob's digest.
pub const UNREAD_PLACE: &str = "blob:";

/// Reads. Answers are true at some position at or after the last one that the caller was told of.
#[async_trait]
pub trait History: Send + Sync {
    /// The last position; 0 for an empty log.
    async fn tail(&self) -> Result<Position, BusError>;

    /// The event at a position, whole.
    async fn event_at(&self, position: Position) -> Result<Option<Accepted>, BusError>;

    /// Whether an event with this id and source is in the log, or was and is remembered.
    async fn has(&self, id: &str, source: &str) -> Result<bool, BusError>;

    /// Events whose id, or a text that the event is known by (commit, digest, delivery id), starts with `text`; at
    /// most `max`, newest first.
    async fn find(&self, text: &str, max: usize) -> Result<Vec<Outline>, BusError>;

    /// Events in order, whole, as many as fit.
    async fn events(&self, query: EventQuery) -> Result<EventPage, BusError>;

    /// Every event of a chain that is in the log, by position, at most `max`; and those of it that still wait for
    /// their `deliverat`.
    async fn chain(&self, correlation: &str, max: usize) -> Result<Chain, BusError>;

    /// Every recorded attempt on an event, by function, round and attempt.
    async fn attempts(&self, position: Position) -> Result<Vec<Invocation>, BusError>;

    /// Newest first.
    async fn invocations(&self, query: InvocationQuery) -> Result<Vec<Invocation>, BusError>;

    async fn invocation(&self, id: &InvocationId) -> Result<Option<Invocation>, BusError>;

    async fn recording(&self, id: &InvocationId) -> Result<Option<RecordingBytes>, BusError>;

    /// Recorded attempts of one function with their events, in log order: page by page, as many as fit.
    async fn recorded(&self, query: RecordedQuery) -> Result<RecordedPage, BusError>;

    /// Where each (event, function) that is not settled stands, for one event.
    async fn pending(&self, position: Position) -> Result<Vec<(FunctionId, PendingState)>, BusError>;

    /// For which functions an event was superseded.
    async fn superseded(&self, position: Position) -> Result<Vec<Superseded>, BusError>;

    /// Final settlements of one component of a function on the events of a window: none is left out that was committed
    /// before this was asked, and none counts twice.
    async fn statistics(&self, query: StatisticsQuery) -> Result<Statistics, BusError>;

    /// Newest first. Resolved ones are listed until their rule of retention says otherwise.
    async fn dead_letters(&self, function: Option<FunctionId>, max: usize) -> Result<Vec<DeadLetter>, BusError>;

    /// Open dead letters that follow `after`, of one function or of all: function by function, each in log order; at most
    /// `max`. Their events are not read.
    async fn open_letters(
        &self,
        function: Option<FunctionId>,
        after: Option<(FunctionId, Position)>,
        max: usize,
    ) -> Result<Vec<OpenLetter>, BusError>;

    /// The dead letter of one event for one function, of the highest round that has one. A log with an index over them
    /// answers it by that.
    async fn dead_letter(&self, function: FunctionId, position: Position) -> Result<Option<DeadLetter>, BusError> {
        let letters = self.dead_letters(Some(function), DEAD_LETTERS_SEARCHED_MAX).await?;
        let own = letters.into_iter().filter(|letter| letter.event.position == position);
        Ok(own.max_by_key(|letter| letter.invocation.id.round))
    }

    async fn deployments(&self) -> Result<Vec<StoredDeployment>, BusError>;

    /// Which deployment judged which positions for a function, by position.
    async fn judged(&self, function: FunctionId) -> Result<Vec<JudgedRange>, BusError>;

    async fn functions(&self) -> Result<Vec<FunctionStatus>, BusError>;

    /// What came and was not taken in.
    async fn refusals(&self, query: RefusalQuery) -> Result<Refusals, BusError>;

    /// How large the log is, how much of it was removed, and what holds the rest.
    async fn storage(&self) -> Result<Storage, BusError>;
}

#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// A type pattern; none: all.
    pub ty: Option<crate::filter::TypePattern>,
    pub since: Option<Timestamp>,
    pub after: Option<Position>,
    pub before: Option<Position>,
    pub max: usize,
    /// Of all events together, about; the first one may be larger by itself. None: as many bytes as there are.
    pub bytes_max: Option<usize>,
    /// Newest first, or in log order.
    pub newest_first: bool,
}

#[derive(Debug, Clone, Default)]
pub struct InvocationQuery {
    pub function: Option<FunctionId>,
    pub failed_only: bool,
    /// Only those with a lower `Invocation::sequence`.
    pub before: Option<u64>,
    pub max: usize,
}

#[derive(Debug, Clone)]
pub struct RecordedQuery {
    pub function: FunctionId,
    /// Of events accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Of events accepted before this time.
    pub until: Option<Timestamp>,
    /// Of events whose type matches; none: all.
    pub ty: Option<crate::filter::TypePattern>,
    pub failed_only: bool,
    /// Only those that come after this one: the next page.
    pub after: Option<InvocationId>,
    /// At most so many are looked at; more than 1,000 would hold the log's memory for too long.
    pub max: usize,
    /// Of all of them together, about; the first one may be larger by itself.
    pub bytes_max: usize,
}

/// An attempt of which something was recorded, and its event, whole.
#[derive(Debug, Clone)]
pub struct RecordedAttempt {
    pub invocation: Invocation,
    pub event: Accepted,
    pub recording: RecordingBytes,
}

/// What a `RecordedQuery` is answered.
#[derive(Debug, Clone, Default)]
pub struct RecordedPage {
    pub attempts: Vec<RecordedAttempt>,
    /// How many more there were among those looked at of which no recording was kept.
    pub unrecorded: u64,
    /// Where to go on; none: there is no more.
    pub next: Option<InvocationId>,
}

/// What an `EventQuery` is answered.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    pub events: Vec<Accepted>,
    /// Whether more were asked for than fit: they follow the last one.
    pub more: bool,
}

/// An event without its data, of which lists and trees are made. `History::event_at` has it whole.
#[derive(Debug, Clone)]
pub struct Outline(Accepted);

impl Outline {
    pub fn of(mut accepted: Accepted) -> Self {
        accepted.event.data = None;
        Outline(accepted)
    }
}

impl Deref for Outline {
    type Target = Accepted;

    fn deref(&self) -> &Accepted {
        &self.0
    }
}

/// A chain: all that followed from one event.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    pub events: Vec<Outline>,
    /// Stored, with no position yet: when, and what, without its data.
    pub waiting: Vec<(Timestamp, Event)>,
    /// Whether there were more than asked for.
    pub truncated: bool,
}

/// Names one attempt: `POSITION.FUNCTION-ID.ROUND.ATTEMPT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvocationId {
    pub position: Position,
    pub function: FunctionId,
    pub round: u32,
    pub attempt: u32,
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.position, self.function, self.round, self.attempt)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no invocation; it is POSITION.FUNCTION-ID.ROUND.ATTEMPT")]
pub struct InvocationIdError {
    text: String,
}

impl FromStr for InvocationId {
    type Err = InvocationIdError;

    fn from_str(text: &str) -> Result<Self, InvocationIdError> {
        let parse = || {
            let mut parts = text.split('.');
            let id = InvocationId {
                position: parts.next()?.parse().ok()?,
                function: FunctionId::from_uuid(parts.next()?.parse().ok()?),
                round: parts.next()?.parse().ok()?,
                attempt: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(id)
        };
        parse().ok_or_else(|| InvocationIdError { text: text.to_owned() })
    }
}

/// One attempt, as it was settled.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Counts settlements over all functions: what `InvocationQuery::before` means.
    pub sequence: u64,
    pub id: InvocationId,
    pub verdict: StoredVerdict,
    pub failure: Option<Failure>,
    pub settled_at: Timestamp,
    pub duration: Duration,
    pub deployment: u64,
    pub component: Digest,
    /// How many events it emitted.
    pub emitted: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredVerdict {
    Delivered,
    /// Failed, and tried again at this time.
    Retried(Timestamp),
    DeadLettered,
}

/// Why an (event, function) that passed the filter is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum PendingState {
    /// Not yet read by the function: how many events stand before it.
    Backlog {
        events_before: u64,
    },
    /// Ready, and waits for a free place.
    Ready,
    /// Held back by an earlier event of the same key.
    Behind {
        position: Position,
    },
    /// Held back until `at` by the function's rate: that of all its events, or of those that share `key`.
    Rate {
        key: Option<String>,
        at: Timestamp,
    },
    /// Held back until one of its key has ended: as many run as the function's limit lets.
    Limit {
        key: String,
    },
    Running {
        attempt: u32,
    },
    Retrying {
        attempt: u32,
        at: Timestamp,
    },
    /// Its data cannot be read, which is no fault of the function: it is read again at `at`, and no attempt is counted.
    Unreadable {
        at: Timestamp,
    },
}

/// That an event is not run for a function: `by` is a newer one of its source and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    pub function: FunctionId,
    pub by: Position,
    pub at: Timestamp,
    /// The active one then.
    pub deployment: u64,
}

#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub invocation: Invocation,
    pub event: Outline,
    pub state: DeadLetterState,
}

/// A dead letter that waits for somebody, and why it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLetter {
    pub function: FunctionId,
    pub position: Position,
    pub failure: Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum DeadLetterState {
    Open,
    Redriven { at: Timestamp },
    Dropped { at: Timestamp, by: String },
}

#[derive(Debug, Clone)]
pub struct StoredDeployment {
    pub deployment: Deployment,
    /// Its record in the log.
    pub position: Position,
    pub at: Timestamp,
    pub cause: Cause,
}

/// From `from` on (until the next range), `deployment` judged for the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedRange {
    pub from: Position,
    pub deployment: u64,
}

/// A function's cursor, and what it has done.
#[derive(Debug, Clone)]
pub struct FunctionStatus {
    pub function: FunctionId,
    /// At or below it and not pending means settled or filtered.
    pub position: Position,
    /// Events of its types past its cursor.
    pub lag: u64,
    pub pending: u64,
    pub oldest_waiting: Option<Timestamp>,
    pub delivered: u64,
    pub failed_attempts: u64,
    pub dead_letters_open: u64,
}
