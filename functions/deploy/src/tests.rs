use std::collections::{BTreeMap, VecDeque};

use delivery::record::{self, Desired, Record};
use delivery::{
    Activated, Placed, Plan, Purpose, QUARANTINE, Quarantined, Refused, Release, ReleaseRefused, ReleaseRequested,
    Requested, Running, ServiceChanged, Verification, custom, is, sha256,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

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
config = { greeting = "hello" }
"#;

/// Release `a` is of the oldest commit; nobody knows the order of `x`.
fn release(name: &str) -> Release {
    let plan: Plan = toml::from_str(PLAN).unwrap();
    let service = &plan.service["shop"];
    let day = name.bytes().next().unwrap() - b'a' + 1;
    let order = (name != "x").then(|| format!("2026-11-{day:02}T12:00:00Z"));
    let digest = sha256(name.as_bytes());
    let release = Release::new("shop", &service.artifact, &digest, &service.configuration(), None, order.as_deref());
    Release { release: name.to_owned(), ..release }
}

fn placed(name: &str, environment: &str) -> Placed {
    Placed {
        environment: environment.to_owned(),
        release: release(name),
        target: "tidegate".to_owned(),
        pool: "functions".to_owned(),
        function: format!("shop-{environment}"),
        profile: "event-driven".to_owned(),
        reason: "it is event-driven".to_owned(),
        gate: format!("gate-{name}-{environment}"),
    }
}

fn request(name: &str, environment: &str, purpose: Purpose) -> Requested {
    Requested {
        function: format!("shop-{environment}"),
        component: release(name).reference(),
        config: None,
        environment: environment.to_owned(),
        release: release(name),
        purpose,
    }
}

/// What happens to one project, in the order of its log.
struct Story {
    /// None while it is amended.
    host: Option<Host>,
    /// Requests that the reconciler has not answered, by environment.
    requests: BTreeMap<String, VecDeque<Requested>>,
    /// The last deployment's number.
    deployment: u64,
    heard: u32,
}

impl Story {
    fn new() -> Self {
        let host = Host::new().config("plan", PLAN).key_space("releases");
        // Granted for reading only.
        let host = Some(host.value(QUARANTINE, "none", b""));
        Story { host, requests: BTreeMap::new(), deployment: 0, heard: 0 }
    }

    /// Hears an event as the bus hands it over, and tells what was said.
    fn hear(&mut self, kind: &str, ty: &str, subject: &str, content: &impl Serialize) -> String {
        let event = delivery::say(ty, subject, "key", content).unwrap();
        self.hear_event(kind, event)
    }

    fn hear_event(&mut self, kind: &str, event: Event) -> String {
        self.heard += 1;
        let origin = Origin { kind: kind.to_owned(), name: "name".to_owned(), verified: true };
        let (id, time) = (format!("event-{}", self.heard), "2026-11-25T09:30:00.000Z".to_owned());
        let said = handle(Event { id, time: Some(time), origin: Some(origin), ..event }).unwrap();
        said.iter().map(|event| self.told(event)).collect::<Vec<_>>().join(", ")
    }

    fn told(&mut self, event: &Event) -> String {
        if is(event, types::DEPLOYMENT_REQUESTED) {
            let request: Requested = content(event).unwrap();
            let Requested { environment, release, purpose, .. } = &request;
            let told = format!("{purpose:?} of {} to {environment}", release.release).to_lowercase();
            assert!(request.config.is_some(), "what another release set must not stay");
            self.requests.entry(environment.clone()).or_default().push_back(request);
            return told;
        }
        if is(event, types::RELEASE_REFUSED) {
            let ReleaseRefused { environment, release, refused } = content(event).unwrap();
            return format!("{} refused in {environment}: {}", release.release, refused.rule);
        }
        let ServiceChanged { environment, release, .. } = custom(event).unwrap();
        let word = event.ty.split('.').nth(3).unwrap();
        format!("{word} {} in {environment}", release.release)
    }

    /// One line of a story.
    fn tell(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["place", name, environment] => {
                self.hear("function", types::PLACEMENT_DECIDED, name, &placed(name, environment))
            }
            ["activate", environment] => {
                let request = self.requests.get_mut(environment).and_then(VecDeque::pop_front).unwrap();
                self.activate(request)
            }
            ["refuse", environment] => {
                let request = self.requests.get_mut(environment).and_then(VecDeque::pop_front).unwrap();
                self.refuse(request)
            }
            ["heal", name, environment] => self.activate(request(name, environment, Purpose::Heal)),
            ["rollback", name, environment] => self.activate(request(name, environment, Purpose::Rollback)),
            ["verify", name, environment] => self.judge(types::RELEASE_VERIFIED, name, environment),
            ["fail", name, environment] => self.judge(types::RELEASE_FAILED, name, environment),
            ["redeploy", name, environment] => {
                let (release, environment) = (name.to_owned(), environment.to_owned());
                let asked = ReleaseRequested { release, environment, by: "ana".to_owned(), reason: "drill".to_owned() };
                self.hear("api", types::RELEASE_REQUESTED, name, &asked)
            }
            ["quarantine", name] => {
                self.quarantine(name);
                String::new()
            }
            _ => panic!("{line}"),
        }
    }

    fn activate(&mut self, request: Requested) -> String {
        self.deployment += 1;
        let component = sha256(request.component.as_bytes());
        let function = Running { name: request.function.clone(), component, reference: None, release: None };
        let activated = Activated {
            number: self.deployment,
            functions: vec![function],
            cause: "event".to_owned(),
            by: None,
            request: Some(request),
            position: None,
        };
        self.hear("runtime", types::DEPLOYMENT_ACTIVATED, "number", &activated)
    }

    fn refuse(&mut self, request: Requested) -> String {
        let problems = vec!["the registry has no such digest".to_owned(), "it imports wasi:http".to_owned()];
        self.hear("runtime", types::DEPLOYMENT_REFUSED, "function", &Refused { request, problems })
    }

    fn judge(&mut self, ty: &str, name: &str, environment: &str) -> String {
        let record = self.record(name);
        let deployment = record.environments[environment].steps[&Stage::Deployed].deployment.unwrap();
        self.hear("function", ty, name, &verification(name, environment, deployment))
    }

    fn quarantine(&mut self, name: &str) {
        let digest = release(name).digest;
        let entry = Quarantined {
            digest: digest.clone(),
            environment: "production".to_owned(),
            release: name.to_owned(),
            service: "shop".to_owned(),
            reason: "20 % failed".to_owned(),
            by: "function:rollback".to_owned(),
        };
        self.host = self.host.take().map(|host| host.json(QUARANTINE, &digest, &entry));
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.host.as_ref().unwrap().get_json("releases", key)
    }

    fn desired(&self, environment: &str) -> Desired {
        self.read(&record::desired_key("shop", environment)).unwrap_or_default()
    }

    fn record(&self, name: &str) -> Record {
        self.read(&record::release_key(name)).unwrap()
    }

    fn stage(&self, name: &str, environment: &str) -> Stage {
        self.record(name).environments[environment].stage
    }
}

fn verification(name: &str, environment: &str, deployment: u64) -> Verification {
    Verification {
        environment: environment.to_owned(),
        release: release(name),
        function: format!("shop-{environment}"),
        component: sha256(b"component"),
        deployment,
        look: 1,
        since: "2026-11-25T09:00:00Z".to_owned(),
        from: 40,
        detection_millis_max: 1_000,
        samples: Some(100),
        failed: Some(0),
        p99_millis: None,
        position: Some(7),
        reason: None,
    }
}

/// Tells a story line by line: what happens, and what is said to it.
#[track_caller]
fn check(lines: &[(&str, &str)]) -> Story {
    let mut story = Story::new();
    for (number, (line, expected)) in lines.iter().enumerate() {
        assert_eq!(story.tell(line), *expected, "line {number}: {line}");
    }
    story
}

#[test]
fn a_release_goes_through_its_environments_in_order() {
    let story = check(&[
        ("place a production", "a refused in production: environment-order"),
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("place a production", "a refused in production: environment-order"),
        ("verify a staging", ""),
        ("place a production", "promotion of a to production"),
        ("activate production", "deployed a in production"),
        ("verify a production", ""),
        ("place b staging", "promotion of b to staging"),
        ("activate staging", "upgraded b in staging"),
    ]);
    assert_eq!((story.stage("a", "production"), story.stage("b", "staging")), (Stage::Verified, Stage::Deployed));
    let running = story.desired("staging").running.unwrap();
    assert_eq!((running.release.release.as_str(), running.deployment), ("b", 3));
    let progress = &story.record("a").environments["production"];
    assert_eq!(progress.gate.as_deref(), Some("gate-a-production"));
    assert_eq!(progress.target.as_ref().unwrap().config.as_ref().unwrap()["greeting"], "hello");
    assert_eq!(
        (progress.steps[&Stage::Verified].deployment, progress.steps.contains_key(&Stage::Refused)),
        (Some(2), true)
    );
}

#[test]
fn an_older_commit_never_overwrites_a_newer_one() {
    check(&[
        ("place b staging", "promotion of b to staging"),
        ("place a staging", "a refused in staging: older-commit"),
        ("activate staging", "deployed b in staging"),
        ("place a staging", "a refused in staging: older-commit"),
        // Nobody knows where it belongs: it is as new as its arrival.
        ("place x staging", "promotion of x to staging"),
        ("activate staging", "upgraded x in staging"),
        ("place a staging", "promotion of a to staging"),
    ]);
}

#[test]
fn after_a_rollback_what_is_newer_than_its_target_may_go_on() {
    let story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("verify a staging", ""),
        ("place c staging", "promotion of c to staging"),
        ("activate staging", "upgraded c in staging"),
        ("fail c staging", ""),
        ("quarantine c", ""),
        ("rollback a staging", "rolledback a in staging"),
        ("place c staging", "c refused in staging: quarantined"),
        ("redeploy c staging", "c refused in staging: quarantined"),
        ("place b staging", "promotion of b to staging"),
    ]);
    assert_eq!(story.record("c").environments["staging"].steps[&Stage::Failed].deployment, Some(2));
}

#[test]
fn while_one_is_under_way_the_newest_waits() {
    let story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("place c staging", ""),
        ("place b staging", "b refused in staging: superseded"),
        ("place d staging", "c refused in staging: superseded"),
        ("place d staging", ""),
        ("place a staging", ""),
        ("activate staging", "deployed a in staging, promotion of d to staging"),
        ("place c staging", "c refused in staging: older-commit"),
        ("activate staging", "upgraded d in staging"),
        ("place d staging", ""),
    ]);
    assert_eq!(story.desired("staging").running.unwrap().release.release, "d");
    assert!(story.desired("staging").asked.is_none() && story.desired("staging").waiting.is_none());
}

#[test]
fn what_waited_is_judged_again_when_its_turn_comes() {
    check(&[
        ("place a staging", "promotion of a to staging"),
        ("place b staging", ""),
        ("quarantine b", ""),
        ("activate staging", "deployed a in staging, b refused in staging: quarantined"),
        ("place c staging", "promotion of c to staging"),
    ]);
}

#[test]
fn a_refused_deployment_is_told_and_lets_the_next_one_go() {
    let story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("place b staging", ""),
        ("refuse staging", "a refused in staging: deployment-refused, promotion of b to staging"),
        ("activate staging", "deployed b in staging"),
        ("place a staging", "a refused in staging: older-commit"),
    ]);
    let mut story = Story { requests: BTreeMap::new(), ..story };
    // Nobody asks for it any more.
    assert_eq!(story.refuse(request("b", "staging", Purpose::Promotion)), "");
    // What others asked for is not under way here, and is told all the same.
    let refused = "b refused in staging: deployment-refused";
    assert_eq!(story.refuse(request("b", "staging", Purpose::Heal)), refused);
    let verdict = story.record("b").environments["staging"].refused.clone().unwrap();
    assert_eq!(verdict.reason, "the registry has no such digest; it imports wasi:http");
    assert_eq!(verdict.clear, "put right what it names, then `tidegate redeploy b --in staging`");
}

#[test]
fn services_and_environments_do_not_wait_for_each_other() {
    check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("verify a staging", ""),
        ("place b staging", "promotion of b to staging"),
        ("place a production", "promotion of a to production"),
        ("activate production", "deployed a in production"),
        ("activate staging", "upgraded b in staging"),
    ]);
}

#[test]
fn a_heal_and_a_rollback_of_others_are_recorded_and_hold_nobody_up() {
    let story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("heal a staging", "upgraded a in staging"),
        ("place b staging", "promotion of b to staging"),
        ("rollback a staging", "rolledback a in staging"),
        ("place c staging", ""),
        ("activate staging", "upgraded b in staging, promotion of c to staging"),
    ]);
    assert_eq!(story.desired("staging").running.unwrap().deployment, 4);
}

#[test]
fn a_person_may_ask_for_what_was_verified_there_or_before() {
    check(&[
        ("place a staging", "promotion of a to staging"),
        // Nobody answered: asking again gets it going.
        ("redeploy a staging", "redeploy of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("activate staging", "upgraded a in staging"),
        ("redeploy a production", "a refused in production: not-placed"),
        ("place a production", "a refused in production: environment-order"),
        ("redeploy a production", "a refused in production: environment-order"),
        ("verify a staging", ""),
        ("redeploy a production", "redeploy of a to production"),
        ("activate production", "deployed a in production"),
        ("place b staging", "promotion of b to staging"),
        ("activate staging", "upgraded b in staging"),
        // An older commit, but a person asks.
        ("redeploy a staging", "redeploy of a to staging"),
        ("activate staging", "upgraded a in staging"),
        ("quarantine a", ""),
        ("redeploy a staging", "a refused in staging: quarantined"),
    ]);
}

#[test]
fn a_persons_request_waits_too_and_is_newer_than_what_waited() {
    check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("verify a staging", ""),
        ("place b staging", "promotion of b to staging"),
        ("place c staging", ""),
        ("redeploy a staging", "c refused in staging: superseded"),
        ("redeploy a staging", ""),
        ("activate staging", "upgraded b in staging, redeploy of a to staging"),
    ]);
}

#[test]
fn a_verdict_counts_for_the_deployment_that_it_names() {
    let mut story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("place b staging", "promotion of b to staging"),
        ("activate staging", "upgraded b in staging"),
        // Late: it is told of what ran before.
        ("verify a staging", ""),
        ("verify a staging", ""),
        ("heal b staging", "upgraded b in staging"),
    ]);
    assert_eq!((story.stage("a", "staging"), story.stage("b", "staging")), (Stage::Verified, Stage::Deployed));
    assert_eq!(story.hear("function", types::RELEASE_FAILED, "b", &verification("b", "staging", 2)), "");
    assert_eq!(story.stage("b", "staging"), Stage::Deployed);
    assert_eq!(story.hear("function", types::RELEASE_INSUFFICIENT, "b", &verification("b", "staging", 3)), "");
    assert_eq!(story.stage("b", "staging"), Stage::Insufficient);
    story.tell("fail b staging");
    assert_eq!(story.stage("b", "staging"), Stage::Failed);
}

#[test]
fn an_activation_that_comes_again_or_late_is_no_news() {
    let mut story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("place b staging", "promotion of b to staging"),
        ("activate staging", "upgraded b in staging"),
    ]);
    story.deployment = 0;
    assert_eq!(story.activate(request("a", "staging", Purpose::Promotion)), "");
    assert_eq!(story.desired("staging").running.unwrap().release.release, "b");
}

#[test]
fn a_release_goes_only_where_the_plan_takes_it_as_the_gate_passed_it() {
    let mut story = Story::new();
    let mut hear = |placed: &Placed| story.hear("function", types::PLACEMENT_DECIDED, "a", placed);
    let elsewhere = Placed { function: "shop-other".to_owned(), ..placed("a", "staging") };
    assert_eq!(hear(&elsewhere), "a refused in staging: unplanned");
    assert_eq!(hear(&placed("a", "moon")), "a refused in moon: unplanned");
    let other = Release { configuration: sha256(b"other"), ..release("a") };
    let changed = Placed { release: other, ..placed("a", "staging") };
    assert_eq!(hear(&changed), "a refused in staging: configuration-changed");
    assert_eq!(hear(&placed("a", "staging")), "promotion of a to staging");
}

#[test]
fn what_nobody_proved_counts_for_nothing() {
    let mut story = Story::new();
    for kind in ["api", "trigger", "runtime"] {
        assert_eq!(story.hear(kind, types::PLACEMENT_DECIDED, "a", &placed("a", "staging")), "", "{kind}");
    }
    story.tell("place a staging");
    for kind in ["api", "trigger", "function"] {
        let refused = Refused { request: request("a", "staging", Purpose::Promotion), problems: Vec::new() };
        assert_eq!(story.hear(kind, types::DEPLOYMENT_REFUSED, "a", &refused), "", "{kind}");
    }
    story.tell("activate staging");
    for ty in [types::RELEASE_VERIFIED, types::RELEASE_FAILED, types::RELEASE_INSUFFICIENT] {
        assert_eq!(story.hear("api", ty, "a", &verification("a", "staging", 1)), "", "{ty}");
    }
    assert_eq!(story.stage("a", "staging"), Stage::Deployed);
    let (release, environment) = ("a".to_owned(), "staging".to_owned());
    let asked = ReleaseRequested { release, environment, by: "ana".to_owned(), reason: String::new() };
    for kind in ["trigger", "function"] {
        let refused = "a refused in staging: unproved-request";
        assert_eq!(story.hear(kind, types::RELEASE_REQUESTED, "a", &asked), refused, "{kind}");
    }
    assert_eq!(story.stage("a", "staging"), Stage::Deployed);
}

#[test]
fn what_is_asked_for_and_what_changed_carry_all_that_others_need() {
    let mut story = check(&[
        ("place a staging", "promotion of a to staging"),
        ("activate staging", "deployed a in staging"),
        ("verify a staging", ""),
    ]);
    let placement = delivery::say(types::PLACEMENT_DECIDED, "a", "key", &placed("a", "production")).unwrap();
    let origin = Some(Origin { kind: "function".to_owned(), name: "placement".to_owned(), verified: true });
    let said = handle(Event { id: "placed".to_owned(), origin, ..placement }).unwrap();
    assert_eq!(
        (said[0].subject.as_deref(), said[0].text("partitionkey")),
        (Some("shop-production"), Some("shop-production"))
    );
    let mut request: Requested = content(&said[0]).unwrap();
    assert_eq!(request.component, format!("registry.example.com/acme/shop@{}", sha256(b"a")));
    assert_eq!(request.config.take().unwrap()["greeting"], "hello");

    story.deployment = 8;
    let number = story.deployment + 1;
    let function =
        Running { name: "shop-production".to_owned(), component: sha256(b"9"), reference: None, release: None };
    let activated = Activated {
        number,
        functions: vec![function],
        cause: "event".to_owned(),
        by: None,
        request: Some(request),
        position: None,
    };
    let event = delivery::say(types::DEPLOYMENT_ACTIVATED, "9", "key", &activated).unwrap();
    let origin = Some(Origin { kind: "runtime".to_owned(), name: "reconciler".to_owned(), verified: true });
    let said = handle(Event { id: "activated".to_owned(), origin, ..event }).unwrap();
    assert_eq!((said[0].subject.as_deref(), said[0].text("partitionkey")), (Some("shop"), Some("shop/production")));
    let ServiceChanged { component, deployment, previous, .. } = custom(&said[0]).unwrap();
    assert_eq!((component, deployment, previous), (sha256(b"9"), 9, None));
    let service: delivery::ServiceContent = content(&said[0]).unwrap();
    assert_eq!(service.environment.id, "production");
    assert!(service.artifact_id.starts_with("pkg:oci/shop@sha256%3A"), "{}", service.artifact_id);
}

#[track_caller]
fn check_rejected(kind: &str, event: Event, reason: &str) {
    let _story = Story::new();
    let origin = Some(Origin { kind: kind.to_owned(), name: "name".to_owned(), verified: true });
    let failure = handle(Event { origin, ..event }).unwrap_err();
    assert!(matches!(failure, Failure::Reject { .. }) && failure.reason().contains(reason), "{failure}");
}

#[test]
fn what_cannot_be_answered_is_rejected_with_the_reason() {
    check_rejected("function", Event::new(types::GATE_PASSED), "is not heard here");
    check_rejected("function", Event::new(types::PLACEMENT_DECIDED), "has no data");
    let (release, environment) = ("a".to_owned(), "staging".to_owned());
    let asked = ReleaseRequested { release, environment, by: "ana".to_owned(), reason: String::new() };
    let unknown = delivery::say(types::RELEASE_REQUESTED, "a", "key", &asked).unwrap();
    check_rejected("api", unknown, "release a is on no record; `tidegate releases` lists them");
    let request = Some(request("a", "staging", Purpose::Promotion));
    let activated =
        Activated { number: 1, functions: Vec::new(), cause: String::new(), by: None, request, position: None };
    let lacking = delivery::say(types::DEPLOYMENT_ACTIVATED, "1", "key", &activated).unwrap();
    check_rejected("runtime", lacking, "deployment 1 has no function shop-staging");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Commits arrive late, repeatedly and in any order, and deployments take as long as they like.
    #[test]
    fn every_order_ends_with_the_newest_and_never_goes_back(
        steps in prop::collection::vec(prop_oneof![3 => (0..5_usize).prop_map(Some), 2 => Just(None)], 1..40),
    ) {
        let mut story = Story::new();
        let names = ["a", "b", "c", "d", "e"];
        let mut asked = Vec::new();
        for step in &steps {
            let said = match step {
                Some(name) => story.tell(&format!("place {} staging", names[*name])),
                None if story.requests.values().any(|requests| !requests.is_empty()) => story.tell("activate staging"),
                None => continue,
            };
            asked.extend(said.split("promotion of ").nth(1).map(|rest| rest[..1].to_owned()));
        }
        while story.requests.values().any(|requests| !requests.is_empty()) {
            let said = story.tell("activate staging");
            asked.extend(said.split("promotion of ").nth(1).map(|rest| rest[..1].to_owned()));
        }
        let newest = steps.iter().flatten().max().map(|name| names[*name].to_owned());
        let desired = story.desired("staging");
        prop_assert_eq!(desired.running.as_ref().map(|running| running.release.release.clone()), newest);
        prop_assert!(desired.asked.is_none() && desired.waiting.is_none());
        prop_assert!(asked.is_sorted() && asked.windows(2).all(|two| two[0] != two[1]), "{asked:?}");
        // All of it once more changes nothing.
        for step in steps.iter().flatten() {
            let said = story.tell(&format!("place {} staging", names[*step]));
            prop_assert!(said.is_empty() || said.ends_with("older-commit"), "{said}");
        }
        prop_assert_eq!(story.desired("staging"), desired);
    }
}
