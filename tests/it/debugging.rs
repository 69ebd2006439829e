//! `docs/debugging.md`: every command of the page, in its order, answers as the page shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::pages::{DEBUGGING, blocks, lasting};
use crate::support::{Server, eventually, text, tidegate};

/// The example in a folder of its own, as a reader copies it.
fn example(folder: &Path) -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = Command::new("cp").arg("-r").arg(checkout.join("examples/debugging")).arg(folder).status();
    assert!(copied.expect("cp runs").success());
    let project = folder.join("debugging");
    for built in ["target", "components"] {
        // A run of the example's own check leaves them there.
        let _ = fs::remove_dir_all(project.join(built));
    }
    let edit = |file: &str, from: &str, to: &str| {
        let before = fs::read_to_string(project.join(file)).expect("the example has the file");
        assert!(before.contains(from), "{file} has no {from}");
        fs::write(project.join(file), before.replacen(from, to, 1)).expect("a file can be written");
    };
    let sdk = checkout.join("functions/sdk").display().to_string();
    edit("functions/invoice/Cargo.toml", "../../../../functions/sdk", &sdk);
    let listen = "[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\n[[function]]";
    edit("tidegate.toml", "[[function]]", listen);
    project
}

/// What the page shows: each command with the answer beneath it.
fn shown() -> Vec<(&'static str, &'static str)> {
    let shown = blocks(DEBUGGING, "console").into_iter().flat_map(|block| block.split("$ ").skip(1));
    shown.map(|command| command.split_once('\n').expect("a command ends its line")).collect()
}

#[test]
fn a_reader_of_the_page_finds_the_fault_and_mends_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let project = example(folder.path());
    // Crates that were built for an earlier run of this test are not built again.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debugging");
    let env = [("CARGO_TARGET_DIR".to_owned(), target.display().to_string())];
    let built = tidegate().arg("build").current_dir(&project).envs(env.clone()).output().expect("tidegate runs");
    assert!(built.status.success(), "{}", text(&built));
    let server = Server::start(&project, &env);
    let binary = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().expect("a binary lies in a folder").to_owned();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let commands = shown();
    assert!(commands.len() > 12, "{commands:?}");
    for (command, expected) in commands {
        let run = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(&project).envs(env.clone());
            let shell = shell.env("PATH", &path).env("TIDEGATE_URL", &server.api).output();
            text(&shell.expect("sh runs"))
        };
        // Dead letters come a moment after their events, and redriven ones are delivered then.
        let waits = ["tidegate dlq list", "tidegate events"].iter().any(|waiting| command.starts_with(waiting));
        let is_there =
            || Some(run()).filter(|told| !waits || told.trim().lines().count() == expected.trim().lines().count());
        let told = eventually(command, is_there);
        assert_eq!(lasting(&told), lasting(expected), "{command}");
    }
}
