//! Guests that misbehave, each in its way: what becomes of them, and what is kept.

mod bundle;
mod redaction;
mod replay;
mod stored;

use std::time::Duration;

use super::*;
use crate::bus::faulty::Faulty;
use crate::deployment::RECORDING_BYTES_MAX;
use crate::event::Event;
use crate::host::{Answer, Effect, LOG_LINES_MAX};
use crate::invoke::testing::{Stage, guests, text};
use crate::outcome::{Failure, FailureKind};

fn failure(ran: &Ran) -> &Failure {
    match &ran.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Completed { emitted } => panic!("it completed: {}", text(emitted)),
    }
}

fn emitted(ran: &Ran) -> &[Event] {
    match &ran.outcome {
        Outcome::Completed { emitted } => emitted,
        Outcome::Failed(failure) => panic!("it failed: {failure:?}"),
    }
}

async fn check_failure(ty: &str, data: &str, kind: FailureKind, names: &str) -> Failure {
    let stage = Stage::new().with(|stage| stage.function.limits.time_max = Duration::from_secs(2));
    let ran = stage.run(ty, data).await;
    let failure = failure(&ran).clone();
    assert_eq!(failure.kind, kind, "{ty}: {failure:?}");
    assert!(failure.reason.contains(names), "{ty}: {:?} does not name {names:?}", failure.reason);
    assert!(ran.reads.is_empty() && ran.writes.is_empty(), "{ty}: a failed attempt commits nothing");
    let recording = stage.recording(ty, data, &ran);
    assert_eq!(recording.outcome, Recorded::Failed(failure.clone()), "{ty}");
    failure
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_guest_ends_as_a_failure_that_names_what_it_did() {
    use FailureKind::*;
    let cases = [
        ("test.loop", "", TimedOut, "limits.time"),
        ("test.sleep", "", TimedOut, "2s (limits.time)"),
        ("test.allocate", "", OutOfMemory, "64 MiB (limits.memory)"),
        ("test.trap", "", Trapped, "unreachable"),
        ("test.panic", "here", Trapped, "no such luck: here"),
        ("test.recurse", "", Trapped, "call stack of 512 KiB"),
        ("test.exit", "", Trapped, "ended its process"),
        ("test.many-bytes", "", BadOutput, "4194304"),
        ("test.far-too-many-bytes", "", BadOutput, "32 MiB"),
        ("test.many-events", "", BadOutput, "256"),
        ("test.ungranted-type", "", NotPermitted, "test.ungranted"),
        ("test.long-type", "", BadOutput, "xxx"),
        ("test.invalid-name", "", BadOutput, "Not A Name"),
        ("test.own-id", "", BadOutput, "id"),
        ("test.specversion", "", BadOutput, "specversion"),
        ("test.reject", "not for me", Rejected, "not for me"),
        ("test.retry", "later", Retry, "later"),
        ("test.read-elsewhere", "gates", NotPermitted, "may not read key space \"gates\""),
        ("test.write-elsewhere", "shared", NotPermitted, "keyvalue.write = [\"shared\"]"),
        ("test.write-then-trap", "key", Trapped, "unreachable"),
        ("test.write-many", "1001", Rejected, "1000 keys"),
        ("test.http", "elsewhere/x", NotPermitted, "\"elsewhere\""),
        ("test.http", "peer:8080/x", NotPermitted, "\"peer:8080\""),
        ("test.http", "user@peer/x", NotPermitted, "\"user@peer\""),
    ];
    for (ty, data, kind, names) in cases {
        check_failure(ty, data, kind, names).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_has_the_frames_of_the_guest_and_a_retry_its_delay() {
    let failure = check_failure("test.recurse", "", FailureKind::Trapped, "recursion").await;
    assert!((1..=32).contains(&failure.backtrace.len()), "{failure:?}");
    let failure = check_failure("test.retry", "later", FailureKind::Retry, "later").await;
    assert_eq!(failure.after_millis, Some(1_500));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_version_of_the_contract_still_runs() {
    let stage = Stage::new();
    let ran = stage.run_component(guests::handler_0_1_0(), "test.echo", "").await;
    assert_eq!(text(emitted(&ran)), "hello api 1 1 last,seen");
    stage.commit(ran.writes).await;
    let again = stage.run_component(guests::handler_0_1_0(), "test.echo", "").await;
    assert_eq!(text(emitted(&again)), "hello api 2 1 last,seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_as_it_went_in() {
    let stage = Stage::new();
    let mut delivery = stage.delivery("test.echo", "{\"a\": 1}");
    let mut accepted = (*delivery.event).clone();
    accepted.event.subject = Some("pkg:oci/shop".to_owned());
    accepted.event.extensions.insert("count".to_owned(), crate::event::Extension::Integer(-7));
    accepted.event.extensions.insert("flag".to_owned(), crate::event::Extension::Boolean(true));
    delivery.event = Arc::new(accepted);
    let compiled = crate::invoke::testing::compiled(guests::hostile()).await;
    let engine = crate::invoke::testing::engine();
    let ran = run(engine, &compiled, stage.world(), &delivery, stage.first_attempt_at).await.unwrap();
    let (sent, came) = (&delivery.event.event, &emitted(&ran)[0]);
    assert_eq!((&came.subject, &came.data), (&sent.subject, &sent.data));
    assert_eq!(came.extensions.get("count"), sent.extensions.get("count"));
    assert_eq!(came.extensions.get("flag"), sent.extensions.get("flag"));
    assert_eq!(came.source, "tidegate/shop/tester");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_world_of_a_guest_is_empty() {
    let ran = Stage::new().run("test.world", "").await;
    assert_eq!(text(emitted(&ran)), "args 0 env 0 root false connect false lookup false");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_draws_the_same_chance_and_another_event_draws_another() {
    let stage = Stage::new();
    let first = text(emitted(&stage.run("test.chance", "").await));
    assert_eq!(first, text(emitted(&stage.run("test.chance", "").await)));
    let other = Stage::new().with(|stage| stage.function.id = crate::deployment::FunctionId::new());
    assert_ne!(first, text(emitted(&other.run("test.chance", "").await)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_starts_at_the_first_ones_time() {
    let stage = Stage::new();
    let ran = stage.run("test.clock", "").await;
    assert_eq!(text(emitted(&ran)).split_once(' ').map(|(_, slept)| slept), Some("true"));
    let recording = stage.recording("test.clock", "", &ran);
    let clocks = recording.journal.entries().iter().filter_map(|entry| match (&entry.effect, &entry.answer) {
        (Effect::WallClock, Answer::Nanoseconds(wall)) => Some(wall / 1_000),
        _ => None,
    });
    let start = u64::try_from(stage.first_attempt_at.as_micros()).unwrap();
    let since = clocks.map(|wall| wall - start).collect::<Vec<_>>();
    assert!(since.len() == 1 && since[0] < 20_000_000, "{since:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_attempt_leaves_its_reads_and_writes() {
    let stage = Stage::new();
    stage.set("counts", "orders", b"41").await;
    let ran = stage.run("test.count", "orders").await;
    assert_eq!(text(emitted(&ran)), "42");
    let read = crate::bus::ReadScope::Key("orders".to_owned());
    assert_eq!(ran.reads, [KeyRead { space: "counts".to_owned(), scope: read, revision: 1 }]);
    assert_eq!(ran.writes.len(), 1);
    assert_eq!(ran.writes[0].value.as_deref(), Some(&b"42"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_ours_is_no_outcome() {
    let stage = Stage::new().with(|stage| stage.bus = Arc::new(Faulty::new(stage.bus.clone(), 1)));
    let delivery = stage.delivery("test.count", "orders");
    let compiled = crate::invoke::testing::compiled(guests::hostile()).await;
    let engine = crate::invoke::testing::engine();
    let fault = loop {
        match run(engine, &compiled, stage.world(), &delivery, stage.first_attempt_at).await {
            Ok(ran) => assert_eq!(text(emitted(&ran)), "1", "the bus answered"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, HostFault::Bus(_)), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_prints_is_its_log_up_to_the_limit() {
    let logged = async |lines: usize| {
        let stage = Stage::new();
        let ran = stage.run("test.print", &lines.to_string()).await;
        let recording = stage.recording("test.print", &lines.to_string(), &ran);
        let lines = recording.journal.entries().iter().filter_map(|entry| match &entry.effect {
            Effect::Log { context, message, .. } => Some(format!("{context}: {message}")),
            _ => None,
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(logged(2).await, ["stdout: line 0", "stdout: line 1", "stderr: no line end"]);
    let many = logged(1_000).await;
    assert_eq!(many.len(), LOG_LINES_MAX + 1);
    assert_eq!(many[LOG_LINES_MAX], "tidegate: more than 256 lines; the rest was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_read_back_as_it_was_written() {
    let stage = Stage::new();
    let ran = stage.run("test.count", "orders").await;
    let recording = stage.recording("test.count", "orders", &ran);
    let ground = Ground::new(&stage.delivery("test.count", "orders").event.event, &stage.function);
    assert_eq!((recording.deployment, recording.attempt, recording.round), (7, 1, 0));
    assert!(recording.memory_peak_bytes > 0 && !recording.truncated);
    assert_eq!(recording.clone().encode(&ground, RECORDING_BYTES_MAX), ran.recording);
    let Recorded::Completed { emitted: stored } = recording.outcome else { panic!("it completed") };
    assert_eq!(Event::decode(Bytes::from(stored[0].to_vec())).unwrap(), emitted(&ran)[0]);
}

#[test]
fn a_recording_that_is_too_large_keeps_its_first_effects_and_says_so() {
    let mut journal = crate::host::Journal::default();
    for index in 0..4_000 {
        let key = format!("{index}");
        let effect = Effect::KeySet { space: "s".to_owned(), key, value: vec![0; 700] };
        journal.push(effect, Answer::Done);
    }
    let recording = Recording {
        component: crate::deployment::Digest::of(b"c"),
        deployment: 1,
        function: crate::deployment::FunctionId::from_uuid(uuid::Uuid::nil()),
        attempt: 1,
        round: 0,
        wall_start: Timestamp::EPOCH,
        stamped_at: None,
        journal,
        outcome: Recorded::Completed { emitted: vec![vec![0; 3 << 20].into()] },
        duration: Duration::ZERO,
        instructions: None,
        memory_peak_bytes: 0,
        redacted: Vec::new(),
        truncated: false,
    };
    let ground = Ground::new(&Event::default(), &Stage::new().function);
    let bytes = recording.encode(&ground, RECORDING_BYTES_MAX);
    assert!(bytes.len() <= RECORDING_BYTES_MAX);
    let read = Recording::decode(&bytes, &ground).unwrap();
    assert!(read.truncated && !read.journal.entries().is_empty());
}

#[test]
fn bytes_that_are_no_recording_are_told_apart() {
    let ground = Ground::new(&Event::default(), &Stage::new().function);
    let error = |bytes: &[u8]| Recording::decode(bytes, &ground).unwrap_err();
    assert!(matches!(error(&[]), DecodeError::Empty));
    assert!(matches!(error(&[9, 1]), DecodeError::Version(9)));
    assert!(matches!(error(&[1, 0xc1]), DecodeError::Damaged(_)));
    assert!(matches!(error(&[RECORDING_VERSION, 0xc1]), DecodeError::Mismatch));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_read_with_what_its_attempt_began_with_and_nothing_else() {
    let stage = Stage::new();
    let ran = stage.run("test.echo", "a text that the function repeats, which its recording does not").await;
    let other = Ground::new(&stage.delivery("test.echo", "another text").event.event, &stage.function);
    assert!(matches!(Recording::decode(&ran.recording, &other), Err(DecodeError::Mismatch)));
}
