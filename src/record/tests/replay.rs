//! What was recorded comes out again, and what differs is found where it differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Router;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::*;
use crate::host::Script;
use crate::invoke::testing::{compiled, engine};

/// A peer that answers with what it was asked.
async fn peer() -> String {
    let tell = |uri: axum::http::Uri| async move { uri.to_string() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum::serve(listener, Router::new().fallback(tell));
    tokio::spawn(async move { server.await });
    format!("http://{address}")
}

async fn judged(case: &Case, changes: &Changes) -> Judged {
    judge(engine(), &compiled(guests::hostile()).await, case, changes, None).await.unwrap()
}

#[track_caller]
fn check_same(ty: &str, judged: &Judged) {
    assert_eq!((judged.class, &judged.diff), (Class::Same, &Diff::default()), "{ty}: {judged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_guest_does_comes_out_again() {
    let stage = Stage::new().connect("peer", &peer().await, true).with(|stage| {
        stage.function.limits.time_max = Duration::from_millis(300);
    });
    let cases = [
        ("test.echo", "{\"a\": 1}"),
        ("test.loop", ""),
        ("test.sleep", ""),
        ("test.allocate", ""),
        ("test.trap", ""),
        ("test.panic", "here"),
        ("test.recurse", ""),
        ("test.exit", ""),
        ("test.many-bytes", ""),
        ("test.many-events", ""),
        ("test.ungranted-type", ""),
        ("test.invalid-name", ""),
        ("test.reject", "no"),
        ("test.retry", "later"),
        ("test.world", ""),
        ("test.chance", ""),
        ("test.clock", ""),
        ("test.print", "300"),
        ("test.log", "a line"),
        ("test.config", ""),
        ("test.http", "peer/x"),
        ("test.http", "peer/x body"),
        ("test.http", "elsewhere/x"),
        ("test.http-headers", "x-own"),
        ("test.count", "orders"),
        ("test.increment", "n"),
        ("test.own-writes", ""),
        ("test.list", ""),
        ("test.batch", ""),
        ("test.write-then-trap", "k"),
        ("test.write-many", "1001"),
        ("test.write-long", ""),
        ("test.read-elsewhere", "gates"),
        ("test.script", "pair peer/slow peer/fast"),
        ("test.script", "leave peer/a\nwall"),
        ("test.http", "peer/x another body"),
        ("test.script", "http peer/a\nspin"),
    ];
    for (ty, data) in cases {
        let ran = stage.run(ty, data).await;
        let case = stage.case(ty, data, &ran);
        check_same(ty, &judged(&case, &Changes::default()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_of_another_function_is_counted_again() {
    let stage = Stage::new();
    let asked = |function: &str| {
        let component = Digest::of(b"c").to_string();
        serde_json::json!({ "function": function, "component": component, "from": 1, "to": null }).to_string()
    };
    for function in ["tester", "elsewhere"] {
        let data = asked(function);
        let ran = stage.run_component(guests::counting(), "test.count", &data).await;
        let case = stage.case("test.count", &data, &ran);
        let counting = compiled(guests::counting()).await;
        let judged = judge(engine(), &counting, &case, &Changes::default(), None).await.unwrap();
        check_same(function, &judged);
        let asks = |entry: &crate::host::Entry| matches!(entry.effect, Effect::Statistics { .. });
        assert!(case.recording.journal.entries().iter().any(asks), "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_takes_as_many_instructions_and_no_time() {
    let stage = Stage::new();
    let script = "sleep 1500000\nwall\nmonotonic\nrandom 16";
    let ran = stage.run("test.script", script).await;
    let case = stage.case("test.script", script, &ran);
    let again = judged(&case, &Changes::default()).await;
    check_same("test.script", &again);
    assert_eq!(Some(again.replayed.used.instructions), case.recording.instructions);
    assert!(case.recording.duration >= Duration::from_millis(1_500));
    assert!(again.replayed.used.duration < case.recording.duration, "what was slept is not slept again");
}

/// A line of a script for the guest.
fn line() -> impl Strategy<Value = String> {
    let key = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let space = || prop_oneof![4 => Just("counts"), 1 => Just("shared")];
    prop_oneof![
        Just("wall".to_owned()),
        Just("monotonic".to_owned()),
        Just("seed".to_owned()),
        (1..40_u32).prop_map(|bytes| format!("random {bytes}")),
        (1..40_u32).prop_map(|bytes| format!("insecure {bytes}")),
        (0..300_u32).prop_map(|micros| format!("sleep {micros}")),
        (space(), key()).prop_map(|(space, key)| format!("get {space} {key}")),
        (space(), key()).prop_map(|(space, key)| format!("exists {space} {key}")),
        (key(), 0..100_u32).prop_map(|(key, value)| format!("set counts {key} {value}")),
        key().prop_map(|key| format!("delete counts {key}")),
        (key(), 1..9_u32).prop_map(|(key, delta)| format!("increment counts {key} {delta}")),
        space().prop_map(|space| format!("list {space}")),
        prop_oneof![Just("greeting"), Just("absent")].prop_map(|key| format!("config {key}")),
        Just("config-all".to_owned()),
        key().prop_map(|text| format!("log here {text}")),
        key().prop_map(|text| format!("print {text}")),
        key().prop_map(|path| format!("http peer/{path}")),
        (key(), key()).prop_map(|(path, body)| format!("http peer/{path} {body}")),
        (key(), key()).prop_map(|(first, second)| format!("pair peer/{first} peer/{second}")),
        key().prop_map(|path| format!("http nowhere/{path}")),
        key().prop_map(|text| format!("emit {text}")),
    ]
}

fn script() -> impl Strategy<Value = Vec<String>> {
    let end = prop_oneof![6 => Just(None), 1 => Just(Some("reject")), 1 => Just(Some("trap")), 1 => Just(Some("get gates a"))];
    (proptest::collection::vec(line(), 1..12), end).prop_map(|(mut lines, end)| {
        lines.extend(end.map(str::to_owned));
        lines
    })
}

/// How many random scripts are run; `TIDEGATE_CASES` says otherwise.
fn cases() -> u32 {
    std::env::var("TIDEGATE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// Runs `check` on random scripts, each recorded live.
fn with_scripts(check: impl Fn(&Runtime, &Stage, &[String], &Case) -> Result<(), TestCaseError>) {
    let runtime = Runtime::new().unwrap();
    let stage = runtime.block_on(async {
        let stage = Stage::new().connect("peer", &peer().await, true);
        stage.set("counts", "a", b"41").await;
        stage.set("shared", "b", b"told").await;
        stage
    });
    let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let run = runner.run(&script(), |lines| {
        let script = lines.join("\n");
        let ran = runtime.block_on(stage.run("test.script", &script));
        check(&runtime, &stage, &lines, &stage.case("test.script", &script, &ran))
    });
    run.unwrap();
}

#[test]
fn any_effects_come_out_again_by_place_and_by_name() {
    with_scripts(|runtime, _, lines, case| {
        let exact = runtime.block_on(judged(case, &Changes::default()));
        prop_assert_eq!((exact.class, &exact.diff), (Class::Same, &Diff::default()), "{:?}", lines);
        // The same code, as if it were other code: answered by name, it does the same.
        let compiled = runtime.block_on(compiled(guests::hostile()));
        let replayed = runtime.block_on(replay(engine(), &compiled, case, case.matched(None))).unwrap();
        let own = diff(&case.recording, &replayed);
        // Which of two answers came first is the world's doing, and other code may be told otherwise.
        let concurrent = lines.iter().any(|line| line.starts_with("pair"));
        prop_assert!(own.is_empty() || concurrent, "{:?}: {:?}", lines, own);
        Ok(())
    });
}

/// Changes an argument of a line; none: it has none that a recording could tell.
fn changed(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(' ')?;
    match name {
        "emit" | "pair" => None,
        "random" | "insecure" => Some(format!("{name} {}", rest.parse::<u32>().ok()? + 1)),
        "sleep" => Some(format!("sleep {}", rest.parse::<u32>().ok()? + 1)),
        "increment" => Some(format!("{line}1")),
        "list" => Some(if rest == "shared" { "list counts" } else { "list shared" }.to_owned()),
        _ => Some(format!("{line}x")),
    }
}

#[test]
fn an_argument_that_differs_is_found_at_its_effect() {
    with_scripts(|runtime, stage, lines, case| {
        let compiled = runtime.block_on(compiled(guests::hostile()));
        for (index, line) in lines.iter().enumerate() {
            let Some(other) = changed(line) else { continue };
            let mut mutated = lines.to_vec();
            mutated[index] = other;
            let mut altered = case.clone();
            altered.event = Accepted::clone(&stage.delivery("test.script", &mutated.join("\n")).event);
            let replayed = runtime.block_on(replay(engine(), &compiled, &altered, case.exact())).unwrap();
            let Ending::Unanswered(unanswered) = &replayed.ending else {
                // A line after one that ended the run is never reached.
                let reached = case.recording.journal.entries().len();
                prop_assert!(replayed.journal.entries().len() == reached, "{mutated:?}: {:?}", replayed.ending);
                continue;
            };
            // What was made until then is what was recorded, and this is not.
            let recorded = case.recording.journal.entries();
            prop_assert_eq!(&replayed.journal.entries()[..unanswered.after], &recorded[..unanswered.after]);
            prop_assert_eq!(unanswered.recorded.as_ref(), recorded.get(unanswered.after).map(|entry| &entry.effect));
            prop_assert_ne!(Some(&unanswered.asked), unanswered.recorded.as_ref());
        }
        Ok(())
    });
}

/// A case of a script, recorded on a stage with a peer.
async fn recorded(script: &str) -> (Stage, Case) {
    let stage = Stage::new().connect("peer", &peer().await, true);
    stage.set("counts", "a", b"41").await;
    let ran = stage.run("test.script", script).await;
    let case = stage.case("test.script", script, &ran);
    (stage, case)
}

/// Runs a case with another script as its input, and says what came of it.
async fn with_input(case: &Case, script: &str) -> String {
    let input = Event { data: Some(Bytes::copy_from_slice(script.as_bytes())), ..case.event.event.clone() };
    let judged = judged(case, &Changes { input: Some(input), ..Changes::default() }).await;
    match judged.replayed.ending {
        Ending::Completed(emitted) => text(&emitted),
        Ending::Failed(failure) => format!("{}: {}", failure.kind.as_str(), failure.reason),
        Ending::Unanswered(unanswered) => {
            let mut told = format!("unanswered after {}: {}", unanswered.after, unanswered.asked.name());
            if let Some(recorded) = unanswered.recorded {
                write!(told, ", recorded {}", recorded.name()).unwrap();
            }
            told
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_input_is_answered_from_what_was_recorded() {
    let (_stage, case) =
        recorded("get counts a\nexists counts b\nincrement counts n 2\nlist counts\nset counts own 1\nhttp peer/x")
            .await;
    let check = async |script: &str, expected: &str| {
        assert_eq!(with_input(&case, script).await, expected, "{script}");
    };
    check("http peer/x\nget counts a", "200  /x\nOk(Some([52, 49]))\n").await;
    check("get counts b", "Ok(None)\n").await;
    check("increment counts n 5", "Ok(5)\n").await;
    check("set counts z 7\nget counts z", "Ok(())\nOk(Some([55]))\n").await;
    check("increment counts n 1\nlist counts", "Ok(1)\na n\n").await;
    // Whether there was an `n` before it was written, the recording does not tell.
    check("list counts", "unanswered after 0: key-list counts, recorded key-list counts").await;
    check("config greeting", "Ok(Some(\"hello\"))\n").await;
    check("get counts elsewhere", "Ok(None)\n").await;
    check("http peer/y", "unanswered after 0: http peer, recorded http peer").await;
    check("http peer/x\nhttp peer/x", "unanswered after 2: http peer, recorded http peer").await;
    check("get shared k", "unanswered after 0: key-get shared, recorded key-get counts").await;
    check("http nowhere/x", "not-permitted: function tester may not call \"nowhere\"; name a connection of the project file and grant it with http = [\"nowhere\"]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_told_by_kind() {
    let (_stage, case) = recorded("get counts a\nset counts own 1\nemit first").await;
    let with = async |script: &str| {
        let input = Event { data: Some(Bytes::copy_from_slice(script.as_bytes())), ..case.event.event.clone() };
        let judged = judged(&case, &Changes { input: Some(input), ..Changes::default() }).await;
        (judged.class, judged.diff.kind())
    };
    let (class, kind) = with("get counts a\nset counts own 2\nemit first").await;
    assert_eq!(class, Class::Changed);
    assert_eq!(kind, "writes to counts differ");
    let (class, kind) = with("get counts a\nset counts own 1\nemit first\nemit second").await;
    assert_eq!((class, kind.contains("emits test.done more")), (Class::Changed, true), "{kind}");
    let (class, kind) = with("reject").await;
    assert_eq!((class, kind.starts_with("fails now (rejected)")), (Class::NewlyFailing, true), "{kind}");
    assert_eq!(with("get shared k").await.0, Class::Unanswered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_differs_is_what_the_function_reads() {
    let (_stage, case) = recorded("config greeting").await;
    let config = BTreeMap::from([("greeting".to_owned(), "farewell".to_owned())]);
    let other = judged(&case, &Changes { config, ..Changes::default() }).await;
    assert_eq!(other.class, Class::Changed);
    assert_eq!(other.diff.kind(), "data differs");
    let same = BTreeMap::from([("greeting".to_owned(), "hello".to_owned())]);
    check_same("config", &judged(&case, &Changes { config: same, ..Changes::default() }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reaches_no_bus_and_no_peer() {
    // The peer is gone when it is run again, and the bus fails every call: nobody asks either of them.
    let (stage, case) = recorded("get counts a\nlist counts\nset counts b 1\nhttp peer/x\nleave peer/y").await;
    drop(stage);
    let script = case.exact();
    assert!(matches!(script, Script::Exact { .. }));
    check_same("test.script", &judged(&case, &Changes::default()).await);
}
