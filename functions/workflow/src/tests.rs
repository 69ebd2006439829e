//! The function as it is called: what it asks the git host, and what it says of the answers.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use delivery::{TaskFinished, TaskRunFinished, custom, say};
use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const TASK: &str = "acme/shop/runs/6113728f27ae/smoke";
const DISPATCH: &str = "http://github/repos/acme/shop/actions/workflows/smoke.yml/dispatches";
const ADDRESS: &str = "https://github.com/acme/shop/actions/runs/71";

/// It is this many seconds after 2026-11-25T01:00:00Z.
fn at(host: Host, seconds: u64) -> Host {
    host.at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_568_400 + seconds))
}

/// A git host that answers the dispatch.
fn host(status: u16, body: &Value) -> Host {
    let host = at(Host::new(), 0).key_space(SPACE).config("senders", r#"["trigger:/hooks/github"]"#);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    host.answer("POST", DISPATCH, status, body.as_bytes())
}

/// The host names the run that it began.
fn named() -> Host {
    host(200, &json!({ "workflow_run_id": 71, "run_url": "https://api.github.com/x", "html_url": ADDRESS }))
}

fn from(origin: &str, event: Event) -> Event {
    let (kind, name) = origin.split_once(':').unwrap();
    Event { origin: Some(Origin { kind: kind.into(), name: name.into(), verified: true }), ..event }
}

fn request(executor: Executor) -> Event {
    let request = TaskRequested {
        run: "acme/shop/runs/6113728f27ae".to_owned(),
        task: "smoke".to_owned(),
        pipeline: "release".to_owned(),
        repository: "acme/shop".to_owned(),
        commit: COMMIT.to_owned(),
        executor,
        time_seconds: 600,
    };
    from("function:pipeline", say(types::TASK_REQUESTED, TASK, COMMIT, &request).unwrap())
}

fn smoke() -> Event {
    let parameters = BTreeMap::from([("level".to_owned(), "2".to_owned())]);
    request(Executor::WorkflowDispatch { workflow: "smoke.yml".to_owned(), reference: "main".to_owned(), parameters })
}

/// What the host says of the run 71, with other facts in `changes`.
fn told(changes: &Value) -> Event {
    let mut run = json!({
        "id": 71, "event": "workflow_dispatch", "path": ".github/workflows/smoke.yml", "head_sha": COMMIT,
        "status": "completed", "conclusion": "success", "html_url": ADDRESS, "display_title": "smoke",
    });
    run.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let data = json!({ "git": { "repo": "acme/shop" }, "payload": { "workflow_run": run } });
    from("trigger:/hooks/github", Event::new("com.github.workflow_run.completed").json(&data).unwrap())
}

fn due() -> Event {
    let content = json!({ "run": "acme/shop/runs/6113728f27ae", "task": "smoke" });
    from("function:workflow", say(types::TASK_DUE, TASK, COMMIT, &content).unwrap())
}

/// The outcome and the reason of the task's end, or nothing.
#[track_caller]
fn check(event: &Event, expected: Option<(Outcome, &str)>) {
    let said = handle(event.clone()).unwrap();
    let Some((outcome, reason)) = expected else { return assert_eq!(said, []) };
    let [said] = said.as_slice() else { panic!("{said:?}") };
    let finished: TaskFinished = custom(said).unwrap();
    assert_eq!(finished.result.outcome, outcome);
    assert!(finished.result.reason.unwrap_or_default().contains(reason), "{said:?}");
    assert_eq!((said.subject.as_deref(), said.text("partitionkey")), (Some(TASK), Some(COMMIT)));
}

#[test]
fn a_task_is_dispatched_with_its_token_and_ends_with_the_run_that_it_began() {
    let host = named();
    let said = handle(smoke()).unwrap();
    assert_eq!((said.len(), said[0].text("deliverat")), (1, Some("2026-11-25T01:10:00.000Z")));
    let body: Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
    let inputs = json!({ "level": "2", "tidegate": title::token_of(TASK) });
    assert_eq!(body, json!({ "ref": "main", "inputs": inputs, "return_run_details": true }));
    check(&told(&json!({ "status": "in_progress", "conclusion": null })), None);
    let _host = at(host, 90);
    let said = handle(told(&json!({}))).unwrap();
    let (content, added): (TaskRunFinished, TaskFinished) = (content(&said[0]).unwrap(), custom(&said[0]).unwrap());
    assert_eq!((content.outcome, content.uri.as_deref()), (Outcome::Success, Some(ADDRESS)));
    assert_eq!((added.result.output.as_deref(), added.result.duration_millis), (Some(ADDRESS), 90_000));
    check(&told(&json!({})), None);
    check(&due(), None);
}

#[test]
fn a_run_that_the_host_did_not_name_is_known_by_its_title() {
    let token = title::token_of(TASK);
    let titled = |changes: Value| {
        let mut all = json!({ "display_title": format!("smoke test {token}") });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        told(&all)
    };
    let _host = host(204, &Value::Null);
    handle(smoke()).unwrap();
    check(&told(&json!({})), None);
    check(&titled(json!({ "path": ".github/workflows/other.yml" })), None);
    check(&titled(json!({ "event": "push" })), None);
    check(
        &titled(json!({ "id": 5, "path": ".github/workflows/smoke.yml@refs/heads/main" })),
        Some((Outcome::Success, "")),
    );
}

#[test]
fn another_run_does_not_count() {
    let _host = named();
    handle(smoke()).unwrap();
    let token = title::token_of(TASK);
    check(&told(&json!({ "id": 72 })), None);
    check(&told(&json!({ "id": 72, "display_title": token })), None);
    check(&from("api:token", told(&json!({}))), None);
    check(&Event { origin: None, ..told(&json!({})) }, None);
    check(&told(&json!({})), Some((Outcome::Success, "")));
}

#[test]
fn only_success_is_success() {
    for (conclusion, outcome) in [
        ("failure", Outcome::Failure),
        ("skipped", Outcome::Failure),
        ("neutral", Outcome::Failure),
        ("timed_out", Outcome::Failure),
        ("action_required", Outcome::Failure),
        ("cancelled", Outcome::Cancel),
    ] {
        let _host = named();
        handle(smoke()).unwrap();
        check(&told(&json!({ "conclusion": conclusion })), Some((outcome, conclusion)));
    }
}

#[test]
fn a_run_of_another_commit_ends_the_task_with_an_error() {
    let _host = named();
    handle(smoke()).unwrap();
    let moved = told(&json!({ "head_sha": "a".repeat(40), "conclusion": null }));
    check(&moved, Some((Outcome::Error, "its ref has moved on")));
    check(&told(&json!({})), None);
}

#[test]
fn a_run_that_does_not_end_ends_by_the_timer() {
    let host = named();
    handle(smoke()).unwrap();
    let early = handle(due()).unwrap();
    assert_eq!(early[0].text("deliverat"), Some("2026-11-25T01:10:00.000Z"));
    let _host = at(host, 600);
    check(&due(), Some((Outcome::Error, "smoke.yml did not complete by 2026-11-25T01:10:00.000Z")));

    let host = self::host(204, &Value::Null);
    handle(smoke()).unwrap();
    let _host = at(host, 600);
    check(&due(), Some((Outcome::Error, "no run of smoke.yml was heard of")));
    check(&told(&json!({ "display_title": title::token_of(TASK) })), None);
}

#[test]
fn what_the_host_refuses_is_an_error_and_what_may_pass_is_tried_again() {
    let _host = host(422, &json!({ "message": "Unexpected inputs provided: [\"tidegate\"]" }));
    check(&smoke(), Some((Outcome::Error, "Unexpected inputs provided")));
    let _host = host(404, &json!({ "message": "Not Found" }));
    check(&smoke(), Some((Outcome::Error, "Not Found")));
    let _host = host(503, &Value::Null);
    assert!(matches!(handle(smoke()), Err(Failure::Retry { .. })));
}

#[test]
fn a_task_is_dispatched_once_and_only_if_it_is_a_workflow() {
    let host = named();
    check(&request(Executor::Process { argv: vec!["make".to_owned()], env: BTreeMap::new() }), None);
    check(&Event { origin: None, ..smoke() }, None);
    assert_eq!(host.requests().len(), 0);
    handle(smoke()).unwrap();
    check(&smoke(), None);
    assert_eq!(host.requests().len(), 1);
}
