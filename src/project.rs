//! A project's folder: `tidegate.toml`, and the files that it names. Nothing here runs or compiles a component.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

pub use crate::deployment::PROJECT_FILE;
use crate::deployment::{Manifest, Problem, Sources};

/// What a project keeps, in its folder: the log, blobs, the writer's lock.
const STATE_FOLDER: &str = ".tidegate";
/// The project file and every file that it names are read whole; nothing larger is.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A project whose file has no error.
#[derive(Debug)]
pub struct Project {
    pub folder: PathBuf,
    pub manifest: Manifest,
    pub warnings: Vec<Problem>,
}

/// Why a folder is no project that can be run.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("there is no {PROJECT_FILE} in {folder}; make a project with `tidegate new NAME`, or name its folder")]
    Missing { folder: String },
    #[error("cannot read {path}")]
    Unreadable {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// At least one of the problems is an error.
    #[error("{folder}/{PROJECT_FILE} has errors; nothing was started or deployed\n{}", lines(problems))]
    Invalid { folder: String, problems: Vec<Problem> },
}

impl Project {
    /// Reads a folder's project file and all that it names.
    pub fn open(folder: &Path) -> Result<Project, ProjectError> {
        let (manifest, problems) = Self::check(folder)?;
        match manifest {
            Some(manifest) => Ok(Project { folder: folder.to_owned(), manifest, warnings: problems }),
            None => Err(ProjectError::Invalid { folder: folder.display().to_string(), problems }),
        }
    }

    /// Where it keeps what it knows.
    pub fn state_folder(&self) -> PathBuf {
        state_folder(&self.folder)
    }

    /// Every problem of a folder's project file; the manifest where none of them is an error.
    pub fn check(folder: &Path) -> Result<(Option<Manifest>, Vec<Problem>), ProjectError> {
        let text = read_project_file(folder)?;
        Ok(Manifest::parse(&text, &Folder { root: folder.to_owned() }))
    }
}

/// Where a project keeps what it knows: its log.
pub fn state_folder(folder: &Path) -> PathBuf {
    folder.join(STATE_FOLDER)
}

/// Where a project keeps components and large payloads.
pub fn blobs_folder(folder: &Path) -> PathBuf {
    state_folder(folder).join("blobs")
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The text of a folder's project file.
pub fn read_project_file(folder: &Path) -> Result<String, ProjectError> {
    let path = folder.join(PROJECT_FILE);
    let unreadable = |source| ProjectError::Unreadable { path: path.display().to_string(), source };
    match read_limited(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::other(error))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ProjectError::Missing { folder: folder.display().to_string() })
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// What a manifest names, from its folder, this binary and this process's environment.
pub struct Folder {
    pub root: PathBuf,
}

impl Sources for Folder {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let inside = inside(&self.root, path)?;
        read_limited(&inside).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if path.ends_with(".wasm") => {
                "it is not there; make it with `tidegate build`".to_owned()
            }
            std::io::ErrorKind::NotFound => "it is not there".to_owned(),
            _ => error.to_string(),
        })
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        crate::builtin::component(name)
    }

    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String> {
        crate::invoke::imports(component)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

const OUTSIDE: &str = "it is outside the project's folder; copy it there";

/// A path from the project's folder without `.` and `..`, if it stays in the folder.
pub fn normal(path: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop().ok_or(OUTSIDE)?),
            Component::RootDir | Component::Prefix(_) => return Err(OUTSIDE.to_owned()),
        }
    }
    Ok(parts.join("/"))
}

/// The path under `root`, if it stays there: a project that was handed over must not read its reader's files.
fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    let joined = root.join(normal(path)?);
    // Links are followed by the system, so where they end counts. What does not exist is told by whoever reads it.
    match (root.canonicalize(), joined.canonicalize()) {
        (Ok(root), Ok(end)) if !end.starts_with(&root) => Err(OUTSIDE.to_owned()),
        _ => Ok(joined),
    }
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    // A pipe or a device would be waited for without end.
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Where compiled components are kept: the user's cache folder, never a place that comes with a project.
pub fn cache_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    user.map(|cache| cache.join("tidegate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("project");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("policy.toml"), "rule = 1").unwrap();
        std::fs::write(temporary.path().join("outside"), "private").unwrap();
        std::os::unix::fs::symlink(temporary.path().join("outside"), root.join("link")).unwrap();
        (temporary, Folder { root })
    }

    #[track_caller]
    fn refused(path: &str, reason: &str) {
        let (_keep, folder) = folder();
        assert_eq!(folder.file(path).unwrap_err(), reason);
    }

    #[test]
    fn a_project_reads_its_own_files() {
        let (_keep, folder) = folder();
        assert_eq!(folder.file("policy.toml").unwrap(), b"rule = 1");
        assert_eq!(folder.file("./sub/../policy.toml").unwrap(), b"rule = 1");
    }

    #[test]
    fn a_project_does_not_read_what_is_outside_its_folder() {
        refused("../outside", OUTSIDE);
        refused("sub/../../outside", OUTSIDE);
        refused("/etc/hostname", OUTSIDE);
        refused("link", OUTSIDE);
    }

    #[test]
    fn a_missing_component_is_told_with_how_to_make_it() {
        refused("functions/a.wasm", "it is not there; make it with `tidegate build`");
        refused("policy", "it is not there");
        refused("sub", "it is no regular file");
    }

    #[test]
    fn a_folder_without_a_project_file_says_how_to_make_one() {
        let empty = tempfile::tempdir().unwrap();
        let error = Project::open(empty.path()).unwrap_err().to_string();
        assert!(error.ends_with("make a project with `tidegate new NAME`, or name its folder"), "{error}");
    }

    #[test]
    fn every_problem_of_a_project_file_is_told_with_its_line() {
        let project = tempfile::tempdir().unwrap();
        let text = "name = \"shop\"\ncolour = \"red\"\n\n[[function]]\nname = \"gate\"\n\
                    component = \"functions/gate.wasm\"\non = [\"shop.order.paid\"]\nwhen = \"1 +\"\n";
        std::fs::write(project.path().join(PROJECT_FILE), text).unwrap();
        let (manifest, problems) = Project::check(project.path()).unwrap();
        assert!(manifest.is_none());
        expect_test::expect![[r#"
            tidegate.toml:2: error: colour: unknown key `colour`; known here: name, environments, listen, bus, blob, limits, retention, recording, deploy, connections, registries, trigger, function
            tidegate.toml:6: error: function[0].component: cannot read the component functions/gate.wasm: it is not there; make it with `tidegate build`
            tidegate.toml:8: error: function[0].when: column 4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"#]].assert_eq(&lines(&problems));
    }
}
