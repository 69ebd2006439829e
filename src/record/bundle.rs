//! A bundle: one recorded attempt in one file, which is run again anywhere, without its project and without a network.
//!
//! A gzipped tar (POSIX ustar) of five files: `bundle.json` (version, invocation, digests of the others), `event` and
//! `recording` in their stored forms, `deployment.json`, `component.wasm`. It holds names of secrets and no secret.
//!
//! A bundle may come from anybody, so reading one trusts nothing: names, kinds, sizes and the sum of them are checked
//! before a byte is kept, nothing is written to disk, digests are compared, and the component is compiled by the reader.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::bus::{InvocationId, InvocationIdError};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest, RECORDING_BYTES_MAX};
use crate::event::{self, Accepted, Event, Origin};

/// Raised whenever the form changes; older ones stay readable.
pub const BUNDLE_VERSION: u32 = 1;
/// Of a bundle's file.
pub const BUNDLE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Of a component.
pub const COMPONENT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Bytes that one byte of the file may become: what compresses better is made to fill a memory.
const RATIO_MAX: u64 = 200;
/// What a small file may become whatever its ratio.
const UNPACKED_BYTES_FREE: u64 = 1024 * 1024;
/// Of all files together: more than one of each, as large as may be.
const UNPACKED_BYTES_MAX: u64 = 256 * 1024 * 1024;

const HEAD: &str = "bundle.json";
/// Each file but the head, and the most that it may hold.
const FILES: [(&str, u64); 4] = [
    ("event", 34 * 1024 * 1024),
    ("recording", RECORDING_BYTES_MAX as u64 + 1024 * 1024),
    ("deployment.json", 64 * 1024 * 1024),
    ("component.wasm", COMPONENT_BYTES_MAX),
];
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// All that it takes to run one attempt again.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub id: InvocationId,
    pub event: Accepted,
    pub recording: Bytes,
    pub deployment: Arc<Deployment>,
    pub component: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("it is no gzipped tar")]
    Archive(#[source] io::Error),
    #[error("it has {name:?}, which no bundle has")]
    Stray { name: String },
    #[error("{name} is no plain file")]
    Kind { name: String },
    #[error("{name} is there twice")]
    Twice { name: String },
    #[error("{name} is missing")]
    Missing { name: &'static str },
    #[error("{name} has more than {bytes_max} bytes")]
    TooLarge { name: String, bytes_max: u64 },
    #[error("it unpacks to more than {ratio_max} times its size", ratio_max = RATIO_MAX)]
    Ratio,
    #[error("the bundle has version {0}, which this version of tidegate does not know; use a newer one")]
    Version(u32),
    #[error("{name} is not what {HEAD} says: its digest is {found}")]
    Digest { name: &'static str, found: Digest },
    #[error("{name} cannot be read: {reason}")]
    Content { name: &'static str, reason: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u32,
    /// `POSITION.FUNCTION-ID.ROUND.ATTEMPT`.
    invocation: String,
    acceptedat: Timestamp,
    hops: u32,
    origin: Origin,
    files: BTreeMap<String, Digest>,
}

impl Bundle {
    /// The file.
    pub fn pack(&self) -> io::Result<Vec<u8>> {
        let deployment = serde_json::to_vec(&*self.deployment)?;
        let event = self.event.event.encode();
        let contents: [&[u8]; 4] = [&event, &self.recording, &deployment, &self.component];
        let digests = FILES.iter().zip(contents).map(|((name, _), bytes)| ((*name).to_owned(), Digest::of(bytes)));
        let head = Head {
            version: BUNDLE_VERSION,
            invocation: self.id.to_string(),
            acceptedat: self.event.accepted_at,
            hops: self.event.hops,
            origin: self.event.origin.clone(),
            files: digests.collect(),
        };
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        append(&mut tar, HEAD, &serde_json::to_vec_pretty(&head)?)?;
        for ((name, _), bytes) in FILES.iter().zip(contents) {
            append(&mut tar, name, bytes)?;
        }
        tar.into_inner()?.finish()
    }

    /// Reads a file that anybody may have made.
    pub fn unpack(packed: &[u8]) -> Result<Self, BundleError> {
        let mut files = files(packed)?;
        let head = files.remove(HEAD).ok_or(BundleError::Missing { name: HEAD })?;
        let content = |name, reason: String| BundleError::Content { name, reason };
        // The version before the rest: of a later one, nothing else is known.
        let version: Version = serde_json::from_slice(&head).map_err(|error| content(HEAD, error.to_string()))?;
        if version.version != BUNDLE_VERSION {
            return Err(BundleError::Version(version.version));
        }
        let head: Head = serde_json::from_slice(&head).map_err(|error| content(HEAD, error.to_string()))?;
        let id: InvocationId =
            head.invocation.parse().map_err(|error: InvocationIdError| content(HEAD, error.to_string()))?;
        let mut take = |name: &'static str| {
            let bytes = files.remove(name).ok_or(BundleError::Missing { name })?;
            let found = Digest::of(&bytes);
            match head.files.get(name) {
                Some(digest) if *digest == found => Ok(Bytes::from(bytes)),
                _ => Err(BundleError::Digest { name, found }),
            }
        };
        let [event, recording, deployment, component] = FILES.map(|(name, _)| take(name));
        let event = Event::decode(event?).map_err(|error: event::DecodeError| content("event", error.to_string()))?;
        let deployment: Deployment =
            serde_json::from_slice(&deployment?).map_err(|error| content("deployment.json", error.to_string()))?;
        let (accepted_at, hops, origin) = (head.acceptedat, head.hops, head.origin);
        let event = Accepted { position: id.position, accepted_at, origin, hops, event };
        Ok(Bundle { id, event, recording: recording?, deployment: Arc::new(deployment), component: component? })
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn append(tar: &mut tar::Builder<impl io::Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    // The same bundle is the same bytes, whenever and by whomever it is made.
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
}

/// The files of a bundle by name, each within its bound.
fn files(packed: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let unpacked_max = (packed.len() as u64).saturating_mul(RATIO_MAX).clamp(UNPACKED_BYTES_FREE, UNPACKED_BYTES_MAX);
    // Padding and headers count too: what is read is bounded, not what files say of themselves.
    let unpacked = GzDecoder::new(packed).take(unpacked_max);
    let mut archive = tar::Archive::new(unpacked);
    let mut files = BTreeMap::new();
    // Raw: names that are longer than a header, which only strangers' files have, are entries like others, and stray.
    for entry in archive.entries().map_err(BundleError::Archive)?.raw(true) {
        let entry = entry.map_err(BundleError::Archive)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(bytes_max) = bytes_max(&name) else { return Err(BundleError::Stray { name }) };
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(BundleError::Kind { name });
        }
        let mut bytes = Vec::new();
        let size = entry.size();
        if size > bytes_max {
            return Err(BundleError::TooLarge { name, bytes_max });
        }
        entry.take(bytes_max).read_to_end(&mut bytes).map_err(BundleError::Archive)?;
        if bytes.len() as u64 != size {
            return Err(BundleError::Ratio);
        }
        if files.insert(name.clone(), bytes).is_some() {
            return Err(BundleError::Twice { name });
        }
    }
    Ok(files)
}

fn bytes_max(name: &str) -> Option<u64> {
    if name == HEAD {
        return Some(HEAD_BYTES_MAX);
    }
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes_max)| *bytes_max)
}
