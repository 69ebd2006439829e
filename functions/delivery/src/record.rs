//! What `deploy` keeps in key space `releases`, for whoever may read it:
//!
//! | key | value |
//! | --- | --- |
//! | `release/<release>` | [`Record`]: what a release is, and how far it came in each environment |
//! | `desired/<service>/<environment>` | [`Desired`]: what runs there, what is asked for, what waits |

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Purpose, Release, Target, Verdict};

/// The key space.
pub const SPACE: &str = "releases";

pub fn release_key(release: &str) -> String {
    format!("release/{release}")
}

pub fn desired_key(service: &str, environment: &str) -> String {
    format!("desired/{}", place(service, environment))
}

/// `<service>/<environment>`: the partition key of what is said of a release once it is placed.
pub fn place(service: &str, environment: &str) -> String {
    format!("{service}/{environment}")
}

/// All that is known of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub release: Release,
    /// By environment.
    pub environments: BTreeMap<String, Progress>,
}

/// How far a release came in an environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: Stage,
    /// The last time that it came to each stage.
    pub steps: BTreeMap<Stage, Step>,
    /// Where it goes, as the plan said when it was placed; none: the plan did not take it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The event by which the gate passed it; its evidence is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// Why it goes no further, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    #[default]
    Placed,
    /// Behind a deployment of the same service that is under way.
    Waiting,
    Requested,
    Deployed,
    Verified,
    Failed,
    /// Nobody can say what it is worth: it was used too little.
    Insufficient,
    Refused,
}

/// The event that brought a release to a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub event: String,
    /// RFC 3339, as that event says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The deployment that it is about, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
}

/// Where a service stands in an environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Desired {
    /// By the last activation that answered a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Current>,
    /// Asked for by `deploy`, and not answered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// What is asked for when that is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Asked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Current {
    #[serde(flatten)]
    pub release: Release,
    pub function: String,
    /// Digest of the bytes that run.
    pub component: String,
    pub deployment: u64,
    pub purpose: Purpose,
    /// RFC 3339: when it was activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    #[serde(flatten)]
    pub release: Release,
    pub purpose: Purpose,
    /// The event that led to it.
    pub event: String,
}
