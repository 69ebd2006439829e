use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const HEX: &str = "9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";
const POLICY: &str = r#"
environment = "staging"

[require.commit]
change = ["function:commit"]
"report:sast" = ["function:scan"]

[require.digest]
artifact = ["trigger:/hooks/registry"]
"scan:trivy" = ["function:scan"]
"#;

/// An event as the bus hands it over; `origin` is `<kind>:<name>`.
fn event(id: &str, origin: &str, ty: &str, subject: &str, content: Value) -> Event {
    let (kind, name) = origin.split_once(':').unwrap();
    let data =
        json!({ "context": { "specversion": "0.5.0", "type": ty }, "subject": { "id": subject, "content": content } });
    let event = Event::new(ty).subject(subject).json(&data).unwrap();
    let origin = Some(Origin { kind: kind.to_owned(), name: name.to_owned(), verified: true });
    Event { id: id.to_owned(), origin, ..event }
}

fn accepted() -> Event {
    let ty = "dev.cdeventsx.tidegate-change.accepted.0.1.0";
    event("accepted", "function:commit", ty, "acme/shop/pull/12", json!({ "commit": COMMIT }))
}

fn refused() -> Event {
    let ty = "dev.cdeventsx.tidegate-change.refused.0.1.0";
    let content = json!({ "commit": COMMIT, "rule": "no-direct-push" });
    event("refused", "function:commit", ty, "acme/shop/commit", content)
}

fn scanned(tool: &str, result: &str) -> Event {
    let content = json!({ "commit": COMMIT, "tool": tool, "result": result, "report": { "key": "k" } });
    event("scanned", "function:scan", "dev.cdeventsx.tidegate-scan.completed.0.1.0", COMMIT, content)
}

fn digest_scanned(result: &str) -> Event {
    let content = json!({ "digest": format!("sha256:{HEX}"), "tool": "trivy", "result": result });
    event("scanned", "function:scan", "dev.cdeventsx.tidegate-scan.completed.0.1.0", "s", content)
}

fn published() -> Event {
    let purl = format!("pkg:oci/shop@sha256%3A{HEX}?repository_url=registry.example.com/acme/shop");
    event("published", "trigger:/hooks/registry", "dev.cdevents.artifact.published.0.3.0", &purl, json!({}))
}

/// Each verdict in a word or two, in the order in which they are emitted.
fn verdicts(policy: &str, events: &[Event]) -> Vec<String> {
    let _host = Host::new().config("policy", policy).key_space("evidence");
    let emitted = events.iter().flat_map(|event| handle(event.clone()).unwrap());
    emitted
        .map(|event| {
            let content = event.data::<Value>().unwrap()["subject"]["content"].take();
            let missing =
                || content["missing"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
            match event.ty.as_str() {
                "dev.cdeventsx.tidegate-gate.passed.0.1.0" => "passed".to_owned(),
                "dev.cdeventsx.tidegate-gate.blocked.0.1.0" => {
                    format!("{} {}", content["rule"].as_str().unwrap(), missing().join(" ")).trim().to_owned()
                }
                other => panic!("{other}"),
            }
        })
        .collect()
}

#[track_caller]
fn check(events: &[Event], expected: &[&str]) {
    assert_eq!(verdicts(POLICY, events), expected);
}

#[test]
fn what_is_missing_blocks_by_name_until_it_is_there() {
    check(&[accepted(), scanned("sast", "unread")], &["missing-evidence report:sast", "passed"]);
    check(&[scanned("sast", "unread"), accepted()], &["missing-evidence change", "passed"]);
    check(&[published(), digest_scanned("clean")], &["missing-evidence scan:trivy", "passed"]);
    check(&[digest_scanned("clean"), published()], &["missing-evidence artifact", "passed"]);
}

#[test]
fn a_refused_change_is_named_and_an_acceptance_outweighs_it() {
    check(&[refused()], &["change-refused change report:sast"]);
    check(&[refused(), scanned("sast", "unread")], &["change-refused change report:sast", "change-refused change"]);
    check(
        &[refused(), scanned("sast", "unread"), accepted()],
        &["change-refused change report:sast", "change-refused change", "passed"],
    );
    check(&[accepted(), refused(), scanned("sast", "unread")], &["missing-evidence report:sast", "passed"]);
}

#[test]
fn repeats_change_nothing() {
    let scan = || scanned("sast", "unread");
    check(&[accepted(), accepted(), scan(), scan(), accepted()], &["missing-evidence report:sast", "passed"]);
}

#[test]
fn every_order_with_repeats_ends_in_the_same_verdict() {
    let events = [accepted(), refused(), scanned("sast", "unread"), scanned("other", "unread"), accepted()];
    for order in permutations(&events) {
        assert_eq!(verdicts(POLICY, &order).last().map(String::as_str), Some("passed"));
    }
    for order in permutations(&events[1..4]) {
        assert_eq!(verdicts(POLICY, &order).last().map(String::as_str), Some("change-refused change"));
    }
}

fn permutations(events: &[Event]) -> Vec<Vec<Event>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let mut rest = events.to_vec();
        let event = rest.remove(first);
        permutations(&rest).into_iter().map(move |order| [vec![event.clone()], order].concat())
    };
    (0..events.len()).flat_map(with_first).collect()
}

#[test]
fn evidence_counts_only_from_the_origins_that_the_policy_names() {
    let forged = |origin: &str| {
        let origin =
            origin.split_once(':').map(|(kind, name)| Origin { kind: kind.into(), name: name.into(), verified: true });
        Event { origin, ..accepted() }
    };
    check(&[forged("api:ci"), scanned("sast", "unread")], &["missing-evidence change"]);
    check(&[forged("function:scan"), scanned("sast", "unread")], &["missing-evidence change"]);
    let unproved =
        Event { origin: published().origin.map(|origin| Origin { verified: false, ..origin }), ..published() };
    check(&[unproved, digest_scanned("clean")], &["missing-evidence artifact"]);
    check(&[Event { origin: None, ..accepted() }], &[]);
}

#[test]
fn a_report_that_nobody_read_is_no_clean_scan_and_a_failed_scan_is_none() {
    check(&[published(), digest_scanned("unread")], &["missing-evidence scan:trivy"]);
    check(&[published(), digest_scanned("failed")], &["missing-evidence scan:trivy"]);
    check(&[accepted(), scanned("other", "unread")], &["missing-evidence report:sast"]);
}

#[test]
fn a_policy_that_requires_nothing_blocks() {
    let policy = "environment = \"staging\"\n[require]\n";
    assert_eq!(verdicts(policy, &[accepted(), scanned("sast", "clean")]), ["no-requirement"]);
}

#[test]
fn evidence_about_one_thing_says_nothing_of_another() {
    check(&[accepted(), published()], &["missing-evidence report:sast", "missing-evidence scan:trivy"]);
}

#[test]
fn a_verdict_names_environment_commit_and_evidence() {
    let _host = Host::new().config("policy", POLICY).key_space("evidence");
    handle(accepted()).unwrap();
    let passed = handle(scanned("sast", "unread")).unwrap().remove(0);
    assert_eq!((passed.subject.as_deref(), passed.text("partitionkey")), (Some(COMMIT), Some(COMMIT)));
    assert_eq!(
        passed.data::<Value>().unwrap()["subject"]["content"],
        json!({
            "environment": "staging", "commit": COMMIT, "evidence": { "change": "accepted", "report:sast": "scanned" },
        })
    );
}

#[track_caller]
fn check_rejected(policy: &str, event: Event, reason: &str) {
    let _host = Host::new().config("policy", policy).key_space("evidence");
    let failure = handle(event).unwrap_err();
    assert!(matches!(failure, Failure::Reject { .. }) && failure.reason().contains(reason), "{failure}");
}

#[test]
fn what_cannot_be_judged_is_rejected_with_the_reason() {
    check_rejected("environment = 1", accepted(), "config policy is not what the function reads");
    check_rejected(POLICY, Event::new("com.github.push"), "no evidence");
    check_rejected(POLICY, Event { subject: Some("pkg:oci/shop@1.2".into()), ..published() }, "names no digest");
}
