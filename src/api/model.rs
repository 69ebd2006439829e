//! The JSON of every answer: what the server writes and the command line reads. Keys are stable; new ones may come.
//!
//! Absent facts are left out. Times are RFC 3339 in UTC with microseconds, durations are whole microseconds. Nothing here
//! decides or fetches.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bus::DeadLetterState;
use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId, Grants};
use crate::event::{Event, JsonError, Origin, Position};
use crate::filter::Clause;
use crate::outcome::Failure;

/// A list, and the last position of the log when it was read. `GET /events`, `/invocations`, `/functions`,
/// `/deployments`, `/dlq` and `/types` answer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing<T> {
    pub position: Position,
    pub items: Vec<T>,
}

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
    /// Until when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliverat: Option<Timestamp>,
    /// Functions whose filter it passed.
    pub functions: Vec<TraceRun>,
    /// Events that it led to, by position, waiting ones last.
    pub children: Vec<TraceNode>,
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
    /// Of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settledat: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Where an (event, function) stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VerdictView {
    /// No deployment that judged the event had the function.
    NotDeployed,
    /// The function starts to read the log after the event.
    BeforeStart,
    /// The function has not come to the event: how many events of its types stand before it.
    WaitingBacklog {
        events_before: u64,
    },
    /// It waits for a free place.
    WaitingReady,
    /// Held back by an earlier event of the same order key.
    WaitingBehind {
        position: Position,
    },
    /// By which clause, and the value that it saw.
    Filtered {
        clause: String,
        value: String,
    },
    /// The filter could not be evaluated: never taken for "false".
    FilterFailed {
        clause: String,
        reason: String,
    },
    Running {
        attempt: u32,
    },
    /// Attempt `attempt` is due at `at`.
    Retrying {
        attempt: u32,
        at: Timestamp,
    },
    Delivered,
    DeadLettered,
    /// Put back at `at`, and not run since.
    Redriven {
        at: Timestamp,
    },
    /// Given up by a person, by the name of the token.
    Dropped {
        by: String,
        at: Timestamp,
    },
}

impl VerdictView {
    /// Whether nothing more will happen by itself.
    pub fn is_final(&self) -> bool {
        match self {
            VerdictView::NotDeployed
            | VerdictView::BeforeStart
            | VerdictView::Filtered { .. }
            | VerdictView::FilterFailed { .. }
            | VerdictView::Delivered
            | VerdictView::DeadLettered
            | VerdictView::Dropped { .. } => true,
            VerdictView::WaitingBacklog { .. }
            | VerdictView::WaitingReady
            | VerdictView::WaitingBehind { .. }
            | VerdictView::Running { .. }
            | VerdictView::Retrying { .. }
            | VerdictView::Redriven { .. } => false,
        }
    }
}

impl fmt::Display for VerdictView {
    /// The verdict in words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerdictView::NotDeployed => f.write_str("not deployed"),
            VerdictView::BeforeStart => f.write_str("before start"),
            VerdictView::WaitingBacklog { events_before: 1 } => f.write_str("waiting: 1 event before it"),
            VerdictView::WaitingBacklog { events_before } => write!(f, "waiting: {events_before} events before it"),
            VerdictView::WaitingReady => f.write_str("waiting for a free place"),
            VerdictView::WaitingBehind { position } => write!(f, "waiting behind #{position}"),
            VerdictView::Filtered { clause, value } => write!(f, "filtered by {clause} (saw {value})"),
            VerdictView::FilterFailed { clause, reason } => write!(f, "filter failed at {clause}: {reason}"),
            VerdictView::Running { attempt } => write!(f, "running attempt {attempt}"),
            VerdictView::Retrying { attempt, at } => write!(f, "retrying: attempt {attempt} at {at}"),
            VerdictView::Delivered => f.write_str("delivered"),
            VerdictView::DeadLettered => f.write_str("dead-lettered"),
            VerdictView::Redriven { at } => write!(f, "redriven at {at}"),
            VerdictView::Dropped { by, at } => write!(f, "dropped by {by} at {at}"),
        }
    }
}

/// `GET /events/{id}/explain`: the verdict of every function there ever was on one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplanationView {
    pub event: EventView,
    /// Whether every verdict is final.
    pub settled: bool,
    /// Functions of the active deployment first, by name.
    pub functions: Vec<FunctionExplanation>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionExplanation {
    pub function: String,
    pub function_id: FunctionId,
    pub verdict: VerdictView,
    /// The deployment that judged the event for the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
    /// Version of the filter language that the deployment was made with, where it is not this binary's: the filter may
    /// have said something else then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_language: Option<u32>,
    /// In the order in which they ran.
    pub attempts: Vec<InvocationView>,
    /// Events that it emitted for this one.
    pub emitted: Vec<EventRef>,
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
    /// The attempt that ended it.
    pub invocation: InvocationView,
    pub event: EventRef,
}

/// Body of `POST /dlq/redrive` and `POST /dlq/drop`: ids of dead letters, or all open ones, of one function or of all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LettersRequest {
    #[serde(default)]
    pub ids: Vec<String>,
    /// Every open dead letter, of `function` if that is set. Not together with `ids`.
    #[serde(default)]
    pub all: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersView {
    /// How many were put back or dropped.
    pub changed: u64,
}

/// `GET /functions`, `/functions/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionView {
    pub name: String,
    pub id: FunctionId,
    /// Whether the active deployment has it. If not, the rest tells of the last one that had it.
    pub deployed: bool,
    pub deployment: u64,
    pub component: ComponentView,
    /// Full types, each perhaps with a trailing `*`; none: every type.
    pub on: Vec<String>,
    /// Attribute to a pattern of its text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    pub grants: Grants,
    pub concurrency: u32,
    /// At or below it and not pending means settled or filtered.
    pub cursor: Position,
    /// Events of its types past its cursor.
    pub lag: u64,
    /// Events at or below its cursor that are not settled.
    pub pending: u64,
    /// Invocations in flight in the process that answers.
    pub running: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Timestamp>,
    pub delivered: u64,
    pub failed_attempts: u64,
    pub dead_letters: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentView {
    /// `builtin:NAME` or a path.
    pub reference: String,
    pub digest: Digest,
}

/// `GET /deployments`, `/deployments/{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentView {
    pub number: u64,
    pub active: bool,
    pub at: Timestamp,
    /// Its record in the log.
    pub position: Position,
    pub cause: CauseView,
    pub digest: Digest,
    /// Name to component.
    pub functions: BTreeMap<String, ComponentView>,
    /// One line each, like `webhook /hooks/github`.
    pub triggers: Vec<String>,
}

/// Who or what activated a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum CauseView {
    /// `up` read the project file.
    ProjectFile,
    /// A person deployed a project's folder, by the token's name.
    Operator { name: String },
    /// A person activated deployment `to` again.
    Rollback { to: u64, by: String },
    /// An event asked for it.
    Event { position: Position },
}

impl fmt::Display for CauseView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CauseView::ProjectFile => f.write_str("project file"),
            CauseView::Operator { name } => write!(f, "operator {name}"),
            CauseView::Rollback { to, by } => write!(f, "rollback to {to} by {by}"),
            CauseView::Event { position } => write!(f, "event #{position}"),
        }
    }
}

/// Body of `POST /deployments`: a project's folder. Paths are relative with `/`, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectUpload {
    /// Path to the file's bytes in base64 (standard alphabet, padded). `tidegate.toml` must be among them.
    pub files: BTreeMap<String, String>,
}

/// What `POST /deployments` and `POST /deployments/{n}/rollback` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedView {
    /// The active deployment.
    pub number: u64,
    /// False: the running one already had this digest, and nothing was appended.
    pub changed: bool,
    /// Warnings.
    pub problems: Vec<ProblemView>,
}

/// `GET /types`: an event type of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeView {
    /// Short name, like `scan.completed`.
    pub name: String,
    /// Full type.
    #[serde(rename = "type")]
    pub ty: String,
    pub about: String,
    /// A whole event in CloudEvents JSON.
    pub sample: Value,
    /// What a filter can read of it, like `data.subject.id`, with the sample's value.
    pub paths: BTreeMap<String, Value>,
}

/// `tidegate filter`: every clause with the value that it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterReport {
    pub verdict: FilterVerdictView,
    pub clauses: Vec<ClauseView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FilterVerdictView {
    Pass,
    Filtered { clause: String, value: String },
    FilterFailed { clause: String, reason: String },
}

impl From<crate::filter::Verdict> for FilterVerdictView {
    fn from(verdict: crate::filter::Verdict) -> Self {
        match verdict {
            crate::filter::Verdict::Pass => FilterVerdictView::Pass,
            crate::filter::Verdict::Filtered { clause, saw } => FilterVerdictView::Filtered { clause, value: saw },
            crate::filter::Verdict::Failed { clause, reason } => FilterVerdictView::FilterFailed { clause, reason },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseView {
    pub clause: String,
    pub value: String,
    /// Absent: not evaluated, or it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<Clause> for ClauseView {
    fn from(clause: Clause) -> Self {
        ClauseView { clause: clause.clause, value: clause.saw, holds: clause.holds, error: clause.error }
    }
}

/// What is wrong with a project file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    pub severity: SeverityView,
    /// Like `function[0].when`.
    pub key: String,
    /// From 1; absent where the problem has no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeverityView {
    Warning,
    Error,
}

impl From<crate::deployment::Problem> for ProblemView {
    fn from(problem: crate::deployment::Problem) -> Self {
        ProblemView {
            severity: match problem.severity {
                crate::deployment::Severity::Warning => SeverityView::Warning,
                crate::deployment::Severity::Error => SeverityView::Error,
            },
            key: problem.key,
            line: (problem.line > 0).then_some(problem.line),
            message: problem.message,
        }
    }
}

/// `GET /healthz` (alive) and `GET /readyz` (takes events; 503 with the reason where not).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    pub ok: bool,
    pub project: String,
    pub version: String,
    /// The active deployment; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of every answer from 400 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    pub error: ErrorDetail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// Stable, like `not-found`; `api::error` has them all.
    pub code: String,
    /// Lower case; names the thing and the next step.
    pub message: String,
    /// Which event of a batch, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Events that an ambiguous or unknown id may have meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<EventRef>,
    /// What is wrong with an uploaded project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemView>,
}
