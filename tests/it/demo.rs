//! `tidegate demo`: the story ends well, leads on, and ends the same however often the project is killed on the way.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{text, tidegate};

const CRASHES: u64 = 30;

/// What a demo tells as data: its chapters, and the summary.
struct Told {
    chapters: Vec<Value>,
    summary: Value,
}

impl Told {
    #[track_caller]
    fn by(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let dir = folder.path().join("kept");
        let demo =
            tidegate().arg("demo").arg(&dir).args(["-o", "json"]).args(arguments).output().expect("tidegate runs");
        assert!(demo.status.success(), "{}", text(&demo));
        let lines = String::from_utf8(demo.stdout).expect("output is text");
        let mut chapters: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let summary = chapters.pop().expect("the summary comes last");
        Told { chapters, summary }
    }

    /// Every decision, without what differs from run to run.
    #[track_caller]
    fn decisions(&self) -> Vec<[String; 3]> {
        let decisions = self.summary["decisions"].as_array().expect("decisions are a list");
        let text = |decision: &Value, member: &str| decision[member].as_str().expect("a text").to_owned();
        let mut decisions: Vec<_> =
            decisions.iter().map(|one| ["verdict", "environment", "rule"].map(|member| text(one, member))).collect();
        decisions.sort();
        decisions
    }
}

/// What the story decides, sorted.
const DECISIONS: [[&str; 3]; 14] = [
    ["blocked", "production", "image-scan"],
    ["blocked", "production", "missing-evidence"],
    ["blocked", "staging", "image-scan"],
    ["healed", "production", "-"],
    ["left drifted", "staging", "-"],
    ["passed", "staging", "-"],
    ["promoted", "production", "-"],
    ["promoted", "production", "-"],
    ["promoted", "staging", "-"],
    ["promoted", "staging", "-"],
    ["refused", "-", "no-direct-push"],
    ["refused", "-", "reviews"],
    ["refused", "staging", "older-commit"],
    ["rolled back", "production", "-"],
];

#[test]
fn the_demo_ends_well_and_the_commands_that_it_prints_work_on_what_it_kept() {
    let folder = TempDir::new().expect("a temporary folder");
    let dir = folder.path().join("kept here");
    let demo = tidegate().arg("demo").arg(&dir).output().expect("tidegate runs");
    let story = text(&demo);
    assert!(demo.status.success(), "{story}");
    assert!(story.contains("every step ended as it should"), "{story}");

    // As they are pasted.
    let own = format!(" --dir '{}'", dir.display());
    let commands: Vec<&str> = story.lines().filter(|line| line.ends_with(&own)).collect();
    assert_eq!(commands.len(), 3, "{story}");
    for command in commands {
        let output = Command::new("sh").args(["-c", command]).output().expect("sh runs");
        assert!(output.status.success(), "{command}: {}", text(&output));
        assert!(!output.stdout.is_empty(), "{command} says nothing");
    }

    let again = tidegate().arg("demo").arg(&dir).output().expect("tidegate runs");
    let refusal = text(&again);
    assert_eq!(again.status.code(), Some(2), "{refusal}");
    assert!(refusal.contains(&format!("{} exists already; name a folder", dir.display())), "{refusal}");
}

#[test]
fn a_demo_that_is_interrupted_names_the_folder_that_it_leaves() {
    let folder = TempDir::new().expect("a temporary folder");
    let dir = folder.path().join("kept");
    let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
    let mut demo = tidegate().arg("demo").arg(&dir).stdout(stdout).stderr(stderr).spawn().expect("tidegate runs");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output is piped")).lines();
    let begun = lines.any(|line| line.expect("output is text") == "the project starts");
    assert!(begun, "the story does not begin");
    let told = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().expect("kill runs");
    assert!(told.success());
    lines.for_each(drop);
    let ended = demo.wait_with_output().expect("it ends");
    let said = text(&ended);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("the project is kept in {}", dir.display())), "{said}");
}

#[test]
fn the_demo_tells_the_same_as_data() {
    let told = Told::by(&[]);
    assert_eq!(told.decisions(), DECISIONS);
    for expectation in told.chapters.iter().flat_map(|chapter| chapter["expectations"].as_array().expect("a list")) {
        assert_eq!(expectation["held"], true, "{expectation}");
    }
    for chapter in told.chapters.iter().filter(|chapter| chapter["title"] != "a push that nobody signed is turned away")
    {
        let first = chapter["events"].get(0).unwrap_or_else(|| panic!("{} without what happened", chapter["title"]));
        let text = |member: &str| first[member].as_str().expect("a text");
        // Of what the path does by itself, only what was waited for: the rest belongs to what set it off.
        let begins =
            text("by").starts_with("/hooks/") || ["deployment.activated", "verification.due"].contains(&text("event"));
        assert!(begins, "{} begins with {first}", chapter["title"]);
    }
    let summary = &told.summary;
    assert_eq!((&summary["as_it_should"], &summary["crashes"]), (&Value::Bool(true), &Value::from(0)));
    let instants = ["onset", "detected", "decided", "confirmed"].map(|name| {
        let text = summary["rollback"][name].as_str().expect("an instant");
        text.parse::<tidegate::clock::Timestamp>().expect("an instant")
    });
    assert!(instants.is_sorted(), "{summary}");
    assert_eq!(summary["tree"]["roots"][0]["type"], "dev.cdevents.change.merged.0.3.0", "{summary}");
}

#[test]
fn the_story_ends_the_same_when_the_project_is_killed_at_random_moments() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let seed = now.as_millis().to_string();
    // Shown if the test fails; `tidegate demo --crashes 30 --seed SEED` repeats it.
    println!("seed {seed}");
    let told = Told::by(&["--crashes", &CRASHES.to_string(), "--seed", &seed]);
    assert_eq!(told.summary["crashes"], CRASHES);
    let kills = told.chapters.iter().filter_map(|chapter| chapter["kills"].as_array()).flatten();
    assert_eq!(kills.count() as u64, CRASHES, "each kill is told by the event before it");
    assert_eq!(told.decisions(), DECISIONS);
}
