//! What is read of a manifest.
//!
//! Source of the format: OCI image specification 1.1 (manifest, index, annotations), Docker image manifest v2 schema 2.

use std::collections::BTreeMap;

use delivery::{is_commit, is_digest};
use serde::Deserialize;
use tidegate_sdk::warn;

/// What a manifest may be, in the order in which it is wished for.
pub const TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const REVISION: &str = "org.opencontainers.image.revision";
/// What Docker's builds put into an index beside the images: attestations about them.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A manifest, or an index of manifests.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Of an index.
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
}

impl Manifest {
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|error| format!("cannot be read: {error}"))?;
        match manifest.schema_version {
            2 => Ok(manifest),
            other => Err(format!("has schema version {other}; push it again as an OCI image")),
        }
    }

    /// The commit that it claims.
    pub fn commit(&self) -> Option<String> {
        let claimed = self.annotations.get(REVISION)?;
        if !is_commit(claimed) {
            warn!("{REVISION} is {claimed:?}, which is no commit");
            return None;
        }
        Some(claimed.clone())
    }

    /// The images that it is an index of.
    pub fn parts(&self) -> Vec<String> {
        let image = |descriptor: &&Descriptor| {
            let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
            is_digest(&descriptor.digest) && !unknown && !descriptor.annotations.contains_key(REFERENCE_TYPE)
        };
        self.manifests.iter().filter(image).map(|descriptor| descriptor.digest.clone()).collect()
    }
}
