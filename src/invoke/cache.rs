//! Precompiled components on disk. They are machine code, so a file counts only if this machine's user made it.
//!
//! The folder is 0700 and the user's own, and each file's name ends in a hash, keyed with a random key of this machine, of
//! the component's digest, the engine's compatibility hash and the file's own digest. A file that was changed, renamed
//! or brought from elsewhere does not match its name, and is compiled anew.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tracing::warn;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::deployment::Digest;

/// Files kept; the oldest go first.
const FILES_MAX: usize = 512;
const KEY_BYTES: usize = 32;
const KEY_FILE: &str = "key";
const EXTENSION: &str = "cwasm";

/// A folder of precompiled components.
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the folder, or makes it. None, with a warning, if it cannot be trusted: then everything is compiled in memory.
    pub(super) fn open(folder: &Path) -> Option<Self> {
        let opened = check_folder(folder).and_then(|()| machine_key(folder));
        match opened {
            Ok(key) => Some(Cache { folder: folder.to_owned(), key }),
            Err(error) => {
                warn!(folder = %folder.display(), %error, "the cache of compiled components is not used");
                None
            }
        }
    }

    /// The component, if a trustworthy file of it is there.
    pub(super) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        self.files(digest).into_iter().find_map(|path| {
            let code = fs::read(&path).ok()?;
            if path.file_name()?.to_str()? != self.name(engine, digest, &code) {
                return None;
            }
            // SAFETY: the code was made by `Component::serialize` of an engine with the same compatibility hash and has not
            // changed since: the file's name holds a hash of both, made with a key that only this user can read, and the
            // bytes that were hashed are the bytes that are loaded.
            unsafe { Component::deserialize(engine, &code) }.ok()
        })
    }

    /// Keeps a compiled component. A cache that cannot be written costs time, nothing else.
    pub(super) fn store(&self, engine: &Engine, digest: Digest, component: &Component) {
        let stored = component.serialize().map_err(io::Error::other).and_then(|code| {
            self.drop_oldest()?;
            // Another version's file, or one that was tampered with.
            self.files(digest).into_iter().try_for_each(fs::remove_file)?;
            write_whole(&self.folder, &self.folder.join(self.name(engine, digest, &code)), &code)
        });
        if let Err(error) = stored {
            warn!(folder = %self.folder.display(), %error, "a compiled component was not kept");
        }
    }

    /// What the name of every file of a component starts with.
    fn prefix(digest: Digest) -> String {
        format!("{}-", &digest.hex()[..16])
    }

    fn name(&self, engine: &Engine, digest: Digest, code: &[u8]) -> String {
        let mut keyed = Keyed(Hmac::new_from_slice(&self.key).expect("HMAC takes keys of any length"));
        keyed.write(digest.as_bytes());
        engine.precompile_compatibility_hash().hash(&mut keyed);
        keyed.write(Digest::of(code).as_bytes());
        let hash: [u8; 32] = keyed.0.finalize().into_bytes().into();
        format!("{}{}.{EXTENSION}", Self::prefix(digest), Digest::from_bytes(hash).hex())
    }

    fn files(&self, digest: Digest) -> Vec<PathBuf> {
        let prefix = Self::prefix(digest);
        let named = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
        };
        self.all().filter(named).collect()
    }

    fn all(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let mut files: Vec<_> =
            self.all().filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path))).collect();
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(FILES_MAX);
        files.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Feeds a keyed hash through `std::hash`, which is how wasmtime tells what its code depends on.
struct Keyed(Hmac<Sha256>);

impl Hasher for Keyed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole hash is taken, never 64 bits of it")
    }
}

/// Makes the folder, or checks that nobody else can write or read it.
fn check_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    match found.is_dir() && own && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::other("it must be a folder of this user with mode 0700")),
    }
}

/// The machine's key, made at first use.
fn machine_key(folder: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY_FILE);
    if !path.exists() {
        let mut key = [0; KEY_BYTES];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).map_err(|_| io::Error::other("the system has no random bytes"))?;
        write_whole(folder, &path, &key)?;
    }
    let found = fs::symlink_metadata(&path)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if !(found.is_file() && own && found.mode() & 0o077 == 0) {
        return Err(io::Error::other("its key must be a file of this user with mode 0600"));
    }
    fs::read(&path)?.try_into().map_err(|_| io::Error::other("its key has another length; remove the folder"))
}

/// Writes a file under a name that nobody reads, then links it: whoever sees the name sees it whole, and the first wins.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!("{}.new", uuid::Uuid::now_v7()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    fs::remove_file(&temporary).and(written)
}
