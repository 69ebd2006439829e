//! The corpus of real payloads, and what holds for any input.

use std::path::PathBuf;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::event::Extension;

/// Real payloads with the facts that a right parse yields. The folder is no part of the project.
fn corpus() -> Option<(PathBuf, Map<String, Value>)> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");
    let folder = std::env::var_os("TIDEGATE_CORPUS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    match std::fs::read(folder.join("expected.json")) {
        Ok(expected) => Some((folder, serde_json::from_slice(&expected).unwrap())),
        Err(_) => {
            println!("no corpus of payloads beside the project and none named by TIDEGATE_CORPUS: nothing to compare");
            None
        }
    }
}

fn headers_of(case: &Value) -> HeaderMap {
    let none = Map::new();
    let headers = case["headers"].as_object().unwrap_or(&none);
    headers.iter().map(|(name, value)| (name.parse().unwrap(), value.as_str().unwrap().parse().unwrap())).collect()
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(event.data.as_deref().unwrap_or(b"null")).unwrap_or_default()
}

/// Every fact must be told; null and absent are the same.
fn compare(file: &str, expected: &Value, told: &Value, wrong: &mut Vec<String>) {
    for (fact, expected) in expected.as_object().unwrap() {
        let told = told.get(fact).unwrap_or(&Value::Null);
        if told != expected {
            wrong.push(format!("{file}: {fact} is {told}, expected {expected}"));
        }
    }
}

/// The facts of the sender of a kind of the corpus; none for the kinds of other senders.
fn check_case(file: &str, case: &Value, body: &Bytes, wrong: &mut Vec<String>) -> bool {
    let headers = headers_of(case);
    let facts = &case["facts"];
    let events = |sender| parse(sender, &headers, body).unwrap_or_else(|error| panic!("{file}: {error}"));
    match case["kind"].as_str().unwrap() {
        "github" | "ghpackage" => {
            let events = events(Sender::Github);
            assert_eq!(events.len(), 1, "{file}");
            compare(file, facts.get("payload").unwrap_or(facts), &data(&events[0])["git"], wrong);
        }
        "s3" => {
            let events = events(Sender::S3);
            let records = facts["records"].as_array().unwrap();
            assert_eq!(events.len(), records.len(), "{file}");
            for (event, record) in events.iter().zip(records) {
                compare(file, record, &data(event)["object"], wrong);
                compare(file, &json!({ "envelope": facts.get("envelope") }), &data(event), wrong);
            }
        }
        "s3test" => assert_eq!(events(Sender::S3), [], "{file}"),
        "eb_s3" => compare(file, facts, &data(&events(Sender::S3)[0])["object"], wrong),
        "ce" | "ce_bin" => compare(file, facts, &told(&events(Sender::Cloudevents)[0]), wrong),
        "ce_batch" => {
            let events = events(Sender::Cloudevents);
            assert_eq!(facts["count"], events.len(), "{file}");
            for (event, facts) in events.iter().zip(facts["events"].as_array().unwrap()) {
                compare(file, facts, &told(event), wrong);
            }
        }
        _ => return false,
    }
    true
}

/// A CloudEvent in the words of the corpus.
fn told(event: &Event) -> Value {
    let extensions: Map<String, Value> = event
        .extensions
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Extension::Text(text) => json!(text),
                Extension::Integer(number) => json!(number),
                Extension::Boolean(truth) => json!(truth),
            };
            (name.clone(), value)
        })
        .collect();
    let content_type = event.datacontenttype.as_deref().unwrap_or_default();
    let data_kind = match event.data {
        None => "none",
        Some(_) if content_type.contains("json") => "json",
        Some(_) if content_type.contains("thrift") => "base64",
        Some(_) => "text",
    };
    json!({
        "id": event.id, "source": event.source, "type": event.ty, "subject": event.subject, "time": event.time,
        "datacontenttype": event.datacontenttype, "extensions": extensions, "data_kind": data_kind, "data": data(event),
        "specversion": "1.0", "mode": "binary",
    })
}

#[test]
fn every_fact_of_the_corpus_comes_out() {
    let Some((folder, expected)) = corpus() else { return };
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (file, case) in &expected {
        let body = Bytes::from(std::fs::read(folder.join(file)).unwrap());
        checked += u32::from(check_case(file, case, &body, &mut wrong));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked >= 30, "only {checked} payloads of known senders");
}

#[test]
fn the_signed_push_of_the_corpus_is_proven() {
    let Some((folder, expected)) = corpus() else { return };
    let file = "signatures/github_push_signed.json";
    let case = &expected[file];
    let secret = case["facts"]["secret"].as_str().unwrap();
    let body = Bytes::from(std::fs::read(folder.join(file)).unwrap());
    let proven = |secret: &str, body: &[u8]| {
        let credentials = Credentials::Secrets(vec!["another".to_owned(), secret.to_owned()]);
        prove(&credentials, Sender::Github, &headers_of(case), body)
    };
    assert_eq!(proven(secret, &body), Ok(true));
    assert!(proven("wrong", &body).is_err());
    assert!(proven(secret, &body[1..]).is_err());
    let events = parse(Sender::Github, &headers_of(case), &body).unwrap();
    assert_eq!(
        (events[0].ty.as_str(), events[0].id.as_str()),
        ("com.github.push", "ee8d97b4-1479-43f1-9cac-fbbd1b80da55")
    );
}

/// JSON whose members have the names that the parsers look for, so that the values reach them.
fn any_payload() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[a-z]{0,8}",
        Just("0".repeat(40)),
        Just("opened".into()),
        Just("closed".into()),
        Just("completed".into()),
        Just("2019-05-15T15:20:33Z".into()),
        Just("s3:ObjectCreated:Put".into()),
        Just(format!("sha256:{}", "a".repeat(64))),
        Just("x".repeat(5000)),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "action",
        "actor",
        "after",
        "ArtifactName",
        "ArtifactType",
        "base",
        "before",
        "branches",
        "bucket",
        "check_run",
        "commits",
        "conclusion",
        "create",
        "CreatedAt",
        "detail",
        "detail-type",
        "digest",
        "driver",
        "events",
        "eventName",
        "full_name",
        "head",
        "html_url",
        "id",
        "invocations",
        "key",
        "level",
        "locations",
        "login",
        "mediaType",
        "Metadata",
        "merged",
        "name",
        "number",
        "object",
        "owner",
        "package",
        "package_url",
        "package_version",
        "pull_request",
        "pushed_at",
        "Records",
        "ref",
        "ref_type",
        "repo",
        "RepoDigests",
        "repository",
        "request",
        "results",
        "Results",
        "rule",
        "ruleId",
        "ruleIndex",
        "rules",
        "runs",
        "s3",
        "SchemaVersion",
        "sender",
        "sequencer",
        "sha",
        "size",
        "Severity",
        "slug",
        "app",
        "status",
        "suppressions",
        "tag",
        "target",
        "Target",
        "timestamp",
        "tool",
        "updated_at",
        "url",
        "version",
        "Vulnerabilities",
    ]);
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names.clone().prop_map(str::to_owned), inner.clone(), 0..8)
                .prop_map(|members| members.into_iter().collect::<Value>()),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

const EVENTS: [&str; 20] = [
    "push",
    "create",
    "delete",
    "pull_request",
    "pull_request_review",
    "check_run",
    "check_suite",
    "status",
    "workflow_run",
    "merge_group",
    "release",
    "package",
    "registry_package",
    "deployment_status",
    "code_scanning_alert",
    "ping",
    "repository",
    "workflow_job",
    "deployment",
    "never_heard_of",
];

proptest! {
    #[test]
    fn any_json_under_any_known_header_becomes_valid_events(
        payload in any_payload(),
        event in prop::sample::select(EVENTS.to_vec()),
        sender in prop::sample::select(Sender::ALL.to_vec()),
        structured in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("x-github-event", event.parse().unwrap());
        let content_type = if structured { "application/cloudevents+json" } else { "application/cloudevents-batch+json" };
        headers.insert(http::header::CONTENT_TYPE, content_type.parse().unwrap());
        let body = Bytes::from(payload.to_string());
        match parse(sender, &headers, &body) {
            Ok(events) => for event in &events {
                event.validate(Timestamp::EPOCH).unwrap();
                prop_assert!(serde_json::from_slice::<Value>(event.data.as_deref().unwrap_or(b"null")).is_ok());
            },
            Err(error) => prop_assert!(sender == Sender::Cloudevents, "{error}"),
        }
    }

    #[test]
    fn any_bytes_are_events_or_a_reason(body in any::<Vec<u8>>(), content_type in "[ -~]{0,40}") {
        let mut headers = HeaderMap::new();
        headers.insert("x-github-event", "push".parse().unwrap());
        headers.insert(http::header::CONTENT_TYPE, content_type.parse().unwrap());
        let body = Bytes::from(body);
        for sender in Sender::ALL {
            for event in parse(sender, &headers, &body).unwrap_or_default() {
                event.validate(Timestamp::EPOCH).unwrap();
            }
        }
    }
}
