//! Who may come in, and what refusals look like.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use sha2::Sha256;

use super::log::Log;
use super::{Answer, ask, no_blobs};
use crate::api::{Access, ApiState, Doors, Webhooks, api, hooks};
use crate::deployment::{Proof, Scope, Secret, Sender, Token, Trigger, WebhookTrigger};

fn token(name: &str, scope: Scope, emits: &[&str]) -> Token {
    let emits = emits.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Token { name: name.to_owned(), secret: Secret::new(format!("secret-of-{name}")), scope, emits }
}

fn state(local: &str, tokens: &[Token]) -> ApiState {
    let local: SocketAddr = local.parse().unwrap();
    let access = Access::resolve(tokens, &|_| None).unwrap();
    let names = vec!["gate.example.com".to_owned()];
    ApiState {
        doors: Doors { hooks: local, api: local, names, access },
        ..ApiState::stopped("shop".to_owned(), Arc::new(Log::default()), no_blobs())
    }
}

fn tokens() -> Vec<Token> {
    vec![
        token("reader", Scope::Read, &[]),
        token("emitter", Scope::Emit, &[]),
        token("scanner", Scope::Emit, &["dev.cdevents.test*"]),
        token("operator", Scope::Operate, &[]),
    ]
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[track_caller]
fn check_answer(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{what}");
    if status >= 400 {
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty(), "{what}");
    }
}

#[track_caller]
fn check_host(local: &str, headers: &str, status: u16, code: &str) {
    let answer = run(ask(&api(Arc::new(state(local, &[]))), "GET", "/healthz", headers, b""));
    check_answer(&answer, status, code, &format!("{headers:?} at {local}"));
}

#[test]
fn a_listener_answers_to_its_own_names_only() {
    const LOCAL: &str = "127.0.0.1:7117";
    check_host(LOCAL, "host: 127.0.0.1:7117", 200, "");
    check_host(LOCAL, "host: localhost:7117", 200, "");
    check_host(LOCAL, "host: LOCALHOST", 200, "");
    check_host(LOCAL, "host: [::1]:7117", 200, "");
    check_host(LOCAL, "host: gate.example.com", 200, "");
    check_host(LOCAL, "host: Gate.Example.com.:443", 200, "");
    check_host(LOCAL, "host: evil.example.com:7117", 421, "misdirected");
    check_host(LOCAL, "host: localhost.evil.example.com", 421, "misdirected");
    check_host(LOCAL, "host: 10.0.0.1", 421, "misdirected");
    check_host(LOCAL, "host: a b", 421, "misdirected");
    check_host(LOCAL, "host: localhost\nhost: evil.example.com", 421, "misdirected");
    check_host("10.0.0.1:7117", "host: 10.0.0.1:7117", 200, "");
    check_host("10.0.0.1:7117", "host: localhost", 421, "misdirected");
    check_host("0.0.0.0:7117", "host: 10.0.0.1:80", 200, "");
    check_host("0.0.0.0:7117", "host: evil.example.com", 421, "misdirected");
}

#[test]
fn pages_of_other_origins_are_refused() {
    const LOCAL: &str = "127.0.0.1:7117";
    check_host(LOCAL, "host: localhost:7117\norigin: http://localhost:7117", 200, "");
    check_host(LOCAL, "host: localhost:7117\norigin: http://localhost:9999", 403, "foreign-origin");
    check_host(LOCAL, "host: localhost:7117\norigin: https://evil.example.com", 403, "foreign-origin");
    check_host(LOCAL, "host: localhost:7117\norigin: null", 403, "foreign-origin");
}

#[track_caller]
fn check_token(method: &str, path: &str, headers: &str, status: u16, code: &str) {
    let headers = format!("content-type: application/json\n{headers}");
    let answer = run(ask(&api(Arc::new(state("127.0.0.1:7117", &tokens()))), method, path, &headers, b"{}"));
    check_answer(&answer, status, code, &format!("{method} {path} {headers}"));
}

#[test]
fn a_token_allows_its_scope_and_those_below_it() {
    const READER: &str = "authorization: Bearer secret-of-reader";
    const EMITTER: &str = "authorization: bearer secret-of-emitter";
    const OPERATOR: &str = "authorization: Bearer secret-of-operator";
    check_token("GET", "/events", READER, 200, "");
    check_token("GET", "/events", EMITTER, 200, "");
    check_token("GET", "/metrics", READER, 200, "");
    check_token("POST", "/events", READER, 403, "forbidden");
    check_token("POST", "/events", EMITTER, 415, "unsupported-media-type");
    check_token("POST", "/dlq/redrive", EMITTER, 403, "forbidden");
    check_token("POST", "/deployments", EMITTER, 403, "forbidden");
    check_token("POST", "/deployments/1/rollback", READER, 403, "forbidden");
    check_token("POST", "/dlq/redrive", OPERATOR, 503, "unavailable");
}

#[test]
fn whoever_shows_no_known_token_is_nobody() {
    check_token("GET", "/healthz", "", 200, "");
    check_token("GET", "/events", "", 401, "unauthorized");
    check_token("GET", "/metrics", "", 401, "unauthorized");
    check_token("GET", "/blobs/latest", "", 401, "unauthorized");
    check_token("GET", "/events", "authorization: Bearer wrong", 401, "unauthorized");
    check_token("GET", "/events", "authorization: Basic secret-of-reader", 401, "unauthorized");
    check_token("GET", "/events", "authorization: Bearer ", 401, "unauthorized");
    check_token("GET", "/events?token=secret-of-reader", "", 401, "unauthorized");
    let two = "authorization: Bearer secret-of-reader\nauthorization: Bearer secret-of-operator";
    check_token("GET", "/events", two, 401, "unauthorized");
}

#[track_caller]
fn check_emits(holder: &str, ty: &str, status: u16, code: &str) {
    let event = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"{ty}"}}"#);
    let headers = format!("content-type: application/cloudevents+json\nauthorization: Bearer secret-of-{holder}");
    let router = api(Arc::new(state("127.0.0.1:7117", &tokens())));
    let answer = run(ask(&router, "POST", "/events", &headers, event.as_bytes()));
    check_answer(&answer, status, code, &format!("{ty} by {holder}"));
}

#[test]
fn delivery_types_want_a_token_that_grants_them() {
    // 503: it passed the door, and the project is stopped.
    check_emits("emitter", "com.example.sold", 503, "unavailable");
    check_emits("emitter", "dev.cdevents.testsuiterun.finished.0.3.0", 403, "forbidden");
    check_emits("operator", "dev.cdeventsx.tidegate-gate.passed.0.1.0", 403, "forbidden");
    check_emits("scanner", "dev.cdevents.testsuiterun.finished.0.3.0", 503, "unavailable");
    check_emits("scanner", "dev.cdevents.artifact.published.0.3.0", 403, "forbidden");
}

#[test]
fn without_tokens_loopback_is_trusted_and_nothing_else_is() {
    let local = run(ask(&api(Arc::new(state("127.0.0.1:7117", &[]))), "GET", "/events", "", b""));
    check_answer(&local, 200, "", "loopback");
    let open = run(ask(&api(Arc::new(state("0.0.0.0:7117", &[]))), "GET", "/events", "", b""));
    check_answer(&open, 401, "unauthorized", "all addresses");
}

#[test]
fn an_empty_token_is_an_error() {
    let empty = Token { secret: Secret::new("${env:UNSET}"), ..token("a", Scope::Read, &[]) };
    assert_eq!(
        Access::resolve(std::slice::from_ref(&empty), &|_| None).unwrap_err().to_string(),
        "token a: the environment variable UNSET is not set"
    );
    let error = Access::resolve(&[empty], &|_| Some(" ".to_owned())).unwrap_err().to_string();
    assert!(error.starts_with("token a is empty"), "{error}");
}

#[track_caller]
fn check_write(headers: &str, status: u16, code: &str) {
    let router = api(Arc::new(state("127.0.0.1:7117", &[])));
    let answer = run(ask(&router, "POST", "/dlq/redrive", headers, b"{}"));
    check_answer(&answer, status, code, headers);
}

#[test]
fn a_write_that_a_form_could_make_is_refused() {
    check_write("content-type: application/json", 503, "unavailable");
    check_write("", 415, "unsupported-media-type");
    check_write("content-type: text/plain", 415, "unsupported-media-type");
    check_write("content-type: Application/X-WWW-Form-Urlencoded; charset=utf-8", 415, "unsupported-media-type");
    check_write("content-type: multipart/form-data; boundary=x", 415, "unsupported-media-type");
}

#[test]
fn what_is_not_there_is_told_as_json() {
    let router = api(Arc::new(state("127.0.0.1:7117", &[])));
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not-found"),
        ("DELETE", "/events", 405, "method-not-allowed"),
        ("GET", "/events?typ=a", 400, "invalid"),
        ("GET", "/events?limit=0", 400, "invalid"),
        ("GET", "/events?type=artifact.publish", 400, "invalid"),
        ("GET", "/events?follow=true", 503, "unavailable"),
        ("GET", "/events/unknown-id", 404, "not-found"),
        ("GET", "/events/@x", 400, "invalid"),
        ("GET", "/invocations/7", 400, "invalid"),
        ("GET", "/functions/gate", 404, "not-found"),
        ("GET", "/deployments/9", 404, "not-found"),
        ("GET", "/readyz", 503, ""),
    ] {
        let answer = run(ask(&router, method, path, "", b""));
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{method} {path}");
    }
}

const SECRET: &str = "It's a secret";

fn webhooks() -> Router {
    let webhook = |path: &str, sender, proof| Trigger::Webhook(WebhookTrigger { path: path.to_owned(), sender, proof });
    let triggers = [
        webhook("/hooks/github", Sender::Github, Proof::Secret(vec![Secret::new(SECRET)])),
        webhook("/hooks/s3", Sender::S3, Proof::Token(vec![Secret::new("minio-token")])),
        webhook("/hooks/events", Sender::Cloudevents, Proof::Unsigned),
    ];
    let webhooks = Webhooks::resolve(&triggers, &|_| None).unwrap();
    let (_, receiver) = tokio::sync::watch::channel(Arc::new(webhooks));
    hooks(Arc::new(ApiState { webhooks: receiver, ..state("127.0.0.1:7117", &tokens()) }))
}

fn signature(body: &[u8]) -> String {
    use hmac::Mac;
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "content-type: application/json\nx-github-event: push\nx-github-delivery: d-1\nx-hub-signature-256: sha256={hex}"
    )
}

#[track_caller]
fn check_hook(method: &str, path: &str, headers: &str, body: &[u8], status: u16, code: &str) {
    let answer = run(ask(&webhooks(), method, path, headers, body));
    let what = format!("{method} {path} {headers}");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{what}");
}

#[test]
fn a_webhook_is_proven_before_it_is_read() {
    const JSON: &str = "content-type: application/json";
    const PUSH: &[u8] = br#"{"ref":"refs/heads/main"}"#;
    check_hook("POST", "/hooks/github", JSON, PUSH, 401, "unauthorized");
    check_hook("POST", "/hooks/github", JSON, b"no json", 401, "unauthorized");
    check_hook("POST", "/hooks/github", &signature(b"other"), PUSH, 401, "unauthorized");
    check_hook("POST", "/hooks/github", &signature(b"no json"), b"no json", 400, "invalid");
    check_hook("POST", "/hooks/github", &signature(PUSH), PUSH, 503, "unavailable");
    check_hook("POST", "/hooks/s3", JSON, b"{}", 401, "unauthorized");
    check_hook("POST", "/hooks/events", JSON, b"{}", 415, "unsupported-media-type");
}

#[test]
fn the_hooks_listener_serves_its_paths_and_nothing_else() {
    check_hook("POST", "/events", "", b"", 404, "not-found");
    check_hook("GET", "/healthz", "", b"", 404, "not-found");
    check_hook("POST", "/hooks/github/", "", b"", 404, "not-found");
    check_hook("GET", "/hooks/github", "", b"", 405, "method-not-allowed");
    check_hook("HEAD", "/hooks/s3", "", b"", 200, "");
    check_hook("HEAD", "/hooks/unknown", "", b"", 404, "");
    check_hook("POST", "/hooks/s3", "host: evil.example.com", b"", 421, "misdirected");
    check_hook("POST", "/hooks/events", "origin: https://evil.example.com", b"", 403, "foreign-origin");
    check_hook(
        "POST",
        "/hooks/events",
        "content-type: application/x-www-form-urlencoded",
        b"",
        415,
        "unsupported-media-type",
    );
}

#[test]
fn a_body_above_the_limit_is_refused_before_it_is_read() {
    let length = format!("content-length: {}", 32 * 1024 * 1024 + 1);
    check_hook("POST", "/hooks/github", &length, b"", 413, "too-large");
    let long = vec![b' '; 32 * 1024 * 1024 + 1];
    check_hook("POST", "/hooks/github", "", &long, 413, "too-large");
}

#[test]
fn whoever_asks_to_send_webhooks_is_told_that_it_may() {
    let headers = "webhook-request-origin: events.example.com";
    let answer = run(ask(&webhooks(), "OPTIONS", "/hooks/events", headers, b""));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["webhook-allowed-origin"], "events.example.com");
    assert_eq!(answer.headers["allow"], "HEAD, OPTIONS, POST");
}
