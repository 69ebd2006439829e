//! The JSON of every answer: what the server writes and the command line reads. Keys are stable; new ones may come.
//!
//! Absent facts are left out. Times are RFC 3339 in UTC with microseconds, durations are whole microseconds. Nothing here
//! decides or fetches.

mod deployment;
mod event;
mod filter;
mod invocation;
mod path;
mod recorded;
mod refusal;
mod replay;
mod state;
mod storage;
mod verdict;
mod whynot;

use serde::{Deserialize, Serialize};

pub use deployment::{
    CauseView, ComponentView, DeployedView, DeploymentView, FunctionView, PinView, ProblemView, ProjectUpload,
    SeverityView,
};
pub use event::{EventRef, EventView, ReceiptView, ReceiptsView, TraceAttempt, TraceNode, TraceRun, TraceView};
pub use filter::{ClauseView, FilterReport, FilterVerdictView, TypeView};
pub use invocation::{DeadLetterView, EffectView, InvocationView, LettersRequest, LettersView, OutcomeView};
pub use path::{
    DriftView, LiftRequest, RedeployRequest, ReleaseView, Standing, StandingView, WhyCause, WhyState, WhyStep, WhyView,
};
pub use recorded::{MESSAGE_PACK, RecordedListing, RecordedView};
pub use refusal::RefusalView;
pub use replay::{RefusedReplay, ReplayCandidate, ReplayListing, ReplayedView, ReplaysRequest, ReplaysView};
pub use state::{KeyView, KeysView};
pub use storage::{FirstView, HeldByView, HeldView, StorageView};
pub use verdict::{EmittedView, ExplanationView, FunctionExplanation, TakenView, VerdictView};
pub use whynot::{EmitterView, LogLine, MissingView, SaidBy, StopView, WhyNotAnswer, WhyNotView};

use crate::event::Position;

/// A list, and the last position of the log when it was read. `GET /events`, `/refusals`, `/invocations`, `/functions`,
/// `/deployments`, `/dlq`, `/releases`, `/drift` and `/types` answer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing<T> {
    pub position: Position,
    pub items: Vec<T>,
    /// Whether there are more of those asked for than one answer holds, by count or by size; absent: no. `GET /events` goes
    /// on `after` the last or `before` the first, `/invocations` `before` the last, `/dlq` with a higher limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

impl<T> Listing<T> {
    /// All there is.
    pub fn whole(position: Position, items: Vec<T>) -> Self {
        Listing { position, items, more: false }
    }

    /// At most `max` of what was found, which has one more if there is more.
    pub fn first(position: Position, mut items: Vec<T>, max: usize) -> Self {
        let more = items.len() > max;
        items.truncate(max);
        Listing { position, items, more }
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

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// What was refused under an unknown id, newest first; else under the nearest ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalView>,
    /// What is wrong with an uploaded project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemView>,
}
