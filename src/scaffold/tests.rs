use std::process::Command;

use super::*;

#[test]
fn a_new_project_is_whole_and_its_function_passes_its_own_test() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shop");
    let files = write_project(&folder, &"shop".parse().unwrap()).unwrap();
    for path in
        ["tidegate.toml", "functions/hello/src/lib.rs", "sdk/rust/src/lib.rs", "sdk/rust/Cargo.toml", "wit/handler.wit"]
    {
        assert!(files.contains(&PathBuf::from(path)) && folder.join(path).is_file(), "{path}");
    }
    assert!(fs::read_to_string(folder.join("tidegate.toml")).unwrap().contains("name = \"shop\""));
    let (manifest, problems) = crate::project::Project::check(&folder).unwrap();
    // Nothing is built yet.
    assert!(
        manifest.is_none() && problems.len() == 1 && problems[0].message.contains("tidegate build"),
        "{problems:?}"
    );
    // The versions that this workspace is locked to, so that the test needs nothing that was not fetched.
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo::clean(&mut cargo);
    // What it compiled is kept for the next run.
    cargo.args(["test", "--offline", "--quiet", "--target-dir", concat!(env!("OUT_DIR"), "/scaffold")]);
    let tested = cargo.current_dir(&folder).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    assert!(String::from_utf8_lossy(&tested.stdout).contains("1 passed"));
}

#[test]
fn a_folder_with_files_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let error = write_project(folder.path(), &"shop".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains(&folder.path().display().to_string()) && error.contains("has files in it"), "{error}");
}
