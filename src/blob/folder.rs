//! Blobs in a folder. One is written to a file of its own, synced, renamed to its name and the folder synced, so a name
//! that exists has all of its bytes, after a power cut too. Once the disk failed, nothing is known of what was written last,
//! so nothing more is put.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
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
    /// The beginnings of names, each a folder, whose own name is known to be durable.
    beginnings: Mutex<HashSet<PathBuf>>,
    /// How the disk failed, if it did.
    failed: watch::Sender<Option<String>>,
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
        Ok(FolderBlobs::at(folder))
    }

    /// A folder that another process may be writing to, for reading.
    pub fn open_read_only(folder: PathBuf) -> Self {
        FolderBlobs::at(folder)
    }

    fn at(folder: PathBuf) -> Self {
        let (seen, beginnings) = (Mutex::default(), Mutex::default());
        FolderBlobs { folder, seen, beginnings, failed: watch::Sender::new(None) }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.folder.join(UNFINISHED).join(Uuid::now_v7().to_string());
        let written = File::create_new(&unfinished)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| sync_file(&file)))
            .and_then(|()| self.place(&unfinished, path));
        if written.is_err() {
            // What is left behind is removed at the next start; a full disk should not wait for that.
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Gives a finished file its name.
    fn place(&self, unfinished: &Path, path: &Path) -> io::Result<()> {
        match fs::create_dir(beginning(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::rename(unfinished, path)?,
        }
        self.sync_name(path)
    }

    /// Makes a blob's name durable, whoever gave it: that may have been a moment ago, or in a process that died.
    fn sync_name(&self, path: &Path) -> io::Result<()> {
        let beginning = beginning(path);
        sync(beginning)?;
        let lock = || self.beginnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock().contains(beginning) {
            sync(&self.folder)?;
            lock().insert(beginning.to_owned());
        }
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(name(digest))
    }

    /// As errors name it.
    fn shown(&self) -> String {
        self.folder.display().to_string()
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    fn put(&self, bytes: &Bytes) -> Result<Digest, BlobError> {
        if let Some(reason) = self.failed.borrow().clone() {
            return Err(BlobError::Failed { place: self.shown(), reason });
        }
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        let is_there = {
            let _seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            touch(&path)
        };
        let written = match is_there {
            Ok(true) => self.sync_name(&path),
            Ok(false) => self.write(&path, bytes),
            Err(error) => Err(error),
        };
        written.map(|()| digest).map_err(|source| {
            if is_of_the_disk(&source) {
                self.failed.send_replace(Some(source.to_string()));
            }
            BlobError::Disk { what: "write", digest, place: self.shown(), source }
        })
    }

    fn get(&self, digest: Digest) -> Result<Bytes, BlobError> {
        let bytes = fs::read(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest, place: self.shown() },
            _ => BlobError::Disk { what: "read", digest, place: self.shown(), source },
        })?;
        if Digest::of(&bytes) != digest {
            return Err(BlobError::Corrupt { digest, place: self.shown() });
        }
        Ok(bytes.into())
    }

    fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        let found = self.path(digest).try_exists();
        found.map_err(|source| BlobError::Disk { what: "look for", digest, place: self.shown(), source })
    }

    fn put_before(&self, time: SystemTime) -> Result<Vec<Digest>, BlobError> {
        list(&self.folder, time).map_err(|source| BlobError::List { place: self.shown(), source })
    }

    fn remove(&self, digest: Digest, put_before: SystemTime) -> Result<bool, BlobError> {
        let _seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(digest);
        let removed = match is_older(&path, put_before) {
            Ok(true) => fs::remove_file(&path).map(|()| true),
            other => other,
        };
        removed.map_err(|source| BlobError::Disk { what: "remove", digest, place: self.shown(), source })
    }

    async fn failed(&self) -> String {
        let mut failed = self.failed.subscribe();
        let failed = failed.wait_for(Option::is_some).await.expect("this holds the sender");
        failed.clone().unwrap_or_default()
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

/// The folder of a blob, by the first digits of its name.
fn beginning(path: &Path) -> &Path {
    path.parent().expect("a blob lies in a folder by its first two digits")
}

fn sync(folder: &Path) -> io::Result<()> {
    sync_file(&File::open(folder)?)
}

/// A sync that failed is no matter of room, whatever it says: what it should have written may be neither on disk nor tried
/// again by the next one.
fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all().map_err(io::Error::other)
}

/// Whether a sync failed, or the disk itself.
fn is_of_the_disk(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
