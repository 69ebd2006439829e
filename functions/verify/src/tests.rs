use std::time::Duration;

use delivery::{Purpose, Release, ServiceChanged, ServiceContent, Verification, instant, is, say, say_cd, sha256};
use tidegate_sdk::Origin;
use tidegate_sdk::statistics::Statistics;
use tidegate_sdk::testing::Host;

use super::*;

const POLICY: &str = r#"
delay = "10s"
interval = "500ms"
looks_max = 3
samples_min = 20
failure_rate_max = 0.1
p99_max = "250ms"
"#;

fn release(name: &str) -> Release {
    let release = Release::new("shop", "registry.example.com/acme/shop", &sha256(name.as_bytes()), "c", None, None);
    Release { release: name.to_owned(), ..release }
}

fn component(name: &str) -> String {
    sha256(name.to_uppercase().as_bytes())
}

fn heard(kind: &str, time: &str, event: Event) -> Event {
    let origin = Some(Origin { kind: kind.to_owned(), name: "name".to_owned(), verified: true });
    Event { id: "event".to_owned(), time: Some(time.to_owned()), origin, ..event }
}

fn changed(name: &str, environment: &str, deployment: u64, previous: Option<&str>) -> ServiceChanged {
    ServiceChanged {
        environment: environment.to_owned(),
        release: release(name),
        function: format!("shop-{environment}"),
        component: component(name),
        deployment,
        purpose: Purpose::Promotion,
        previous: previous.map(str::to_owned),
    }
}

fn said_of(ty: &str, changed: &ServiceChanged) -> Event {
    let content = ServiceContent::new(&changed.environment, &changed.release);
    heard("function", "2026-11-25T10:00:00.500Z", say_cd(ty, "shop", "key", &content, changed).unwrap())
}

fn upgraded(name: &str, environment: &str, deployment: u64) -> Event {
    said_of(types::SERVICE_UPGRADED, &changed(name, environment, deployment, Some("before")))
}

fn deployed(name: &str, environment: &str, deployment: u64) -> Event {
    said_of(types::SERVICE_DEPLOYED, &changed(name, environment, deployment, None))
}

/// A reminder of a verification, as it comes back when it is due.
fn again(due: &Event) -> Event {
    heard("function", "2026-11-25T10:00:10.500Z", due.clone())
}

fn host() -> Host {
    Host::new().config("policy", POLICY).key_space("verifications")
}

fn ended(delivered: u64, failed: u64, millis: u64) -> Statistics {
    let ran = Duration::from_millis(millis);
    let ended = Statistics::default().ended("delivered", delivered, ran).ended("trapped", failed, ran);
    Statistics { position: 900, ..ended }
}

/// What release `name` did in an environment, counted from a position on.
fn did(host: Host, name: &str, environment: &str, from: u64, ended: Statistics) -> Host {
    host.statistics(&format!("shop-{environment}"), &component(name), from, None, ended)
}

/// The log ends here when a verification of this release begins.
fn begins(host: Host, name: &str, environment: &str, position: u64) -> Host {
    did(host, name, environment, 0, Statistics { position, ..Statistics::default() })
}

/// Hears an event, and says in a word what was said, with the event.
fn hear(event: &Event) -> Option<(&'static str, Event)> {
    let mut said = handle(event.clone()).unwrap();
    assert!(said.len() <= 1, "{said:?}");
    let words = [
        (types::VERIFICATION_DUE, "due"),
        (types::RELEASE_VERIFIED, "verified"),
        (types::RELEASE_FAILED, "failed"),
        (types::RELEASE_INSUFFICIENT, "insufficient"),
    ];
    let event = said.pop()?;
    let word = words.iter().find(|(ty, _)| is(&event, ty)).unwrap().1;
    Some((word, event))
}

/// Verifies release `b` in production, which did at each look what is given, and tells what was said at each.
fn verify(looks: &[Statistics]) -> (Vec<&'static str>, Event) {
    let mut host = begins(host(), "b", "production", 100);
    let (word, mut event) = hear(&upgraded("b", "production", 7)).unwrap();
    let mut words = vec![word];
    for ended in looks {
        host = did(host, "b", "production", 101, ended.clone());
        let said = hear(&again(&event)).unwrap();
        words.push(said.0);
        event = said.1;
    }
    (words, event)
}

#[test]
fn a_verification_looks_until_it_knows() {
    let (words, event) = verify(&[ended(0, 0, 1), ended(10, 9, 1), ended(95, 5, 12)]);
    assert_eq!(words, ["due", "due", "due", "verified"]);
    assert_eq!((event.subject.as_deref(), event.text("partitionkey")), (Some("b"), Some("shop/production")));
    let verdict: Verification = content(&event).unwrap();
    assert_eq!((verdict.samples, verdict.failed, verdict.look, verdict.from), (Some(100), Some(5), 3, 101));
    assert_eq!((verdict.since.as_str(), verdict.position), ("2026-11-25T10:00:00.500Z", Some(900)));
    let reason = "5 of 100 events failed, which is 5 %; 99 of 100 ran at most 12 ms";
    assert_eq!((verdict.reason.as_deref(), verdict.p99_millis), (Some(reason), Some(12.0)));
    assert_eq!(verdict.detection_millis_max, 11_000);
    // Whoever asks meanwhile what it waits for is told what was seen so far.
    let (words, event) = verify(&[ended(10, 9, 1)]);
    assert_eq!(words, ["due", "due"]);
    let due: Verification = content(&event).unwrap();
    assert_eq!((due.look, due.samples, due.failed), (2, Some(19), Some(9)));
    assert_eq!(due.reason.as_deref(), Some("19 events ended; at least 20 have to"));
}

fn at(host: Host, time: &str) -> Host {
    host.at(instant(&format!("2026-11-25T{time}Z")).unwrap().into())
}

#[test]
fn a_look_is_planned_when_the_one_before_has_run() {
    let mut host = did(begins(host(), "b", "production", 100), "b", "production", 101, ended(0, 0, 1));
    let mut event = upgraded("b", "production", 7);
    // The runtime was stopped before the activation was heard of, and again when the first look was due.
    for (now, due) in [("10:30:00", "10:30:10.000"), ("12:00:00", "12:00:00.500"), ("12:00:00.520", "12:00:01.020")] {
        host = at(host, now);
        event = hear(&event).unwrap().1;
        assert_eq!(event.text("deliverat"), Some(format!("2026-11-25T{due}Z").as_str()));
        event = again(&event);
    }
    let _host = at(host, "12:00:01.020");
    assert_eq!(hear(&event).unwrap().0, "insufficient");
}

#[test]
fn each_verdict_is_given_at_once() {
    assert_eq!(verify(&[ended(20, 0, 1)]).0, ["due", "verified"]);
    let (words, failed) = verify(&[ended(80, 20, 1)]);
    assert_eq!(words, ["due", "failed"]);
    let verdict: Verification = content(&failed).unwrap();
    assert_eq!(verdict.reason.as_deref(), Some("20 of 100 events failed, which is 20 %; at most 10 % may"));
    assert_eq!((verdict.release, verdict.deployment, verdict.component), (release("b"), 7, component("b")));
    assert_eq!(verify(&[ended(19, 0, 1), ended(100, 0, 300)]).0, ["due", "due", "failed"]);
    assert_eq!(verify(&[ended(0, 0, 1), ended(0, 0, 1), ended(0, 0, 1)]).0, ["due", "due", "due", "insufficient"]);
}

#[test]
fn counts_that_cannot_be_had_are_no_success() {
    let _host = begins(host(), "b", "production", 100);
    let mut event = hear(&upgraded("b", "production", 7)).unwrap().1;
    for word in ["due", "due", "insufficient"] {
        let said = hear(&again(&event)).unwrap();
        assert_eq!(said.0, word);
        event = said.1;
    }
    let verdict: Verification = content(&event).unwrap();
    assert_eq!((verdict.samples, verdict.position), (None, None));
    assert!(verdict.reason.unwrap().contains("outcomes of function shop-production cannot be counted"));
}

fn from(event: &Event) -> u64 {
    content::<Verification>(&hear(event).unwrap().1).unwrap().from
}

#[test]
fn only_what_these_bytes_did_since_they_were_activated_counts() {
    let host = begins(begins(host(), "a", "production", 100), "b", "production", 200);
    // Nothing of the service ran before.
    assert_eq!(from(&deployed("a", "production", 1)), 0);
    // Other bytes ran from before 100 on.
    assert_eq!(from(&upgraded("b", "production", 2)), 101);
    // The same ones are deployed again.
    let host = begins(host, "b", "production", 300);
    assert_eq!(from(&upgraded("b", "production", 3)), 301);
    let host = begins(host, "a", "production", 400);
    assert!(hear(&said_of(types::SERVICE_ROLLEDBACK, &changed("a", "production", 4, Some("b")))).is_none());
    assert_eq!(from(&upgraded("b", "production", 5)), 401);
    // Nobody knows what was before.
    let _host = begins(host, "a", "staging", 500);
    assert_eq!(from(&upgraded("a", "staging", 6)), 501);
}

#[test]
fn a_newer_deployment_ends_the_verification_of_the_older() {
    let host = begins(begins(host(), "b", "production", 100), "c", "production", 200);
    let _host = did(did(host, "b", "production", 101, ended(0, 100, 1)), "c", "production", 101, ended(100, 0, 1));
    let old = hear(&upgraded("b", "production", 7)).unwrap().1;
    let new = hear(&upgraded("c", "production", 8)).unwrap().1;
    assert!(hear(&again(&old)).is_none());
    assert!(hear(&upgraded("b", "production", 7)).is_none(), "it comes late");
    let (word, verdict) = hear(&again(&new)).unwrap();
    let verdict: Verification = content(&verdict).unwrap();
    assert_eq!((word, verdict.release.release.as_str()), ("verified", "c"));
    assert!(hear(&again(&new)).is_none(), "it has its verdict");
    assert!(hear(&upgraded("c", "production", 8)).is_none(), "it has its verdict");
}

#[test]
fn a_rollback_ends_a_verification_and_starts_none() {
    let host = begins(begins(host(), "b", "production", 100), "a", "production", 200);
    let _host = did(host, "b", "production", 101, ended(100, 0, 1));
    let due = hear(&upgraded("b", "production", 7)).unwrap().1;
    assert!(hear(&said_of(types::SERVICE_ROLLEDBACK, &changed("a", "production", 8, Some("b")))).is_none());
    assert!(hear(&again(&due)).is_none());
}

#[test]
fn environments_are_verified_each_for_itself() {
    let host = begins(begins(host(), "b", "staging", 50), "b", "production", 100);
    let _host = did(did(host, "b", "staging", 51, ended(0, 100, 1)), "b", "production", 101, ended(100, 0, 1));
    let staging = hear(&upgraded("b", "staging", 6)).unwrap().1;
    let production = hear(&upgraded("b", "production", 7)).unwrap().1;
    assert_eq!(hear(&again(&production)).unwrap().0, "verified");
    assert_eq!(hear(&again(&staging)).unwrap().0, "failed");
}

/// Three releases that fail are deployed one after the other; that is heard in each order, and what is due twice.
#[test]
fn every_order_gives_each_deployment_one_verdict_at_most_and_the_last_its_own() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let names = ["a", "b", "c"];
        let _host = names.iter().fold(host(), |host, name| {
            let host = begins(host, name, "production", 100);
            did(host, name, "production", 101, ended(50, 50, 1))
        });
        let starts: Vec<Event> =
            names.iter().zip(7..).map(|(name, number)| upgraded(name, "production", number)).collect();
        let mut dues: Vec<Event> = order.iter().filter_map(|index| hear(&starts[*index])).map(|(_, due)| due).collect();
        dues.extend(dues.clone());
        let verdicts = dues.iter().filter_map(|due| hear(&again(due))).map(|(_, verdict)| verdict);
        let failed: Vec<String> = verdicts.map(|verdict| verdict.subject.unwrap()).collect();
        assert_eq!(failed, ["c"], "{order:?}");
    }
}

#[test]
fn what_nobody_proved_counts_for_nothing() {
    let _host = did(begins(host(), "b", "production", 100), "b", "production", 101, ended(100, 0, 1));
    for kind in ["api", "trigger", "runtime"] {
        assert!(hear(&heard(kind, "2026-11-25T10:00:00Z", upgraded("b", "production", 7))).is_none(), "{kind}");
    }
    let due = hear(&upgraded("b", "production", 7)).unwrap().1;
    assert!(hear(&heard("api", "2026-11-25T10:00:00Z", due.clone())).is_none());
    assert_eq!(hear(&again(&due)).unwrap().0, "verified");
}

#[track_caller]
fn check_policy(policy: &str, problem: &str) {
    let _host = Host::new().config("policy", policy).key_space("verifications");
    let failure = handle(upgraded("b", "production", 7)).unwrap_err();
    assert!(matches!(failure, Failure::Reject { .. }) && failure.reason().contains(problem), "{failure}");
}

#[test]
fn a_policy_that_cannot_hold_says_why() {
    check_policy(&POLICY.replace("10s", "soon"), r#"delay: "soon" is no length of time; write 500ms, 30s"#);
    check_policy(&POLICY.replace("looks_max = 3", "looks_max = 0"), "looks_max: 0 looks see nothing");
    check_policy(&POLICY.replace("= 20", "= 0"), "samples_min: nothing seen is no success");
    check_policy(&POLICY.replace("0.1", "1.5"), "failure_rate_max: 1.5 is no rate");
    check_policy(&POLICY.replace("0.1", "nan"), "failure_rate_max: NaN is no rate");
    check_policy(&POLICY.replace("10s", "401d"), "delay and interval are at most 400 days");
    check_policy(&POLICY.replace("500ms", "401d"), "delay and interval are at most 400 days");
    check_policy(&POLICY.replace("delay", "delays"), "config policy is not what the function reads");
    check_policy(&POLICY.replace("10s", "soon").replace("= 20", "= 0"), "; samples_min");
    let unheard = say(types::RELEASE_VERIFIED, "b", "key", &()).unwrap();
    let _host = host();
    assert!(handle(unheard).unwrap_err().reason().contains("is not heard here"));
}
