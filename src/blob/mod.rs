//! Large bytes by their digest: components and payloads. Content-addressed, so that a blob never changes.
//!
//! A blob is written to a file of its own, synced, renamed to its name and the folder synced, so a name that exists has
//! all of its bytes, after a power cut too. Whoever names a blob in the log writes it first.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use crate::deployment::Digest;

/// Where blobs are written before they have all of their bytes.
const UNFINISHED: &str = "unfinished";

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
        source: io::Error,
    },
}

impl BlobError {
    /// Whether there was no room for it.
    pub fn is_full(&self) -> bool {
        match self {
            BlobError::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            BlobError::Missing { .. } | BlobError::Corrupt { .. } => false,
        }
    }
}

impl Blobs {
    /// Opens or makes the folder, and removes what a process that died left unfinished. One process at a time writes to
    /// a folder: the project's lock sees to it.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        sync(&folder)?;
        Ok(Blobs { folder })
    }

    /// The blobs of a folder that another process may be writing to, for reading.
    pub fn open_read_only(folder: PathBuf) -> Self {
        Blobs { folder }
    }

    /// Writes and syncs, folder too; when it returns, the blob survives a power cut. Safe to repeat.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        let written = match path.exists() {
            // Somebody else may have placed it a moment ago, and not synced its folder yet.
            true => sync(path.parent().expect("a blob lies in a folder by its first two digits")),
            false => self.write(&path, bytes),
        };
        written.map_err(|source| BlobError::Io { what: "write", digest, source })?;
        Ok(digest)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED).join(Uuid::now_v7().to_string());
        let written = File::create_new(&unfinished)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| place(&self.folder, &unfinished, path));
        if written.is_err() {
            // What is left behind is removed at the next start; a full disk should not wait for that.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Reads and checks against the digest.
    pub fn get(&self, digest: Digest) -> Result<Bytes, BlobError> {
        let bytes = fs::read(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest },
            _ => BlobError::Io { what: "read", digest, source },
        })?;
        if Digest::of(&bytes) != digest {
            return Err(BlobError::Corrupt { digest });
        }
        Ok(bytes.into())
    }

    pub fn has(&self, digest: Digest) -> bool {
        self.path(digest).exists()
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(&hex[..2]).join(&hex[2..])
    }
}

/// Gives a finished file its name, so that the name survives a power cut.
fn place(folder: &Path, unfinished: &Path, path: &Path) -> io::Result<()> {
    let parent = path.parent().expect("a blob lies in a folder by its first two digits");
    if !parent.exists() {
        fs::create_dir_all(parent)?;
        sync(folder)?;
    }
    fs::rename(unfinished, path)?;
    sync(parent)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
