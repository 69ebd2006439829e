//! History is run again: what the demo did comes out the same, what other code would have done is told, and the world hears
//! nothing of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Project, text, tidegate};

/// A project that the demo has kept, one for all tests.
fn demo() -> &'static Path {
    static DEMO: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, dir) = DEMO.get_or_init(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let dir = folder.path().join("kept");
        let demo = tidegate().arg("demo").arg(&dir).output().expect("tidegate runs");
        assert!(demo.status.success(), "{}", text(&demo));
        (folder, dir)
    });
    dir
}

/// A command on what the demo has kept.
fn on_demo(arguments: &[&str]) -> Output {
    tidegate().args(arguments).arg("--dir").arg(demo()).output().expect("tidegate runs")
}

#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("output is text");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} is no JSON"))).collect()
}

#[track_caller]
fn one(output: &Output) -> Value {
    let mut lines = lines(output);
    assert_eq!(lines.len(), 1, "{}", text(output));
    lines.remove(0)
}

/// The names of a function's attempts.
fn attempts(function: &str) -> BTreeSet<String> {
    let listed = on_demo(&["invocations", "--function", function, "--limit", "1000", "-o", "json"]);
    lines(&listed).iter().map(|one| one["id"].as_str().expect("an attempt has an id").to_owned()).collect()
}

#[test]
fn every_attempt_of_the_demo_comes_out_the_same() {
    let listed = lines(&on_demo(&["invocations", "--limit", "1000", "-o", "json"]));
    let guests = listed.iter().filter(|one| one["component"] != one["function"]).count() as u64;
    let replayed = on_demo(&["replay", "--since", "1h", "-o", "json"]);
    assert!(replayed.status.success(), "{}", text(&replayed));
    let summary = one(&replayed);
    assert_eq!((&summary["same"], &summary["kinds"]), (&summary["cases"], &Value::Array(Vec::new())), "{summary}");
    let cases = summary["cases"].as_u64().expect("a number");
    assert!(cases > 200 && cases <= guests, "{cases} of {guests}");
    assert_eq!(summary["before"]["instructions"], summary["after"]["instructions"], "to the instruction");
}

/// The shipped gate, but for one word that it says: the rule `missing-evidence` is misspelt.
fn mutated_gate(folder: &Path) -> String {
    let bytes = tidegate::builtin::component("gate").expect("the gate is shipped");
    let (word, other) = (b"missing-evidence", b"missing-evidense");
    let mut mutated = bytes.to_vec();
    let places: Vec<usize> = (0..=mutated.len() - word.len()).filter(|at| mutated[*at..].starts_with(word)).collect();
    assert!(!places.is_empty(), "the gate has its rules as text");
    places.into_iter().for_each(|at| mutated[at..at + word.len()].copy_from_slice(other));
    let path = folder.join("mutated.wasm");
    std::fs::write(&path, mutated).expect("a file can be written");
    path.display().to_string()
}

#[test]
fn of_a_gate_that_was_changed_exactly_what_it_would_have_said_otherwise_is_told() {
    let folder = TempDir::new().expect("a temporary folder");
    let mutated = mutated_gate(folder.path());
    let gate = "gate-staging";
    // The events that led to the word, by what the log has of it.
    let events = |pattern: &str| lines(&on_demo(&["events", "--type", pattern, "--limit", "1000", "-o", "json"]));
    let said = events("gate.blocked");
    let said = said.iter().filter(|event| {
        let content = &event["event"]["data"]["subject"]["content"];
        content["rule"] == "missing-evidence" && content["environment"] == "staging"
    });
    let causes: BTreeSet<&str> =
        said.map(|event| event["event"]["causationid"].as_str().expect("it has a cause")).collect();
    let all = attempts(gate);
    let of_cause = |id: &&String| {
        let position = id.split('.').next().expect("an id begins with a position");
        let event = one(&on_demo(&["events", &format!("#{position}"), "-o", "json"]));
        causes.contains(event["event"]["id"].as_str().expect("an event has an id"))
    };
    let expected: BTreeSet<String> = all.iter().filter(of_cause).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < all.len(), "{expected:?}");

    let replayed = on_demo(&["replay", "--function", gate, "--with", &mutated, "--max-changed", "0", "-o", "json"]);
    assert_eq!(replayed.status.code(), Some(1), "{}", text(&replayed));
    let summary = one(&replayed);
    let kinds = summary["kinds"].as_array().expect("a list");
    let told: BTreeSet<String> = kinds
        .iter()
        .filter(|kind| kind["kind"].as_str().is_some_and(|kind| kind.contains("rule")))
        .flat_map(|kind| kind["attempts"].as_array().expect("a list"))
        .map(|id| id.as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(told, expected);
    assert_eq!(summary["decisions"], Value::Null, "it passes and blocks the same releases");
}

#[test]
fn a_policy_that_would_have_blocked_is_told_with_what_became_of_the_releases() {
    let folder = TempDir::new().expect("a temporary folder");
    let policy = std::fs::read_to_string(demo().join("gate-staging.toml")).expect("the demo keeps its policy");
    let stricter = folder.path().join("stricter.toml");
    let changed = policy.replace("change = [\"function:commit\"]", "change = [\"function:nobody\"]");
    assert_ne!(policy, changed);
    std::fs::write(&stricter, changed).expect("a file can be written");
    let config = format!("policy={}", stricter.display());
    let told = on_demo(&["replay", "--function", "gate-staging", "--config", &config]);
    let told = text(&told);
    assert!(told.contains("would have blocked 3 releases, among them the one that was rolled back"), "{told}");
    // The policy that was in force changes nothing.
    let own = format!("policy={}", demo().join("gate-staging.toml").display());
    let same = on_demo(&["replay", "--function", "gate-staging", "--config", &own, "--max-changed", "0"]);
    assert!(same.status.success(), "{}", text(&same));
}

#[test]
fn a_report_for_a_ci_is_well_formed_and_a_sample_is_as_large_as_asked() {
    let folder = TempDir::new().expect("a temporary folder");
    let junit = folder.path().join("replay.xml");
    let mutated = mutated_gate(folder.path());
    let arguments = ["replay", "--function", "gate-staging", "--sample", "9", "--with", &mutated, "--junit"];
    let replayed = tidegate()
        .args(arguments)
        .arg(&junit)
        .args(["-o", "json", "--dir"])
        .arg(demo())
        .output()
        .expect("tidegate runs");
    assert_eq!(one(&replayed)["cases"], 9, "{}", text(&replayed));
    let check = "import sys, xml.etree.ElementTree as E; r = E.parse(sys.argv[1]).getroot(); \
                 assert r.tag == 'testsuites' and len(r.findall('.//testcase')) >= 1";
    let python = Command::new("python3").args(["-c", check]).arg(&junit).output().expect("python3 runs");
    assert!(python.status.success(), "{}", text(&python));
}

/// A layer that ends a process which opens a socket of the network, or a file to write.
fn layer(folder: &Path) -> PathBuf {
    let library = folder.join("layer.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/replay/sealed.c");
    let built = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler is there");
    assert!(built.success(), "the layer does not compile");
    library
}

#[test]
fn a_bundle_is_run_again_without_a_file_a_network_or_a_project() {
    let folder = TempDir::new().expect("a temporary folder");
    let sealed = layer(folder.path());
    // An attempt that asks much: keys, time, configuration, another service.
    let chosen = ["commit", "pipeline", "gate-production", "verify"];
    for function in chosen {
        let id = attempts(function).into_iter().next_back().expect("the demo ran it");
        let case = folder.path().join(format!("{function}.tgz")).display().to_string();
        let bundled = on_demo(&["bundle", &id, "-O", &case]);
        assert!(bundled.status.success(), "{}", text(&bundled));
        let replayed = tidegate()
            .args(["replay", &case, "-o", "json"])
            .current_dir(folder.path())
            .env("LD_PRELOAD", &sealed)
            .output()
            .expect("tidegate runs");
        assert!(replayed.status.success(), "{}", text(&replayed));
        assert_eq!(one(&replayed)["class"], "same", "{function}");
    }
}

#[test]
fn the_layer_ends_what_touches_the_world() {
    let folder = TempDir::new().expect("a temporary folder");
    let sealed = layer(folder.path());
    let touching = ["import socket; socket.socket()", "open('x', 'w')"];
    for code in touching {
        let run = |layer: bool| {
            let mut python = Command::new("python3");
            python.args(["-c", code]).current_dir(folder.path());
            if layer {
                python.env("LD_PRELOAD", &sealed);
            }
            python.status().expect("python3 runs")
        };
        assert!(run(false).success() && !run(true).success(), "{code}");
    }
}

#[test]
fn what_cannot_be_run_again_says_why() {
    let project = Project::new("");
    let _server = project.up();
    let check = |arguments: &[&str], code: i32, names: &str| {
        let output = on_demo(arguments);
        let told = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(names), "{arguments:?}: {told:?} does not name {names:?}");
    };
    check(&["replay"], 2, "--since, --until, --function or --type");
    check(&["replay", "last", "--since", "1h"], 2, "--since chooses among many");
    check(&["replay", "999999.gate-staging.0.1"], 1, "there was no invocation");
    check(&["replay", "--function", "nobody"], 1, "no deployment has a function \"nobody\"");
    check(&["replay", "--function", "gate-staging", "--edit", "data.x"], 2, "PATH = VALUE");
    check(&["replay", "last", "--with", "nowhere.wasm"], 1, "nowhere.wasm");
    check(&["replay", "--since", "1h", "--config", "policy=x"], 2, "--function");
    check(&["replay", "last", "--missing", "live:blob"], 2, "http, keyvalue or statistics");
    let native = lines(&on_demo(&["invocations", "--function", "reconciler", "--limit", "1", "-o", "json"]));
    if let Some(native) = native.first() {
        check(&["replay", native["id"].as_str().expect("an id")], 1, "part of the runtime");
    }
}
