//! What is removed from the log of a real process, and what is told of it.

use serde_json::{Value, json};

use crate::http;
use crate::stage::{Stage, event, publish, wait_until_settled};
use crate::support::{Server, eventually, text};

/// Everything goes a second after it is settled.
const A_SECOND: &str = "[bus]\ndedupe = \"1s\"\n[retention]\nevents = { age = \"1s\" }\n";

fn storage(server: &Server<'_>) -> Value {
    http::json(&server.api, "/storage")
}

fn wait_until_removed(server: &Server<'_>, position: u64) -> Value {
    eventually("what is old enough is removed", || {
        let storage = storage(server);
        (storage["removed_to"].as_u64()? >= position).then_some(storage)
    })
}

#[track_caller]
fn refused(server: &Server<'_>, arguments: &[&str], expected: &str) {
    let output = server.tidegate(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output));
    assert!(text(&output).contains(expected), "{arguments:?}: {}", text(&output));
}

#[test]
fn a_log_is_removed_while_it_is_served_and_says_where_it_starts() {
    let project =
        Stage::new(A_SECOND).hostile("echo", &["test.echo", "test.reject"], "write = [\"counts\"]", "").project();
    let server = project.up();
    let events: Vec<_> = (0..200).map(|index| event(&format!("e-{index}"), "test.echo", "again")).collect();
    publish(&server, &events);
    publish(&server, &[event("bad", "test.reject", "no such thing")]);
    wait_until_settled(&server);
    let dead = http::json(&server.api, "/dlq")["items"][0].clone();
    let dead_at = dead["event"]["position"].as_u64().expect("a position");
    // Each echo has an answer; the last event of the log stays.
    let last = storage(&server)["position"].as_u64().expect("a position");
    let removed = wait_until_removed(&server, last - 1);
    assert_eq!(removed["events_held"], 2, "the record of the deployment and the dead letter: {removed}");
    assert_eq!(removed["first"]["position"], last, "{removed}");
    let held = &removed["held"][0];
    assert_eq!((&held["by"], &held["function"]), (&json!("dead-letter"), &json!("echo")), "{removed}");
    assert_eq!((&held["position"], &held["events"]), (&json!(dead_at), &json!(1)), "{removed}");

    let told = format!("#3 was removed by retention; the log starts at #{last}");
    for arguments in [&["explain", "@3"][..], &["trace", "@3"], &["events", "@3"], &["dlq", "show", "3.echo"]] {
        refused(&server, arguments, &told);
    }
    let shown = server.output(&["functions"]);
    assert!(
        shown.contains(&format!("log from #{last} to #{last}")) && shown.contains("held back  echo has 1 event"),
        "{shown}"
    );
    // What is held is whole: its chain, its verdict, and it can be put back.
    assert!(server.output(&["explain", &format!("@{dead_at}")]).contains("dead-lettered"));
    // The answer to an echo that is gone stands first in its chain.
    let trace = http::json(&server.api, &format!("/events/@{last}/trace"));
    assert_eq!(trace["roots"][0]["position"], last, "{trace}");
    let metrics = http::get(&server.api, "/metrics").body;
    assert!(metrics.contains("tidegate_log_size_bytes{part=\"events\"}"), "{metrics}");

    server.kill();
    let server = project.up();
    refused(&server, &["explain", "@3"], &told);
    publish(&server, &[event("e-0", "test.echo", "new again")]);
    wait_until_settled(&server);
    wait_until_removed(&server, last + 1);
    server.output(&["dlq", "drop", dead["id"].as_str().expect("an id")]);
    eventually("the dead letter's event goes once it is dropped", || {
        (storage(&server)["held"] == json!([]) && storage(&server)["events_held"] == 1).then_some(())
    });
    assert!(server.stop().success());
}
