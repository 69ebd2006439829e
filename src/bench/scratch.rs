//! A folder that is there for as long as something is measured.

use std::path::{Path, PathBuf};

use super::BenchError;

/// Removed with all that is in it when it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it in `folder`, and so on that folder's disk.
    pub fn make(folder: &Path) -> Result<Scratch, BenchError> {
        let path = folder.join(format!(".tidegate-bench-{}", std::process::id()));
        make(&path)?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a folder inside.
    pub fn folder(&self, name: &str) -> Result<PathBuf, BenchError> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a folder of measurements could not be removed");
        }
    }
}

fn make(path: &Path) -> Result<(), BenchError> {
    std::fs::create_dir(path).map_err(|source| BenchError::Folder { what: "make", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(parent.path()).unwrap();
        std::fs::write(scratch.folder("project").unwrap().join("file"), "text").unwrap();
        drop(scratch);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
