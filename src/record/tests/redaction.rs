//! What the rules name is in no recording, and what they do not name is run again as ever.

use axum::Router;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::deployment::{REDACTED, RecordingSettings, Redaction};
use crate::host::{EffectError, HttpRequest, HttpResponse, LogLevel};
use crate::invoke::testing::{compiled, engine};

/// What must not be found.
const SECRET: &str = "s3cr3t-of-the-test";

/// Rules for a member `token`, as deep as the values of these tests are.
fn rules() -> Redaction {
    let mut places = vec![String::new()];
    for _ in 0..DEPTH_MAX {
        let deeper = places.iter().flat_map(|place| [format!("{place}.*"), format!("{place}[*]")]);
        places = std::iter::once(String::new()).chain(deeper).collect();
    }
    let paths = places.iter().flat_map(|place| [format!("data{place}.token"), format!("${place}.token")]);
    let paths = paths.chain(["subject".to_owned(), "owner".to_owned()]);
    Redaction { paths: paths.map(|path| path.parse().unwrap()).collect(), headers: ["authorization".to_owned()].into() }
}

const DEPTH_MAX: u32 = 3;

fn secret() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(SECRET)),
        Just(json!({ "inner": [SECRET], SECRET: 1 })),
        Just(json!([[SECRET]])),
        Just(json!(null)),
        Just(json!(REDACTED)),
    ]
}

/// Values that hold the secret in members `token` alone.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1.50)), Just(json!("text")), Just(json!(null)), Just(json!(true))];
    leaf.prop_recursive(DEPTH_MAX, 24, 3, |inner| {
        let members =
            proptest::collection::vec((prop_oneof![Just("a"), Just("to\"ken"), Just("Token")], inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            (members, proptest::option::of(secret())).prop_map(|(members, secret)| {
                let mut object: serde_json::Map<String, Value> =
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                object.extend(secret.map(|secret| ("token".to_owned(), secret)));
                Value::Object(object)
            }),
        ]
    })
}

/// The text of a value, now and then cut off.
fn text() -> impl Strategy<Value = String> {
    (value(), prop_oneof![4 => Just(1.0), 1 => 0.1..1.0]).prop_map(|(value, part)| {
        let text = value.to_string();
        let end = ((text.len() as f64 * part) as usize).max(1);
        text[..text.floor_char_boundary(end)].to_owned()
    })
}

/// The text of an object, now and then cut off.
fn line() -> impl Strategy<Value = String> {
    text().prop_map(|text| if text.starts_with('{') { text } else { format!("{{\"a\":{text}") })
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![Just("authorization"), Just("Authorization"), Just("accept")];
    let header = name.prop_map(|name| {
        let value = if name == "accept" { "text/plain" } else { SECRET };
        (name.to_owned(), value.to_owned())
    });
    proptest::collection::vec(header, 0..3)
}

fn entry() -> impl Strategy<Value = (Effect, Answer)> {
    let (space, key) = (|| "counts".to_owned(), || "k".to_owned());
    let request = |headers, body: String| HttpRequest {
        method: "POST".to_owned(),
        connection: "peer".to_owned(),
        path: "/".to_owned(),
        headers,
        body: body.into_bytes(),
        timeout_millis: None,
    };
    let log = |message| Effect::Log { level: LogLevel::Info, context: "stdout".to_owned(), message };
    let failed = || Answer::Failed(EffectError::Refused("no answer in time".to_owned()));
    prop_oneof![
        text().prop_map(move |text| (
            Effect::KeySet { space: space(), key: key(), value: text.into_bytes() },
            Answer::Done
        )),
        text().prop_map(move |text| {
            (Effect::KeyGet { space: space(), key: key() }, Answer::Value(Some(text.into_bytes())))
        }),
        line().prop_map(move |line| (log(line), Answer::Done)),
        line().prop_map(|line| (Effect::ConfigGet { key: "policy".to_owned() }, Answer::Text(Some(line)))),
        line().prop_map(|line| (Effect::ConfigAll, Answer::Pairs(vec![("policy".to_owned(), line)]))),
        (headers(), text(), headers(), text()).prop_map(move |(asked, body, headers, answer)| {
            let response = HttpResponse { status: 200, headers, body: answer.into_bytes() };
            (Effect::Http(request(asked, body)), Answer::Http(response))
        }),
        (headers(), text()).prop_map(move |(headers, body)| (Effect::Http(request(headers, body)), failed())),
        Just((Effect::WallClock, Answer::Nanoseconds(7))),
    ]
}

fn returned() -> impl Strategy<Value = Result<Vec<Event>, Failure>> {
    let event = text().prop_map(|text| Event {
        ty: "test.done".to_owned(),
        subject: Some(SECRET.to_owned()),
        extensions: [("owner".to_owned(), crate::event::Extension::Text(SECRET.to_owned()))].into(),
        data: Some(text.into()),
        ..Event::default()
    });
    prop_oneof![
        3 => proptest::collection::vec(event, 0..3).prop_map(Ok),
        1 => line().prop_map(|reason| Err(Failure::new(FailureKind::Rejected, reason))),
    ]
}

fn invoked(entries: &[(Effect, Answer)], result: &Result<Vec<Event>, Failure>) -> Invoked {
    let mut journal = crate::host::Journal::default();
    entries.iter().for_each(|(effect, answer)| journal.push(effect.clone(), answer.clone()));
    let trail = Trail { journal, ..Trail::default() };
    Invoked { result: result.clone(), trail, used: Used::default(), cold: false }
}

fn redacting() -> Stage {
    Stage::new().with(|stage| stage.recording.redact = rules())
}

#[test]
fn nothing_that_is_redacted_is_in_a_recording() {
    let stage = tokio::runtime::Runtime::new().unwrap().block_on(async { redacting() });
    let delivery = stage.delivery("test.any", "");
    let ground = Ground::new(&delivery.event.event, &stage.function);
    let run = |entries: &[(Effect, Answer)], result: &Result<Vec<Event>, Failure>| {
        let ran = record(&delivery, Digest::of(b"any"), invoked(entries, result), Timestamp::EPOCH);
        let recording = Recording::decode(&ran.recording, &ground).unwrap();
        (ran, recording)
    };
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(entries in proptest::collection::vec(entry(), 0..6), result in returned())| {
        let (ran, recording) = run(&entries, &result);
        let plain = rmp_serde::to_vec_named(&recording).unwrap();
        let secret = SECRET.as_bytes();
        prop_assert!(!plain.windows(secret.len()).any(|window| window == secret), "{recording:?}");
        prop_assert!(!format!("{:?}", ran.outcome).contains(SECRET), "{:?}", ran.outcome);
        // It says where, for each place that was changed and for no part that it has not.
        let said = |place| recording.redacted.iter().any(|redacted| redacted.place == place);
        for (index, ((effect, answer), kept)) in entries.iter().zip(recording.journal.entries()).enumerate() {
            prop_assert!(*effect == kept.effect || said(Place::Effect(index)), "{kept:?}");
            prop_assert!(*answer == kept.answer || said(Place::Answer(index)), "{kept:?}");
        }
        prop_assert!(recording.redacted.iter().all(|one| one.place.is_in(&recording.journal, &recording.outcome)));
        // Twice is once.
        let again: Vec<_> =
            recording.journal.entries().iter().map(|entry| (entry.effect.clone(), entry.answer.clone())).collect();
        let (_, twice) = run(&again, &result);
        prop_assert_eq!(&twice.journal, &recording.journal);
        prop_assert_eq!(&twice.outcome, &recording.outcome);
    });
}

/// A peer whose every answer is one secret, in its body and in a header.
async fn peer() -> String {
    let answer = || async {
        (
            [("authorization", SECRET), ("content-type", "application/json")],
            json!({ "token": SECRET, "n": 1 }).to_string(),
        )
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum::serve(listener, Router::new().fallback(answer));
    tokio::spawn(async move { server.await });
    format!("http://{address}")
}

async fn judged(stage: &Stage, ty: &str, data: &str) -> (Case, Judged) {
    let ran = stage.run(ty, data).await;
    let case = stage.case(ty, data, &ran);
    let plain = format!("{:?}", case.recording);
    assert!(plain.contains(REDACTED), "{ty}: {plain}");
    let judged = judge(engine(), &compiled(guests::hostile()).await, &case, &Changes::default(), None).await.unwrap();
    (case, judged)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_passed_on_redacted_is_run_again_the_same() {
    let stage = redacting().connect("peer", &peer().await, true);
    for ty in ["test.pass-on", "test.pass-on-and-fail"] {
        let (case, judged) = judged(&stage, ty, "").await;
        assert!(!format!("{:?}", case.recording).contains(SECRET), "{ty}: {:?}", case.recording);
        assert_eq!((judged.class, &judged.diff), (Class::Same, &Diff::default()), "{ty}: {judged:?}");
    }
    let script = format!(
        "set counts k {{\"token\":\"{SECRET}\"}}\nget counts k\nhttp peer/x {{\"token\":\"{SECRET}\"}}\nreject"
    );
    let ran = stage.run("test.script", &script).await;
    let case = stage.case("test.script", &script, &ran);
    assert!(!format!("{:?}", case.recording.journal).contains(SECRET), "{:?}", case.recording);
    // By name, too: what is asked is held against what was recorded as a recording has it.
    let compiled = compiled(guests::hostile()).await;
    let replayed = replay(engine(), &compiled, &case, case.matched(None)).await.unwrap();
    assert!(matches!(replayed.ending, Ending::Failed(_)), "{:?}", replayed.ending);
    assert_eq!(replayed.journal.entries(), case.recording.journal.entries());
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_redacted_in_a_recording_and_whole_in_its_replay() {
    let text = json!({ "token": SECRET }).to_string();
    let config = [("policy".to_owned(), crate::deployment::ConfigValue { text, file: None })];
    let stage = redacting().with(|stage| stage.function.config = config.into());
    // It emits what it was told, as a text.
    let (case, judged) = judged(&stage, "test.config", "").await;
    assert!(!format!("{:?}", case.recording.journal).contains(SECRET), "{:?}", case.recording);
    assert_eq!((judged.class, &judged.diff), (Class::Same, &Diff::default()), "{judged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_a_redacted_answer_is_no_determinism_fault() {
    let stage = redacting().connect("peer", &peer().await, true);
    // It tells the answer as a text, in which nothing is looked for.
    let (case, judged) = judged(&stage, "test.http", "peer/x").await;
    assert_eq!(judged.class, Class::Redacted, "{judged:?}");
    let told: Vec<String> = case.recording.redacted.iter().map(ToString::to_string).collect();
    assert_eq!(told.iter().filter(|place| place.starts_with("answer ")).count(), 2, "{told:?}");
    assert!(told.iter().any(|place| place.ends_with(": $.token")), "{told:?}");
    assert!(told.iter().any(|place| place.ends_with(": authorization")), "{told:?}");
    let mut summary = Summary::default();
    summary.add(&case, judged);
    assert_eq!((summary.count(Class::Redacted), summary.changed()), (1, 0));
    // Where nothing is redacted, the same is one.
    let mut other = case.clone();
    other.recording.redacted.clear();
    let judged = judge(engine(), &compiled(guests::hostile()).await, &other, &Changes::default(), None).await.unwrap();
    assert_eq!(judged.class, Class::Fault);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_is_redacted_before_it_is_cut() {
    let stage = redacting();
    let line = json!({ "pad": "x".repeat(crate::host::LOG_LINE_BYTES_MAX), "token": SECRET }).to_string();
    for (ty, data) in [("test.log", line.clone()), ("test.log", line.replace("pad", "zzz"))] {
        let ran = stage.run(ty, &data).await;
        let recording = stage.recording(ty, &data, &ran);
        assert!(!format!("{:?}", recording.journal).contains("s3cr"), "{:?}", recording.journal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_completes_is_sampled_and_a_recording_keeps_to_its_size() {
    let stage = Stage::new().with(|stage| stage.recording.sample = 0.0);
    assert!(!stage.run("test.echo", "x").await.sampled);
    let stage = stage.with(|stage| stage.recording = RecordingSettings { bytes_max: 64 * 1024, ..Default::default() });
    let data = "y".repeat(200_000);
    let ran = stage.run("test.echo", &data).await;
    assert!(ran.sampled);
    assert!(stage.recording("test.echo", &data, &ran).truncated);
}
