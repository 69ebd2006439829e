//! Blobs in a folder. One is written to a file of its own, synced, renamed to its name and the folder synced, so a name
//! that exists has all of its bytes, after a power cut too.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use uuid::Uuid;

use super::{BlobError, Blobs, name};
use crate::deployment::Digest;

/// Where blobs are written before they have all of their bytes.
const UNFINISHED: &str = "unfinished";

#[derive(Debug)]
pub struct FolderBlobs {
    folder: PathBuf,
    /// Held while it is seen whether a blob is there or old, and done what follows: one that is put again is not removed.
    seen: Mutex<()>,
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
        Ok(FolderBlobs { folder, seen: Mutex::default() })
    }

    /// A folder that another process may be writing to, for reading.
    pub fn open_read_only(folder: PathBuf) -> Self {
        FolderBlobs { folder, seen: Mutex::default() }
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
        let is_there = {
            let _seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            touch(&path)
        };
        let written = match is_there {
            // Somebody else may have placed it a moment ago, and not synced its folder yet.
            Ok(true) => sync(path.parent().expect("a blob lies in a folder by its first two digits")),
            Ok(false) => self.write(&path, bytes),
            Err(error) => Err(error),
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

    fn put_before(&self, time: SystemTime) -> Result<Vec<Digest>, BlobError> {
        list(&self.folder, time).map_err(|source| BlobError::List { place: self.place(), source })
    }

    fn remove(&self, digest: Digest, put_before: SystemTime) -> Result<bool, BlobError> {
        let _seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(digest);
        let removed = match is_older(&path, put_before) {
            Ok(true) => fs::remove_file(&path).map(|()| true),
            other => other,
        };
        removed.map_err(|source| BlobError::Disk { what: "remove", digest, place: self.place(), source })
    }
}

/// Notes that a blob is put again. False: it is not there.
fn touch(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => file.set_modified(SystemTime::now()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_older(path: &Path, time: SystemTime) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.modified()? < time),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The blobs of a folder that are older than a time. What has no name of a blob is none.
fn list(folder: &Path, time: SystemTime) -> io::Result<Vec<Digest>> {
    let mut found = Vec::new();
    for beginning in fs::read_dir(folder)? {
        let beginning = beginning?;
        if beginning.file_name().len() != 2 || !beginning.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(beginning.path())? {
            let entry = entry?;
            let hex = format!("{}{}", beginning.file_name().display(), entry.file_name().display());
            if let Ok(digest) = format!("sha256:{hex}").parse()
                && is_older(&entry.path(), time)?
            {
                found.push(digest);
            }
        }
    }
    Ok(found)
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
