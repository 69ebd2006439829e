//! `docs/path.md`: its picture is true, its commands work on a path that ran, and a function of one's own takes the place of a
//! shipped one by its steps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages::{PATH, README, blocks, commands, section};
use crate::support::{Server, eventually, text, tidegate};

/// What the example's file names, as anything.
const VARIABLES: [&str; 5] = ["GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET", "HOOKS_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY"];

/// What a function hears and may emit, by the names of the project file.
#[derive(Default)]
struct Words {
    hears: BTreeSet<String>,
    emits: BTreeSet<String>,
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/path")
}

/// The example's functions, by their names in the picture: those of several environments are one.
fn functions() -> BTreeMap<String, Words> {
    let manifest = fs::read_to_string(example().join("tidegate.toml")).expect("the example has a file");
    let manifest: toml::Table = toml::from_str(&manifest).expect("it is TOML");
    let manifest = serde_json::to_value(manifest).expect("it is JSON too");
    let mut functions = BTreeMap::<String, Words>::new();
    for function in manifest["function"].as_array().expect("it has functions") {
        let name = function["name"].as_str().expect("a name").split('-').next().unwrap_or_default();
        let words = functions.entry(name.to_owned()).or_default();
        words.hears.extend(texts(&function["on"]));
        words.emits.extend(texts(&function["grants"]["emits"]));
    }
    functions.remove("storefront").expect("the service itself is none of the path's functions");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    // The runtime's own, which no file names.
    let hears = words(&["deployment.requested", "drift.checked"]);
    let emits = words(&["deployment.activated", "deployment.refused", "deployment.reported"]);
    functions.insert("reconcile".to_owned(), Words { hears, emits });
    functions
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned())
}

/// The types among `known` that a word stands for, which may end with `*`.
fn meant(word: &str, known: &BTreeSet<String>) -> BTreeSet<String> {
    let is_meant = |ty: &&String| word.strip_suffix('*').map_or(*ty == word, |start| ty.starts_with(start));
    known.iter().filter(is_meant).cloned().collect()
}

#[test]
fn the_picture_shows_what_each_function_of_the_example_hears_and_from_whom() {
    let functions = functions();
    let picture = blocks(PATH, "mermaid")[0];
    // An arrow whose label stands in quotes carries events of these types; others are words for people.
    let arrow = Regex::new(r#"^ *(\w+).* (?:--|-\.) "([^"]+)" (?:-->|\.->) (\w+)"#).expect("it is a pattern");
    let mut shown = BTreeMap::<(&str, &str), BTreeSet<String>>::new();
    for line in picture.lines() {
        let Some(found) = arrow.captures(line) else { continue };
        let [from, label, to] = [1, 2, 3].map(|group| found.get(group).expect("all three are there").as_str());
        for word in label.split(", ") {
            let said = functions.get(from).map(|words| meant(word, &words.emits));
            let heard = functions.get(to).map(|words| meant(word, &words.hears));
            let types = match (said, heard) {
                (Some(said), Some(heard)) => &said & &heard,
                (None, Some(one)) | (Some(one), None) => one,
                (None, None) => panic!("neither end of {line:?} is a function"),
            };
            assert!(!types.is_empty(), "{from} does not say {word} to {to}: {line}");
            shown.entry((from, to)).or_default().extend(types);
        }
    }
    for (from, words) in &functions {
        for (to, others) in functions.iter().filter(|(to, _)| *to != from) {
            let said = &words.emits & &others.hears;
            let arrows = shown.get(&(from.as_str(), to.as_str())).cloned().unwrap_or_default();
            assert!(said.is_subset(&arrows), "the picture lacks an arrow from {from} to {to}: {:?}", &said - &arrows);
        }
    }
}

/// What the commands are tried with.
fn env() -> Vec<(String, String)> {
    let any = VARIABLES.iter().map(|name| (*name, "anything"));
    // The object store is away, which the log would tell again and again.
    let own = [("TIDEGATE_LOG", "error")];
    any.chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Changes a project's file, which listens on free ports from then on.
fn rewrite(project: &Path, change: impl FnOnce(&str) -> String) {
    let file = project.join("tidegate.toml");
    let before = fs::read_to_string(&file).expect("the project has a file");
    let free = Regex::new(r#"(?m)^(hooks|api) = .*$"#).expect("it is a pattern");
    let after = change(&free.replace_all(&before, "$1 = \"127.0.0.1:0\""));
    fs::write(file, after).expect("the project's file can be written");
}

#[track_caller]
fn run(folder: &Path, command: &[&str]) {
    let output = tidegate().args(command).current_dir(folder).output().expect("tidegate runs");
    assert!(output.status.success(), "tidegate {command:?}: {}", text(&output));
}

/// Runs commands as they are shown, `RELEASE` and `DIGEST` standing for these.
#[track_caller]
fn run_on(server: &Server<'_>, commands: &[Vec<&'static str>], release: &str, digest: &str) {
    let meant = |word: &&'static str| match *word {
        "RELEASE" => release.to_owned(),
        "DIGEST" => digest.to_owned(),
        word => word.to_owned(),
    };
    for command in commands {
        let command: Vec<String> = command.iter().map(meant).collect();
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let output = server.tidegate(&command);
        // In the demo's staging something runs that was not released, and `drift` says so by its exit status.
        let expected = if command[0] == "drift" { 1 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "tidegate {command:?}: {}", text(&output));
        assert!(!output.stdout.is_empty(), "tidegate {command:?} says nothing");
    }
}

#[test]
fn the_commands_that_are_shown_work_on_a_path_that_ran() {
    let folder = TempDir::new().expect("a temporary folder");
    for command in commands(section(README, "From commit to production")) {
        run(folder.path(), &command);
    }
    let kept = folder.path().join("kept");
    rewrite(&kept, str::to_owned);
    let env = env();
    let server = Server::start(&kept, &env);

    let releases = server.json(&["releases"]);
    let find = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        let found = releases.iter().find(|release| release["commit"].is_string() && is_it(release));
        found.unwrap_or_else(|| panic!("no release is {what}: {releases:#?}"))
    };
    let name = |release: &Value| release["release"].as_str().expect("a name").to_owned();
    let running = name(find("verified", &|release| release["environments"]["production"]["standing"] == "verified"));
    run_on(&server, &commands(section(PATH, "Asking")), &running, "");

    let quarantined = find("in quarantine", &|release| release["quarantined"] == true);
    let digest = quarantined["digest"].as_str().expect("a digest");
    let quarantined = name(quarantined);
    let why = || server.json(&["why", &quarantined, "--in", "production"]).remove(0);
    assert_eq!(why()["cause"]["rule"], "quarantined", "{}", why());
    run_on(&server, &commands(section(PATH, "Rollback and quarantine")), &quarantined, digest);
    eventually("what was lifted runs again", || (why()["state"] == "released").then_some(()));
}

/// A function that says what it is asked to: nobody but a function is heard as a gate.
const GATE: &str = r#"
[[function]]
name = "says"
component = "builtin:relay"
on = ["com.example.asked"]
config = { to = "dev.cdeventsx.tidegate-gate.passed.0.1.0" }
grants = { emits = ["gate.passed"] }
"#;
const PLACED: &str = "dev.cdeventsx.tidegate-placement.decided.0.1.0";

#[test]
fn a_function_of_one_s_own_takes_the_place_of_a_shipped_one_by_the_steps_that_are_shown() {
    let page = section(PATH, "One of your own in place of a shipped one");
    let folder = TempDir::new().expect("a temporary folder");
    let session = commands(page);
    let (new, rest) = session.split_first().expect("the page has a session");
    run(folder.path(), new);
    let project = folder.path().join("storefront");
    for entry in fs::read_dir(example()).expect("the example can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            fs::copy(&path, project.join(path.file_name().expect("a name"))).expect("a file can be copied");
        }
    }
    let function = project.join("functions/placement");
    fs::rename(project.join("functions/hello"), &function).expect("a folder can be renamed");
    let (files, code) = (blocks(page, "toml"), blocks(page, "rust"));
    let (&[cargo, changed], &[code]) = (files.as_slice(), code.as_slice()) else {
        panic!("the page shows two files of TOML and one of Rust")
    };
    fs::write(function.join("Cargo.toml"), cargo).expect("a file can be written");
    fs::write(function.join("src/lib.rs"), code).expect("a file can be written");

    // What runs before is the shipped one.
    rewrite(&project, |file| format!("{file}{GATE}"));
    let env = env();
    let server = Server::start(&project, &env);
    rewrite(&project, |file| {
        let (before, after) = file.split_once("component = \"builtin:placement\"").expect("the example has it");
        let (component, config) = changed.trim_end().split_once('\n').expect("two lines change");
        format!("{before}{component}{}", after.replacen("config = { plan = { file = \"plan.toml\" } }", config, 1))
    });
    run_on(&server, rest, "", "");
    let placement = || server.json(&["functions", "show", "placement"]).remove(0);
    assert_eq!(placement()["component"]["reference"], "components/placement.wasm");

    let digest = format!("sha256:{}", "0".repeat(64));
    let content = json!({
        "environment": "staging", "release": "storefront-1", "service": "storefront", "digest": digest,
        "artifact": "127.0.0.1:5000/acme/storefront", "configuration": digest, "evidence": {}, "policy": digest,
    });
    let context = json!({ "specversion": "0.5.0", "type": "dev.cdeventsx.tidegate-gate.passed.0.1.0" });
    let data = json!({ "context": context, "subject": { "id": "storefront-1", "content": content } }).to_string();
    server.output(&["emit", "--type", "com.example.asked", "--data", &data]);
    let placed = eventually("the release is placed", || server.json(&["events", "--type", PLACED]).pop());
    let placed = &placed["event"]["data"]["subject"]["content"];
    assert_eq!(
        (&placed["pool"], &placed["function"]),
        (&json!("functions-eu"), &json!("storefront-staging")),
        "{placed}"
    );

    server.output(&["rollback"]);
    assert_eq!(placement()["component"]["reference"], "builtin:placement");
}
