//! Guests that do their worst: each ends as a dead letter that names what it did, and nobody else notices.

use serde_json::Value;

use crate::http;
use crate::stage::{Stage, emitted_by, event, function, log, publish, wait_until_settled};
use crate::support::Server;

/// Type, data, kind of the failure, and what its reason names.
const CASES: [(&str, &str, &str, &str); 12] = [
    ("test.loop", "", "timed-out", "2s (limits.time)"),
    ("test.sleep", "", "timed-out", "2s (limits.time)"),
    ("test.allocate", "", "out-of-memory", "32 MiB (limits.memory)"),
    ("test.trap", "", "trapped", "unreachable"),
    ("test.recurse", "", "trapped", "call stack"),
    ("test.many-bytes", "", "bad-output", "4194304"),
    ("test.many-events", "", "bad-output", "at most 256"),
    ("test.invalid-name", "", "bad-output", "Not A Name"),
    ("test.own-id", "", "bad-output", "id is set by the host"),
    ("test.ungranted-type", "", "not-permitted", "test.ungranted"),
    ("test.http", "elsewhere/x", "not-permitted", "\"elsewhere\""),
    ("test.write-elsewhere", "gates", "not-permitted", "\"gates\""),
];

fn stage() -> Stage {
    let types: Vec<&str> = CASES.iter().map(|(ty, ..)| *ty).collect();
    let limits = "limits = { time = \"2s\", memory = \"32MiB\" }\nretry = { attempts = 1 }\nconcurrency = 1";
    let steady = "write = [\"counts\"]";
    let stage = Stage::new("").hostile("hostile", &types, "read = [\"counts\"]", limits);
    stage.hostile("steady", &["test.count"], steady, "")
}

#[track_caller]
fn check_letter(letters: &[Value], (ty, _, kind, names): (&str, &str, &str, &str)) {
    let letter = letters.iter().find(|letter| letter["event"]["type"] == ty);
    let failure = &letter.unwrap_or_else(|| panic!("{ty} is no dead letter"))["invocation"]["failure"];
    let reason = failure["reason"].as_str().unwrap_or_default();
    println!("{ty}: {} {reason}", failure["kind"]);
    assert!(failure["kind"] == kind && reason.contains(names), "{ty}: {failure}, not {kind} with {names}");
    if kind == "trapped" {
        assert!(!failure["backtrace"].as_array().expect("a trap has frames").is_empty(), "{ty}: {failure}");
    }
}

#[test]
fn every_misdeed_is_a_dead_letter_that_names_it_and_another_function_goes_on() {
    let project = stage().project();
    let server = project.up();
    let mut events = Vec::new();
    for (index, (ty, data, ..)) in CASES.into_iter().enumerate() {
        events.push(event(&format!("hostile-{index}"), ty, data));
        events.push(event(&format!("steady-{index}"), "test.count", "key"));
    }
    publish(&server, &events);
    wait_until_settled(&server);

    let letters = server.json(&["dlq", "list"]);
    assert_eq!(letters.len(), CASES.len(), "{letters:?}");
    for case in CASES {
        check_letter(&letters, case);
    }
    check_steady(&server);
}

/// The other function took every event of its own, once and at the first attempt.
#[track_caller]
fn check_steady(server: &Server<'_>) {
    let steady = function(server, "steady");
    assert_eq!(steady["delivered"], CASES.len(), "{steady}");
    assert_eq!((&steady["failed_attempts"], &steady["dead_letters"]), (&0.into(), &0.into()), "{steady}");
    let log = log(server);
    assert_eq!(emitted_by(&log, "steady").len(), CASES.len());
    assert!(emitted_by(&log, "hostile").is_empty(), "what failed emits nothing");
    assert_eq!(http::get(&server.api, "/readyz").status, 200);
}
