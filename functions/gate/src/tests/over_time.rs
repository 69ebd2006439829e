//! What time alone changes, and what is done about what runs.

use super::*;

/// The one reminder among what was said.
#[track_caller]
fn reminder(said: &[Event]) -> Event {
    let asked: Vec<&Event> = said.iter().filter(|event| event.ty == types::GATE_ASKED).collect();
    let [asked] = asked.as_slice() else { panic!("{said:?}") };
    from("function:gate-staging", (*asked).clone())
}

fn again(event: &Event) -> Option<String> {
    verdict(event).blocked.unwrap().again
}

#[test]
fn what_is_missing_is_looked_for_again_as_often_as_the_policy_says() {
    let policy = format!("ask_again = \"30m\"\nasks_max = 2\n{POLICY}");
    let stage = Stage::new(&policy);
    let said = stage.hear(&packaged()).unwrap();
    let first = reminder(&said);
    assert_eq!(first.text("deliverat"), Some("2026-11-25T12:30:00.000Z"));
    assert_eq!(again(&said[0]).as_deref(), Some("2026-11-25T12:30:00.000Z"));
    assert_eq!((first.subject.as_deref(), first.text("partitionkey")), (Some(DIGEST), Some(DIGEST)));

    let said = stage.hear(&accepted()).unwrap();
    assert_eq!((said.len(), again(&said[0]).as_deref()), (1, Some("2026-11-25T12:30:00.000Z")));

    let stage = stage.at("2026-11-25T12:30:00Z");
    let second = reminder(&stage.hear(&first).unwrap());
    assert_eq!(second.text("deliverat"), Some("2026-11-25T13:00:00.000Z"));
    let stage = stage.at("2026-11-25T13:00:00Z");
    assert!(stage.hear(&second).unwrap().is_empty());
    // Evidence is heard all the same.
    assert_eq!(stage.words(&[clean()]), ["passed"]);
}

#[test]
fn another_environment_s_reminder_is_not_for_this_gate() {
    let stage = Stage::new(POLICY);
    let asked = with(&reminder(&stage.hear(&packaged()).unwrap()), json!({ "environment": "production" }));
    assert!(stage.at("2026-11-25T13:00:00Z").hear(&asked).unwrap().is_empty());
}

fn excepted(expires: &str) -> String {
    let exception = format!(
        "[[exception]]\nid = \"CVE-1\"\nowner = \"payments\"\nreason = \"not linked\"\nexpires = \"{expires}\""
    );
    format!("{POLICY}{exception}")
}

fn critical() -> Event {
    scan("image", DIGEST, "findings", &[finding("critical", "CVE-1")])
}

#[test]
fn an_exception_holds_to_the_end_of_its_day_and_then_blocks_by_itself() {
    check(&excepted("2026-11-25"), &[accepted(), critical(), packaged()], &["passed"]);
    check(&excepted("2026-11-24"), &[accepted(), critical(), packaged()], &["exception-expired CVE-1"]);
    check(&excepted("2026-11-25T12:00:00Z"), &[accepted(), critical(), packaged()], &["exception-expired CVE-1"]);

    let stage = Stage::new(&excepted("2026-11-25T12:10:00Z"));
    let said = [critical(), packaged()].iter().flat_map(|event| stage.hear(event).unwrap()).collect::<Vec<_>>();
    let asked = reminder(&said);
    assert_eq!(asked.text("deliverat"), Some("2026-11-25T12:10:00.000Z"));
    let stage = stage.at("2026-11-25T12:10:00Z");
    let said = stage.hear(&asked).unwrap();
    let blocked = verdict(&said[0]).blocked.unwrap();
    assert_eq!((blocked.rule.as_str(), blocked.missing), ("exception-expired", vec!["change".to_owned()]));
    assert!(blocked.reason.contains("the exception of payments for it ended"), "{}", blocked.reason);
}

#[test]
fn an_exception_is_for_the_finding_that_it_names() {
    let other = scan("image", DIGEST, "findings", &[finding("critical", "CVE-10")]);
    check(&excepted("2027-01-31"), &[accepted(), other, packaged()], &["image-scan CVE-10"]);
}

fn graced(finding: &Value, scanned_at: &str) -> Event {
    with(&scan("image", DIGEST, "findings", std::slice::from_ref(finding)), json!({ "scanned_at": scanned_at }))
}

#[test]
fn grace_counts_from_the_day_of_publication_else_from_the_first_sight() {
    let policy = format!("{POLICY}[severity]\ngrace_days = {{ high = 7 }}");
    let mut published = finding("high", "CVE-1");
    published["published"] = json!("2026-11-20T12:00:00Z");
    let mut long_ago = published.clone();
    long_ago["published"] = json!("2026-11-18T12:00:00Z");
    let (recent, old) = ("2026-11-24T12:00:00Z", "2026-11-10T12:00:00Z");
    check(&policy, &[accepted(), graced(&published, recent), packaged()], &["passed"]);
    check(&policy, &[accepted(), graced(&long_ago, recent), packaged()], &["image-scan CVE-1"]);
    check(&policy, &[accepted(), graced(&finding("critical", "CVE-1"), recent), packaged()], &["image-scan CVE-1"]);

    let unknown = finding("high", "CVE-1");
    check(&policy, &[accepted(), graced(&unknown, recent), packaged()], &["passed"]);
    check(&policy, &[accepted(), graced(&unknown, old), packaged()], &["image-scan CVE-1"]);
    // It was seen before, in another artifact and another version of the package.
    let mut newer = unknown.clone();
    newer["installed"] = json!("3.0.2");
    let elsewhere = with(&graced(&unknown, old), json!({ "digest": OTHER_DIGEST }));
    for events in [[elsewhere.clone(), graced(&newer, recent)], [graced(&newer, recent), elsewhere]] {
        check(&policy, &[&[accepted()], &events[..], &[packaged()]].concat(), &["image-scan CVE-1"]);
    }
}

#[test]
fn the_end_of_a_grace_is_looked_at_by_itself() {
    let policy = format!("{POLICY}[severity]\ngrace_days = {{ high = 1 }}");
    let stage = Stage::new(&policy);
    let found = graced(&finding("high", "CVE-1"), BEFORE);
    let said: Vec<Event> =
        [accepted(), found, packaged()].iter().flat_map(|event| stage.hear(event).unwrap()).collect();
    assert_eq!(word(&said[0]).as_deref(), Some("passed"));
    let asked = reminder(&said);
    assert_eq!(asked.text("deliverat"), Some("2026-11-26T11:00:00.000Z"));
    let stage = stage.at("2026-11-26T11:00:00Z");
    assert_eq!(stage.words(&[asked]), ["incident image-scan"]);
}

#[test]
fn evidence_that_is_too_old_blocks() {
    let policy = format!("max_age = \"2d\"\n{POLICY}");
    let old = with(&clean(), json!({ "scanned_at": "2026-11-23T11:59:59Z" }));
    check(&policy, &[accepted(), old.clone(), packaged()], &["stale-evidence 2026-11-23T11:59:59.000Z"]);
    check(&policy, &[accepted(), old, clean(), packaged()], &["passed"]);
    let undated = Event { time: None, ..accepted() };
    check(&policy, &[undated, clean(), packaged()], &["stale-evidence 1970-01-01T00:00:00.000Z"]);
}

/// Everything is there and the release has passed.
fn passed() -> Stage {
    let stage = Stage::new(POLICY);
    assert_eq!(stage.words(&[accepted(), clean(), packaged()]), ["passed"]);
    stage
}

fn later(ids: &[&str]) -> Event {
    let findings: Vec<Value> = ids.iter().map(|id| finding("critical", id)).collect();
    with(&scan("image", DIGEST, "findings", &findings), json!({ "scanned_at": NOW }))
}

#[test]
fn a_finding_after_a_pass_opens_one_incident_with_a_deadline_and_takes_nothing_back() {
    let stage = passed();
    let said = stage.hear(&later(&["CVE-1"])).unwrap();
    let [incident] = said.as_slice() else { panic!("{said:?}") };
    let spoiled: delivery::Spoiled = delivery::custom(incident).unwrap();
    assert_eq!((spoiled.blocked.rule.as_str(), spoiled.deadline.as_str()), ("image-scan", "2026-12-02T12:00:00.000Z"));
    let data: Value = incident.data().unwrap();
    assert_eq!(data["subject"]["content"]["environment"]["id"], "staging");
    assert_eq!(incident.subject, Some(format!("{}/staging/image-scan", spoiled.release.release)));
    assert!(stage.words(&[later(&["CVE-1"]), accepted()]).is_empty());
    assert_eq!(
        stage.words(&[with(&later(&["CVE-0"]), json!({ "scanned_at": "2026-11-25T13:00:00Z" }))]),
        ["incident image-scan"]
    );
}

#[test]
fn what_does_not_run_any_more_opens_no_incident() {
    let other = delivery::Release::new("shop", ARTIFACT, OTHER_DIGEST, "sha256:c", Some(COMMIT), None);
    let stage = passed();
    let own = stage.hear(&later(&["CVE-1"])).unwrap();
    let own: delivery::Spoiled = delivery::custom(&own[0]).unwrap();
    let mut record = serde_json::to_value(&own.release).unwrap();
    record["environments"] = json!({ "staging": { "stage": "verified", "steps": {}, "target": { "function": "shop-staging" }, "gate": "e" } });
    let recorded = |stage: Stage, running: Value| Stage {
        host: stage.host.json("releases", &delivery::record::release_key(&own.release.release), &record).json(
            "releases",
            &delivery::record::desired_key("shop", "staging"),
            &running,
        ),
    };
    let stage = recorded(stage, json!({ "running": current(&other) }));
    let next = with(&later(&["CVE-0"]), json!({ "scanned_at": "2026-11-25T13:00:00Z" }));
    assert!(stage.words(std::slice::from_ref(&next)).is_empty());
    let stage = recorded(stage, json!({ "running": current(&own.release) }));
    assert_eq!(stage.words(&[next]), ["incident image-scan"]);
}

fn current(release: &delivery::Release) -> Value {
    let mut current = serde_json::to_value(release).unwrap();
    let more = json!({ "function": "shop-staging", "component": DIGEST, "deployment": 1, "purpose": "promotion" });
    current.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    current
}

#[test]
fn a_failed_scan_or_a_late_refusal_after_a_pass_opens_nothing() {
    let failed = with(&scan("image", DIGEST, "failed", &[]), json!({ "scanned_at": NOW }));
    assert!(passed().words(&[failed, change(COMMIT, "push", Some("no-direct-push"))]).is_empty());
}
