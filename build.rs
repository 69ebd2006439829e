//! Compiles the shipped functions to components, and lists them and the SDK's files for `src/builtin.rs` to carry.
//!
//! `TIDEGATE_FUNCTIONS` names a folder of components that were built before, `NAME.wasm` each.

#[path = "src/scaffold/cargo.rs"]
mod cargo;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// What the manifest of a function has, and that of a library under `functions/` has not.
const COMPONENT: &str = "cdylib";

fn main() -> ExitCode {
    for watched in ["build.rs", "src/scaffold/cargo.rs", "functions", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rerun-if-env-changed=TIDEGATE_FUNCTIONS");
    match carry() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn carry() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let names = functions(&root.join("functions")).map_err(|error| format!("functions cannot be listed: {error}"))?;
    let components = match env::var_os("TIDEGATE_FUNCTIONS") {
        Some(folder) => prebuilt(&root.join(folder), &names)?,
        None => build(&root, &out, &names)?,
    };
    let mut files = Vec::new();
    list(&root, Path::new("functions/sdk/Cargo.toml"), &mut files)
        .and_then(|()| list(&root, Path::new("functions/sdk/src"), &mut files))
        .and_then(|()| list(&root, Path::new("wit"), &mut files))
        .map_err(|error| format!("the SDK's files cannot be listed: {error}"))?;
    fs::write(out.join("builtin.rs"), listing(&root, &names, &components, &files))
        .map_err(|error| format!("the list of components cannot be written: {error}"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; build with cargo"))
}

/// The crates of the shipped functions, by name.
fn functions(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let manifest = fs::read_to_string(entry.path().join("Cargo.toml"));
        if manifest.is_ok_and(|manifest| manifest.contains(COMPONENT)) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn prebuilt(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    let component = |name: &String| {
        let path = folder.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_file() { Ok(path) } else { Err(format!("TIDEGATE_FUNCTIONS has no {name}.wasm")) }
    };
    names.iter().map(component).collect()
}

/// One call of cargo for all, in a target folder of its own, so that it waits for no lock of the outer one.
fn build(root: &Path, out: &Path, names: &[String]) -> Result<Vec<PathBuf>, String> {
    if !cargo::has_wasm_target(&variable("RUSTC")?, root) {
        return Err(format!("the shipped functions need the wasm target: rustup target add {}", cargo::WASM_TARGET));
    }
    let target = out.join("functions");
    let mut command = Command::new(variable("CARGO")?);
    cargo::clean(&mut command);
    command.current_dir(root).args(["build", "--locked", "--profile", "function", "--target", cargo::WASM_TARGET]);
    command.arg("--target-dir").arg(&target);
    command.args(names.iter().flat_map(|name| ["--package", name]));
    let status = command.status().map_err(|error| format!("cargo could not be started for the functions: {error}"))?;
    if !status.success() {
        return Err("the shipped functions did not build; cargo's own output says why".to_owned());
    }
    let folder = target.join(cargo::WASM_TARGET).join("function");
    Ok(names.iter().map(|name| folder.join(format!("{}.wasm", name.replace('-', "_")))).collect())
}

/// Every file at or under `path`, relative to `root`.
fn list(root: &Path, path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if root.join(path).is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(root.join(path))?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
    names.sort();
    names.iter().try_for_each(|name| list(root, &path.join(name), files))
}

fn listing(root: &Path, names: &[String], components: &[PathBuf], files: &[PathBuf]) -> String {
    let mut text = String::from("pub const BUILTINS: &[(&str, &[u8])] = &[\n");
    for (name, path) in names.iter().zip(components) {
        writeln!(text, "    ({name:?}, include_bytes!({path:?})),").expect("a string can be written");
    }
    text.push_str("];\n\npub const SDK_FILES: &[(&str, &str)] = &[\n");
    for path in files {
        writeln!(text, "    ({path:?}, include_str!({:?})),", root.join(path)).expect("a string can be written");
    }
    text.push_str("];\n");
    text
}
