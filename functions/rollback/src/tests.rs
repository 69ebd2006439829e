use std::time::{Duration, SystemTime};

use delivery::record::{Asked, Current, Desired, Succeeded, desired_key, succeeded_key};
use delivery::{
    Activated, Incident, IncidentContent, Purpose, QUARANTINE, QuarantineLifted, Quarantined, Refused, Release,
    Requested, Target, Verification, custom, is, sha256,
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
        from: Some(40),
        detection_millis_max: 30_000,
        samples: Some(400),
        failed: Some(80),
        p99_millis: None,
        position: Some(900),
        reason: Some("80 of 400 failed".to_owned()),
    }
}

fn request(name: &str, purpose: Purpose) -> Requested {
    Requested {
        function: "shop-production".to_owned(),
        component: release(name).reference(),
        config: None,
        environment: "production".to_owned(),
        release: release(name),
        purpose,
    }
}

/// What `deploy` recorded of the service in production: what runs (and since which deployment), what is asked for, what
/// succeeded.
fn recorded(host: Host, running: Option<(&str, u64)>, asked: Option<&str>, succeeded: &[&str]) -> Host {
    let running = running.map(|(name, deployment)| Current {
        release: release(name),
        function: "shop-production".to_owned(),
        component: sha256(b"component"),
        deployment,
        purpose: Purpose::Promotion,
        since: Some("2026-11-25T10:00:05.000Z".to_owned()),
    });
    let asked =
        asked.map(|name| Asked { release: release(name), purpose: Purpose::Promotion, event: "placed".to_owned() });
    let succeeded = succeeded.iter().zip((0..10).rev()).map(|(name, deployment)| Succeeded {
        release: release(name),
        target: Target {
            function: "shop-production".to_owned(),
            config: Some([("name".to_owned(), (*name).to_owned())].into()),
        },
        deployment,
        event: "verified".to_owned(),
    });
    let succeeded: Vec<Succeeded> = succeeded.collect();
    host.json("releases", &desired_key("shop", "production"), &Desired { running, asked, waiting: None }).json(
        "releases",
        &succeeded_key("shop", "production"),
        &succeeded,
    )
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

fn activated(name: &str, number: u64, purpose: Option<Purpose>) -> Event {
    let request = purpose.map(|purpose| request(name, purpose));
    let functions = Vec::new();
    let activated = Activated { number, functions, cause: String::new(), by: None, request, position: None };
    event("runtime:reconciler", types::DEPLOYMENT_ACTIVATED, "2026-11-25T10:00:21.500Z", &activated)
}

fn refused(name: &str, purpose: Purpose) -> Event {
    let refused = Refused { request: request(name, purpose), problems: vec!["the registry is down".to_owned()] };
    event("runtime:reconciler", types::DEPLOYMENT_REFUSED, "2026-11-25T10:00:21.000Z", &refused)
}

fn lifted(origin: &str, name: &str) -> Event {
    let (by, reason) = ("ana".to_owned(), "the fault was in the data".to_owned());
    let lifted = QuarantineLifted { digest: release(name).digest, by, reason };
    event(origin, types::QUARANTINE_LIFTED, "2026-11-25T11:00:00.000Z", &lifted)
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
    let _host = recorded(host(), running, asked, succeeded);
    assert_eq!(hear(failed("c", 7)), expected);
    assert_eq!(quarantined(), [release("c").digest]);
    assert_eq!(hear(failed("c", 7)), [""; 0], "a repeat is no news");
}

#[test]
fn a_failure_quarantines_and_goes_back_to_the_last_that_succeeded() {
    let back = "incident: c failed in production: 80 of 400 failed; going back to b";
    check(Some(("c", 7)), None, &["b", "a"], &["quarantined c", "rollback to b", back]);
    // It was verified once, and failed now.
    check(Some(("c", 9)), None, &["c", "b"], &["quarantined c", "rollback to b", back]);
    // Nothing is known of what runs.
    check(None, None, &["b"], &["quarantined c", "rollback to b", back]);
}

#[test]
fn with_nothing_to_go_back_to_an_incident_says_so_and_how_to_clear_it() {
    let stuck =
        "incident: c failed in production: 80 of 400 failed; there is nothing to go back to, so it goes on running";
    check(Some(("c", 7)), None, &[], &["quarantined c", stuck]);
    check(Some(("c", 7)), None, &["c"], &["quarantined c", stuck]);
    let _host = recorded(host(), Some(("c", 7)), None, &[]);
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
    let back = "incident: c failed in production: 80 of 400 failed; going back to b";
    check(Some(("c", 7)), Some("c"), &["b"], &["quarantined c", "rollback to b", back]);
    let gone = "incident: c failed in production: 80 of 400 failed; d runs there already";
    check(Some(("d", 8)), None, &["b"], &["quarantined c", gone]);
}

#[test]
fn a_quarantined_release_is_no_way_back() {
    let entry = |name: &str| Quarantined {
        digest: release(name).digest,
        environment: "staging".to_owned(),
        release: name.to_owned(),
        service: "shop".to_owned(),
        reason: "it failed".to_owned(),
        by: "function:verify".to_owned(),
    };
    let host = host().json(QUARANTINE, &release("b").digest, &entry("b"));
    let host = recorded(host, Some(("c", 7)), Some("b"), &["b", "a"]);
    let back = "incident: c failed in production: 80 of 400 failed; going back to a";
    assert_eq!(hear(failed("c", 7)), ["quarantined c", "rollback to a", back]);
    // What is in quarantine already is not told again.
    let _host = recorded(host, Some(("b", 9)), None, &["a"]);
    let back = "incident: b failed in production: 80 of 400 failed; going back to a";
    assert_eq!(hear(failed("b", 9)), ["rollback to a", back]);
}

#[test]
fn a_request_carries_the_configuration_of_the_release_and_an_incident_its_times() {
    let _host = recorded(host(), Some(("c", 7)), None, &["b"]);
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

    let said = handle(activated("b", 8, Some(Purpose::Rollback))).unwrap();
    assert_eq!(told(&said[0]), "resolved: b runs in place of c");
    let incident: Incident = custom(&said[0]).unwrap();
    assert_eq!(incident.confirmed.as_deref(), Some("2026-11-25T10:00:21.500Z"));
    assert_eq!((incident.detection_millis, incident.rollback_millis), (Some(20_000), Some(1_500)));
    let entry: Quarantined = kv::open(QUARANTINE).unwrap().get_json(&release("c").digest).unwrap().unwrap();
    assert_eq!((entry.by.as_str(), entry.reason.as_str()), ("function:verify", "80 of 400 failed"));
}

#[test]
fn an_incident_is_over_once_and_only_by_other_bytes_that_were_asked_for() {
    let _host = recorded(host(), Some(("c", 7)), None, &["b"]);
    assert_eq!(hear(activated("b", 6, Some(Purpose::Promotion))), [""; 0], "there is no incident");
    hear(failed("c", 7));
    assert_eq!(hear(activated("b", 8, None)), [""; 0], "nobody asked for it");
    assert_eq!(hear(activated("b", 6, Some(Purpose::Promotion))), [""; 0], "it is from before");
    assert_eq!(hear(activated("c", 8, Some(Purpose::Heal))), [""; 0], "it is what failed");
    assert_eq!(hear(activated("b", 9, Some(Purpose::Rollback))), ["resolved: b runs in place of c"]);
    assert_eq!(hear(activated("d", 10, Some(Purpose::Promotion))), [""; 0], "it is over");
}

#[test]
fn a_way_out_that_is_refused_leads_to_the_next_one() {
    let _host = recorded(host(), Some(("c", 7)), None, &["b", "a"]);
    hear(failed("c", 7));
    let back = "incident: c failed in production: 80 of 400 failed; going back to a";
    assert_eq!(hear(refused("d", Purpose::Promotion)), [""; 0], "it was no way out");
    assert_eq!(hear(refused("b", Purpose::Rollback)), ["rollback to a", back]);
    assert_eq!(hear(refused("b", Purpose::Rollback)), [""; 0], "a repeat is no news");
    let stuck =
        "incident: c failed in production: 80 of 400 failed; there is nothing to go back to, so it goes on running";
    assert_eq!(hear(refused("a", Purpose::Rollback)), [stuck]);
    assert_eq!(hear(activated("d", 9, Some(Purpose::Promotion))), ["resolved: d runs in place of c"]);
    assert_eq!(hear(refused("d", Purpose::Redeploy)), [""; 0], "it is over");
}

#[test]
fn a_newer_release_that_is_refused_is_no_way_out_any_more() {
    // `deploy` may not have heard yet that it was refused.
    for asked in [Some("d"), None] {
        let host = recorded(host(), Some(("c", 7)), Some("d"), &["b"]);
        hear(failed("c", 7));
        let _host = recorded(host, Some(("c", 7)), asked, &["b"]);
        let back = "incident: c failed in production: 80 of 400 failed; going back to b";
        assert_eq!(hear(refused("d", Purpose::Promotion)), ["rollback to b", back]);
    }
}

#[test]
fn failures_in_any_order_end_the_same() {
    let both = || [failed("c", 7), failed("d", 9)];
    let [first, second] = both();
    let mut ends = Vec::new();
    for order in [vec![first.clone(), second.clone()], vec![second, first], [both(), both()].concat()] {
        let host = recorded(host(), Some(("d", 9)), None, &["b"]);
        for event in order {
            hear(event);
        }
        let incident: books::Case = host.get_json("rollbacks", "shop/production").unwrap();
        ends.push((quarantined(), incident));
    }
    assert_eq!((&ends[0], &ends[0]), (&ends[1], &ends[2]));
    assert_eq!(ends[0].1.incident.target.as_deref(), Some("b"));
}

#[test]
fn environments_have_incidents_of_their_own() {
    let host = recorded(host(), Some(("c", 7)), None, &["b"]);
    let in_staging = Verification { environment: "staging".to_owned(), ..seen("c", 6) };
    let staging = event("function:verify", types::RELEASE_FAILED, "2026-11-25T10:00:20Z", &in_staging);
    let stuck =
        "incident: c failed in staging: 80 of 400 failed; there is nothing to go back to, so it goes on running";
    assert_eq!(hear(staging), ["quarantined c", stuck]);
    let back = "incident: c failed in production: 80 of 400 failed; going back to b";
    assert_eq!(hear(failed("c", 7)), ["rollback to b", back]);
    assert_eq!(hear(activated("b", 8, Some(Purpose::Rollback))), ["resolved: b runs in place of c"]);
    let staging: books::Case = host.get_json("rollbacks", "shop/staging").unwrap();
    assert_eq!(staging.incident.confirmed, None);
}

#[track_caller]
fn check_lift(origin: &str, lifters: Option<&str>, is_lifted: bool) {
    let mut host = recorded(host(), Some(("c", 7)), None, &["b"]);
    if let Some(lifters) = lifters {
        host = host.config("lifters", lifters);
    }
    hear(failed("c", 7));
    assert_eq!(hear(lifted(origin, "c")), [""; 0]);
    assert_eq!(quarantined().is_empty(), is_lifted, "{origin} with {lifters:?}");
    drop(host);
}

#[test]
fn a_quarantine_is_lifted_only_by_those_who_may() {
    check_lift("api:ana", None, true);
    check_lift("function:triage", None, false);
    check_lift("trigger:/hooks/tickets", Some(r#"["function:triage"]"#), false);
    check_lift("function:triage", Some(r#"["function:triage"]"#), true);
    let _host = recorded(host(), Some(("c", 7)), None, &[]);
    hear(failed("c", 7));
    let unproved =
        |event: Event| Event { origin: event.origin.map(|origin| Origin { verified: false, ..origin }), ..event };
    hear(unproved(lifted("api:ana", "c")));
    hear(lifted("api:ana", "b"));
    assert_eq!(quarantined(), [release("c").digest]);
}

#[test]
fn a_lift_says_who_and_why() {
    let _host = host().value("releases", "none", b"");
    for (by, reason) in [("", "a reason"), ("ana", " ")] {
        let lifted = QuarantineLifted { digest: release("c").digest, by: by.to_owned(), reason: reason.to_owned() };
        let failure = handle(event("api:ana", types::QUARANTINE_LIFTED, "", &lifted)).unwrap_err();
        assert!(failure.reason().contains("says who and why"), "{failure}");
    }
}

#[test]
fn what_nobody_proved_counts_for_nothing() {
    let _host = recorded(host(), Some(("c", 7)), None, &["b"]);
    for origin in ["api:ana", "trigger:/hooks/monitor", "runtime:reconciler"] {
        assert_eq!(hear(event(origin, types::RELEASE_FAILED, "", &seen("c", 7))), [""; 0], "{origin}");
    }
    assert_eq!(quarantined(), [""; 0]);
    hear(failed("c", 7));
    let forged = activated("b", 8, Some(Purpose::Rollback));
    let origin = Some(Origin { kind: "function".to_owned(), name: "other".to_owned(), verified: true });
    assert_eq!(hear(Event { origin, ..forged }), [""; 0]);
    assert!(hear(activated("b", 8, Some(Purpose::Rollback)))[0].starts_with("resolved"));
}
