use std::collections::BTreeMap;

use delivery::record::{Asked, Current, Desired, desired_key};
use delivery::{
    Activated, DriftDetected, IncidentContent, Purpose, QUARANTINE, Refused, Release, Requested, Running, custom, is,
    sha256,
};
use proptest::prelude::*;
use serde::Serialize;
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;
use crate::books::{Latest, Watch};

fn release(name: &str) -> Release {
    let release = Release::new("shop", "registry.example.com/acme/shop", &sha256(name.as_bytes()), "c", None, None);
    Release { release: name.to_owned(), ..release }
}

fn request(name: &str, environment: &str, purpose: Purpose) -> Requested {
    Requested {
        function: format!("shop-{environment}"),
        component: release(name).reference(),
        config: Some([("name".to_owned(), name.to_owned())].into()),
        environment: environment.to_owned(),
        release: release(name),
        purpose,
    }
}

/// The bytes of release `a` are `A`, and so on.
fn bytes(name: &str) -> String {
    sha256(name.to_uppercase().as_bytes())
}

/// What is deployed: `staging a, production b` by environment.
fn functions(running: &str) -> Vec<Running> {
    let function = |words: &str| {
        let (environment, name) = words.split_once(' ').unwrap();
        Running { name: format!("shop-{environment}"), component: bytes(name), reference: None, release: None }
    };
    running.split(", ").filter(|words| !words.is_empty()).map(function).collect()
}

fn event(kind: &str, ty: &str, content: &impl Serialize) -> Event {
    let origin = Some(Origin { kind: kind.to_owned(), name: "name".to_owned(), verified: true });
    Event { id: "event".to_owned(), origin, ..delivery::say(ty, "subject", "key", content).unwrap() }
}

fn deployed(ty: &str, number: u64, request: Option<Requested>, running: &str) -> Event {
    let (cause, by) = match (&request, is(&Event::new(ty), types::DEPLOYMENT_ACTIVATED)) {
        (Some(_), _) => ("event", None),
        (None, true) => ("operator", Some("ana".to_owned())),
        (None, false) => ("", None),
    };
    let (cause, position) = (cause.to_owned(), None);
    event("runtime", ty, &Activated { number, functions: functions(running), cause, by, request, position })
}

/// A release was deployed by request.
fn promoted(number: u64, name: &str, environment: &str, running: &str) -> Event {
    let request = request(name, environment, Purpose::Promotion);
    deployed(types::DEPLOYMENT_ACTIVATED, number, Some(request), running)
}

fn healed(number: u64, name: &str, environment: &str, running: &str) -> Event {
    deployed(types::DEPLOYMENT_ACTIVATED, number, Some(request(name, environment, Purpose::Heal)), running)
}

/// Somebody deployed something.
fn changed(number: u64, running: &str) -> Event {
    deployed(types::DEPLOYMENT_ACTIVATED, number, None, running)
}

fn reported(number: u64, running: &str) -> Event {
    deployed(types::DEPLOYMENT_REPORTED, number, None, running)
}

fn refused(name: &str, environment: &str, purpose: Purpose) -> Event {
    let problems = vec!["the registry has no such digest".to_owned()];
    event("runtime", types::DEPLOYMENT_REFUSED, &Refused { request: request(name, environment, purpose), problems })
}

fn host(action: &str) -> Host {
    let host = Host::new().config("policy", &format!("action = '{action}'")).key_space("drift");
    host.value(QUARANTINE, "none", b"").value("releases", "none", b"")
}

/// What `deploy` recorded of the service in production.
fn recorded(host: Host, running: Option<u64>, asked: Option<&str>) -> Host {
    let running = running.map(|deployment| Current {
        release: release("b"),
        function: "shop-production".to_owned(),
        component: bytes("b"),
        deployment,
        purpose: Purpose::Promotion,
        since: None,
    });
    let event = "placed".to_owned();
    let asked = asked.map(|name| Asked { release: release(name), purpose: Purpose::Promotion, event });
    host.json("releases", &desired_key("shop", "production"), &Desired { running, asked, waiting: None })
}

/// Hears an event, and tells what was said.
fn hear(event: &Event) -> Vec<String> {
    let told = |event: &Event| {
        if is(event, types::DEPLOYMENT_REQUESTED) {
            let request: Requested = content(event).unwrap();
            assert_eq!(event.text("partitionkey"), Some(request.function.as_str()));
            assert_eq!(request.config.unwrap()["name"], request.release.release);
            return format!("{:?} {} with {}", request.purpose, request.function, request.release.release)
                .to_lowercase();
        }
        if is(event, types::INCIDENT_DETECTED) {
            let incident: IncidentContent = content(event).unwrap();
            let sides: DriftDetected = custom(event).unwrap();
            assert_eq!(incident.environment.id, sides.environment);
            return format!("incident {}", event.subject.as_deref().unwrap());
        }
        let word = event.ty.split('.').nth(3).unwrap();
        let sides: DriftDetected = content(event).unwrap();
        let why = sides.reason.map(|reason| format!(" because {reason}")).unwrap_or_default();
        format!("{word} {} by {}: {:?}{why}", sides.function, sides.cause, sides.action).to_lowercase()
    };
    handle(event.clone()).unwrap().iter().map(told).collect()
}

#[track_caller]
fn check(action: &str, story: &[(Event, &[&str])]) -> Host {
    let host = host(action);
    for (number, (event, expected)) in story.iter().enumerate() {
        assert_eq!(hear(event), *expected, "event {number}");
    }
    host
}

const DETECTED: &str = "detected shop-production by operator ana: heal";
const HEAL: &str = "heal shop-production with b";

#[test]
fn what_somebody_changed_is_told_once_and_healed() {
    let host = check(
        "heal",
        &[
            (changed(1, "production a"), &[]),
            (promoted(2, "b", "production", "production b"), &[]),
            (reported(2, "production b"), &[]),
            (changed(3, "production x"), &[DETECTED, HEAL]),
            (reported(3, "production x"), &[]),
            (changed(3, "production x"), &[]),
            (healed(4, "b", "production", "production b"), &["resolved shop-production by event: heal"]),
            (reported(4, "production b"), &[]),
        ],
    );
    let watch: Watch = host.get_json("drift", "function/shop-production").unwrap();
    assert_eq!((watch.deployment, watch.diverged), (4, None));
}

#[test]
fn a_report_finds_what_no_activation_told() {
    let found = "detected shop-production by unknown: heal";
    check(
        "heal",
        &[(promoted(2, "b", "production", "production b"), &[]), (reported(2, "production x"), &[found, HEAL])],
    );
}

#[test]
fn policy_says_what_is_done() {
    let story = |detected: &'static [&str], resolved: &'static [&str]| {
        [
            (promoted(2, "b", "production", "production b"), &[] as &[&str]),
            (changed(3, "production x"), detected),
            (reported(3, "production x"), &[]),
            // Somebody puts it right.
            (changed(4, "production b"), resolved),
        ]
    };
    let told = &["detected shop-production by operator ana: report"];
    check("report", &story(told, &["resolved shop-production by operator ana: report"]));
    let told = &["detected shop-production by operator ana: incident", "incident shop-production/3"];
    check("incident", &story(told, &["resolved shop-production by operator ana: incident"]));
}

#[test]
fn other_wrong_bytes_are_another_divergence() {
    check(
        "heal",
        &[
            (promoted(2, "b", "production", "production b"), &[]),
            (changed(3, "production x"), &[DETECTED, HEAL]),
            (changed(4, "production y"), &[DETECTED, HEAL]),
            // It runs nothing at all.
            (
                changed(5, ""),
                &[
                    "detected shop-production by operator ana: report because shop-production is not deployed any more; \
                   `tidegate deploy` brings it back",
                ],
            ),
            (reported(5, ""), &[]),
            (changed(6, "production b"), &["resolved shop-production by operator ana: heal"]),
        ],
    );
}

#[test]
fn functions_are_watched_each_for_itself_once_a_release_was_deployed_to_them() {
    check(
        "heal",
        &[
            (promoted(2, "a", "staging", "staging a, production a"), &[]),
            (changed(3, "staging a, production x"), &[]),
            (promoted(4, "b", "production", "staging a, production b"), &[]),
            (
                changed(5, "staging y, production b"),
                &["detected shop-staging by operator ana: heal", "heal shop-staging with a"],
            ),
            (changed(6, "staging y, production x"), &[DETECTED, HEAL]),
            (healed(7, "a", "staging", "staging a, production x"), &["resolved shop-staging by event: heal"]),
            (healed(8, "b", "production", "staging a, production b"), &["resolved shop-production by event: heal"]),
        ],
    );
}

#[test]
fn a_heal_that_is_refused_is_tried_again_when_the_runtime_reports() {
    check(
        "heal",
        &[
            (promoted(2, "b", "production", "production b"), &[]),
            (changed(3, "production x"), &[DETECTED, HEAL]),
            (refused("b", "production", Purpose::Promotion), &[]),
            (reported(3, "production x"), &[]),
            (refused("b", "production", Purpose::Heal), &[]),
            (refused("b", "production", Purpose::Heal), &[]),
            (reported(3, "production x"), &[HEAL]),
            (reported(3, "production x"), &[]),
            (healed(4, "b", "production", "production b"), &["resolved shop-production by event: heal"]),
            // Late: there is nothing to heal.
            (refused("b", "production", Purpose::Heal), &[]),
            (reported(4, "production b"), &[]),
        ],
    );
}

#[test]
fn what_is_in_quarantine_is_not_healed() {
    let host = host("heal").value(QUARANTINE, &release("b").digest, b"{}");
    hear(&promoted(2, "b", "production", "production b"));
    let why =
        format!("{DETECTED} because {} of b is in quarantine", release("b").digest).replace("ana: heal", "ana: report");
    assert_eq!(hear(&changed(3, "production x")), [why]);
    assert_eq!(hear(&reported(3, "production x")), [""; 0]);
    assert_eq!(hear(&promoted(4, "a", "production", "production a")), ["resolved shop-production by event: heal"]);
    drop(host);
}

#[test]
fn no_heal_overwrites_what_is_newer() {
    let not_healed = |why: &str| [format!("{DETECTED} because {why}").replace("ana: heal", "ana: report")];
    let host = recorded(host("heal"), Some(2), Some("c"));
    hear(&promoted(2, "b", "production", "production b"));
    assert_eq!(hear(&changed(3, "production x")), not_healed("c is under way in its place"));
    // It was refused, so what should run is still the same.
    let host = recorded(host, Some(2), None);
    assert_eq!(hear(&reported(3, "production x")), [HEAL]);

    // Deployment 5 was answered, and this function has not heard of it.
    let _host = recorded(host, Some(5), None);
    assert_eq!(hear(&changed(4, "production y")), not_healed("deployment 5 of b is newer"));
    let resolved = "resolved shop-production by event: heal";
    assert_eq!(hear(&promoted(5, "c", "production", "production c")), [resolved]);
    // `deploy` has not heard yet of what is known here.
    assert_eq!(hear(&healed(6, "c", "production", "production c")), [""; 0]);
    assert_eq!(hear(&changed(7, "production x")), [DETECTED, "heal shop-production with c"]);
}

#[test]
fn what_the_runtime_did_not_say_counts_for_nothing() {
    let _host = host("heal");
    let by = |kind: &str, event: Event| Event {
        origin: Some(Origin { kind: kind.to_owned(), name: "name".to_owned(), verified: true }),
        ..event
    };
    hear(&promoted(2, "b", "production", "production b"));
    for kind in ["api", "function", "trigger"] {
        assert_eq!(hear(&by(kind, changed(3, "production x"))), [""; 0], "{kind}");
        assert_eq!(hear(&by(kind, promoted(4, "x", "production", "production x"))), [""; 0], "{kind}");
    }
    assert_eq!(hear(&reported(2, "production b")), [""; 0]);
}

#[test]
fn what_cannot_be_compared_is_rejected_with_the_reason() {
    let host = host("heal");
    let failure = handle(promoted(2, "b", "production", "staging b")).unwrap_err();
    assert!(failure.reason().contains("deployment 2 has no function shop-production"), "{failure}");
    let _host = host.config("policy", "action = 'hope'");
    let failure = handle(changed(3, "production x")).unwrap_err();
    assert!(failure.reason().contains("config policy is not what the function reads"), "{failure}");
}

/// What is known when all is told.
fn known(host: &Host) -> (Latest, BTreeMap<String, Option<Option<String>>>, Vec<String>) {
    let watched = ["shop-staging", "shop-production"].map(|function| {
        let watch: Option<Watch> = host.get_json("drift", &format!("function/{function}"));
        let diverged = watch.as_ref().and_then(|watch| watch.diverged.clone()).map(|diverged| diverged.runs);
        (watch.map(|watch| format!("{function} {} {}", watch.deployment, watch.component)), diverged)
    });
    let shoulds = watched.iter().filter_map(|(should, _)| should.clone()).collect();
    let diverged = watched.into_iter().filter_map(|(should, diverged)| should.map(|should| (should, diverged)));
    (host.get_json("drift", "latest").unwrap(), diverged.collect(), shoulds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Deployments are numbered, so it does not matter in which order, how late or how often they are told.
    #[test]
    fn every_order_ends_with_the_same_knowledge(
        (steps, shuffled) in prop::collection::vec((0..3_usize, 0..3_usize, any::<bool>()), 1..8).prop_flat_map(|steps| {
            let twice: Vec<usize> = (0..steps.len()).chain(0..steps.len()).collect();
            (Just(steps), Just(twice).prop_shuffle())
        }),
    ) {
        let names = ["a", "b", "c"];
        let mut runs = ["a", "a"];
        let mut story = Vec::new();
        for (number, (kind, name, is_staging)) in (1..).zip(steps) {
            let (environment, place) = if is_staging { ("staging", 0) } else { ("production", 1) };
            runs[place] = names[name];
            let running = format!("staging {}, production {}", runs[0], runs[1]);
            story.push(match kind {
                0 => promoted(number, names[name], environment, &running),
                1 => changed(number, &running),
                _ => healed(number, names[name], environment, &running),
            });
        }
        let in_order = host("heal");
        story.iter().for_each(|event| drop(hear(event)));
        let expected = known(&in_order);
        let in_any = host("heal");
        shuffled.iter().for_each(|index| drop(hear(&story[*index])));
        prop_assert_eq!(known(&in_any), expected);
    }
}
