//! Every project that we show is one that `tidegate check` passes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{text, tidegate};

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn check(folder: &Path) {
    let output = tidegate().arg("check").arg(folder).output().expect("tidegate runs");
    assert!(output.status.success(), "{}: {}", folder.display(), text(&output));
}

/// An example with functions of its own is checked once they are built, as its README says.
#[track_caller]
fn build(folder: &Path) {
    let output = tidegate().arg("build").arg(folder).output().expect("tidegate runs");
    assert!(output.status.success(), "{}: {}", folder.display(), text(&output));
}

#[test]
fn every_example_passes_the_check_and_says_what_it_shows() {
    let folders: Vec<PathBuf> = fs::read_dir(checkout().join("examples"))
        .expect("there are examples")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!folders.is_empty());
    for folder in folders {
        if folder.join("Cargo.toml").is_file() {
            build(&folder);
        }
        check(&folder);
        assert!(folder.join("README.md").is_file(), "{} has no README.md", folder.display());
    }
}

#[test]
fn the_design_s_project_passes_the_check() {
    check(&checkout().join("tests/fixtures/storefront"));
}
