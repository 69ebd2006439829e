//! The promises that the README makes, each held against a running project.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::guests;
use crate::http::{BATCH, STRUCTURED, get, post};
use crate::support::{Project, Server, eventually, text};

/// All that the hostile guest imports.
const GRANTS: &str = "keyvalue = { write = [\"counts\"] }, http = [\"peer\"], logging = true";
const PEER: &str = "[connections.peer]\nurl = \"http://127.0.0.1:9\"\n";

/// A project whose functions are the hostile guest under several names; `functions` follows the file's head.
fn project(functions: &str) -> Project {
    let project = Project::new(&format!("{PEER}{functions}"));
    project.write("guest.wasm", guests::hostile());
    project
}

/// A `[[function]]` that hears `on`, with `more` lines. It may only read what `writer` writes.
fn function(name: &str, on: &str, grants: &str, more: &str) -> String {
    format!(
        "[[function]]\nname = \"{name}\"\ncomponent = \"guest.wasm\"\non = [\"{on}*\"]\nconfig = {{ a = \"1\" }}\n\
         grants = {{ {grants}, emits = [\"test.done*\"] }}\n{more}\n"
    )
}

/// The same where another function writes the key space.
fn reader(name: &str, on: &str, more: &str) -> String {
    function(name, on, &GRANTS.replace("write", "read"), more)
}

/// Publishes one event of plain text, and answers its id once it is durable.
fn publish(server: &Server<'_>, id: &str, ty: &str, data: &str) -> String {
    let headers = [
        ("content-type", "text/plain"),
        ("ce-specversion", "1.0"),
        ("ce-id", id),
        ("ce-source", "test"),
        ("ce-type", ty),
    ];
    post(&server.api, "/events", &headers, data.as_bytes()).id()
}

/// What `explain` says of an event at one function.
#[track_caller]
fn explained(server: &Server<'_>, id: &str, function: &str) -> Value {
    let mut explained = server.json(&["explain", id]).remove(0);
    let functions = explained["functions"].as_array_mut().expect("explain lists functions");
    functions.iter_mut().find(|entry| entry["function"] == function).expect("the function is explained").take()
}

/// The explanation once its verdict is of this kind.
#[track_caller]
fn once(server: &Server<'_>, id: &str, function: &str, kind: &str) -> Value {
    eventually(&format!("{id} at {function} is {kind}"), || {
        let explained = explained(server, id, function);
        (explained["verdict"]["kind"] == kind).then_some(explained)
    })
}

#[test]
fn an_accepted_event_outlives_a_kill_and_is_handled_after_it() {
    let project = project(&function("count", "test.count", GRANTS, ""));
    let server = project.up();
    let id = publish(&server, "first", "test.count", "k");
    server.kill();
    let server = project.up();
    once(&server, &id, "count", "delivered");
}

/// A count and, for each, a relay: what a kill could lose or do twice.
fn counted_chain() -> Project {
    let relay = "[[function]]\nname = \"relay\"\ncomponent = \"builtin:relay\"\non = [\"test.done*\"]\n\
                 config = { to = \"org.test.relayed\" }\ngrants = { emits = [\"org.test.relayed\"] }\n";
    let retry = "retry = { initial = \"10ms\", max = \"10ms\", attempts = 1000 }";
    project(&format!("{}{relay}", function("count", "test.count", GRANTS, retry)))
}

/// Publishes events that count under one key, all of them or none.
fn publish_batch(server: &Server<'_>, name: &str, count: u64) {
    let event = |number| {
        let id = format!("{name}-{number}");
        json!({ "specversion": "1.0", "id": id, "source": "test", "type": "test.count", "datacontenttype": "text/plain", "data": "k" })
    };
    let batch: Vec<Value> = (0..count).map(event).collect();
    let answer = post(&server.api, "/events", &[BATCH], json!(batch).to_string().as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// How many chains came to their end, read from a project that does not run.
fn relayed(project: &Project) -> u64 {
    let events = ["events", "--type", "org.test.relayed", "--limit", "1000", "-o", "json", "--dir", "."];
    let output = project.tidegate(&events);
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8_lossy(&output.stdout).lines().count() as u64
}

/// Data of all events of a type, as numbers.
fn numbers(server: &Server<'_>, ty: &str) -> Vec<u64> {
    let events = server.json(&["events", "--type", ty, "--limit", "1000"]);
    let number = |accepted: &Value| accepted["event"]["data"].as_str().and_then(|data| data.parse().ok());
    let mut numbers: Vec<u64> = events.iter().map(|event| number(event).expect("a count")).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn each_event_counts_once_and_leads_on_once_however_often_the_process_is_killed() {
    const KILLS: u64 = 50;
    const EVENTS_EACH: u64 = 8;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    println!("TIDEGATE_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);

    let project = counted_chain();
    let mut hit = 0;
    for round in 1..=KILLS {
        let server = project.up();
        publish_batch(&server, &format!("round-{round}"), EVENTS_EACH);
        // Any point of the work: questions take no part in it, and their number says when it ends.
        for _ in 0..random.next_u32() % 40 {
            assert_eq!(get(&server.api, "/healthz").status, 200);
        }
        server.kill();
        hit += u64::from(relayed(&project) < round * EVENTS_EACH);
    }
    println!("{hit} of {KILLS} kills left work undone");
    assert!(hit > 0);

    let server = project.up();
    let expected: Vec<u64> = (1..=KILLS * EVENTS_EACH).collect();
    // What three kills hit is a dead letter, by the rule for events that end the process: a person puts it back.
    eventually("every chain is at its end", || {
        server.output(&["dlq", "redrive", "--all"]);
        (numbers(&server, "org.test.relayed").len() >= expected.len()).then_some(())
    });
    assert_eq!(numbers(&server, "test.done*"), expected, "no count is lost and none twice, seed {seed}");
    assert_eq!(numbers(&server, "org.test.relayed"), expected, "seed {seed}");
}

#[test]
fn explain_tells_a_verdict_for_every_function_on_every_event() {
    let functions = [
        function("counts", "test.count", GRANTS, "concurrency = 1"),
        reader("elsewhere", "test.echo", "when = 'event.subject == \"other\"'"),
        reader("broken", "test.echo", "when = 'data.no.such.thing == 1'"),
        reader("echoes", "test.echo", ""),
        reader("rejects", "test.reject", ""),
        reader("retries", "test.retry", ""),
        reader("sleeps", "test.sleep", "concurrency = 1\nlimits = { time = \"10m\" }"),
    ];
    let project = project(&functions.concat());
    let server = project.up();

    let echo = json!({ "specversion": "1.0", "id": "echo", "source": "test", "type": "test.echo", "subject": "this", "data": {} });
    let echo = post(&server.api, "/events", &[STRUCTURED], echo.to_string().as_bytes()).id();
    let delivered = once(&server, &echo, "echoes", "delivered");
    assert_eq!(delivered["emitted"][0]["type"], "test.done", "{delivered}");
    let filtered = once(&server, &echo, "elsewhere", "filtered");
    assert_eq!(filtered["verdict"]["clause"], "event.subject == \"other\"", "{filtered}");
    assert!(filtered["verdict"]["value"].as_str().expect("a value").contains("this"), "{filtered}");
    let failed = once(&server, &echo, "broken", "filter-failed");
    assert_eq!(failed["verdict"]["clause"], "data.no.such.thing == 1", "{failed}");
    assert!(failed["verdict"]["reason"].as_str().expect("a reason").contains("no"), "{failed}");

    let reject = publish(&server, "reject", "test.reject", "not like this");
    let dead = once(&server, &reject, "rejects", "dead-lettered");
    assert_eq!(dead["attempts"][0]["failure"], json!({ "kind": "rejected", "reason": "not like this" }), "{dead}");

    let retry = publish(&server, "retry", "test.retry", "later");
    let retrying = once(&server, &retry, "retries", "retrying");
    assert!(retrying["verdict"]["attempt"].as_u64() >= Some(2), "{retrying}");
    assert_eq!(retrying["attempts"][0]["failure"]["reason"], "later", "{retrying}");

    let running = publish(&server, "sleep-1", "test.sleep", "");
    once(&server, &running, "sleeps", "running");
    let waiting = publish(&server, "sleep-2", "test.sleep", "");
    let waiting = eventually("it waits", || Some(explained(&server, &waiting, "sleeps")));
    let kind = waiting["verdict"]["kind"].as_str().expect("a verdict");
    assert!(kind.starts_with("waiting-"), "{waiting}");

    // One verdict for each function that there is, in words too.
    let words = server.output(&["explain", &echo]);
    for function in ["counts", "elsewhere", "broken", "echoes", "rejects", "retries", "sleeps"] {
        assert!(words.contains(function), "{function}: {words}");
    }
    assert!(words.contains("event.subject == \"other\"") && words.contains("\"this\""), "{words}");
}

#[test]
fn an_import_that_was_not_granted_is_refused_by_name_before_anything_runs() {
    let cases = BTreeMap::from([
        ("wasi:keyvalue/store", "http = [\"peer\"], logging = true"),
        ("wasi:http/outgoing-handler", "keyvalue = { write = [\"counts\"] }, logging = true"),
        ("wasi:logging/logging", "keyvalue = { write = [\"counts\"] }, http = [\"peer\"]"),
    ]);
    for (import, grants) in cases {
        let project = project(&function("guest", "test.", grants, ""));
        for command in ["check", "up"] {
            let output = project.tidegate(&[command]);
            assert_eq!(output.status.code(), Some(1), "{command}: {}", text(&output));
            assert!(text(&output).contains(&format!("imports {import}")), "{command} {import}: {}", text(&output));
        }
    }
}

#[test]
fn a_type_or_connection_that_was_not_granted_fails_the_invocation_by_its_name() {
    let project = project(&function("guest", "test.", GRANTS, ""));
    let server = project.up();
    let cases = [("test.ungranted-type", "", "test.ungranted"), ("test.http", "elsewhere/path", "\"elsewhere\"")];
    for (ty, data, named) in cases {
        let id = publish(&server, ty, ty, data);
        let dead = once(&server, &id, "guest", "dead-lettered");
        let failure = &dead["attempts"][0]["failure"];
        assert_eq!(failure["kind"], "not-permitted", "{dead}");
        assert!(failure["reason"].as_str().expect("a reason").contains(named), "{dead}");
        assert!(dead["emitted"].as_array().is_none_or(Vec::is_empty), "{dead}");
    }
    // The next event finds the function as it was.
    let echo = publish(&server, "echo", "test.echo", "still here");
    once(&server, &echo, "guest", "delivered");
}

#[test]
fn a_component_of_the_contract_s_first_version_runs_with_what_it_was_granted() {
    let first = "[[function]]\nname = \"first\"\ncomponent = \"first.wasm\"\non = [\"test.greet*\"]\n\
                 config = { greeting = \"hello\" }\n\
                 grants = { keyvalue = { write = [\"frozen\"] }, logging = true, emits = [\"test.done*\"] }\n";
    let project = Project::new(first);
    project.write("first.wasm", guests::handler_0_1_0());
    let server = project.up();
    let id = publish(&server, "greet", "test.greet", "");
    once(&server, &id, "first", "delivered");
    let done = &server.json(&["events", "last"])[0];
    assert_eq!(done["event"]["data"], "hello api 1 1 last,seen", "{done}");
}
