//! The path from commit to production, as the log tells it: why something did not go on, releases, drift.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::EventRef;
use crate::clock::Timestamp;

/// `GET /why?of=TEXT&in=ENVIRONMENT`: where a commit, a digest or a release stands in an environment, and what holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyView {
    /// What was asked for, whole.
    pub of: String,
    pub environment: String,
    pub state: WhyState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Of what runs there: when it was verified there, if no look since found it failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Timestamp>,
    /// The one thing in the way. Absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<WhyCause>,
    /// What led to where it stands, the oldest first, without what was overtaken since.
    pub chain: Vec<WhyStep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyState {
    /// It runs there; a cause says why it is not verified.
    Released,
    /// It ran there; another release does now.
    Replaced,
    /// A rule holds it back.
    Held,
    /// Something failed that should have brought it on.
    Failed,
    /// It is on its way: something runs, is tried again, or is awaited.
    Waiting,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyCause {
    /// A rule's name, like `missing-evidence`; or what else is the matter, like `dead-letter`, `retrying`, `running`,
    /// `task-waiting`, `verifying`.
    pub rule: String,
    pub reason: String,
    /// What to do about it.
    pub clear: String,
    pub since: Timestamp,
    /// The event that says so.
    pub event: EventRef,
    /// The function that said so, or at which it hangs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The environment where it is so, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What the rule saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The event that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EventRef>,
    /// When it is looked at again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// What is in the way in another environment, where this one waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Box<WhyCause>>,
}

/// One event on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyStep {
    pub at: Timestamp,
    pub event: EventRef,
    /// Who said it, like `function gate-staging`.
    pub by: String,
    /// The word of the catalogue, like `gate.passed`.
    pub word: String,
    /// Its rule, outcome or result, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether it was said by one who may say it; else it has no effect.
    pub counts: bool,
}

/// `GET /releases`: one release that a gate judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseView {
    pub release: String,
    pub service: String,
    pub digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When a gate first judged it.
    pub since: Timestamp,
    /// By environment.
    pub environments: BTreeMap<String, StandingView>,
    /// Whether its digest is in quarantine.
    pub quarantined: bool,
}

/// Where a release stands in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingView {
    pub standing: Standing,
    pub since: Timestamp,
    pub event: EventRef,
    /// The rule, where one holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Blocked,
    Passed,
    Refused,
    Deploying,
    /// It runs, and nobody has said yet what it is worth.
    Running,
    Verified,
    /// It runs, and was used too little to say what it is worth.
    Unproven,
    /// It failed, and something else is to run.
    Failed,
    /// It should run, and something does that nobody released.
    Drifted,
    /// Another release of the service runs.
    Replaced,
}

/// Body of `POST /releases/{release}/redeploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedeployRequest {
    pub environment: String,
    #[serde(default)]
    pub reason: String,
}

/// Body of `POST /quarantine/{digest}/lift`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    pub reason: String,
}

/// `GET /drift`: one function that a release was deployed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftView {
    pub function: String,
    pub environment: String,
    pub release: String,
    /// Digest of the bytes that should run.
    pub should: String,
    /// Of those that do; absent where the function is not deployed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    pub drifted: bool,
    /// Since what runs was activated, and by what.
    pub since: Timestamp,
    pub cause: String,
}
