//! Real payloads, posted through the doors of a running project: every fact comes out of the log again.

#[path = "corpus/reports.rs"]
mod reports;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::http::{Answer, Header, github_signature, post};
use crate::support::{Project, Server, corpus};

const SECRET: &str = "of the corpus";
/// Doors whose senders cannot sign.
const TOKEN_DOORS: [&str; 5] = ["s3", "distribution", "trivy", "sarif", "report"];

fn manifest() -> String {
    let github = "[[trigger.webhook]]\npath = \"/hooks/github\"\nsender = \"github\"\nsecret = \"${env:SECRET}\"\n";
    let others = TOKEN_DOORS.map(|door| {
        format!("[[trigger.webhook]]\npath = \"/hooks/{door}\"\nsender = \"{door}\"\ntoken = \"${{env:SECRET}}\"\n")
    });
    format!("{github}{}", others.concat())
}

/// Posts a payload with the headers that its sender gives it, and a proof.
fn deliver(server: &Server<'_>, door: &str, case: &Value, body: &[u8]) -> Answer {
    let (signature, token) = (github_signature(SECRET, body), format!("Bearer {SECRET}"));
    let proof = match door {
        "github" => ("x-hub-signature-256", signature.as_str()),
        _ => ("authorization", token.as_str()),
    };
    let none = Map::new();
    let given = case["headers"].as_object().unwrap_or(&none).iter();
    let given = given.map(|(name, value)| (name.as_str(), value.as_str().expect("a header is text")));
    // The signatures in the corpus are of other secrets.
    let mut headers: Vec<Header<'_>> = given.filter(|(name, _)| !name.starts_with("X-Hub-Signature")).collect();
    headers.push(proof);
    post(&server.hooks, &format!("/hooks/{door}"), &headers, body)
}

/// Every fact must be told; null and absent are the same.
fn compare(file: &str, expected: &Value, told: &Value, wrong: &mut Vec<String>) {
    for (fact, expected) in expected.as_object().expect("facts are an object") {
        let told = told.get(fact).unwrap_or(&Value::Null);
        if told != expected {
            wrong.push(format!("{file}: {fact} is {told}, expected {expected}"));
        }
    }
}

/// A payload of the corpus, of a kind that doors here take.
struct Payload<'a> {
    file: &'a str,
    case: &'a Value,
    doors: &'static [&'static str],
    /// The facts that an event tells.
    told: fn(&Value) -> Value,
    /// The facts of each event.
    expected: Vec<Value>,
}

fn payload<'a>((file, case): (&'a String, &'a Value)) -> Option<Payload<'a>> {
    let facts = &case["facts"];
    let each = |name: &str| facts[name].as_array().expect("facts of each event").clone();
    let (doors, told, expected): (&[&str], fn(&Value) -> Value, _) = match case["kind"].as_str()? {
        "github" | "ghpackage" => {
            (&["github"], |event| event["data"]["git"].clone(), vec![facts.get("payload").unwrap_or(facts).clone()])
        }
        "s3" | "s3test" => (&["s3"], |event| event["data"]["object"].clone(), each("records")),
        "distribution" => (&["distribution"], reports::of_registry, each("events")),
        "trivy" => (&["trivy", "report"], reports::of_trivy, vec![reports::expected_of_trivy(facts)]),
        "sarif" => (&["sarif", "report"], reports::of_sarif, vec![reports::expected_of_sarif(facts)]),
        _ => return None,
    };
    Some(Payload { file, case, doors, told, expected })
}

/// Posts a payload at each of its doors and compares the facts of its events. False: the log has the event in other words
/// already.
fn check(server: &Server<'_>, payload: &Payload<'_>, body: &[u8], wrong: &mut Vec<String>) -> bool {
    for door in payload.doors {
        let answer = deliver(server, door, payload.case, body);
        if answer.status == 409 {
            return false;
        }
        assert_eq!(answer.status, 202, "{}: {}", payload.file, answer.body);
        let ids = answer.json()["ids"].as_array().expect("ids").clone();
        assert_eq!(ids.len(), payload.expected.len(), "{}", payload.file);
        for (id, expected) in ids.iter().zip(&payload.expected) {
            let shown = &server.json(&["events", id.as_str().expect("an id is text")])[0];
            compare(payload.file, expected, &(payload.told)(&shown["event"]), wrong);
        }
    }
    true
}

#[test]
fn every_payload_of_the_corpus_is_accepted_and_its_facts_stand_in_the_log() {
    let Some(folder) = corpus() else {
        println!("no corpus of payloads beside the project and none named by TIDEGATE_CORPUS: nothing to post");
        return;
    };
    let expected = read(&folder.join("expected.json"));
    let expected: Map<String, Value> = serde_json::from_slice(&expected).expect("expected.json is an object");
    let mut left: Vec<Payload<'_>> = expected.iter().filter_map(payload).collect();
    assert!(left.len() >= 40, "only {} payloads of known senders", left.len());
    let mut wrong = Vec::new();
    // A payload that tells in other words of an event that another told of goes to a log of its own.
    for _ in 0..2 {
        let project = Project::new(&manifest()).env("SECRET", SECRET);
        let server = project.up();
        left.retain(|payload| !check(&server, payload, &read(&folder.join(payload.file)), &mut wrong));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(left.is_empty(), "not accepted: {:?}", left.iter().map(|payload| payload.file).collect::<Vec<_>>());
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
