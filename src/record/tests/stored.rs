//! Recordings outlive the version of tidegate that wrote them: a sample of every version is stored, and is read for ever.
//!
//! `tests/fixtures/recordings` has, for each version, the bytes of a sample and beside them, as text, what they say. When
//! the stored form changes, raise `RECORDING_VERSION`, give `samples` what is new, and run
//! `UPDATE_EXPECT=1 cargo test --lib record`: it writes the files of the new version, and never the bytes of an old one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::expect_file;

use super::*;
use crate::bus::{Bucket, Statistics};
use crate::deployment::{ConfigValue, Digest, Function, FunctionId, RECORDING_BYTES_MAX};
use crate::host::{EffectError, HttpRequest, HttpResponse, Journal, LogLevel};

/// Every effect with every answer that it has, success and failure, in what completed; and what failed.
fn samples() -> [(&'static str, Recording); 2] {
    let mut journal = Journal::default();
    // The guest did not wait for the answer.
    let _place = journal.begin(Effect::Http(request("GET", Vec::new())));
    for (effect, answer) in effects() {
        journal.push(effect, answer);
    }
    let event = Event {
        id: "6ddbefad-6d4b-59b6-89c0-7b9abe870325".to_owned(),
        source: "tidegate/shop/gate".to_owned(),
        ty: "com.example.order.counted".to_owned(),
        subject: Some("order/7".to_owned()),
        data: Some(Bytes::from_static(b"{\"count\":42}")),
        ..Event::default()
    };
    let completed = Recording {
        component: Digest::from_bytes([0xab; 32]),
        deployment: 7,
        function: FunctionId::from_uuid(uuid::Uuid::from_u128(42)),
        attempt: 2,
        round: 1,
        wall_start: Timestamp::from_micros(1_795_000_000_123_456),
        stamped_at: Some(Timestamp::from_micros(1_795_000_000_200_000)),
        journal,
        outcome: Recorded::of(&Ok(vec![event])),
        duration: Duration::from_micros(1_234_567),
        instructions: Some(123_456),
        memory_peak_bytes: 1 << 20,
        redacted: redacted(&[Place::Effect(0), Place::Answer(1), Place::Event(0)]),
        truncated: false,
    };
    let failure = Failure {
        backtrace: vec!["handle at src/lib.rs:12".to_owned(), "main".to_owned()],
        after_millis: Some(1_500),
        ..Failure::new(FailureKind::Trapped, "wasm trap: unreachable")
    };
    let failed = Recording {
        journal: Journal::default(),
        outcome: Recorded::Failed(failure),
        redacted: redacted(&[Place::Failure]),
        truncated: true,
        ..completed.clone()
    };
    [("completed", completed), ("failed", failed)]
}

fn redacted(places: &[Place]) -> Vec<Redacted> {
    places.iter().map(|&place| Redacted { place, path: "$.token".to_owned() }).collect()
}

fn effects() -> Vec<(Effect, Answer)> {
    let (space, key) = ("orders".to_owned(), "a/1".to_owned());
    let (get, list) = (
        Effect::KeyGet { space: space.clone(), key: key.clone() },
        Effect::KeyList { space: space.clone(), after: None },
    );
    let log = |level| Effect::Log { level, context: "stdout".to_owned(), message: "counted".to_owned() };
    let failed = |error: EffectError| Answer::Failed(error);
    let response = HttpResponse {
        status: 201,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: vec![0, 0xff],
    };
    let mut effects = vec![
        (Effect::WallClock, Answer::Nanoseconds(1_795_000_000_123_456_789)),
        (Effect::MonotonicClock, Answer::Nanoseconds(0)),
        (Effect::Random { bytes: 3 }, Answer::Bytes(vec![0, 0x80, 0xff])),
        (Effect::InsecureRandom { bytes: 1 }, Answer::Bytes(vec![7])),
        (Effect::InsecureSeed, Answer::Seed(u64::MAX, 1)),
        (get.clone(), Answer::Value(Some(b"41".to_vec()))),
        (get.clone(), Answer::Value(None)),
        (get, failed(EffectError::NotPermitted("function gate may not read key space \"orders\"".to_owned()))),
        (Effect::KeySet { space: space.clone(), key: key.clone(), value: vec![0xff, 0] }, Answer::Done),
        (Effect::KeyDelete { space: space.clone(), key: key.clone() }, Answer::Done),
        (Effect::KeyExists { space: space.clone(), key: key.clone() }, Answer::Exists(true)),
        (list, Answer::Keys { keys: vec!["a/1".to_owned(), "b".to_owned()], next: Some("b".to_owned()) }),
        (
            Effect::KeyList { space: space.clone(), after: Some("b".to_owned()) },
            Answer::Keys { keys: Vec::new(), next: None },
        ),
        (Effect::KeyIncrement { space, key, delta: -1 }, Answer::Number(i64::MIN)),
        (Effect::ConfigGet { key: "policy".to_owned() }, Answer::Text(Some("strict".to_owned()))),
        (Effect::Sleep { nanoseconds: 2_000_000 }, Answer::Done),
        (Effect::Poll { pollables: 2 }, Answer::Ready(vec![1])),
        (Effect::IsReady, Answer::Ready(Vec::new())),
        (Effect::ConfigGet { key: "absent".to_owned() }, Answer::Text(None)),
        (Effect::ConfigAll, Answer::Pairs(vec![("policy".to_owned(), "strict".to_owned())])),
        (Effect::Http(request("POST", b"{}".to_vec())), Answer::Http(response)),
        (
            Effect::Http(request("GET", Vec::new())),
            failed(EffectError::Refused("connection peer: no answer in time".to_owned())),
        ),
    ];
    let statistics = Statistics {
        delivered: 40,
        dead_lettered: [(FailureKind::Rejected, 8)].into(),
        latency: vec![Bucket { up_to_micros: 447, count: 48 }],
        position: 112,
    };
    effects.push((
        Effect::Statistics {
            function: "shop-production".to_owned(),
            component: Digest::from_bytes([0xab; 32]),
            from: 12,
            to: None,
        },
        Answer::Statistics(statistics),
    ));
    let levels =
        [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Critical];
    effects.extend(levels.map(|level| (log(level), Answer::Done)));
    effects
}

fn request(method: &str, body: Vec<u8>) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        connection: "peer".to_owned(),
        path: "/orders?state=new".to_owned(),
        headers: vec![("idempotency-key".to_owned(), "6d4b".to_owned())],
        timeout_millis: (!body.is_empty()).then_some(2_000),
        body,
    }
}

/// A number for each kind of effect, from 0; a new kind does not compile until it has one here and a place in `effects`.
fn effect_kind(effect: &Effect) -> usize {
    match effect {
        Effect::WallClock => 0,
        Effect::MonotonicClock => 1,
        Effect::Random { .. } => 2,
        Effect::InsecureRandom { .. } => 3,
        Effect::InsecureSeed => 4,
        Effect::KeyGet { .. } => 5,
        Effect::KeySet { .. } => 6,
        Effect::KeyDelete { .. } => 7,
        Effect::KeyExists { .. } => 8,
        Effect::KeyList { .. } => 9,
        Effect::KeyIncrement { .. } => 10,
        Effect::ConfigGet { .. } => 11,
        Effect::ConfigAll => 12,
        Effect::Log { .. } => 13,
        Effect::Http(_) => 14,
        Effect::Statistics { .. } => 15,
        Effect::Sleep { .. } => 16,
        Effect::Poll { .. } => 17,
        Effect::IsReady => 18,
    }
}

fn answer_kind(answer: &Answer) -> usize {
    match answer {
        Answer::Done => 0,
        Answer::Nanoseconds(_) => 1,
        Answer::Bytes(_) => 2,
        Answer::Seed(..) => 3,
        Answer::Value(_) => 4,
        Answer::Exists(_) => 5,
        Answer::Keys { .. } => 6,
        Answer::Number(_) => 7,
        Answer::Text(_) => 8,
        Answer::Pairs(_) => 9,
        Answer::Http(_) => 10,
        Answer::Failed(EffectError::NotPermitted(_)) => 11,
        Answer::Failed(EffectError::Refused(_)) => 12,
        Answer::Statistics(_) => 13,
        Answer::Ready(_) => 14,
        Answer::Never => 15,
    }
}

const EFFECT_KINDS: usize = 19;
const ANSWER_KINDS: usize = 16;

#[test]
fn the_sample_has_every_kind_of_effect_and_answer() {
    let [(_, completed), _] = samples();
    let entries = completed.journal.entries();
    let effects: BTreeSet<usize> = entries.iter().map(|entry| effect_kind(&entry.effect)).collect();
    let answers: BTreeSet<usize> = entries.iter().map(|entry| answer_kind(&entry.answer)).collect();
    assert_eq!((effects, answers), ((0..EFFECT_KINDS).collect(), (0..ANSWER_KINDS).collect()));
}

/// What the samples began with.
fn ground() -> Ground {
    let event =
        Event { ty: "com.example.order.placed".to_owned(), subject: Some("order/7".to_owned()), ..Event::default() };
    let config = ConfigValue { text: "strict".to_owned(), file: None };
    let function = Function { config: [("policy".to_owned(), config)].into(), ..Stage::new().function };
    Ground::new(&event, &function)
}

fn file(version: u8, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/recordings/{version}-{name}.bin"))
}

/// What a recording says, an effect and its answer on a line each.
fn shown(recording: &Recording) -> String {
    let Recording { component, deployment, function, attempt, round, wall_start, .. } = recording;
    let Recording { duration, memory_peak_bytes, truncated, .. } = recording;
    let mut text = format!(
        "component {component}\ndeployment {deployment}\nfunction {function}\nattempt {attempt} of round {round}\n\
         started {wall_start}, took {duration:?}, {memory_peak_bytes} bytes at most, truncated: {truncated}\n\n"
    );
    if let (Some(stamped_at), Some(instructions)) = (recording.stamped_at, recording.instructions) {
        writeln!(text, "stamped {stamped_at}, {instructions} instructions\n").unwrap();
    }
    for redacted in &recording.redacted {
        writeln!(text, "redacted {redacted}").unwrap();
    }
    for entry in recording.journal.entries() {
        writeln!(text, "{:?}\n    {:?}", entry.effect, entry.answer).unwrap();
    }
    match &recording.outcome {
        Recorded::Completed { emitted } => {
            for event in emitted {
                let event = Event::decode(Bytes::from(event.to_vec())).unwrap();
                writeln!(text, "emitted {}", serde_json::to_string(&event).unwrap()).unwrap();
            }
        }
        Recorded::Failed(failure) => writeln!(text, "{failure:?}").unwrap(),
    }
    text
}

#[test]
fn a_recording_of_every_version_is_still_read() {
    for version in 1..=RECORDING_VERSION {
        for (name, sample) in samples() {
            let path = file(version, name);
            let missing = version == RECORDING_VERSION && !path.exists();
            if missing && std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, sample.encode(&ground(), RECORDING_BYTES_MAX)).unwrap();
            }
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(bytes[0], version, "{}", path.display());
            let recording =
                Recording::decode(&bytes, &ground()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            expect_file![path.with_extension("txt")].assert_eq(&shown(&recording));
        }
    }
}

#[test]
fn what_is_written_now_has_the_form_of_its_version() {
    for (name, sample) in samples() {
        let stored = std::fs::read(file(RECORDING_VERSION, name)).unwrap();
        let read = Recording::decode(&stored, &ground()).unwrap();
        assert!(
            sample.encode(&ground(), RECORDING_BYTES_MAX) == stored
                && read.encode(&ground(), RECORDING_BYTES_MAX) == stored,
            "the stored form has changed: raise RECORDING_VERSION, and make its samples as this file says"
        );
    }
}
