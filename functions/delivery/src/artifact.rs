//! Artifacts, always by digest. The subject is the package URL, the key the digest.

use serde::{Deserialize, Serialize};

/// `data.artifact` of what a registry's trigger says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// With the registry's host: `registry.example.com/acme/shop`. None where the sender does not name it so.
    #[serde(default)]
    pub repository: Option<String>,
    /// None where the sender names none: then the tag is resolved, once.
    #[serde(default)]
    pub digest: Option<String>,
    #[serde(default)]
    pub tag: Option<String>,
    #[serde(default)]
    pub media_type: Option<String>,
}

/// Content of `ARTIFACT_IDENTIFIED`: an artifact of a service, by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    pub service: String,
    pub digest: String,
    /// The OCI repository, with the registry's host.
    pub artifact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The commit that its annotation `org.opencontainers.image.revision` claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether a tag was resolved for it, since the sender gave no digest.
    #[serde(default)]
    pub resolved: bool,
    /// Digests of the images that it is an index of, one for each platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

/// What is added to `ARTIFACT_PACKAGED`: a run that succeeded made this of that commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packaged {
    pub digest: String,
    pub artifact: String,
    pub commit: String,
    pub repository: String,
    pub run: String,
}

/// Content of `SCAN_REQUESTED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanRequested {
    pub service: String,
    pub digest: String,
    pub kind: crate::Kind,
}
