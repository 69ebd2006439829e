//! Blobs in a folder. One is written to a file of its own, synced, renamed to its name and the folder synced, so a name
//! that exists has all of its bytes, after a power cut too.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::{BlobError, Blobs, name};
use crate::deployment::Digest;

/// Where blobs are written before they have all of their bytes.
const UNFINISHED: &str = "unfinished";

#[derive(Debug)]
pub struct FolderBlobs {
    folder: PathBuf,
}

impl FolderBlobs {
    /// Opens or makes the folder, and removes what a process that died left unfinished. One process at a time writes to
    /// a folder: the project's lock sees to it.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        sync(&folder)?;
        Ok(FolderBlobs { folder })
    }

    /// A folder that another process may be writing to, for reading.
    pub fn open_read_only(folder: PathBuf) -> Self {
        FolderBlobs { folder }
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

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(name(digest))
    }

    fn place(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Blobs for FolderBlobs {
    fn put(&self, bytes: &Bytes) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        let written = match path.exists() {
            // Somebody else may have placed it a moment ago, and not synced its folder yet.
            true => sync(path.parent().expect("a blob lies in a folder by its first two digits")),
            false => self.write(&path, bytes),
        };
        written.map_err(|source| BlobError::Disk { what: "write", digest, place: self.place(), source })?;
        Ok(digest)
    }

    fn get(&self, digest: Digest) -> Result<Bytes, BlobError> {
        let bytes = fs::read(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest, place: self.place() },
            _ => BlobError::Disk { what: "read", digest, place: self.place(), source },
        })?;
        if Digest::of(&bytes) != digest {
            return Err(BlobError::Corrupt { digest, place: self.place() });
        }
        Ok(bytes.into())
    }

    fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        let found = self.path(digest).try_exists();
        found.map_err(|source| BlobError::Disk { what: "look for", digest, place: self.place(), source })
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
