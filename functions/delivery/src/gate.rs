//! What a gate says of a release for one environment. The subject is the release, the key the artifact's digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Release;

/// Content of `GATE_PASSED` and `GATE_BLOCKED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    /// What counted, by name: the event that brought it.
    pub evidence: BTreeMap<String, String>,
    /// Digest of the policy's text.
    pub policy: String,
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

/// Why a release may not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// `missing-evidence`, `image-scan`, `quarantined` ...
    pub rule: String,
    pub reason: String,
    /// The input that decided: a finding, a name, a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The event that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_id: Option<String>,
    /// Evidence that is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How to clear it.
    pub clear: String,
    /// RFC 3339: when it is asked again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// Content of `GATE_ASKED`: judge this digest again. The subject is the digest, and so is the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateAsked {
    pub environment: String,
    pub digest: String,
}

/// What is added to an `INCIDENT_DETECTED` of evidence that turned bad after a release had passed: what runs is not taken
/// away, but it must be mended. The subject is `<release>/<environment>/<rule>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spoiled {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
    /// What would block it now.
    #[serde(flatten)]
    pub blocked: Blocked,
    /// RFC 3339: by when it must be mended.
    pub deadline: String,
}
