//! A release, from a gate's word to what runs. The subject is the release, the key `<service>/<environment>` once it is placed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Verdict, sha256};

/// What is promoted: an artifact by digest, the configuration that goes with it, and the commit that it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// `<service>-<12 hex digits>` of all below but `order`.
    pub release: String,
    pub service: String,
    /// The artifact's digest in its OCI repository (of the manifest).
    pub digest: String,
    /// The OCI repository, with the registry's host.
    pub artifact: String,
    /// Digest of the service's table in the plan.
    pub configuration: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The commit's place in its branch (RFC 3339), for what must not overwrite something newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl Release {
    /// Names it by what it is made of.
    pub fn new(
        service: &str,
        artifact: &str,
        digest: &str,
        configuration: &str,
        commit: Option<&str>,
        order: Option<&str>,
    ) -> Self {
        let parts = [service, artifact, digest, configuration, commit.unwrap_or_default()].join("\n");
        let hex = sha256(parts.as_bytes());
        Release {
            release: format!("{service}-{}", &hex["sha256:".len()..][..12]),
            service: service.to_owned(),
            digest: digest.to_owned(),
            artifact: artifact.to_owned(),
            configuration: configuration.to_owned(),
            commit: commit.map(str::to_owned),
            order: order.map(str::to_owned),
        }
    }

    /// `<artifact>@<digest>`: what a deployment asks for.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.artifact, self.digest)
    }
}

/// Content of `PLACEMENT_DECIDED`: where a release goes, and why there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    /// `tidegate`: functions on this runtime.
    pub target: String,
    pub pool: String,
    /// The function that becomes the release.
    pub function: String,
    pub profile: String,
    pub reason: String,
    /// The event by which the gate passed it.
    pub gate: String,
}

/// The rule of a release whose deployment was refused: the problems are the reason.
pub const DEPLOYMENT_REFUSED: &str = "deployment-refused";

/// Content of `RELEASE_REFUSED`: a release that goes no further in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRefused {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    #[serde(flatten)]
    pub refused: Verdict,
}

/// Content of `DEPLOYMENT_REQUESTED`: the subject is the function, and so is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    pub function: String,
    /// `<repository>@sha256:<digest>`
    pub component: String,
    /// Keys of the function's configuration that it sets, over those of the project file; none: those that are set already.
    /// `deploy` and `rollback` always say them, so that going back to a release brings its configuration back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    Promotion,
    Rollback,
    /// What ran was not what should.
    Heal,
    /// A person asked for it, from the record.
    Redeploy,
}

/// Content of `DEPLOYMENT_ACTIVATED` and `DEPLOYMENT_REPORTED`: what runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activated {
    pub number: u64,
    pub functions: Vec<Running>,
    /// `project-file`, `operator`, `rollback` or `event`.
    #[serde(default)]
    pub cause: String,
    /// The person or token, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The request that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Requested>,
    /// Its own position in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub name: String,
    /// Digest of the bytes that run.
    pub component: String,
    /// Where they came from: `<repository>@<digest>`, `builtin:NAME` or a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The release that it was pinned to, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// Content of `DEPLOYMENT_REFUSED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub request: Requested,
    pub problems: Vec<String>,
}

/// What is added to `SERVICE_DEPLOYED`, `SERVICE_UPGRADED` and `SERVICE_ROLLEDBACK`. The subject is the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceChanged {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    pub function: String,
    /// Digest of the bytes that run: what statistics are counted by.
    pub component: String,
    pub deployment: u64,
    pub purpose: Purpose,
    /// The release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// Content of `VERIFICATION_DUE`, `RELEASE_VERIFIED`, `RELEASE_FAILED` and `RELEASE_INSUFFICIENT`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    pub function: String,
    pub component: String,
    pub deployment: u64,
    /// Counts the looks: 1 for the first.
    pub look: u32,
    /// RFC 3339: when the release was activated.
    pub since: String,
    /// The log's position from which on what ran counts.
    pub from: u64,
    /// Milliseconds from the activation to the last look, by the policy: a fault is found no later while the runtime runs.
    pub detection_millis_max: u64,
    /// What was seen; none before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_millis: Option<f64>,
    /// The log's position at which this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The key space of quarantined digests, which `rollback` writes: the digest is the key, and is gone once it is cleared.
pub const QUARANTINE: &str = "quarantine";

/// Content of `DIGEST_QUARANTINED`, and the value of the digest in key space `quarantine`. The subject is the digest, and so
/// is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    pub digest: String,
    pub environment: String,
    pub release: String,
    pub service: String,
    pub reason: String,
    /// The function or person who says so.
    pub by: String,
}

/// Content of `DIGEST_CLEARED`: the digest is in quarantine no more. The subject is the digest, and so is the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    pub digest: String,
    /// Who lifted the quarantine and why, as the lift says.
    pub by: String,
    pub reason: String,
    /// The event that lifted it, and the origin that counted, `<kind>:<name>`.
    pub lift: String,
    pub origin: String,
}

/// Content of `QUARANTINE_LIFTED`. The subject is the digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantineLifted {
    pub digest: String,
    pub by: String,
    pub reason: String,
}

/// Content of `RELEASE_REQUESTED`. The subject is the release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRequested {
    pub release: String,
    pub environment: String,
    pub by: String,
    #[serde(default)]
    pub reason: String,
}

/// Content of `DRIFT_DETECTED` and `DRIFT_RESOLVED`, and what is added to an `INCIDENT_DETECTED` of drift. The subject is the
/// function, and so is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftDetected {
    pub function: String,
    pub environment: String,
    pub service: String,
    /// The release and the bytes that should run.
    pub release: String,
    pub should: String,
    /// The bytes that do run; none: the function is not deployed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    pub deployment: u64,
    /// What made them run: a cause, and who.
    pub cause: String,
    /// What is done about it.
    pub action: DriftAction,
    /// Why nothing is, where the policy says that it be healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftAction {
    /// What should run is asked for.
    Heal,
    Report,
    /// An incident is opened.
    Incident,
}
