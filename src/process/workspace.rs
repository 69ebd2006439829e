//! A task's own folder, which is gone with the task.
//!
//! ```text
//! work/<id>/home       where the program starts, and its HOME
//! work/<id>/results    what it writes its results into
//! work/<id>/output     what it printed
//! ```

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Only the server's own user may look in.
const MODE: u32 = 0o700;

/// Where the folders of tasks are made. Invariant: its path is absolute, and text.
#[derive(Debug)]
pub struct Workspaces(PathBuf);

impl Workspaces {
    /// Makes the folder, and removes what a process that died left in it.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        if folder.exists() {
            remove(&folder)?;
        }
        DirBuilder::new().recursive(true).mode(MODE).create(&folder)?;
        // The program starts elsewhere than the server.
        let folder = folder.canonicalize()?;
        match folder.to_str() {
            Some(_) => Ok(Workspaces(folder)),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8; move the project")),
        }
    }

    pub fn make(&self) -> io::Result<Workspace> {
        let workspace = Workspace(self.0.join(Uuid::now_v7().to_string()));
        DirBuilder::new().recursive(true).mode(MODE).create(workspace.home())?;
        Ok(workspace)
    }
}

/// Removed when it is dropped, which blocks.
#[derive(Debug)]
pub struct Workspace(PathBuf);

impl Workspace {
    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    pub fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a task's folder stays until the next start");
        }
    }
}

/// Removes a folder with all that is in it. Programs leave folders that nobody may write to, such as caches of modules.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder)?;
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(MODE))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself: a link leads to what is somebody else's.
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_with_its_task_whatever_the_program_did_to_it() {
        let temporary = tempfile::tempdir().unwrap();
        let outside = temporary.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o500)).unwrap();
        let workspaces = Workspaces::open(temporary.path().join("work")).unwrap();
        let workspace = workspaces.make().unwrap();
        let cache = workspace.home().join("cache/deep");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("module"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, cache.join("link")).unwrap();
        fs::set_permissions(&cache, Permissions::from_mode(0o500)).unwrap();
        drop(workspace);
        assert_eq!(fs::read_dir(temporary.path().join("work")).unwrap().count(), 0);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o500);
    }

    #[test]
    fn what_a_process_that_died_left_is_removed_at_the_next_start() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("work");
        let workspaces = Workspaces::open(folder.clone()).unwrap();
        std::mem::forget(workspaces.make().unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        Workspaces::open(folder.clone()).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
