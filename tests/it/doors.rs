//! What the two listeners take and refuse. A refusal leaves nothing behind.

use serde_json::{Value, json};

use crate::http::{Answer, BATCH, Header, STRUCTURED, get, github_signature, post, request};
use crate::support::{Project, Server};

const SECRET: &str = "what the sender and the door share";
/// The limit of a request's body, and one more.
const TOO_MANY_BYTES: usize = 32 * 1024 * 1024 + 1;

fn shop() -> Project {
    let webhook =
        "[[trigger.webhook]]\npath = \"/hooks/github\"\nsender = \"github\"\nsecret = \"${env:GITHUB_SECRET}\"\n";
    Project::new(webhook).env("GITHUB_SECRET", SECRET)
}

/// A delivery as GitHub sends it, signed with `secret`; unsigned without one.
fn deliver(server: &Server<'_>, event: &str, delivery: &str, body: &str, secret: Option<&str>) -> Answer {
    let signature = secret.map(|secret| github_signature(secret, body.as_bytes()));
    let mut headers: Vec<Header<'_>> =
        vec![("content-type", "application/json"), ("x-github-event", event), ("x-github-delivery", delivery)];
    headers.extend(signature.as_deref().map(|signature| ("x-hub-signature-256", signature)));
    post(&server.hooks, "/hooks/github", &headers, body.as_bytes())
}

fn push(commit: &str) -> String {
    let repository = json!({ "full_name": "shop/till", "html_url": "https://git.example/shop/till" });
    json!({ "ref": "refs/heads/main", "after": commit, "repository": repository }).to_string()
}

/// The CloudEvents in the log, in its order.
fn events(server: &Server<'_>) -> Vec<Value> {
    server.json(&["events"]).into_iter().map(|mut accepted| accepted["event"].take()).collect()
}

#[test]
fn a_signed_delivery_is_in_the_log_once_it_was_answered_even_after_a_kill() {
    let project = shop();
    let server = project.up();
    let id = deliver(&server, "push", "delivery-1", &push("a1"), Some(SECRET)).id();
    server.kill();
    let server = project.up();
    let shown = &server.json(&["events", &id])[0];
    assert_eq!(shown["event"]["type"], "com.github.push", "{shown}");
    assert_eq!(shown["event"]["data"]["payload"]["after"], "a1", "{shown}");
    assert_eq!(shown["origin"]["verified"], true, "{shown}");
}

#[test]
fn a_wrong_or_missing_signature_is_refused_and_leaves_nothing() {
    let project = shop();
    let server = project.up();
    let before = events(&server);
    for secret in [None, Some("another"), Some("")] {
        let answer = deliver(&server, "push", "delivery-1", &push("a1"), secret);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("unauthorized")), "{secret:?}");
    }
    // The proof is of these bytes and no others.
    let signature = github_signature(SECRET, push("a1").as_bytes());
    let headers = [("x-github-event", "push"), ("x-hub-signature-256", signature.as_str())];
    assert_eq!(post(&server.hooks, "/hooks/github", &headers, push("b2").as_bytes()).status, 401);
    assert_eq!(events(&server), before);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let project = shop();
    let server = project.up();
    let length = TOO_MANY_BYTES.to_string();
    let headers = [STRUCTURED, ("content-length", length.as_str())];
    for (listener, path) in [(&server.hooks, "/hooks/github"), (&server.api, "/events")] {
        let answer = request(listener, "POST", path, &headers, b"");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!("too-large")), "{path}");
    }
}

#[test]
fn json_that_cannot_be_read_is_refused_with_line_and_column() {
    let project = shop();
    let server = project.up();
    let before = events(&server);
    let broken = "{\n  \"ref\": ,\n}";
    let answers = [
        deliver(&server, "push", "delivery-1", broken, Some(SECRET)),
        post(&server.api, "/events", &[STRUCTURED], broken.as_bytes()),
    ];
    for answer in answers {
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("line 2, column 10"), "{answer:?}");
    }
    assert_eq!(events(&server), before);
}

#[test]
fn a_kind_that_nobody_knows_is_accepted_as_itself() {
    let project = shop();
    let server = project.up();
    let body = json!({ "action": "renewed", "repository": { "full_name": "shop/till" } }).to_string();
    let id = deliver(&server, "subscription", "delivery-1", &body, Some(SECRET)).id();
    assert_eq!(server.json(&["events", &id])[0]["event"]["type"], "com.github.subscription.renewed");
}

#[test]
fn the_same_delivery_twice_is_one_event_and_other_content_under_its_id_a_conflict() {
    let project = shop();
    let server = project.up();
    let first = deliver(&server, "push", "delivery-1", &push("a1"), Some(SECRET));
    let after_first = events(&server);
    let second = deliver(&server, "push", "delivery-1", &push("a1"), Some(SECRET));
    assert_eq!(second.id(), first.id());
    assert_eq!((&first.json()["duplicate"], &second.json()["duplicate"]), (&json!(false), &json!(true)));
    let other = deliver(&server, "push", "delivery-1", &push("b2"), Some(SECRET));
    assert_eq!((other.status, &other.json()["error"]["code"]), (409, &json!("content-differs")));
    assert_eq!(events(&server), after_first);
}

#[test]
fn the_listener_of_webhooks_serves_nothing_else() {
    let project = shop();
    let server = project.up();
    for path in ["/events", "/events/last", "/functions", "/deployments", "/metrics", "/healthz", "/", "/hooks/other"] {
        assert_eq!(get(&server.hooks, path).status, 404, "{path}");
    }
    assert_eq!(post(&server.hooks, "/events", &[STRUCTURED], event("a").to_string().as_bytes()).status, 404);
}

fn event(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "till", "type": "shop.order.paid", "data": { "cents": 1250 } })
}

#[test]
fn events_are_taken_in_binary_structured_and_batched_mode() {
    let project = shop();
    let server = project.up();
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "binary"),
        ("ce-source", "till"),
        ("ce-type", "shop.order.paid"),
    ];
    assert_eq!(post(&server.api, "/events", &binary, br#"{"cents":1250}"#).id(), "binary");
    assert_eq!(
        post(&server.api, "/events", &[STRUCTURED], event("structured").to_string().as_bytes()).id(),
        "structured"
    );
    let answer = post(&server.api, "/events", &[BATCH], json!([event("a"), event("b")]).to_string().as_bytes());
    assert_eq!((answer.status, &answer.json()["ids"]), (202, &json!(["a", "b"])));
    for id in ["binary", "structured", "a", "b"] {
        let shown = &server.json(&["events", id])[0]["event"];
        assert_eq!((&shown["type"], &shown["data"]["cents"]), (&json!("shop.order.paid"), &json!(1250)), "{shown}");
    }
}

#[test]
fn one_bad_event_refuses_its_batch_by_its_index_and_nothing_is_accepted() {
    let project = shop();
    let server = project.up();
    let before = events(&server);
    let mut nameless = event("c");
    nameless["id"] = json!("");
    let answer =
        post(&server.api, "/events", &[BATCH], json!([event("a"), event("b"), nameless]).to_string().as_bytes());
    assert_eq!((answer.status, &answer.json()["error"]["index"]), (400, &json!(2)), "{answer:?}");
    assert_eq!(events(&server), before);
}

#[test]
fn nobody_outside_speaks_as_a_function() {
    let project = shop();
    let server = project.up();
    let before = events(&server);
    let mut forged = event("forged");
    forged["source"] = json!("tidegate/test/gate");
    let answer = post(&server.api, "/events", &[STRUCTURED], forged.to_string().as_bytes());
    assert!(answer.status == 400 && answer.body.contains("tidegate/test/gate"), "{answer:?}");
    assert_eq!(events(&server), before);
}
