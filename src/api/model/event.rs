//! Events as the log has them, and the tree that they hang in.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::VerdictView;
use crate::clock::Timestamp;
use crate::deployment::Digest;
use crate::event::{Event, JsonError, Origin, OriginKind, Position};
use crate::outcome::Failure;

/// An event in the log. Read it from text or bytes, not from a `serde_json::Value`: the event's own JSON is kept as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventView {
    pub position: Position,
    pub acceptedat: Timestamp,
    pub origin: Origin,
    pub hops: u32,
    /// The event in the JSON format of CloudEvents 1.0.
    pub event: Box<RawValue>,
}

impl EventView {
    pub fn parse(&self) -> Result<Event, JsonError> {
        crate::event::from_json(self.event.get().as_bytes())
    }
}

/// What `POST /events` and a webhook answer with 202: the events are durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReceiptsView {
    /// Ids in the order of the request; for a duplicate, the first one's.
    pub ids: Vec<String>,
    /// Whether every event was here before.
    pub duplicate: bool,
    pub receipts: Vec<ReceiptView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptView {
    pub id: String,
    /// Absent for an event that waits for its `deliverat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    pub duplicate: bool,
}

/// `GET /events/{id}/trace`: the causal tree that an event stands in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceView {
    /// The id of the chain's first event.
    pub correlation: String,
    /// Whether nothing in the chain waits, runs or is tried again.
    pub settled: bool,
    /// Whether the chain has more events than are shown.
    pub truncated: bool,
    /// Events of the chain whose cause is not in it: one, the first, unless the log no longer has it.
    pub roots: Vec<TraceNode>,
}

/// One event of a chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceNode {
    pub id: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Absent while the event waits for its `deliverat`; so are `acceptedat` and `origin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptedat: Option<Timestamp>,
    /// For an emitted event: the function that emitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Of a live replay: the id of the event that it says again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayof: Option<String>,
    /// Until when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliverat: Option<Timestamp>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Functions whose filter it passed.
    pub functions: Vec<TraceRun>,
    /// Events that it led to, by position, waiting ones last.
    pub children: Vec<TraceNode>,
}

impl TraceNode {
    /// Whether `run`, of the event above it, emitted it. A live replay has the origin of what it says again.
    pub fn is_by(&self, run: &TraceRun) -> bool {
        let by = self.origin.as_ref().filter(|origin| origin.kind == OriginKind::Function && self.replayof.is_none());
        by.is_some_and(|origin| origin.name == run.function)
    }
}

/// What became of one event at one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceRun {
    pub function: String,
    pub verdict: VerdictView,
    /// Attempts that were recorded, over all rounds.
    pub attempts: u32,
    /// Of all attempts together.
    pub duration_micros: u64,
    /// From when the event was accepted until the first attempt started; absent: none was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_micros: Option<u64>,
    /// Between one attempt and the next, all together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub between_micros: u64,
    /// Of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settledat: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// In the order in which they ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran: Vec<TraceAttempt>,
}

fn is_zero(micros: &u64) -> bool {
    *micros == 0
}

/// One attempt, in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceAttempt {
    /// `POSITION.FUNCTION-NAME.ROUND.ATTEMPT`.
    pub id: String,
    /// So long before it was settled as it ran: what it waited for its commit stands before it.
    pub startedat: Timestamp,
    pub settledat: Timestamp,
    pub deployment: u64,
    pub component: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// An event by what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    pub id: String,
    #[serde(rename = "type")]
    pub ty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Absent while it waits for its `deliverat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}
