//! What a project says is to be redacted is in no file of it, whichever way it came.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use serde_json::{Value, json};

use crate::http;
use crate::stage::{self, Stage, publish, wait_until_settled};
use crate::support::{Server, text};

const HEAD: &str = "[recording]\n\
    redact = { paths = [\"data.token\", \"data.deep[*].token\", \"subject\", \"card\", \"$.token\"], headers = [\"x-api-key\"] }\n\
    [[trigger.webhook]]\npath = \"/hooks/in\"\nsender = \"cloudevents\"\nunsigned = true\n";

/// One for each way in, so that a find says which.
const BY_WEBHOOK: &str = "secret-by-webhook-7Qp2";
const BY_API: &str = "secret-by-api-9Zk4";
const BY_ANSWER: &str = "secret-by-answer-3Vt8";
const BY_REJECTED: &str = "secret-by-rejected-5Mw1";
/// A number that no attribute can be, so that the sender is told of it.
const BY_MESSAGE: &str = "731199884466220055";
/// Stands beside them and is redacted nowhere: whoever finds this would find them.
const BESIDE: &str = "beside-the-secrets-1Hx6";

/// A peer that answers a secret and keeps what it was sent. Lives as long as the runtime.
fn peer(runtime: &tokio::runtime::Runtime, heard: Arc<Mutex<Vec<String>>>) -> String {
    let answer = async move |body: String| {
        heard.lock().expect("nobody panics").push(body);
        ([("x-api-key", BY_ANSWER)], json!({ "token": BY_ANSWER, "note": BESIDE }).to_string())
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    runtime.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.expect("it serves") });
    format!("http://{address}")
}

fn event(id: &str, ty: &str, secret: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/tests", "type": ty, "subject": secret,
        "data": { "token": secret, "note": BESIDE, "deep": [{ "token": { "inner": secret } }] },
    })
}

/// Files below a folder in which a text stands.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else {
            let bytes = fs::read(&path).expect("a file can be read");
            let stands = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            found.extend(stands.then(|| path.display().to_string()));
        }
    }
    found
}

#[track_caller]
fn check_files(folder: &Path) {
    assert!(!files_with(folder, BESIDE).is_empty(), "what stands beside the secrets is written");
    for secret in [BY_WEBHOOK, BY_API, BY_ANSWER, BY_REJECTED, BY_MESSAGE] {
        assert_eq!(files_with(folder, secret), [""; 0], "{secret}");
    }
}

fn send_all(server: &Server<'_>) {
    let large = json!({ "token": BY_WEBHOOK, "note": BESIDE, "pad": "x".repeat(100_000) });
    let mut large_event = event("w-large", "test.echo", BY_WEBHOOK);
    large_event["data"] = large;
    let by_webhook = [
        event("w-1", "test.echo", BY_WEBHOOK),
        event("w-2", "test.pass-on", BY_WEBHOOK),
        event("w-3", "test.pass-on-and-fail", BY_WEBHOOK),
        large_event,
    ];
    for event in &by_webhook {
        let body = event.to_string();
        assert_eq!(http::post(&server.hooks, "/hooks/in", &[http::STRUCTURED], body.as_bytes()).status, 202);
        // The same again is the same.
        let again = http::post(&server.hooks, "/hooks/in", &[http::STRUCTURED], body.as_bytes());
        assert_eq!((again.status, &again.json()["duplicate"]), (202, &json!(true)), "{}", again.body);
    }
    publish(server, &[event("a-1", "test.echo", BY_API), event("a-2", "test.pass-on-and-fail", BY_API)]);
    let mut without_id = event("r-1", "test.echo", BY_REJECTED);
    without_id["id"] = json!("");
    let mut other_content = event("w-1", "test.echo", BY_REJECTED);
    other_content["data"]["note"] = json!("other");
    let mut quoted = event("r-2", "test.echo", BY_REJECTED);
    quoted["card"] = serde_json::from_str(BY_MESSAGE).expect("a number");
    for (event, status) in [(without_id, 400), (quoted, 400), (other_content, 409)] {
        for (door, path) in [(&server.hooks, "/hooks/in"), (&server.api, "/events")] {
            let answer = http::post(door, path, &[http::STRUCTURED], event.to_string().as_bytes());
            assert_eq!(answer.status, status, "{}", answer.body);
            assert_eq!(answer.body.contains(BY_MESSAGE), event["id"] == "r-2", "{}", answer.body);
        }
    }
}

#[test]
fn what_is_redacted_is_in_no_file_and_its_attempts_are_run_again() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let types = ["test.echo", "test.pass-on"];
    let heard = Arc::default();
    let project = Stage::beside(HEAD, &peer(&runtime, Arc::clone(&heard)))
        .hostile("teller", &types, "write = [\"counts\"]", "")
        .project();
    let server = project.up();
    send_all(&server);
    wait_until_settled(&server);
    let invocations = http::json(&server.api, "/invocations?limit=100");
    let attempts = invocations["items"].as_array().expect("a listing");
    assert_eq!(attempts.len(), 6, "{attempts:?}");
    // Within its invocation a function sees it all: it told the peer.
    let sent_back = heard.lock().expect("nobody panics").iter().filter(|body| body.contains(BY_ANSWER)).count();
    assert_eq!(sent_back, 3);
    let refusals = http::json(&server.api, "/refusals")["items"].as_array().expect("a listing").len();
    assert_eq!(refusals, 6);
    let letters = http::json(&server.api, "/dlq").to_string();
    assert!(letters.contains("[redacted]") && letters.contains(BESIDE), "{letters}");
    for attempt in attempts {
        let id = attempt["id"].as_str().expect("an id");
        let output = server.tidegate(&["replay", id, "-o", "json"]);
        let view: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        assert_eq!(view["class"], "same", "{view}");
    }
    let state = project.folder().join(".tidegate");
    check_files(&state);
    // The log as it is while it is written, and as it lies after that.
    assert!(server.stop().success());
    check_files(&state);
}

#[test]
fn what_goes_by_a_redacted_answer_is_told_as_such_and_counts_as_no_change() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let project = Stage::beside(HEAD, &peer(&runtime, Arc::default()))
        .hostile("teller", &["test.http"], "write = [\"counts\"]", "")
        .project();
    let server = project.up();
    // It emits what it was answered as a text, in which nothing is looked for.
    publish(&server, &[stage::event("e-1", "test.http", "peer/told")]);
    wait_until_settled(&server);
    let output = server.tidegate(&["replay", "2.teller.0.1"]);
    assert!(!output.status.success(), "{}", text(&output));
    for told in ["2.teller.0.1  redacted\n", "the recording is redacted, so it was not told all", "answer 1: $.token"] {
        assert!(text(&output).contains(told), "{told}: {}", text(&output));
    }
    let summary = server.output(&["replay", "--since", "1h", "--max-changed", "0"]);
    assert!(summary.contains("1  redacted"), "{summary}");
}

#[test]
fn what_was_not_sampled_says_so() {
    let project = Stage::new("[recording]\nsample = 0\n")
        .hostile("teller", &["test.echo", "test.reject"], "write = [\"counts\"]", "")
        .project();
    let server = project.up();
    publish(&server, &[event("e-1", "test.echo", "x"), event("e-2", "test.reject", "x")]);
    wait_until_settled(&server);
    let output = server.tidegate(&["replay", "2.teller.0.1"]);
    assert!(!output.status.success());
    let expected = "the recording of invocation 2.teller.0.1 was not kept ([recording] sample)";
    assert!(text(&output).contains(expected), "{}", text(&output));
    assert!(server.output(&["invocations", "2.teller.0.1"]).contains("was not kept ([recording] sample)"));
    assert!(server.output(&["replay", "3.teller.0.1"]).contains("same"));
    assert!(server.output(&["replay", "--since", "1h"]).contains("1 attempt run again"));
}
