//! `tidegate demo`: the story ends well, and leads on.

use tempfile::TempDir;

use crate::support::{text, tidegate};

#[test]
fn the_demo_ends_well_and_the_commands_that_it_prints_work_on_what_it_kept() {
    let folder = TempDir::new().expect("a temporary folder");
    let dir = folder.path().join("kept");
    let demo = tidegate().arg("demo").arg(&dir).output().expect("tidegate runs");
    let story = text(&demo);
    assert!(demo.status.success(), "{story}");
    assert!(story.contains("every step ended as it should"), "{story}");

    let commands: Vec<&str> = story.lines().filter_map(|line| line.trim().strip_prefix("tidegate ")).collect();
    assert!(commands.len() >= 3, "{story}");
    for command in commands {
        assert!(command.ends_with(&format!("--dir {}", dir.display())), "{command}");
        let output = tidegate().args(command.split(' ')).output().expect("tidegate runs");
        assert!(output.status.success(), "tidegate {command}: {}", text(&output));
        assert!(!output.stdout.is_empty(), "tidegate {command} says nothing");
    }
}
