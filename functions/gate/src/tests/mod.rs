mod cases;
mod forged;
mod order;
mod over_time;
mod policies;

use delivery::{Blocked, GateVerdict, Instant, Verdict, types};
use serde_json::{Value, json};
use tidegate_sdk::testing::Host;
use tidegate_sdk::{Event, Failure, Origin};

use super::handle;

const COMMIT: &str = "b9c4e1a7d20f4c1f8a6be51c2b9e7d3a40c5f612";
const OTHER_COMMIT: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";
const DIGEST: &str = "sha256:9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";
const OTHER_DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const ARTIFACT: &str = "registry.example.com/acme/shop";
/// When the tests are, and when their evidence was brought.
const NOW: &str = "2026-11-25T12:00:00Z";
const BEFORE: &str = "2026-11-25T11:00:00Z";

const PLAN: &str = r#"
environments = ["staging", "production"]

[service.shop]
repository = "acme/shop"
artifact = "registry.example.com/acme/shop"
profile = "event-driven"

[service.shop.in.staging]
function = "shop-staging"

[service.shop.in.production]
function = "shop-production"
"#;

/// What staging asks for; more may follow it.
const POLICY: &str = r#"
environment = "staging"
[require]
change = ["function:commit"]
pipeline = ["function:pipeline"]
image = ["function:scan"]
"#;

/// A host on which a gate runs.
struct Stage {
    host: Host,
}

impl Stage {
    fn new(policy: &str) -> Self {
        let host = Host::new().config("plan", PLAN).config("policy", policy).at(instant(NOW).into());
        let host = ["evidence-staging", "evidence-production", "quarantine", "releases"]
            .iter()
            .fold(host, |host, name| host.key_space(name));
        Stage { host }
    }

    fn at(self, now: &str) -> Self {
        Stage { host: self.host.at(instant(now).into()) }
    }

    fn hear(&self, event: &Event) -> Result<Vec<Event>, Failure> {
        handle(event.clone())
    }

    /// Hears all, and says what was said of releases, in words.
    fn words(&self, events: &[Event]) -> Vec<String> {
        events.iter().flat_map(|event| self.hear(event).unwrap()).filter_map(|event| word(&event)).collect()
    }
}

fn instant(text: &str) -> Instant {
    delivery::instant(text).unwrap()
}

fn verdict(event: &Event) -> GateVerdict {
    delivery::content(event).unwrap()
}

/// `passed`, `<rule> <input>: <missing>` or `incident <rule>`; none of a reminder.
fn word(event: &Event) -> Option<String> {
    if event.ty == types::GATE_ASKED {
        return None;
    }
    if event.ty == types::INCIDENT_DETECTED {
        return Some(format!("incident {}", delivery::custom::<Value>(event).unwrap()["rule"].as_str().unwrap()));
    }
    Some(verdict(event).blocked.map_or_else(|| "passed".to_owned(), blocked))
}

fn blocked(blocked: Blocked) -> String {
    let words = [blocked.rule, blocked.input.unwrap_or_default(), blocked.missing.join(" ")];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// An event as the bus hands it over; `origin` is `<kind>:<name>`.
fn from(origin: &str, event: Event) -> Event {
    let (kind, name) = origin.split_once(':').unwrap();
    let origin = Some(Origin { kind: kind.to_owned(), name: name.to_owned(), verified: true });
    let id = delivery::sha256(format!("{} {:?} {:?}", event.ty, event.subject, event.data).as_bytes());
    Event { id, origin, time: Some(BEFORE.to_owned()), ..event }
}

fn change(commit: &str, way: &str, refused: Option<&str>) -> Event {
    let content = json!({ "commit": commit, "repository": "acme/shop", "branch": "main", "way": way, "order": BEFORE });
    let mut content = content.as_object().unwrap().clone();
    if let Some(rule) = refused {
        let verdict =
            Verdict { rule: rule.to_owned(), reason: "it broke the rule".to_owned(), clear: "mend it".to_owned() };
        content.extend(serde_json::to_value(verdict).unwrap().as_object().unwrap().clone());
    }
    let ty = if refused.is_some() { types::CHANGE_REFUSED } else { types::CHANGE_ACCEPTED };
    from("function:commit", delivery::say(ty, "acme/shop/pull/12", commit, &content).unwrap())
}

fn accepted() -> Event {
    change(COMMIT, "merge", None)
}

fn packaged_as(digest: &str, commit: &str) -> Event {
    let packaged =
        json!({ "digest": digest, "artifact": ARTIFACT, "commit": commit, "repository": "acme/shop", "run": "r" });
    let content = json!({ "change": { "id": "acme/shop/pull/12" } });
    let subject = delivery::purl(ARTIFACT, digest);
    from(
        "function:pipeline",
        delivery::say_cd(types::ARTIFACT_PACKAGED, &subject, commit, &content, &packaged).unwrap(),
    )
}

fn packaged() -> Event {
    packaged_as(DIGEST, COMMIT)
}

fn identified(commit: Option<&str>) -> Event {
    let content = json!({ "service": "shop", "digest": DIGEST, "artifact": ARTIFACT, "commit": commit });
    from("function:image", delivery::say(types::ARTIFACT_IDENTIFIED, "purl", DIGEST, &content).unwrap())
}

/// `findings` are `<severity> <id>`, with more members by `with`.
fn scan(kind: &str, subject: &str, result: &str, findings: &[Value]) -> Event {
    let counts = findings.iter().fold(json!({}), |mut counts, finding| {
        let severity = finding["severity"].as_str().unwrap();
        counts[severity] = json!(counts[severity].as_u64().unwrap_or_default() + 1);
        counts
    });
    let about = if subject.starts_with("sha256:") { "digest" } else { "commit" };
    let content = json!({
        about: subject, "kind": kind, "tool": { "name": "trivy" }, "result": result, "scanned_at": BEFORE,
        "counts": counts, "findings": findings, "report": "report",
    });
    from("function:scan", delivery::say(types::SCAN_COMPLETED, subject, subject, &content).unwrap())
}

fn clean() -> Event {
    scan("image", DIGEST, "clean", &[])
}

fn finding(severity: &str, id: &str) -> Value {
    json!({ "id": id, "severity": severity, "package": "openssl", "installed": "3.0.1" })
}

/// The event with other content.
fn with(event: &Event, changes: Value) -> Event {
    let mut data: Value = event.data().unwrap();
    let part = if data["customData"].is_object() { &mut data["customData"] } else { &mut data["subject"]["content"] };
    part.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let origin = event.origin.clone().unwrap();
    from(&format!("{}:{}", origin.kind, origin.name), event.clone().json(&data).unwrap())
}

#[track_caller]
fn check(policy: &str, events: &[Event], expected: &[&str]) {
    assert_eq!(Stage::new(policy).words(events), expected);
}
