//! Large bytes by their digest: components, payloads, recordings' overflow. Content-addressed, so that a blob never changes.
//!
//! Two stores: a folder, and any S3 endpoint. Both name a blob `ab/cdef...` by its hex digest, so that one can be copied to
//! the other. Calls block, on the disk or on the network: they are made off the async threads. Whoever names a blob in the
//! log puts it first.

#[cfg(test)]
mod conformance;
mod folder;
mod s3;

use std::error::Error;
use std::io;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

pub use folder::FolderBlobs;
pub use s3::{OpenError, S3Blobs};

use crate::deployment::Digest;

/// A store of blobs.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Writes. When it returns, the blob is durable: synced, or acknowledged by the store. Safe to repeat.
    fn put(&self, bytes: &Bytes) -> Result<Digest, BlobError>;

    /// Reads, and checks against the digest.
    fn get(&self, digest: Digest) -> Result<Bytes, BlobError>;

    fn has(&self, digest: Digest) -> Result<bool, BlobError>;

    /// The blobs that were last put before a time, where nobody else keeps blobs: of a store that others may use too, none.
    fn put_before(&self, time: SystemTime) -> Result<Vec<Digest>, BlobError>;

    /// Removes a blob that `put_before` told of, unless it was put again. Whether it did.
    fn remove(&self, digest: Digest, put_before: SystemTime) -> Result<bool, BlobError>;

    /// Waits until nothing more can be put here by this process, and tells why. Cancel-safe.
    async fn failed(&self) -> String;
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} is not in {place}")]
    Missing { digest: Digest, place: String },
    #[error("blob {digest} in {place} has other bytes than its digest says; restore it from a backup or deploy again")]
    Corrupt { digest: Digest, place: String },
    #[error("{place} takes no more blobs, since its disk failed ({reason}); start again once it is sound")]
    Failed { place: String, reason: String },
    #[error("cannot list {place}")]
    List {
        place: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what} blob {digest} in {place}")]
    Disk {
        what: &'static str,
        digest: Digest,
        place: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what} blob {digest} in {place}")]
    Remote {
        what: &'static str,
        digest: Digest,
        place: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl BlobError {
    /// Whether there was no room for it.
    pub fn is_full(&self) -> bool {
        match self {
            BlobError::Disk { source, .. } | BlobError::List { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            BlobError::Missing { .. }
            | BlobError::Corrupt { .. }
            | BlobError::Failed { .. }
            | BlobError::Remote { .. } => false,
        }
    }

    /// Whether the same call may succeed later, with nobody mending the store's contents.
    pub fn may_pass(&self) -> bool {
        match self {
            BlobError::Remote { .. } => true,
            BlobError::Missing { .. }
            | BlobError::Corrupt { .. }
            | BlobError::Failed { .. }
            | BlobError::Disk { .. }
            | BlobError::List { .. } => false,
        }
    }
}

/// The name of a blob in its store.
fn name(digest: Digest) -> String {
    let hex = digest.hex();
    format!("{}/{}", &hex[..2], &hex[2..])
}
