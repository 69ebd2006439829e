//! Events through the doors into the embedded bus, and what the API then says of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::log::{event, function, id};
use super::{Answer, ask};
use crate::api::{Access, ApiState, Doors, Webhooks, api, hooks};
use crate::blob::{Blobs, FolderBlobs};
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{Bus, Cause, Incoming, Settlement, Subscription};
use crate::clock::Clock;
use crate::deployment::{Deployment, Digest, Proof, Secret, Sender, Trigger, WebhookTrigger};
use crate::event::{Event, Origin, OriginKind, derived_id};
use crate::outcome::{Decision, Failure, FailureKind};

/// A running project: both doors over a log in a folder of its own, with one function, `gate`, on `com.shop.*`.
struct Shop {
    hooks: Router,
    api: Router,
    bus: Arc<Embedded>,
    blobs: Arc<FolderBlobs>,
    gate: Box<dyn Subscription>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        let settings = Settings { poll: Duration::from_millis(2), ..Settings::default() };
        let bus = Arc::new(Embedded::open(folder.path(), blobs.clone(), Clock::system(), settings).unwrap());
        bus.activate(deployment(), 0, Cause::ProjectFile).await.unwrap();
        let webhook =
            |path: &str, sender, proof| Trigger::Webhook(WebhookTrigger { path: path.to_owned(), sender, proof });
        let triggers = [
            webhook("/hooks/s3", Sender::S3, Proof::Token(vec![Secret::new("minio-token")])),
            webhook("/hooks/events", Sender::Cloudevents, Proof::Unsigned),
        ];
        let webhooks = Webhooks::resolve(&triggers, &|_| None).unwrap();
        let local = "127.0.0.1:7117".parse().unwrap();
        let state = Arc::new(ApiState {
            bus: Some(bus.clone()),
            webhooks: tokio::sync::watch::channel(Arc::new(webhooks)).1,
            doors: Doors { hooks: local, api: local, names: Vec::new(), access: Access::default() },
            ..ApiState::stopped("shop".to_owned(), Arc::new(bus.history()), blobs.clone())
        });
        let gate = bus.subscribe(id(1));
        Shop { hooks: hooks(state.clone()), api: api(state), bus, blobs, gate, _folder: folder }
    }

    async fn publish(&self, event: &Value) -> Answer {
        let headers = "content-type: application/cloudevents+json";
        ask(&self.api, "POST", "/events", headers, event.to_string().as_bytes()).await
    }

    async fn get(&self, path: &str) -> Value {
        ask(&self.api, "GET", path, "", b"").await.json()
    }

    /// Settles the next delivery of `gate`.
    async fn settle(&mut self, decision: Decision, emitted: Vec<Event>) {
        let delivery = self.gate.next().await.unwrap();
        self.bus.settle(delivery, settlement(decision, emitted)).await.unwrap();
    }
}

fn settlement(decision: Decision, emitted: Vec<Event>) -> Settlement {
    let failed = Failure::new(FailureKind::Rejected, "no such thing");
    Settlement {
        decision,
        failure: (decision != Decision::Ack).then_some(failed),
        emitted,
        reads: Vec::new(),
        writes: Vec::new(),
        recording: None,
        component: Digest::of(b"gate"),
        duration: Duration::from_millis(1),
    }
}

fn deployment() -> Deployment {
    Deployment::new("shop".to_owned(), vec![function(1, "gate", "com.shop.*", None)])
}

fn sold(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/till", "type": "com.shop.sold", "data": {"total": 3}})
}

/// Runs a test body on a runtime of its own.
fn run(body: impl AsyncFnOnce(Shop)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let shop = Shop::open().await;
        tokio::time::timeout(Duration::from_secs(30), body(shop)).await.unwrap();
    });
}

#[test]
fn an_accepted_event_is_answered_with_its_id_and_can_be_read_at_once() {
    run(async |shop| {
        let answer = shop.publish(&sold("s-1")).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.json()["ids"], json!(["s-1"]));
        let read = shop.get("/events/s-1").await;
        assert_eq!(read["position"], answer.json()["receipts"][0]["position"]);
        assert_eq!(read["origin"], json!({"kind": "api", "name": "local", "verified": false}));
        assert_eq!(read["event"]["data"], json!({"total": 3}));
    });
}

#[test]
fn the_same_event_again_is_one_event_whatever_trace_it_comes_in() {
    run(async |shop| {
        let again = |span: u32| {
            let headers =
                format!("content-type: application/cloudevents+json\ntraceparent: 00-{span:032x}-00f067aa0ba902b7-01");
            let api = shop.api.clone();
            async move { ask(&api, "POST", "/events", &headers, sold("s-1").to_string().as_bytes()).await }
        };
        let (first, second) = (again(1).await, again(2).await);
        assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
        assert_eq!(first.json()["duplicate"], false);
        assert_eq!(second.json()["duplicate"], true);
        assert_eq!(second.json()["receipts"][0]["position"], first.json()["receipts"][0]["position"]);
        let traceparent = format!("00-{:032x}-00f067aa0ba902b7-01", 1);
        assert_eq!(shop.get("/events/s-1").await["event"]["traceparent"], Value::String(traceparent));
    });
}

#[test]
fn the_same_id_with_other_content_is_a_conflict() {
    run(async |shop| {
        shop.publish(&sold("s-1")).await;
        let mut other = sold("s-1");
        other["data"] = json!({"total": 4});
        let answer = shop.publish(&other).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "content-differs"));
    });
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    run(async |shop| {
        let batch = json!([sold("s-1"), {"specversion": "1.0", "id": "s-2", "type": "com.shop.sold"}]);
        let headers = "content-type: application/cloudevents-batch+json";
        let answer = ask(&shop.api, "POST", "/events", headers, batch.to_string().as_bytes()).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["index"], 1);
        assert_eq!(shop.get("/events/s-1").await["error"]["code"], "not-found");
        let batch = json!([sold("s-1"), sold("s-2")]);
        let answer = ask(&shop.api, "POST", "/events", headers, batch.to_string().as_bytes()).await;
        assert_eq!(answer.json()["ids"], json!(["s-1", "s-2"]));
    });
}

#[test]
fn bad_json_is_told_with_line_and_column() {
    run(async |shop| {
        let headers = "content-type: application/cloudevents+json";
        let answer = ask(&shop.api, "POST", "/events", headers, b"{\n  \"id\": }").await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && message.contains("line 2, column 9"), "{message}");
    });
}

#[test]
fn a_webhook_says_where_it_came_in_and_whether_that_was_proven() {
    run(async |shop| {
        let headers = "content-type: application/cloudevents+json\nauthorization: Bearer x";
        let answer = ask(&shop.hooks, "POST", "/hooks/events", headers, sold("s-1").to_string().as_bytes()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let origin = json!({"kind": "trigger", "name": "/hooks/events", "verified": false});
        assert_eq!(shop.get("/events/s-1").await["origin"], origin);
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "reports"});
        let headers = "content-type: application/json\nauthorization: Bearer minio-token";
        let answer = ask(&shop.hooks, "POST", "/hooks/s3", headers, test.to_string().as_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.json()["ids"].clone()), (202, json!([])));
    });
}

#[test]
fn a_trace_waits_until_all_that_followed_is_settled() {
    run(async |mut shop| {
        shop.publish(&sold("s-1")).await;
        let api = shop.api.clone();
        let waiting = tokio::spawn(async move { ask(&api, "GET", "/events/s-1/trace?wait=20", "", b"").await.json() });
        let open = shop.get("/events/s-1/trace").await;
        assert_eq!(open["settled"], false, "{open}");
        let parent = event("s-1", "com.shop.sold");
        let key = Event { source: "/till".to_owned(), ..parent }.key();
        let mut paid = event(&derived_id(key, id(1), 0).to_string(), "com.shop.paid");
        paid.extensions.insert("causationid".to_owned(), crate::event::Extension::Text("s-1".to_owned()));
        paid.extensions.insert("correlationid".to_owned(), crate::event::Extension::Text("s-1".to_owned()));
        shop.settle(Decision::Ack, vec![paid]).await;
        shop.settle(Decision::Ack, Vec::new()).await;
        let trace = waiting.await.unwrap();
        assert_eq!(trace["settled"], true, "{trace}");
        assert_eq!(trace["roots"][0]["functions"][0]["verdict"]["kind"], "delivered");
        assert_eq!(trace["roots"][0]["children"][0]["type"], "com.shop.paid");
        let explanation = shop.get("/events/s-1/explain").await;
        assert_eq!(explanation["functions"][0]["emitted"][0]["type"], "com.shop.paid", "{explanation}");
    });
}

#[test]
fn a_dead_letter_is_redriven_and_dropped_by_its_id() {
    run(async |mut shop| {
        let position = shop.publish(&sold("s-1")).await.json()["receipts"][0]["position"].clone();
        let letter = format!("{position}.gate");
        let change = async |shop: &Shop, what: &str, body: Value| {
            let path = format!("/dlq/{what}");
            ask(&shop.api, "POST", &path, "content-type: application/json", body.to_string().as_bytes()).await.json()
        };
        shop.settle(Decision::DeadLetter, Vec::new()).await;
        assert_eq!(shop.get("/dlq").await["items"][0]["id"], letter);
        assert_eq!(change(&shop, "redrive", json!({"ids": [letter]})).await, json!({"changed": 1}));
        assert_eq!(change(&shop, "redrive", json!({"ids": ["99.gate"]})).await["error"]["code"], "not-found");
        assert_eq!(change(&shop, "redrive", json!({})).await["error"]["code"], "invalid");
        shop.settle(Decision::DeadLetter, Vec::new()).await;
        assert_eq!(change(&shop, "drop", json!({"all": true, "function": "gate"})).await, json!({"changed": 1}));
        let verdict = shop.get("/events/s-1/explain").await["functions"][0]["verdict"].clone();
        assert_eq!((verdict["kind"].as_str(), verdict["by"].as_str()), (Some("dropped"), Some("local")), "{verdict}");
    });
}

#[test]
fn dead_letters_of_one_error_are_redriven_a_first_one_first_and_at_a_rate() {
    run(async |mut shop| {
        for (id, reason) in
            [("a", "no price of 7"), ("b", "no customer"), ("c", "no price of 8"), ("d", "no price of 9")]
        {
            shop.publish(&sold(id)).await;
            let delivery = shop.gate.next().await.unwrap();
            let failure = Some(Failure::new(FailureKind::Rejected, reason));
            let settlement = Settlement { failure, ..settlement(Decision::DeadLetter, Vec::new()) };
            shop.bus.settle(delivery, settlement).await.unwrap();
        }
        let letters = shop.get("/dlq").await["items"].clone();
        let error =
            letters.as_array().unwrap().iter().find(|letter| letter["event"]["id"] == "a").unwrap()["error"].clone();
        let redrive = async |body: Value| {
            let headers = "content-type: application/json";
            ask(&shop.api, "POST", "/dlq/redrive", headers, body.to_string().as_bytes()).await.json()
        };
        assert_eq!(redrive(json!({"all": true, "error": error, "first": 1})).await, json!({"changed": 1}));
        let first = shop.gate.next().await.unwrap();
        assert_eq!((first.event.event.id.as_str(), first.round), ("a", 1));
        let slowly = json!({"all": true, "error": error, "rate": 0.001});
        assert_eq!(redrive(slowly.clone()).await, json!({"changed": 2}));
        assert_eq!(redrive(slowly).await, json!({"changed": 0}), "it is safe to repeat");
        assert_eq!(shop.gate.next().await.unwrap().event.event.id, "c");
        let explained = shop.get("/events/d/explain").await["functions"][0]["verdict"].clone();
        assert_eq!(explained["kind"], "retrying", "its turn has not come: {explained}");
        assert_eq!(redrive(json!({"all": true, "rate": 0})).await["error"]["code"], "invalid");
        assert_eq!(redrive(json!({"ids": ["1.gate"], "first": 1})).await["error"]["code"], "invalid");
    });
}

#[test]
fn all_dead_letters_are_redriven_in_log_order_however_many_there_are() {
    const LETTERS: u64 = 10_500;
    run(async |mut shop| {
        let incoming = |number: u64| Incoming {
            event: event(&number.to_string(), "com.shop.sold"),
            origin: Origin { kind: OriginKind::Api, name: "local".to_owned(), verified: false },
        };
        let mut failing = JoinSet::new();
        for first in (0..LETTERS).step_by(500) {
            shop.bus.publish((first..first + 500).map(incoming).collect()).await.unwrap();
            for _ in 0..500 {
                let (bus, delivery) = (shop.bus.clone(), shop.gate.next().await.unwrap());
                failing.spawn(async move {
                    bus.settle(delivery, settlement(Decision::DeadLetter, Vec::new())).await.unwrap();
                });
            }
        }
        failing.join_all().await;
        let redrive = async |body: Value| {
            let headers = "content-type: application/json";
            ask(&shop.api, "POST", "/dlq/redrive", headers, body.to_string().as_bytes()).await.json()
        };
        assert_eq!(redrive(json!({"all": true, "function": "gate"})).await, json!({"changed": LETTERS}));
        assert_eq!(redrive(json!({"all": true})).await, json!({"changed": 0}), "it is safe to repeat");
        let mut settling = JoinSet::new();
        for expected in 0..LETTERS {
            let delivery = shop.gate.next().await.unwrap();
            assert_eq!((delivery.event.event.id.as_str(), delivery.round), (expected.to_string().as_str(), 1));
            let bus = shop.bus.clone();
            settling.spawn(async move {
                bus.settle(delivery, settlement(Decision::Ack, Vec::new())).await.unwrap();
            });
        }
    });
}

#[test]
fn whoever_follows_is_told_each_event_with_its_position() {
    run(async |shop| {
        shop.publish(&sold("s-1")).await;
        let request = Request::get("/events?follow=true&type=com.shop.*&since=1970-01-01T00:00:00Z");
        let request = request.header("host", "localhost").body(Body::empty()).unwrap();
        let response = shop.api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let mut told = String::new();
        for expected in ["s-1", "s-2"] {
            while !told.contains(expected) {
                told += std::str::from_utf8(body.frame().await.unwrap().unwrap().data_ref().unwrap()).unwrap();
            }
            shop.publish(&sold("s-2")).await;
        }
        assert!(told.contains("id: ") && told.contains("\"type\":\"com.shop.sold\""), "{told}");
    });
}

#[test]
fn metrics_and_functions_tell_what_the_log_holds() {
    run(async |shop| {
        shop.publish(&sold("s-1")).await;
        let function = shop.get("/functions/gate").await;
        assert_eq!(
            (function["deployed"].clone(), function["delivered"].clone()),
            (true.into(), 0.into()),
            "{function}"
        );
        let text = ask(&shop.api, "GET", "/metrics", "", b"").await;
        let text = String::from_utf8(text.body).unwrap();
        assert!(text.contains("tidegate_events_accepted_total{door=\"api\"} 1"), "{text}");
        assert!(text.contains("tidegate_function_lag_events{function=\"gate\"}"), "{text}");
        assert_eq!(shop.get("/readyz").await["ok"], true);
    });
}

#[test]
fn a_blob_is_answered_by_its_digest_as_bytes() {
    run(async |shop| {
        let digest = shop.blobs.put(&Bytes::from_static(b"<b>built</b>")).unwrap();
        let answer = ask(&shop.api, "GET", &format!("/blobs/{digest}"), "", b"").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"<b>built</b>"[..]));
        assert_eq!(answer.headers["content-type"], "application/octet-stream");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let missing = Digest::of(b"nothing");
        for (digest, status, code) in [(missing.to_string(), 404, "not-found"), ("latest".to_owned(), 400, "invalid")] {
            let answer = ask(&shop.api, "GET", &format!("/blobs/{digest}"), "", b"").await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{digest}");
        }
    });
}
