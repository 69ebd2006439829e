//! Live answers, through guests and without.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::IntoResponse;

use super::*;
use crate::bus::ReadScope;
use crate::bus::faulty::Faulty;
use crate::deployment::{DeployedFunction, Digest};
use crate::invoke::testing::{PEER_TOKEN, Stage, guests, text};
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::record::Ran;

fn host(stage: &Stage) -> Host {
    Host::live(stage.world(), &stage.delivery("test.any", ""))
}

fn emitted(ran: &Ran) -> String {
    match &ran.outcome {
        Outcome::Completed { emitted } => text(emitted),
        Outcome::Failed(failure) => panic!("it failed: {failure:?}"),
    }
}

fn get(path: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        connection: "peer".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_millis: None,
    }
}

fn key(space: &str, key: &str) -> (String, String) {
    (space.to_owned(), key.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_its_own_writes_over_what_is_committed() {
    let stage = Stage::new();
    assert_eq!(emitted(&stage.run("test.own-writes", "").await), "Some([49]) false");
    for key in ["a", "c", "d"] {
        stage.set("counts", key, b"").await;
    }
    assert_eq!(emitted(&stage.run("test.list", "").await), "a b-own d");
    assert_eq!(emitted(&stage.run("test.batch", "").await), "[Some((\"x\", [49])), None]");
    assert_eq!(emitted(&stage.run("test.increment", "n").await), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_many_keys_has_each_once() {
    let stage = Stage::new();
    let names: Vec<String> = (0..700).map(|index| format!("k{index:04}")).collect();
    let write = |name: &String| {
        let (space, key) = key("counts", name);
        KeyWrite { space, key, value: Some(bytes::Bytes::new()) }
    };
    stage.commit(names.iter().map(write).collect()).await;
    let ran = stage.run("test.list", "").await;
    assert_eq!(emitted(&ran), format!("b-own {}", names.join(" ")));
    assert_eq!(ran.reads.len(), 1);
    assert_eq!((&ran.reads[0].scope, ran.reads[0].revision), (&ReadScope::Space, 700));
}

#[tokio::test]
async fn a_read_notes_the_first_revision_and_absence_too() {
    let stage = Stage::new();
    let host = host(&stage);
    let get = || {
        let (space, key) = key("shared", "k");
        host.perform(Effect::KeyGet { space, key })
    };
    assert_eq!(get().await.unwrap(), Answer::Value(None));
    stage.set("shared", "k", b"later").await;
    assert_eq!(get().await.unwrap(), Answer::Value(Some(b"later".to_vec())));
    let reads = host.into_trail().reads;
    assert_eq!((reads.len(), reads[0].revision), (1, 0), "the settlement must find out that it moved");
}

#[tokio::test]
async fn limits_of_keys_are_told_by_name() {
    let stage = Stage::new();
    let host = host(&stage);
    let (space, short) = key("counts", "n");
    let set = |key: &str, bytes: usize| Effect::KeySet {
        space: space.clone(),
        key: key.to_owned(),
        value: vec![b'x'; bytes],
    };
    let cases = [
        (set("", 0), "must not be empty"),
        (set(&"k".repeat(KEY_BYTES_MAX + 1), 0), "at most 512"),
        (set("k", VALUE_BYTES_MAX + 1), "at most 262144"),
    ];
    for (effect, names) in cases {
        let answer = host.perform(effect).await.unwrap();
        assert!(
            matches!(&answer, Answer::Failed(EffectError::Refused(reason)) if reason.contains(names)),
            "{answer:?}"
        );
    }
    host.perform(set(&short, 1)).await.unwrap();
    let sum = host.perform(Effect::KeyIncrement { space, key: short, delta: 1 }).await.unwrap();
    assert!(
        matches!(&sum, Answer::Failed(EffectError::Refused(reason)) if reason.contains("no decimal number")),
        "{sum:?}"
    );
}

#[tokio::test]
async fn a_journal_keeps_the_order_in_which_the_guest_asked() {
    let stage = Stage::new();
    let host = host(&stage);
    let request = get("/");
    let first = host.begin(Effect::Http(request.clone()));
    let _never = host.begin(Effect::Http(request.clone()));
    host.perform(Effect::WallClock).await.unwrap();
    host.perform_at(first, Effect::Http(HttpRequest { body: b"whole".to_vec(), ..request })).await.unwrap();
    let journal = host.into_trail().journal;
    let [first, never, clock] = journal.entries() else { panic!("{journal:?}") };
    assert!(matches!(&first.effect, Effect::Http(request) if request.body == b"whole"));
    assert!(
        matches!(&first.answer, Answer::Failed(EffectError::Refused(reason)) if reason.contains("no such connection"))
    );
    assert_eq!(never.answer, Answer::Never);
    assert_eq!(clock.effect, Effect::WallClock);
}

#[tokio::test]
async fn a_journal_that_is_full_says_so_and_holds_no_more() {
    let stage = Stage::new();
    let host = host(&stage);
    for _ in 0..12 {
        host.perform(Effect::Random { bytes: 512 * 1024 }).await.unwrap();
    }
    let journal = host.into_trail().journal;
    assert!(journal.is_truncated());
    assert_eq!(journal.entries().len(), 7);
}

/// A peer that tells what it was sent.
async fn peer() -> String {
    async fn tell(headers: HeaderMap, request: Request) -> impl IntoResponse {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        if uri.path() == "/base/moved" {
            return (axum::http::StatusCode::FOUND, [("x-location", "/elsewhere".to_owned())], String::new());
        }
        if uri.path() == "/base/huge" {
            return (axum::http::StatusCode::OK, [("x-size", "9 MiB".to_owned())], "x".repeat(9 << 20));
        }
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let told = format!(
            "{method} {uri} [{}] host={} key={}",
            String::from_utf8_lossy(&body),
            text("host").starts_with("127.0.0.1"),
            text("idempotency-key").len()
        );
        (axum::http::StatusCode::OK, [("x-authorization", text("authorization"))], told)
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });
    format!("http://{address}/base")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_its_connection_with_the_hosts_headers_and_no_secret_comes_back() {
    let stage = Stage::new().connect("peer", &peer().await, true);
    let cases = [
        ("peer/a/../b?c=d", "200 x-authorization=*** GET /base/b?c=d [] host=true key=36"),
        ("peer/items hello", "200 x-authorization=*** POST /base/items [hello] host=true key=36"),
        ("peer/moved", "302 x-location=/elsewhere "),
    ];
    for (request, expected) in cases {
        let ran = stage.run("test.http", request).await;
        assert_eq!(emitted(&ran), expected, "{request}");
        let secret = PEER_TOKEN.as_bytes();
        assert!(!ran.recording.windows(secret.len()).any(|window| window == secret), "the recording holds a secret");
    }
    let told = emitted(&stage.run("test.http", &format!("peer/echo {PEER_TOKEN}")).await);
    assert!(told.contains("POST /base/echo [***]"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_resolves_to_an_address_inside_is_not_dialled() {
    let url = peer().await.replace("127.0.0.1", "localhost");
    let stage = Stage::new().connect("public", &url, false);
    let told = emitted(&stage.run("test.http", "public/x").await);
    assert!(told.contains("is a loopback address; set private = true"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_may_not_be_is_refused_and_the_function_goes_on() {
    let url = peer().await;
    let stage = Stage::new().connect("peer", &url, true).connect("public", &url, false);
    let cases = [
        ("test.http", "public/x", "is a loopback address; set private = true"),
        ("test.http", "peer/../x", "climbs above"),
        ("test.http", "peer/%2e%2e/x", "encoded dot segment"),
        ("test.http", "peer/huge", "larger than 8388608 bytes"),
        ("test.http-headers", "host", "Forbidden"),
        ("test.http-headers", "connection", "Forbidden"),
        ("test.http-headers", "transfer-encoding", "Forbidden"),
        ("test.http-headers", "authorization", "may not set the header authorization"),
        ("test.http-headers", "x-mine", "200"),
    ];
    for (ty, data, names) in cases {
        let told = emitted(&stage.run(ty, data).await);
        assert!(told.contains(names), "{ty} {data}: {told:?} does not name {names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_sends_the_same_request_byte_for_byte() {
    let stage = Stage::new().connect("peer", &peer().await, true);
    let mut seen = HashMap::new();
    for _ in 0..2 {
        let ran = stage.run("test.http", "peer/x body").await;
        let recording = stage.recording("test.http", "peer/x body", &ran);
        for entry in recording.journal.entries() {
            if let Effect::Http(request) = &entry.effect {
                *seen.entry(format!("{request:?}")).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_the_connection_of_the_deployment_that_its_delivery_runs_under() {
    let peer = peer().await;
    let stage = Stage::new();
    let world = stage.world();
    let told = async |number: u64, path: &str| {
        let stage = Stage::new().connect("peer", &format!("{peer}/{path}"), true);
        let deployment = Deployment { number, ..stage.deployment() };
        let function = DeployedFunction::find(Arc::new(deployment), stage.function.id).unwrap();
        let host = Host::live(world.clone(), &Delivery { function, ..stage.delivery("test.any", "") });
        match host.perform(Effect::Http(get("/x"))).await.unwrap() {
            Answer::Http(response) => String::from_utf8(response.body).unwrap(),
            answer => panic!("{answer:?}"),
        }
    };
    // What began under the earlier deployment goes on under it, and those after it are not disturbed.
    for (number, path) in [(1, "before"), (2, "after"), (1, "before"), (2, "after")] {
        let told = told(number, path).await;
        assert!(told.contains(&format!("GET /base/{path}/x")), "deployment {number}: {told}");
    }
}

#[test]
fn every_problem_of_connections_is_told_at_once() {
    let stage = Stage::new().connect("peer", "https://peer.example/api", false);
    let mut deployment = stage.deployment();
    deployment
        .connections
        .get_mut("peer")
        .unwrap()
        .headers
        .insert("x-other".to_owned(), crate::deployment::Secret::new("${env:OTHER}"));
    let plain =
        |url: &str| crate::deployment::Connection { url: url.to_owned(), headers: Default::default(), private: false };
    deployment.connections.insert("ftp".to_owned(), plain("ftp://peer.example"));
    deployment.connections.insert("user".to_owned(), plain("https://user:pass@peer.example"));
    let error = Connections::from_deployment(&deployment, &|_| None).err().unwrap();
    let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    for names in ["PEER_TOKEN is not set", "OTHER is not set", "connection ftp", "user or password"] {
        assert!(problems.iter().any(|problem| problem.contains(names)), "{names} in {problems:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_bus_is_ours() {
    let stage = Stage::new().with(|stage| stage.bus = Arc::new(Faulty::new(stage.bus.clone(), 1)));
    let (space, key) = key("counts", "k");
    let fault = loop {
        // A key that was read is known: each invocation asks anew.
        match host(&stage).perform(Effect::KeyGet { space: space.clone(), key: key.clone() }).await {
            Ok(answer) => assert_eq!(answer, Answer::Value(None), "the bus answered"),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, HostFault::Bus(_)), "{fault:?}");
}

/// What the guest `counting` was answered of a function, or why it failed.
async fn counted(stage: &Stage, function: &str, component: &str) -> Result<serde_json::Value, Failure> {
    let asked = serde_json::json!({ "function": function, "component": component, "from": 1, "to": null });
    let ran = stage.run_component(guests::counting(), "test.count", &asked.to_string()).await;
    let recording = stage.recording("test.count", &asked.to_string(), &ran);
    match ran.outcome {
        Outcome::Completed { emitted } => {
            let journal = recording.journal.entries();
            assert!(journal.iter().any(|entry| matches!(entry.answer, Answer::Statistics(_))), "{journal:?}");
            Ok(serde_json::from_str(&text(&emitted)).unwrap())
        }
        Outcome::Failed(failure) => Err(failure),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_counts_the_outcomes_of_those_that_it_was_granted() {
    let stage = Stage::new();
    for _ in 0..3 {
        stage.commit(Vec::new()).await;
    }
    let own = stage.function.component.digest.to_string();
    let position = stage.history.tail().await.unwrap();
    let expected = serde_json::json!({
        "outcomes": { "delivered": 3 }, "failed": 0, "median_millis": 0.0, "position": position,
    });
    assert_eq!(counted(&stage, "tester", &own).await.unwrap(), expected);
    let other = Digest::of(b"another component").to_string();
    let nothing = counted(&stage, "tester", &other).await.unwrap();
    assert_eq!((&nothing["outcomes"], &nothing["median_millis"]), (&serde_json::json!({}), &serde_json::Value::Null));

    for (function, component, kind, names) in [
        ("elsewhere", &own, FailureKind::NotPermitted, "grant it with statistics = [\"elsewhere\"]"),
        ("shop-gone", &own, FailureKind::Rejected, "deployment 7 has no function \"shop-gone\""),
        ("tester", &"sha256:1".to_owned(), FailureKind::Rejected, "is no digest"),
    ] {
        let failure = counted(&stage, function, component).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.reason.contains(names), "{failure:?} does not name {names:?}");
    }
}
