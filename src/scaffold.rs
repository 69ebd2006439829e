//! `tidegate new` and `tidegate build`: a project's folder, and its components.
//!
//! A new project has everything but the crates that cargo fetches: the SDK and the WIT come from the binary. `build` is
//! cargo with a clean environment; every crate of type `cdylib` in the project is a function, and its component becomes
//! `components/<its folder's name>.wasm`, where the project file looks for it.

mod build;
pub mod cargo;

use std::path::{Path, PathBuf};
use std::{fs, io};

pub use build::{BuildError, Purpose, build_project, debug_settings};

use crate::builtin;
use crate::deployment::FunctionName;

/// Where the project's components lie.
pub const COMPONENTS: &str = "components";

#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error("{} has files in it; name a folder that is empty or not there", folder.display())]
    NotEmpty { folder: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What a project starts with: its path in the project, and its text, in which `NAME` stands for the project's name.
const TEMPLATE: [(&str, &str); 9] = [
    ("tidegate.toml", include_str!("scaffold/template/tidegate.toml")),
    ("README.md", include_str!("scaffold/template/README.md")),
    ("sample-event.json", include_str!("scaffold/template/sample-event.json")),
    ("functions/hello/Cargo.toml", include_str!("scaffold/template/hello.toml")),
    ("functions/hello/src/lib.rs", include_str!("scaffold/template/hello.rs")),
    ("Cargo.toml", include_str!("scaffold/template/workspace.toml")),
    (".gitignore", include_str!("scaffold/template/gitignore")),
    ("rust-toolchain.toml", include_str!("../rust-toolchain.toml")),
    ("rustfmt.toml", include_str!("../rustfmt.toml")),
];

/// Writes a new project into `folder`, which is empty or not there, and answers the files' paths in it. Its name follows the
/// same rule as a function's.
pub fn write_project(folder: &Path, name: &FunctionName) -> Result<Vec<PathBuf>, ScaffoldError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ScaffoldError::Write { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    if fs::read_dir(folder).map_err(failed(folder))?.next().is_some() {
        return Err(ScaffoldError::NotEmpty { folder: folder.to_owned() });
    }
    let template = TEMPLATE.iter().map(|(path, text)| (PathBuf::from(path), text.replace("NAME", name.as_str())));
    let sdk = builtin::SDK_FILES.iter().map(|(path, text)| (place(path), (*text).to_owned()));
    let mut written = Vec::new();
    for (path, text) in template.chain(sdk) {
        let full = folder.join(&path);
        let parent = full.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        fs::write(&full, text).map_err(failed(&full))?;
        written.push(path);
    }
    Ok(written)
}

/// Where a file of the SDK lies in a project. The SDK finds the WIT two folders above its own, as in the source.
fn place(path: &str) -> PathBuf {
    match path.strip_prefix("functions/sdk/") {
        Some(rest) => Path::new("sdk/rust").join(rest),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests;
