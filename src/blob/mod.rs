//! Large bytes by their digest: components and payloads. Content-addressed, so that a blob never changes.

use std::path::PathBuf;

use bytes::Bytes;

use crate::deployment::Digest;

/// A folder of blobs, `ab/cdef...` by hex digest.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} is not in the store")]
    Missing { digest: Digest },
    #[error("blob {digest} has other bytes than its digest says; restore it from a backup or deploy again")]
    Corrupt { digest: Digest },
    #[error("cannot {what} blob {digest}")]
    Io {
        what: &'static str,
        digest: Digest,
        #[source]
        source: std::io::Error,
    },
}

impl Blobs {
    pub fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Blobs { folder })
    }

    /// Writes and syncs, folder too; when it returns, the blob survives a power cut. Safe to repeat.
    pub fn put(&self, _bytes: &[u8]) -> Result<Digest, BlobError> {
        let _ = &self.folder;
        todo!()
    }

    /// Reads and checks against the digest.
    pub fn get(&self, _digest: Digest) -> Result<Bytes, BlobError> {
        todo!()
    }

    pub fn has(&self, _digest: Digest) -> bool {
        todo!()
    }
}
