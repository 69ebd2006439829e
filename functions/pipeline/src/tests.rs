//! The function as it is called: events in, events and kept state out.

mod definitions;
mod orders;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use delivery::{Outcome, Packaged, RunFinished, TaskRequested, TaskResult, is, say, say_cd};
use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const RUN: &str = "acme/shop/runs/6113728f27ae";
const DIGEST: &str = "sha256:9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";

const DEFINITION: &str = r#"
    name = "release"
    time = "30m"
    [[task]]
    name = "test"
    executor = "process"
    argv = ["cargo", "test"]
    [[task]]
    name = "lint"
    executor = "process"
    argv = ["cargo", "clippy"]
    [[task]]
    name = "image"
    needs = ["test", "lint"]
    executor = "process"
    argv = ["make", "image"]
    env = { CI = "1" }
    time = "5m"
    results = ["digest", "artifact"]
    [[task]]
    name = "smoke"
    needs = ["image"]
    executor = "workflow-dispatch"
    workflow = "smoke.yml"
    parameters = { image = "${image.artifact}@${image.digest}" }
"#;

fn url() -> String {
    format!("http://github/repos/acme/shop/contents/.tidegate/pipeline.toml?ref={COMMIT}")
}

/// It is this many seconds after 2026-11-25T01:00:00Z.
fn at(host: Host, seconds: u64) -> Host {
    host.at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_568_400 + seconds))
}

/// A host whose git host has `definition`.
fn host(definition: &str) -> Host {
    let host = at(Host::new(), 0).key_space(SPACE).config("executors", r#"["function:runner", "function:workflow"]"#);
    host.answer("GET", &url(), 200, definition.as_bytes())
}

fn from(origin: &str, event: Event) -> Event {
    let (kind, name) = origin.split_once(':').unwrap();
    Event { origin: Some(Origin { kind: kind.into(), name: name.into(), verified: true }), ..event }
}

fn change(way: &str) -> Event {
    let content = json!({ "commit": COMMIT, "repository": "acme/shop", "branch": "main", "way": way, "change": 12 });
    from("function:commit", say(types::CHANGE_ACCEPTED, "acme/shop/pull/12", COMMIT, &content).unwrap())
}

fn result(outcome: Outcome, results: &[(&str, &str)]) -> TaskResult {
    let results = results.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TaskResult { outcome, reason: None, exit_code: None, output: None, results, duration_millis: 5 }
}

/// What an executor says of a task of the run.
fn done(task: &str, result: TaskResult) -> Event {
    let request = TaskRequested {
        run: RUN.to_owned(),
        task: task.to_owned(),
        pipeline: "release".to_owned(),
        repository: "acme/shop".to_owned(),
        commit: COMMIT.to_owned(),
        executor: delivery::Executor::Process { argv: vec!["x".to_owned()], env: BTreeMap::new() },
        time_seconds: 1,
    };
    let (content, custom) = request.finished(result);
    from("function:runner", say_cd(types::TASKRUN_FINISHED, &request.id(), COMMIT, &content, &custom).unwrap())
}

fn succeeded(task: &str) -> Event {
    done(task, result(Outcome::Success, &[("digest", DIGEST), ("artifact", "registry.example.com/acme/shop")]))
}

fn due() -> Event {
    let content = json!({ "run": RUN, "repository": "acme/shop", "commit": COMMIT });
    from("function:pipeline", say(types::RUN_DUE, RUN, COMMIT, &content).unwrap())
}

/// Each event as one word: what is requested by its task, the end by its outcome.
fn told(events: &[Event]) -> Vec<String> {
    let one = |event: &Event| {
        if is(event, types::TASK_REQUESTED) {
            content::<TaskRequested>(event).unwrap().task
        } else if is(event, types::PIPELINERUN_FINISHED) {
            format!("{:?}", custom::<RunFinished>(event).unwrap().outcome).to_lowercase()
        } else {
            let words: Vec<&str> = event.ty.split('.').collect();
            words[2..4].join(".").trim_start_matches("tidegate-").to_owned()
        }
    };
    events.iter().map(one).collect()
}

#[track_caller]
fn check(event: &Event, expected: &[&str]) -> Vec<Event> {
    let events = handle(event.clone()).unwrap();
    assert_eq!(told(&events), expected, "on {:?}", event.subject);
    events
}

#[track_caller]
fn end(event: &Event) -> RunFinished {
    let events = handle(event.clone()).unwrap();
    let [.., last] = events.as_slice() else { panic!("nothing was said on {:?}", event.subject) };
    custom(last).unwrap()
}

#[test]
fn tasks_are_asked_for_when_what_they_need_is_done_and_the_artifact_is_told_at_the_end() {
    let _host = host(DEFINITION);
    let started = check(&change("merge"), &["pipelinerun.queued", "run.due", "test", "lint"]);
    assert_eq!(started[1].text("deliverat"), Some("2026-11-25T01:30:00.000Z"));
    assert_eq!(started[2].subject, Some(format!("{RUN}/test")));
    assert_eq!(started[2].text("partitionkey"), Some(COMMIT));
    check(&succeeded("lint"), &[]);
    let image = check(&succeeded("test"), &["image"]);
    let content = &image[0].data::<Value>().unwrap()["subject"]["content"];
    assert_eq!((&content["env"]["CI"], &content["time_seconds"]), (&json!("1"), &json!(300)));
    let smoke = check(&succeeded("image"), &["smoke"]);
    let content = &smoke[0].data::<Value>().unwrap()["subject"]["content"];
    assert_eq!(content["parameters"]["image"], format!("registry.example.com/acme/shop@{DIGEST}"));
    assert_eq!((&content["executor"], &content["ref"]), (&json!("workflow-dispatch"), &json!("main")));
    let ended = check(&succeeded("smoke"), &["artifact.packaged", "success"]);
    let packaged: Packaged = custom(&ended[0]).unwrap();
    assert_eq!((packaged.digest.as_str(), packaged.run.as_str()), (DIGEST, RUN));
    assert_eq!(ended[0].text("partitionkey"), Some(DIGEST));
    assert_eq!(ended[0].data::<Value>().unwrap()["subject"]["content"]["change"]["id"], "acme/shop/pull/12");
}

#[test]
fn the_first_task_that_does_not_succeed_ends_the_run_with_its_output() {
    let _host = host(DEFINITION);
    check(&change("push"), &["pipelinerun.queued", "run.due", "test", "lint"]);
    let (output, reason) = (Some(DIGEST.to_owned()), Some("exit status 101".to_owned()));
    let failed = end(&done("test", TaskResult { output, reason, ..result(Outcome::Failure, &[]) }));
    assert_eq!((failed.outcome, failed.failed.as_deref()), (Outcome::Failure, Some("test")));
    assert_eq!((failed.output.as_deref(), failed.reason.as_deref()), (Some(DIGEST), Some("exit status 101")));
    check(&succeeded("lint"), &[]);
    check(&due(), &[]);
}

#[test]
fn a_commit_runs_once_and_only_if_it_was_merged_or_pushed() {
    let _host = host(DEFINITION).answer("GET", &url(), 200, DEFINITION.as_bytes());
    check(&change("proposal"), &[]);
    check(&change("queue"), &[]);
    check(&Event { origin: None, ..change("merge") }, &[]);
    check(&change("merge"), &["pipelinerun.queued", "run.due", "test", "lint"]);
    check(&change("push"), &[]);
    end(&done("test", result(Outcome::Cancel, &[])));
    check(&change("merge"), &[]);
}

#[test]
fn a_result_counts_from_a_named_origin_for_a_task_that_was_asked_for_once() {
    let _host = host(DEFINITION);
    check(&succeeded("test"), &[]);
    check(&change("merge"), &["pipelinerun.queued", "run.due", "test", "lint"]);
    check(&from("function:stranger", succeeded("test")), &[]);
    check(&from("api:token", succeeded("test")), &[]);
    check(&Event { origin: None, ..succeeded("test") }, &[]);
    check(&succeeded("image"), &[]);
    check(&succeeded("other"), &[]);
    check(&succeeded("test"), &[]);
    check(&done("test", result(Outcome::Failure, &[])), &[]);
    check(&succeeded("lint"), &["image"]);
    check(&succeeded("lint"), &[]);
}

#[track_caller]
fn check_broken(results: &[(&str, &str)], problem: &str) {
    let _host = host(DEFINITION);
    handle(change("merge")).unwrap();
    for task in ["test", "lint"] {
        handle(succeeded(task)).unwrap();
    }
    let ended = end(&done("image", result(Outcome::Success, results)));
    assert_eq!((ended.outcome, ended.failed.as_deref()), (Outcome::Error, Some("image")));
    assert!(ended.reason.as_ref().unwrap().contains(problem), "{ended:?}");
}

#[test]
fn a_task_that_does_not_give_what_it_must_has_not_succeeded() {
    let repository = ("artifact", "registry.example.com/acme/shop");
    check_broken(&[("digest", DIGEST)], "without its result artifact");
    check_broken(&[("digest", "latest"), repository], "is not sha256: and 64 hex digits");
    check_broken(&[("digest", DIGEST), ("artifact", "localhost:5000/shop:latest")], "no OCI repository without a tag");
    check_broken(&[("digest", DIGEST), ("artifact", "shop")], "no OCI repository");
    check_broken(&[("digest", DIGEST), ("artifact", &format!("a/{}", "b".repeat(1_024)))], "1024 bytes of plain text");
    check_broken(&[("digest", DIGEST), ("artifact", "a/b\nc")], "plain text");
}

#[test]
fn a_run_that_hears_nothing_ends_when_its_time_is_over() {
    let host = host(DEFINITION);
    handle(change("merge")).unwrap();
    check(&succeeded("test"), &[]);
    let early = check(&due(), &["run.due"]);
    assert_eq!(early[0].text("deliverat"), Some("2026-11-25T01:30:00.000Z"));
    let _host = at(host, 1_800);
    let events = handle(due()).unwrap();
    assert_eq!(told(&events), ["error"]);
    let ended: RunFinished = custom(&events[0]).unwrap();
    assert_eq!(ended.failed.as_deref(), Some("lint"));
    assert_eq!(ended.reason.unwrap(), "it did not end by 2026-11-25T01:30:00.000Z; nothing was heard of lint");
    check(&succeeded("lint"), &[]);
}

#[test]
fn a_definition_that_cannot_be_read_ends_the_run_at_once() {
    let _host = host("[[task]]\nname = \"a\"\n").answer("GET", &url(), 200, b"");
    let ended = end(&change("merge"));
    assert_eq!((ended.outcome, ended.failed), (Outcome::Error, None));
    let reason = ended.reason.unwrap();
    assert!(
        reason.starts_with("its definition, .tidegate/pipeline.toml, cannot be read: line 1: missing field `executor`"),
        "{reason}"
    );
    check(&change("push"), &[]);
}

#[test]
fn a_repository_without_a_definition_has_the_configured_one_or_no_run() {
    let missing = || Host::new().key_space(SPACE).answer("GET", &url(), 404, b"{}");
    let _host = missing();
    check(&change("merge"), &[]);
    let host = missing().config("pipeline", DEFINITION);
    check(&change("merge"), &["pipelinerun.queued", "run.due", "test", "lint"]);
    assert_eq!(host.requests()[0].headers, [("accept".to_owned(), "application/vnd.github.raw+json".to_owned())]);
}

#[test]
fn a_git_host_that_does_not_answer_is_asked_again() {
    let _host = Host::new().key_space(SPACE).config("connection", "forge");
    let failure = handle(change("merge")).unwrap_err();
    assert!(matches!(&failure, Failure::Retry { reason, .. } if reason.contains("http://forge/repos/")), "{failure:?}");
    let _host = Host::new().key_space(SPACE).answer("GET", &url(), 403, b"rate limit");
    assert!(matches!(handle(change("merge")), Err(Failure::Retry { .. })));
}

#[test]
fn what_is_no_part_of_a_run_is_rejected() {
    let _host = host(DEFINITION);
    let failure = handle(Event::new("com.github.push")).unwrap_err();
    assert!(failure.reason().contains("is not heard here"), "{failure}");
}
