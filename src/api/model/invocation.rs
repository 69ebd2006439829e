//! Attempts, their effects, and what ended in a dead letter.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EventRef;
use crate::bus::DeadLetterState;
use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId};
use crate::event::Position;
use crate::outcome::Failure;

/// One attempt. `GET /invocations` and, with effects, `GET /invocations/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InvocationView {
    /// `POSITION.FUNCTION-NAME.ROUND.ATTEMPT`.
    pub id: String,
    /// Counts settlements over all functions; `before=SEQUENCE` asks for the ones before it.
    #[serde(default)]
    pub sequence: u64,
    pub position: Position,
    pub function: String,
    pub function_id: FunctionId,
    pub round: u32,
    pub attempt: u32,
    pub outcome: OutcomeView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    pub settledat: Timestamp,
    pub duration_micros: u64,
    pub deployment: u64,
    pub component: Digest,
    /// How many events it emitted.
    pub emitted: u32,
    /// What it asked of the host, in order; only where one invocation is shown and its recording is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Vec<EffectView>>,
    /// Why effects are missing although one invocation is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects_missing: Option<String>,
}

/// What was settled for an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OutcomeView {
    Delivered,
    /// Failed, and tried again at this time.
    Retried {
        at: Timestamp,
    },
    DeadLettered,
}

impl fmt::Display for OutcomeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutcomeView::Delivered => f.write_str("delivered"),
            OutcomeView::Retried { at } => write!(f, "failed, tried again at {at}"),
            OutcomeView::DeadLettered => f.write_str("dead-lettered"),
        }
    }
}

/// An effect and its answer. Bytes are shown as text where they are UTF-8, else as `{"base64": ".."}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectView {
    /// Like `key-get`.
    pub effect: String,
    pub arguments: Value,
    pub answer: Value,
}

/// `GET /dlq`, `/dlq/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// `POSITION.FUNCTION-NAME`: what `redrive` and `drop` take.
    pub id: String,
    #[serde(flatten)]
    pub state: DeadLetterState,
    pub function: String,
    /// Which error it is: the same for letters whose failures differ in numbers, ids and quoted text alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The attempt that ended it.
    pub invocation: InvocationView,
    pub event: EventRef,
}

/// Body of `POST /dlq/redrive` and `POST /dlq/drop`: ids of dead letters, or all open ones, of one function or of all, or of
/// one error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LettersRequest {
    #[serde(default)]
    pub ids: Vec<String>,
    /// Every open dead letter, of `function` if that is set. Not together with `ids`.
    #[serde(default)]
    pub all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// With `all`: those of this error alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// With `all`: at most so many, function by function, those that came first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Of `redrive`: so many a second, evenly; absent: all at once, as quickly as their functions take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersView {
    /// How many were put back or dropped.
    pub changed: u64,
}
