//! A project's folder: the lock, the database file and its settings, the reserve that is given up when the disk is full.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::schema;

/// Room that is given up when the disk is full, so that settlements still commit.
pub(super) const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another process serves the project in {folder}; stop it, or use another folder")]
    InUse { folder: PathBuf },
    #[error("{folder} holds no log yet; start it once with `tidegate up`")]
    Missing { folder: PathBuf },
    #[error(
        "the log in {folder} has format {found}, and this tidegate knows formats up to {known}; use the newer tidegate that wrote it"
    )]
    Newer { folder: PathBuf, found: i64, known: i64 },
    #[error(
        "the log in {folder} has format {found}, and this tidegate reads format {known}; start it once with `tidegate up`"
    )]
    Older { folder: PathBuf, found: i64, known: i64 },
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what} the log in {folder}")]
    Store {
        what: &'static str,
        folder: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

/// Where things lie in a project's folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Folder(path.to_owned())
    }

    pub fn database(&self) -> PathBuf {
        self.0.join("log.db")
    }

    /// The size of the write-ahead log; 0 where there is none.
    pub fn write_ahead_bytes(&self) -> u64 {
        fs::metadata(self.0.join("log.db-wal")).map_or(0, |metadata| metadata.len())
    }

    pub fn starts(&self) -> PathBuf {
        self.0.join("starts")
    }

    fn reserve(&self) -> PathBuf {
        self.0.join("reserve")
    }

    /// Makes the folder and keeps every other process out of it for as long as the file is open.
    pub fn lock(&self) -> Result<File, OpenError> {
        fs::create_dir_all(&self.0).map_err(|source| self.io("make", &self.0, source))?;
        // Its own name too must survive a power cut.
        let parent = self.0.join("..");
        sync(&parent).map_err(|source| self.io("sync", &parent, source))?;
        let path = self.0.join("lock");
        let file = File::create(&path).map_err(|source| self.io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: self.0.clone() }),
            Err(TryLockError::Error(source)) => Err(self.io("lock", &path, source)),
        }
    }

    fn io(&self, what: &'static str, path: &Path, source: io::Error) -> OpenError {
        OpenError::Io { what, path: path.to_owned(), source }
    }

    pub fn store(&self, what: &'static str) -> impl FnOnce(rusqlite::Error) -> OpenError + use<> {
        let folder = self.0.clone();
        move |source| OpenError::Store { what, folder, source }
    }

    /// Opens the writer's connection; makes and migrates the file, and brings what an earlier process left in the
    /// write-ahead log into it before anything is served.
    pub fn open_writer(&self) -> Result<Connection, OpenError> {
        let mut db = Connection::open(self.database()).map_err(self.store("open"))?;
        self.refuse_newer(&db)?;
        // The first two only count before the first table is made.
        db.execute_batch(
            "PRAGMA page_size = 4096;
             PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -65536;",
        )
        .map_err(self.store("set up"))?;
        db.set_prepared_statement_cache_capacity(128);
        db.busy_timeout(Duration::from_secs(5)).map_err(self.store("set up"))?;
        checkpoint(&db, "TRUNCATE").map_err(self.store("check"))?;
        schema::migrate(&mut db).map_err(self.store("migrate"))?;
        // A new file's name must survive a power cut as its content does.
        sync(&self.0).map_err(|source| self.io("sync", &self.0, source))?;
        Ok(db)
    }

    /// Opens a connection that only reads. It may recover a log that a dead process left, so the file is opened for
    /// writing; no statement can.
    pub fn open_reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(self.database(), flags)?;
        db.execute_batch("PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;")?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    }

    /// Opens for reading alone; the project may be stopped.
    pub fn check_readable(&self) -> Result<(), OpenError> {
        if !self.database().exists() {
            return Err(OpenError::Missing { folder: self.0.clone() });
        }
        let db = self.open_reader().map_err(self.store("open"))?;
        // Whoever only reads brings nothing up to date.
        match (self.refuse_newer(&db)?, schema::version()) {
            (found, known) if found < known => Err(OpenError::Older { folder: self.0.clone(), found, known }),
            _ => Ok(()),
        }
    }

    /// The format of the file.
    fn refuse_newer(&self, db: &Connection) -> Result<i64, OpenError> {
        let found = schema::found(db).map_err(self.store("read the format of"))?;
        let known = schema::version();
        if found > known { Err(OpenError::Newer { folder: self.0.clone(), found, known }) } else { Ok(found) }
    }

    /// Sets the reserve aside, if it is not; fails while there is no room for it.
    pub fn keep_reserve(&self) -> io::Result<()> {
        let path = self.reserve();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == RESERVE_BYTES) {
            return Ok(());
        }
        let file = File::create(&path)?;
        // Blocks, not a hole: a file system without this call has no reserve, and says so nowhere but here.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(error.into())
            }
        }
    }

    /// Gives the reserve up. Nothing is lost if it is gone.
    pub fn give_up_reserve(&self) {
        let _ = fs::remove_file(self.reserve());
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The project's UUID, given when its log was made.
pub(super) fn project(db: &Connection) -> rusqlite::Result<Uuid> {
    let found = db.query_row("SELECT id FROM project", [], |row| row.get::<_, [u8; 16]>(0));
    match found {
        Ok(bytes) => Ok(Uuid::from_bytes(bytes)),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            let id = Uuid::now_v7();
            db.execute("INSERT INTO project (id) VALUES (?)", [id.as_bytes()])?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}

/// Moves the write-ahead log into the file as far as readers let it. Answers the frames in the log and those moved.
pub(super) fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(1)?, row.get(2)?)))
}
