//! SIGTERM: nothing more comes in, what runs is finished, the rest waits in the log for the next start.

use serde_json::Value;

use crate::http;
use crate::stage::{Stage, event, function, log, publish, wait_until_settled};
use crate::support::{Server, eventually};

/// The guest asks for it.
const WRITES: &str = "write = [\"counts\"]";

fn wait_until_running(server: &Server<'_>, name: &str) {
    eventually("an invocation runs", || (function(server, name)["running"] == 1).then_some(()));
}

/// Kind of failure and attempt of every dead letter, by the event's id.
fn letters(server: &Server<'_>) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let letter = |letter: Value| {
        let invocation = &letter["invocation"];
        let attempt = invocation["attempt"].as_u64().expect("a number");
        (text(&letter["event"]["id"]), text(&invocation["failure"]["kind"]), attempt)
    };
    let mut letters: Vec<_> = server.json(&["dlq", "list"]).into_iter().map(letter).collect();
    letters.sort();
    letters
}

/// Publishes until the server takes nothing more. Answers the ids that it took.
fn publish_until_refused(api: &str) -> Vec<String> {
    let mut accepted = Vec::new();
    loop {
        let id = format!("late-{}", accepted.len());
        let body = event(&id, "test.echo", "late").to_string();
        match http::try_post(api, "/events", &[http::STRUCTURED], body.as_bytes()) {
            Ok(answer) if answer.status == 202 => accepted.push(id),
            Ok(_) | Err(_) => return accepted,
        }
    }
}

#[test]
fn a_server_that_is_told_to_stop_finishes_what_runs_and_keeps_all_that_it_accepted() {
    let once = "limits = { time = \"2s\" }\nretry = { attempts = 1 }\nconcurrency = 1";
    let project = Stage::new("")
        .hostile("slow", &["test.loop"], WRITES, once)
        .hostile("echo", &["test.echo"], "read = [\"counts\"]", "")
        .project();
    let server = project.up();
    publish(&server, &[event("first", "test.loop", ""), event("second", "test.loop", "")]);
    wait_until_running(&server, "slow");
    publish(&server, &[event("just-before", "test.echo", "late")]);
    server.terminate();
    let late = publish_until_refused(&server.api);
    assert!(server.ended().success(), "what ran came to its end within the grace");

    let server = project.up();
    wait_until_settled(&server);
    let timed_out = |id: &str| (id.to_owned(), "timed-out".to_owned(), 1);
    assert_eq!(letters(&server), [timed_out("first"), timed_out("second")], "each ran once, to its end");
    let log = log(&server);
    for id in late.into_iter().chain(["just-before".to_owned()]) {
        let of = |event: &&Value| event["event"]["id"] == id || event["event"]["causationid"] == id;
        assert_eq!(log.iter().filter(of).count(), 2, "{id} was accepted, and echoed once");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_what_ran_runs_again() {
    let long = "limits = { time = \"60s\" }\nconcurrency = 1";
    let project = Stage::new("").hostile("slow", &["test.loop"], WRITES, long).project();
    let server = project.up();
    publish(&server, &[event("first", "test.loop", "")]);
    wait_until_running(&server, "slow");
    server.terminate();
    // Until then the second would be taken for the first.
    publish_until_refused(&server.api);
    server.terminate();
    assert!(server.ended().success());
    let server = project.up();
    wait_until_running(&server, "slow");
    assert!(letters(&server).is_empty());
}
