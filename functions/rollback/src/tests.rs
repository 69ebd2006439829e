use std::time::{Duration, SystemTime};

use delivery::record::{Asked, Current, Desired, Progress, Record, desired_key, release_key};
use delivery::{
    Cleared, DEPLOYMENT_REFUSED, Incident, IncidentContent, Purpose, QUARANTINE, QuarantineLifted, Quarantined,
    Release, ReleaseRefused, Requested, ServiceChanged, ServiceContent, Target, Verdict, Verification, is, sha256,
};
use serde::Serialize;
use tidegate_sdk::testing::Host;
use tidegate_sdk::{Origin, kv};

use super::*;

fn release(name: &str) -> Release {
    let release = Release::new("shop", "registry.example.com/acme/shop", &sha256(name.as_bytes()), "c", None, None);
    Release { release: name.to_owned(), ..release }
}

fn seen(name: &str, deployment: u64) -> Verification {
    Verification {
        environment: "production".to_owned(),
        release: release(name),
        function: "shop-production".to_owned(),
        component: sha256(b"component"),
        deployment,
        look: 2,
        since: "2026-11-25T10:00:00.000Z".to_owned(),
        from: 40,
        detection_millis_max: 30_000,
        samples: Some(400),
        failed: Some(80),
        p99_millis: None,
        position: Some(900),
        reason: Some("80 of 400 failed".to_owned()),
    }
}

/// What `deploy` recorded of the service in production: what runs (and since which deployment) and what is asked for; and all
/// releases.
fn recorded(host: Host, running: Option<(&str, u64)>, asked: Option<&str>) -> Host {
    let running = running.map(|(name, deployment)| Current {
        release: release(name),
        function: "shop-production".to_owned(),
        component: sha256(b"component"),
        deployment,
        purpose: Purpose::Promotion,
        since: Some("2026-11-25T10:00:05.000Z".to_owned()),
    });
    let event = "placed".to_owned();
    let asked = asked.map(|name| Asked { release: release(name), purpose: Purpose::Promotion, event });
    let host = host.json("releases", &desired_key("shop", "production"), &Desired { running, asked, waiting: None });
    ["a", "b", "c", "d"].into_iter().fold(host, |host, name| {
        let config = Some([("name".to_owned(), name.to_owned())].into());
        let target = Some(Target { function: "shop-production".to_owned(), config });
        let environments = [("production".to_owned(), Progress { target, ..Progress::default() })].into();
        host.json("releases", &release_key(name), &Record { release: release(name), environments })
    })
}

/// Releases were verified, one deployment after the other, the oldest first.
fn verified(names: &[&str]) {
    for (deployment, name) in (1..).zip(names) {
        let ty = types::RELEASE_VERIFIED;
        assert_eq!(hear(event("function:verify", ty, "2026-11-25T09:00:00Z", &seen(name, deployment))), [""; 0]);
    }
}

fn host() -> Host {
    let decided = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_600_820_250);
    Host::new().at(decided).key_space(QUARANTINE).key_space("rollbacks")
}

/// An event as the bus hands it over; `origin` is `<kind>:<name>`.
fn event(origin: &str, ty: &str, time: &str, content: &impl Serialize) -> Event {
    let (kind, name) = origin.split_once(':').unwrap();
    let origin = Some(Origin { kind: kind.to_owned(), name: name.to_owned(), verified: true });
    let event = delivery::say(ty, "subject", "key", content).unwrap();
    Event { id: "event".to_owned(), time: Some(time.to_owned()), origin, ..event }
}

fn failed(name: &str, deployment: u64) -> Event {
    event("function:verify", types::RELEASE_FAILED, "2026-11-25T10:00:20.000Z", &seen(name, deployment))
}

fn changed(ty: &str, name: &str, deployment: u64) -> Event {
    let changed = ServiceChanged {
        environment: "production".to_owned(),
        release: release(name),
        function: "shop-production".to_owned(),
        component: sha256(b"component"),
        deployment,
        purpose: Purpose::Rollback,
        previous: None,
    };
    let said = event("function:deploy", ty, "2026-11-25T10:00:21.500Z", &());
    let content = ServiceContent::new("production", &release(name));
    let Event { data, .. } = delivery::say_cd(ty, "shop", "shop/production", &content, &changed).unwrap();
    Event { data, ..said }
}

fn rolled_back(name: &str, deployment: u64) -> Event {
    changed(types::SERVICE_ROLLEDBACK, name, deployment)
}

fn upgraded(name: &str, deployment: u64) -> Event {
    changed(types::SERVICE_UPGRADED, name, deployment)
}

fn refused(name: &str, rule: &str) -> Event {
    let (rule, reason, clear) = (rule.to_owned(), "the registry is down".to_owned(), "wait".to_owned());
    let refused = Verdict { rule, reason, clear };
    let content = ReleaseRefused { environment: "production".to_owned(), release: release(name), refused };
    event("function:deploy", types::RELEASE_REFUSED, "2026-11-25T10:00:21.000Z", &content)
}

fn lifted(origin: &str, name: &str) -> Event {
    let (by, reason) = ("ana".to_owned(), "the fault was in the data".to_owned());
    let lifted = QuarantineLifted { digest: release(name).digest, by, reason };
    let event = event(origin, types::QUARANTINE_LIFTED, "2026-11-25T11:00:00.000Z", &lifted);
    Event { id: "lift".to_owned(), ..event }
}

/// Hears an event, and tells what was said.
fn hear(event: Event) -> Vec<String> {
    handle(event).unwrap().iter().map(told).collect()
}

fn told(event: &Event) -> String {
    if is(event, types::DIGEST_QUARANTINED) {
        let entry: Quarantined = content(event).unwrap();
        return format!("quarantined {}", entry.release);
    }
    if is(event, types::DIGEST_CLEARED) {
        let Cleared { digest, by, reason, lift, origin } = content(event).unwrap();
        assert_eq!((event.subject.as_ref(), event.text("partitionkey")), (Some(&digest), Some(digest.as_str())));
        return format!("cleared {digest} by {by} ({origin}, {lift}): {reason}");
    }
    if is(event, types::DEPLOYMENT_REQUESTED) {
        let request: Requested = content(event).unwrap();
        return format!("{:?} to {}", request.purpose, request.release.release).to_lowercase();
    }
    let incident: IncidentContent = content(event).unwrap();
    let word = if is(event, types::INCIDENT_RESOLVED) { "resolved" } else { "incident" };
    format!("{word}: {}", incident.description)
}

fn quarantined() -> Vec<String> {
    kv::open(QUARANTINE).unwrap().keys().unwrap()
}

#[track_caller]
fn check(running: Option<(&str, u64)>, asked: Option<&str>, succeeded: &[&str], expected: &[&str]) {
    let _host = recorded(host(), running, asked);
    verified(succeeded);
    assert_eq!(hear(failed("c", 7)), expected);
    assert_eq!(quarantined(), [release("c").digest]);
    assert_eq!(hear(failed("c", 7)), [""; 0], "a repeat is no news");
}

const STUCK: &str =
    "incident: c failed in production: 80 of 400 failed; there is nothing to go back to, so it goes on running";
const BACK_TO_A: &str = "incident: c failed in production: 80 of 400 failed; going back to a";
const BACK_TO_B: &str = "incident: c failed in production: 80 of 400 failed; going back to b";

#[test]
fn a_failure_quarantines_and_goes_back_to_the_last_that_succeeded() {
    let back = &["quarantined c", "rollback to b", BACK_TO_B];
    check(Some(("c", 7)), None, &["a", "b"], back);
    // It was verified once, and failed now.
    check(Some(("c", 9)), None, &["b", "c"], back);
    // Nothing is known of what runs.
    check(None, None, &["b"], back);
}

#[test]
fn with_nothing_to_go_back_to_an_incident_says_so_and_how_to_clear_it() {
    check(Some(("c", 7)), None, &[], &["quarantined c", STUCK]);
    check(Some(("c", 7)), None, &["c"], &["quarantined c", STUCK]);
    // Nobody has a record of it.
    check(Some(("c", 7)), None, &["lost"], &["quarantined c", STUCK]);
    let _host = recorded(host(), Some(("c", 7)), None);
    let incident: Incident = custom(&handle(failed("c", 7)).unwrap()[1]).unwrap();
    assert_eq!(incident.target, None);
    assert!(incident.clear.starts_with("release a mended build; or"), "{}", incident.clear);
    assert!(incident.clear.contains(&release("c").digest));
}

#[test]
fn what_is_newer_is_not_overwritten() {
    let under_way = "incident: c failed in production: 80 of 400 failed; d is under way in its place";
    check(Some(("c", 7)), Some("d"), &["b"], &["quarantined c", under_way]);
    // The same bytes once more are no way out.
    check(Some(("c", 7)), Some("c"), &["b"], &["quarantined c", "rollback to b", BACK_TO_B]);
    let gone = "incident: c failed in production: 80 of 400 failed; d runs there already";
    check(Some(("d", 8)), None, &["b"], &["quarantined c", gone]);
}

#[test]
fn a_quarantined_release_is_no_way_back() {
    let host = recorded(host(), Some(("b", 5)), None);
    verified(&["a", "b"]);
    let back = "incident: b failed in production: 80 of 400 failed; going back to a";
    assert_eq!(hear(failed("b", 5)), ["quarantined b", "rollback to a", back]);
    let host = recorded(host, Some(("c", 7)), Some("b"));
    assert_eq!(hear(failed("c", 7)), ["quarantined c", "rollback to a", BACK_TO_A]);
    // What failed is no way back even when it is lifted: it was not verified since.
    let _host = recorded(host, Some(("d", 9)), None);
    hear(lifted("api:ana", "b"));
    let back = "incident: d failed in production: 80 of 400 failed; going back to a";
    assert_eq!(hear(failed("d", 9)), ["quarantined d", "rollback to a", back]);
}

#[test]
fn only_the_newest_of_those_that_succeeded_are_remembered() {
    let host = recorded(host().config("keep", "2"), Some(("c", 7)), None);
    verified(&["a", "b", "c", "d"]);
    // Late, and a repeat.
    hear(event("function:verify", types::RELEASE_VERIFIED, "2026-11-25T09:00:00Z", &seen("b", 1)));
    hear(event("function:verify", types::RELEASE_VERIFIED, "2026-11-25T09:00:00Z", &seen("d", 3)));
    let known: Vec<books::Succeeded> = host.get_json("rollbacks", "succeeded/shop/production").unwrap();
    let known: Vec<(&str, u64)> = known.iter().map(|known| (known.release.as_str(), known.deployment)).collect();
    assert_eq!(known, [("d", 4), ("c", 3)]);
}

#[test]
fn a_request_carries_the_configuration_of_the_release_and_an_incident_its_times() {
    let _host = recorded(host(), Some(("c", 7)), None);
    verified(&["b"]);
    let said = handle(failed("c", 7)).unwrap();
    let keys: Vec<&str> = said.iter().map(|event| event.text("partitionkey").unwrap()).collect();
    assert_eq!(keys, [release("c").digest.as_str(), "shop-production", "shop/production"]);
    let back: Requested = content(&said[1]).unwrap();
    assert_eq!((back.component, back.purpose), (release("b").reference(), Purpose::Rollback));
    assert_eq!(back.config.unwrap()["name"], "b");
    assert_eq!(said[2].subject.as_deref(), Some("shop/production/7"));
    let incident: Incident = custom(&said[2]).unwrap();
    assert_eq!((incident.seen.clone(), incident.target.as_deref()), (seen("c", 7), Some("b")));
    assert_eq!(incident.onset, "2026-11-25T10:00:00.000Z");
    assert_eq!(incident.detected, "2026-11-25T10:00:20.000Z");
    assert_eq!(incident.decided, "2026-11-25T10:00:20.250Z");
    assert_eq!((incident.detection_millis, incident.rollback_millis, incident.confirmed), (Some(20_000), None, None));

    let said = handle(rolled_back("b", 8)).unwrap();
    assert_eq!(told(&said[0]), "resolved: b runs in place of c");
    let incident: Incident = custom(&said[0]).unwrap();
    assert_eq!(incident.confirmed.as_deref(), Some("2026-11-25T10:00:21.500Z"));
    assert_eq!((incident.detection_millis, incident.rollback_millis), (Some(20_000), Some(1_500)));
    let entry: Quarantined = kv::open(QUARANTINE).unwrap().get_json(&release("c").digest).unwrap().unwrap();
    assert_eq!((entry.by.as_str(), entry.reason.as_str()), ("function:verify", "80 of 400 failed"));
}

#[test]
fn an_incident_is_over_once_and_only_by_other_bytes() {
    let _host = recorded(host(), Some(("c", 7)), None);
    verified(&["b"]);
    assert_eq!(hear(upgraded("b", 6)), [""; 0], "there is no incident");
    hear(failed("c", 7));
    assert_eq!(hear(upgraded("b", 6)), [""; 0], "it is from before");
    assert_eq!(hear(upgraded("c", 8)), [""; 0], "it is what failed");
    assert_eq!(hear(failed("c", 8)), [""; 0], "it is about to go");
    assert_eq!(hear(rolled_back("b", 9)), ["resolved: b runs in place of c"]);
    assert_eq!(hear(upgraded("d", 10)), [""; 0], "it is over");
}

#[test]
fn a_way_out_that_is_refused_leads_to_the_next_one() {
    let _host = recorded(host(), Some(("c", 7)), None);
    verified(&["a", "b"]);
    hear(failed("c", 7));
    assert_eq!(hear(refused("d", DEPLOYMENT_REFUSED)), [""; 0], "it was no way out");
    assert_eq!(hear(refused("b", "older-commit")), [""; 0], "its deployment was not refused");
    assert_eq!(hear(refused("b", DEPLOYMENT_REFUSED)), ["rollback to a", BACK_TO_A]);
    assert_eq!(hear(refused("b", DEPLOYMENT_REFUSED)), [""; 0], "a repeat is no news");
    assert_eq!(hear(refused("a", DEPLOYMENT_REFUSED)), [STUCK]);
    assert_eq!(hear(upgraded("d", 9)), ["resolved: d runs in place of c"]);
    assert_eq!(hear(refused("d", DEPLOYMENT_REFUSED)), [""; 0], "it is over");
}

#[test]
fn a_newer_release_that_is_refused_is_no_way_out_any_more() {
    let host = recorded(host(), Some(("c", 7)), Some("d"));
    verified(&["b"]);
    hear(failed("c", 7));
    let _host = recorded(host, Some(("c", 7)), None);
    assert_eq!(hear(refused("d", DEPLOYMENT_REFUSED)), ["rollback to b", BACK_TO_B]);
}

#[test]
fn failures_in_any_order_end_the_same() {
    let both = || [failed("c", 7), failed("d", 9)];
    let [first, second] = both();
    let mut ends = Vec::new();
    for order in [vec![first.clone(), second.clone()], vec![second, first], [both(), both()].concat()] {
        let host = recorded(host(), Some(("d", 9)), None);
        verified(&["b"]);
        for event in order {
            hear(event);
        }
        let incident: books::Case = host.get_json("rollbacks", "incident/shop/production").unwrap();
        ends.push((quarantined(), incident));
    }
    assert_eq!((&ends[0], &ends[0]), (&ends[1], &ends[2]));
    assert_eq!(ends[0].1.incident.target.as_deref(), Some("b"));
}

#[test]
fn environments_have_incidents_of_their_own() {
    let host = recorded(host(), Some(("c", 7)), None);
    verified(&["b"]);
    let in_staging = Verification { environment: "staging".to_owned(), ..seen("c", 6) };
    let staging = event("function:verify", types::RELEASE_FAILED, "2026-11-25T10:00:20Z", &in_staging);
    assert_eq!(hear(staging), ["quarantined c", &STUCK.replace("production", "staging")]);
    assert_eq!(hear(failed("c", 7)), ["rollback to b", BACK_TO_B]);
    assert_eq!(hear(rolled_back("b", 8)), ["resolved: b runs in place of c"]);
    let staging: books::Case = host.get_json("rollbacks", "incident/shop/staging").unwrap();
    assert_eq!(staging.incident.confirmed, None);
}

#[track_caller]
fn check_lift(origin: &str, lifters: Option<&str>, is_lifted: bool) {
    let mut host = recorded(host(), Some(("c", 7)), None);
    if let Some(lifters) = lifters {
        host = host.config("lifters", lifters);
    }
    hear(failed("c", 7));
    let cleared = format!("cleared {} by ana ({origin}, lift): the fault was in the data", release("c").digest);
    let said: Vec<String> = is_lifted.then_some(cleared).into_iter().collect();
    assert_eq!(hear(lifted(origin, "c")), said, "{origin} with {lifters:?}");
    assert_eq!(quarantined().is_empty(), is_lifted, "{origin} with {lifters:?}");
    assert_eq!(hear(lifted(origin, "c")), [""; 0], "a repeat is no news");
    drop(host);
}

#[test]
fn a_quarantine_is_lifted_only_by_those_who_may() {
    check_lift("api:ana", None, true);
    check_lift("function:triage", None, false);
    check_lift("trigger:/hooks/tickets", Some(r#"["function:triage"]"#), false);
    check_lift("function:triage", Some(r#"["function:triage"]"#), true);
    let _host = recorded(host(), Some(("c", 7)), None);
    hear(failed("c", 7));
    let unproved =
        |event: Event| Event { origin: event.origin.map(|origin| Origin { verified: false, ..origin }), ..event };
    assert_eq!(hear(unproved(lifted("api:ana", "c"))), [""; 0]);
    assert_eq!(hear(lifted("api:ana", "b")), [""; 0], "it is in no quarantine");
    assert_eq!(quarantined(), [release("c").digest]);
}

#[test]
fn a_lift_says_who_and_why() {
    let _host = recorded(host(), None, None);
    for (by, reason) in [("", "a reason"), ("ana", " ")] {
        let lifted = QuarantineLifted { digest: release("c").digest, by: by.to_owned(), reason: reason.to_owned() };
        let failure = handle(event("api:ana", types::QUARANTINE_LIFTED, "", &lifted)).unwrap_err();
        assert!(failure.reason().contains("says who and why"), "{failure}");
    }
}

#[test]
fn what_nobody_proved_counts_for_nothing() {
    let _host = recorded(host(), Some(("c", 7)), None);
    for origin in ["api:ana", "trigger:/hooks/monitor", "runtime:reconciler"] {
        assert_eq!(hear(event(origin, types::RELEASE_VERIFIED, "", &seen("b", 1))), [""; 0], "{origin}");
        assert_eq!(hear(event(origin, types::RELEASE_FAILED, "", &seen("c", 7))), [""; 0], "{origin}");
    }
    assert_eq!(quarantined(), [""; 0]);
    assert_eq!(hear(failed("c", 7)), ["quarantined c", STUCK]);
    let origin = Some(Origin { kind: "api".to_owned(), name: "ana".to_owned(), verified: true });
    assert_eq!(hear(Event { origin, ..rolled_back("b", 8) }), [""; 0]);
    assert_eq!(hear(rolled_back("b", 8)), ["resolved: b runs in place of c"]);
}
