//! Content of CDEvents about services and incidents, and what `rollback` adds to the latter.

use serde::{Deserialize, Serialize};

use crate::{Release, Verification, purl};

/// Content of `SERVICE_DEPLOYED`, `SERVICE_UPGRADED` and `SERVICE_ROLLEDBACK`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceContent {
    pub environment: Reference,
    pub artifact_id: String,
}

/// Content of `INCIDENT_DETECTED` and `INCIDENT_RESOLVED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentContent {
    pub description: String,
    pub environment: Reference,
    pub service: Reference,
    pub artifact_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub id: String,
}

impl ServiceContent {
    pub fn new(environment: &str, release: &Release) -> Self {
        let artifact_id = purl(&release.artifact, &release.digest);
        ServiceContent { environment: Reference { id: environment.to_owned() }, artifact_id }
    }
}

impl IncidentContent {
    pub fn new(description: &str, environment: &str, release: &Release) -> Self {
        IncidentContent {
            description: description.to_owned(),
            environment: Reference { id: environment.to_owned() },
            service: Reference { id: release.service.clone() },
            artifact_id: purl(&release.artifact, &release.digest),
        }
    }
}

/// What is added to an `INCIDENT_DETECTED` and `INCIDENT_RESOLVED` of a release that failed. The subject is
/// `<service>/<environment>/<deployment>`. All times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The release that failed, and what was seen of it.
    #[serde(flatten)]
    pub seen: Verification,
    /// The release that is asked for in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What to do about it.
    pub clear: String,
    /// When it can have begun: when the release was activated.
    pub onset: String,
    /// When the verification failed.
    pub detected: String,
    /// When it was decided what to do.
    pub decided: String,
    /// From onset to detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_millis: Option<u64>,
    /// When another release ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// From detected to confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_millis: Option<u64>,
}
