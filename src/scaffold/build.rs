//! Building a project's functions.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::{env, fs, thread};

use serde::Deserialize;

use super::{COMPONENTS, cargo};

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{} has no Cargo.toml, so there is nothing to build; `tidegate new` makes a project with one", folder.display())]
    NoCrate { folder: PathBuf },
    #[error("rustc has no wasm target; add it: rustup target add {}", cargo::WASM_TARGET)]
    NoTarget,
    #[error("cargo could not be run; install Rust with rustup")]
    Cargo { source: io::Error },
    #[error("the functions did not build ({status}); cargo's output says why")]
    Failed { status: ExitStatus },
    #[error("no crate of the project is a function; a function's crate has crate-type = [\"cdylib\"]")]
    NoFunction,
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// What a component is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Deployment,
    /// With debug information and without optimisation. It does the same, but it is large and slow, so it lies beside the
    /// component that is deployed: `NAME.debug.wasm`.
    Debugging,
}

/// Settings of cargo that make a profile's components fit for a debugger.
pub fn debug_settings(profile: &str) -> Vec<String> {
    let settings = ["debug=true", "strip=\"none\"", "opt-level=0", "lto=\"off\""];
    settings.iter().flat_map(|setting| ["--config".to_owned(), format!("profile.{profile}.{setting}")]).collect()
}

/// Builds every function of the project in `folder` and answers the components' paths in it. `progress` gets each line
/// of cargo's output.
pub fn build_project(
    folder: &Path,
    purpose: Purpose,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, BuildError> {
    if !folder.join("Cargo.toml").is_file() {
        return Err(BuildError::NoCrate { folder: folder.to_owned() });
    }
    if !cargo::has_wasm_target("rustc", folder) {
        return Err(BuildError::NoTarget);
    }
    let mut functions = run(folder, purpose, progress)?;
    functions.sort();
    if functions.is_empty() {
        return Err(BuildError::NoFunction);
    }
    functions.iter().map(|function| copy(folder, function, purpose)).collect()
}

/// A built function: the name of its crate's folder, and where cargo left the component.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Built {
    name: String,
    wasm: PathBuf,
}

fn run(folder: &Path, purpose: Purpose, progress: &mut dyn FnMut(&str)) -> Result<Vec<Built>, BuildError> {
    let failed = |source| BuildError::Cargo { source };
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo::clean(&mut command);
    command.current_dir(folder).args(["build", "--workspace", "--release", "--target", cargo::WASM_TARGET]);
    command.arg("--message-format=json-render-diagnostics");
    match purpose {
        Purpose::Deployment => {}
        Purpose::Debugging => drop(command.args(debug_settings("release"))),
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (messages, output) = (child.stdout.take(), child.stderr.take());
    let built = thread::scope(|scope| {
        // Both pipes are read at once: a full one would stop cargo.
        let reader = scope.spawn(|| messages.map_or_else(Vec::new, read_messages));
        for line in output.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            progress(&line);
        }
        reader.join().unwrap_or_default()
    });
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(built) } else { Err(BuildError::Failed { status }) }
}

/// What cargo says of each crate that it built, as far as it is read.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

fn read_messages(output: ChildStdout) -> Vec<Built> {
    BufReader::new(output).lines().map_while(Result::ok).filter_map(|line| function(&line)).collect()
}

/// The function that a line of cargo's messages says was built.
fn function(line: &str) -> Option<Built> {
    let message: Message = serde_json::from_str(line).ok()?;
    let library = message.target?.kind.iter().any(|kind| kind == "cdylib");
    if message.reason != "compiler-artifact" || !library {
        return None;
    }
    let name = message.manifest_path.parent()?.file_name()?.to_str()?.to_owned();
    let wasm =
        message.filenames.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "wasm"))?;
    Some(Built { name, wasm })
}

/// Puts a component in its place in one step: a reader sees the old one or the new one.
fn copy(folder: &Path, function: &Built, purpose: Purpose) -> Result<PathBuf, BuildError> {
    let ending = match purpose {
        Purpose::Deployment => "wasm",
        Purpose::Debugging => "debug.wasm",
    };
    let path = Path::new(COMPONENTS).join(format!("{}.{ending}", function.name));
    let target = folder.join(&path);
    let half = target.with_extension("wasm.part");
    let copied = fs::create_dir_all(folder.join(COMPONENTS))
        .and_then(|()| fs::copy(&function.wasm, &half))
        .and_then(|_| fs::rename(&half, &target));
    copied.map_err(|source| BuildError::Write { path: target, source })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<(&str, &str)>) {
        let read = function(line).map(|built| (built.name, built.wasm));
        assert_eq!(read, expected.map(|(name, wasm)| (name.to_owned(), PathBuf::from(wasm))), "{line}");
    }

    #[test]
    fn a_built_cdylib_is_a_function_named_by_its_folder() {
        check(
            r#"{"reason": "compiler-artifact", "manifest_path": "/p/functions/say-hello/Cargo.toml",
                "target": {"kind": ["cdylib"]}, "filenames": ["/p/target/say_hello.wasm"]}"#,
            Some(("say-hello", "/p/target/say_hello.wasm")),
        );
        check(
            r#"{"reason": "compiler-artifact", "manifest_path": "/p/sdk/rust/Cargo.toml",
                "target": {"kind": ["lib"]}, "filenames": ["/p/target/libsdk.rlib"]}"#,
            None,
        );
        check(r#"{"reason": "build-finished", "success": true}"#, None);
        check("what a build script printed", None);
    }

    #[test]
    fn a_folder_without_a_crate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = build_project(folder.path(), Purpose::Deployment, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("has no Cargo.toml"), "{error}");
    }
}
