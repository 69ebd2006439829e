//! Requests over a real log, to a registry over a real connection.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::RwLock;

use super::*;
use crate::blob::{Blobs, FolderBlobs};
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{ACTIVATED, EventQuery, Incoming, PendingState, Subscription};
use crate::deployment::{FunctionId, Manifest, Sources, plan};
use crate::dispatch::{self, Path};
use crate::event::{Extension, HOPS_MAX, Origin, OriginKind, Position, attribute};
use crate::host::World;
use crate::invoke::testing::engine;
use crate::native::Natives;
use crate::record::Guests;
use crate::registry::testing::Served;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// A deployment with one function that asks, one that may be changed, and one that may not.
const PROJECT: &str = r#"
    name = "shop"
    [registries."HOST"]
    insecure = true
    [[function]]
    name = "deploy"
    component = "builtin:unreleased"
    on = ["gate.passed"]
    grants = { emits = ["deployment.requested"], deploy = ["shop-*", "deploy", "runner"] }
    [[function]]
    name = "shop-staging"
    component = "builtin:unreleased"
    on = ["org.shop.order"]
    [[function]]
    name = "shop-relay"
    component = "builtin:relay"
    on = ["org.shop.order"]
    config = { to = "org.shop.filed", mode = "filed" }
    grants = { emits = ["org.shop.*"] }
    [[function]]
    name = "other"
    component = "builtin:unreleased"
    on = ["org.shop.order"]
    [[function]]
    name = "runner"
    component = "native:process"
    on = ["org.shop.task"]
"#;

/// A project whose components are shipped.
struct Shipped;

impl Sources for Shipped {
    fn file(&self, _path: &str) -> Result<Vec<u8>, String> {
        Err("it is not there".to_owned())
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        crate::builtin::component(name)
    }

    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String> {
        crate::invoke::imports(component)
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }
}

/// The component of `unreleased`, which imports nothing that is granted, with a section that makes it another one.
fn component(version: u8) -> Vec<u8> {
    let mut bytes = crate::builtin::component("unreleased").unwrap().to_vec();
    // A custom section: its id, its size, and its name with its length.
    bytes.extend([0, 3, 1, b'v', version]);
    bytes
}

struct Stage {
    bus: Arc<Embedded>,
    served: Served,
    components: Components,
    reconcile: FunctionId,
    _folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let served = Served::new().await;
        let folder = tempfile::tempdir().unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        let opened = Embedded::open(folder.path(), blobs.clone(), Clock::system(), Settings::default());
        let (manifest, problems) = Manifest::parse(&PROJECT.replace("HOST", &served.host), &Shipped);
        let deployment = plan(&BTreeMap::new(), &manifest.unwrap_or_else(|| panic!("{problems:?}"))).unwrap();
        let reconcile = deployment.function("reconcile").expect("it comes with the grant").id;
        let bus = Arc::new(opened.unwrap());
        bus.activate(deployment, 0, Cause::ProjectFile).await.unwrap();
        let components = Components::new(engine().clone(), blobs);
        Stage { bus, served, components, reconcile, _folder: folder }
    }

    fn reconciler(&self) -> Reconciler {
        Reconciler {
            bus: self.bus.clone(),
            history: self.bus.clone(),
            components: self.components.clone(),
            env: Arc::new(|_: &str| None),
            clock: Clock::system(),
            time_max: TIME_MAX,
        }
    }

    /// Serves requests, as the path does.
    fn serve(&self) -> Tasks {
        let reconciler = Arc::new(self.reconciler());
        let world = World::new(self.bus.clone(), self.bus.clone(), Clock::system(), Arc::new(|_: &str| None));
        let path = Arc::new(Path {
            bus: self.bus.clone(),
            guests: Arc::new(Guests { components: self.components.clone(), world: Arc::new(world) }),
            natives: Arc::new(Natives { process: reconciler.clone(), reconcile: reconciler }),
            clock: Clock::system(),
            metrics: Metrics::new(),
            process: RwLock::default(),
        });
        let tasks = Tasks::new();
        let subscription = self.bus.subscribe(self.reconcile);
        tasks.spawn(dispatch::serve(path, self.reconcile, subscription, tasks.clone()));
        tasks
    }

    fn running(&self) -> Arc<Deployment> {
        self.bus.active().borrow().clone().unwrap()
    }

    /// Only the project's own functions say something in its name.
    async fn publish(&self, mut event: Event, origin: Origin) -> Position {
        if matches!(origin.kind, OriginKind::Api | OriginKind::Trigger) {
            event.source = format!("/{}", origin.name);
        }
        let receipts = self.bus.publish(vec![Incoming { event, origin }]).await.unwrap();
        receipts[0].position.unwrap()
    }

    async fn ask(&self, content: Value) -> Position {
        self.publish(request(content), by(OriginKind::Function, "deploy")).await
    }

    /// The one event that answers.
    async fn answer(&self, position: Position) -> Accepted {
        let mut answers = self.answers(position).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// What followed from an event, once nothing is pending any more.
    async fn answers(&self, position: Position) -> Vec<Accepted> {
        let mut commits = self.bus.commits();
        let settled = async {
            while !self.bus.pending(position).await.unwrap().is_empty() {
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("the request is settled");
        let id = self.bus.event_at(position).await.unwrap().unwrap().event.id;
        let events = self.bus.events(EventQuery { max: 1_000, ..EventQuery::default() }).await.unwrap();
        events.events.into_iter().filter(|event| event.event.causation() == Some(&id)).collect()
    }

    /// That a request is refused for a reason, and nothing changes.
    async fn refused(&self, event: Event, origin: Origin, reason: &str) {
        let before = self.running();
        let copied = cdevent_content(&event).unwrap();
        let position = self.publish(event, origin).await;
        let answer = self.answer(position).await;
        let content = cdevent_content(&answer.event).unwrap();
        assert_eq!(answer.event.ty, REFUSED);
        assert_eq!(
            (answer.origin.kind, answer.event.source.as_str()),
            (OriginKind::Runtime, "tidegate/shop/reconcile")
        );
        assert_eq!(content["request"], copied);
        let problems = content["problems"].to_string();
        assert!(problems.contains(reason), "{problems} does not say {reason:?}");
        assert_eq!(*self.running(), *before, "{reason}");
    }

    /// That a request of somebody who may not ask is a dead letter for this reason, that nobody is answered, and that nothing
    /// changes.
    async fn rejected(&self, event: Event, origin: Origin, reason: &str) {
        let before = self.running();
        let position = self.publish(event, origin).await;
        assert_eq!(self.answers(position).await, []);
        let letter = self.bus.dead_letter(self.reconcile, position).await.unwrap().expect("a dead letter");
        let failure = letter.invocation.failure.expect("it says why");
        assert_eq!((failure.kind, letter.invocation.id.attempt), (FailureKind::Rejected, 1));
        assert!(failure.reason.contains(reason), "{} does not say {reason:?}", failure.reason);
        assert_eq!(*self.running(), *before, "{reason}");
    }
}

/// A request, each with an id of its own.
fn request(content: Value) -> Event {
    let subject = content["function"].as_str().unwrap_or("nothing").to_owned();
    Event {
        id: uuid::Uuid::now_v7().to_string(),
        source: "tidegate/shop/deploy".to_owned(),
        ..cdevent("dev.cdeventsx.tidegate-deployment.requested.0.1.0", &subject, &content)
    }
}

fn by(kind: OriginKind, name: &str) -> Origin {
    Origin { kind, name: name.to_owned(), verified: true }
}

fn release(function: &str, component: &impl ToString) -> Value {
    json!({
        "function": function, "component": component.to_string(), "environment": "staging", "release": "shop-1",
        "service": "shop", "purpose": "promotion",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_deployment_whose_record_answers_it() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let _serving = stage.serve();
    let mut content = release("shop-staging", &reference);
    content["config"] = json!({ "policy": "x" });
    let mut event = request(content.clone());
    let key = Extension::Text("shop-staging".to_owned());
    event.extensions.insert(attribute::PARTITION_KEY.to_owned(), key);
    let position = stage.publish(event.clone(), by(OriginKind::Function, "deploy")).await;
    let answer = stage.answer(position).await;

    assert_eq!((answer.event.ty.as_str(), answer.event.subject.as_deref()), (ACTIVATED, Some("2")));
    assert_eq!((answer.origin.kind, answer.hops), (OriginKind::Runtime, 1));
    assert_eq!(answer.event.correlation(), Some(event.id.as_str()));
    assert_eq!(answer.event.partition_key(), Some("shop-staging"));
    let asked = stage.bus.event_at(position).await.unwrap().unwrap().event;
    let trace = |event: &Event| event.traceparent().unwrap()[..36].to_owned();
    assert_eq!(trace(&answer.event), trace(&asked));
    let said = cdevent_content(&answer.event).unwrap();
    assert_eq!((&said["number"], &said["cause"], &said["request"]), (&json!(2), &json!("event"), &content));
    let runs = said["functions"].as_array().unwrap().iter().find(|runs| runs["name"] == "shop-staging").unwrap();
    let expected = json!({
        "name": "shop-staging", "component": Digest::of(&component(1)), "reference": reference.to_string(),
        "release": "shop-1",
    });
    assert_eq!(*runs, expected);

    let running = stage.running();
    let function = running.function("shop-staging").unwrap();
    assert_eq!(function.component.digest, Digest::of(&component(1)));
    assert_eq!(function.config["policy"].text, "x");
    let pin = function.pin.as_ref().unwrap();
    assert_eq!((pin.request, pin.release.as_deref()), (position, Some("shop-1")));
    assert_eq!(pin.file.component.reference, ComponentRef::Builtin("unreleased".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_changes_component_and_configuration_of_one_function_and_nothing_else() {
    let stage = Stage::new().await;
    let before = stage.running();
    let reference = stage.served.push(crate::builtin::component("relay").unwrap()).await;
    let _serving = stage.serve();
    let mut content = release("shop-relay", &reference);
    content["config"] = json!({ "to": "org.shop.released" });
    content["grants"] = json!({ "emits": ["*"] });
    content["triggers"] = json!([]);
    stage.answer(stage.ask(content).await).await;
    let running = stage.running();
    let after = running.function("shop-relay").unwrap().clone();
    let config = |key: &str| after.config[key].text.clone();
    assert_eq!((config("to"), config("mode")), ("org.shop.released".to_owned(), "filed".to_owned()));
    let filed = before.function("shop-relay").unwrap();
    let back = Function { component: filed.component.clone(), config: filed.config.clone(), pin: None, ..after };
    let undone = running.with(back);
    assert_eq!(Deployment { number: before.number, ..undone }, *before);
    assert_eq!(running.filed_digest(), before.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_is_answered_again_and_without_the_registry() {
    let mut stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let _serving = stage.serve();
    let first = stage.answer(stage.ask(release("shop-staging", &reference)).await).await;
    assert_eq!(first.event.subject.as_deref(), Some("2"));
    stage.served.stop().await;
    let again = stage.answer(stage.ask(release("shop-staging", &reference)).await).await;
    assert_eq!((again.event.ty.as_str(), again.event.subject.as_deref()), (ACTIVATED, Some("3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_asked_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let _serving = stage.serve();
    let asks = |function: &str| request(release(function, &reference));
    let deploy = || by(OriginKind::Function, "deploy");
    let cases = [
        (asks("other"), deploy(), "function deploy was not granted to change other; see grants.deploy"),
        (asks("deploy"), deploy(), "asks for a change of itself"),
        (asks("runner"), deploy(), "is native:process, which is part of the runtime"),
        (asks("reconcile"), deploy(), "is native:reconcile, which is part of the runtime"),
        (asks("none"), deploy(), "there is no function none in deployment 1"),
        (asks("shop-staging"), by(OriginKind::Function, "other"), "function other was not granted"),
        (request(json!({ "component": "x" })), deploy(), "missing field `function`"),
        (request(json!({ "function": "Shop", "component": "x" })), deploy(), "is no function name"),
    ];
    for (event, origin, reason) in cases {
        stage.refused(event, origin, reason).await;
    }
    // Both problems are told at once.
    let event = request(release("none", &reference));
    stage.refused(event, by(OriginKind::Function, "other"), "was not granted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_function_asks_for_is_rejected_and_not_answered() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let _serving = stage.serve();
    // Word for word what `deploy` may have asked for: an answer would be taken for its own.
    let asks = || request(release("shop-staging", &reference));
    for (origin, reason) in [
        (by(OriginKind::Api, "ops"), "api:ops asks for a deployment; a function of the project with the grant"),
        (by(OriginKind::Trigger, "/hooks"), "trigger:/hooks asks for a deployment"),
        (by(OriginKind::Runtime, "reconcile"), "runtime:reconcile asks for a deployment"),
        (by(OriginKind::Function, "gone"), "function:gone asks for a deployment, and is not in deployment 1"),
    ] {
        stage.rejected(asks(), origin, reason).await;
    }
    // Nobody looks into what a stranger sends.
    stage.rejected(request(json!({ "component": "x" })), by(OriginKind::Api, "ops"), "api:ops asks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let _serving = stage.serve();
    let deploy = || by(OriginKind::Function, "deploy");
    let ask = |component: &dyn std::fmt::Display| request(release("shop-staging", &component.to_string()));
    let host = &stage.served.host;

    let tag = format!("{host}/acme/shop:main");
    stage.refused(ask(&tag), deploy(), "a tag can be moved").await;
    let elsewhere = format!("registry.example.com/acme/shop@{}", Digest::of(b""));
    stage.refused(ask(&elsewhere), deploy(), "is no registry of the project").await;
    let missing = format!("{host}/acme/shop@{}", Digest::of(b"nothing"));
    stage.refused(ask(&missing), deploy(), "push it again").await;
    let text = stage.served.push(b"no component").await;
    stage.refused(ask(&text), deploy(), "does not compile").await;
    // The function has no configuration, so it was not granted any.
    let relay = stage.served.push(crate::builtin::component("relay").unwrap()).await;
    stage.refused(ask(&relay), deploy(), "it imports wasi:config/store").await;
    let changed = stage.served.push(&component(1)).await;
    stage.served.corrupt(Digest::of(&component(1)));
    stage.refused(ask(&changed), deploy(), "somebody changed it").await;
    let mut large = release("shop-staging", &relay);
    large["config"] = json!({ "to": "x".repeat(DATA_INLINE_BYTES_MAX) });
    stage.refused(request(large), deploy(), "more than 65536 bytes").await;
}

/// A delivery of the reconciler's, taken by hand.
async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
    next.expect("a delivery comes").expect("the bus is open")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_activation_and_settlement_appends_once() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let mut subscription = stage.bus.subscribe(stage.reconcile);
    let position = stage.ask(release("shop-staging", &reference)).await;
    let delivery = next(&mut subscription).await;
    assert_eq!(stage.reconciler().handle(&delivery).await.unwrap(), Ok(Vec::new()));
    assert_eq!(stage.running().number, 2);
    drop(delivery);
    // What a person did meanwhile is not taken back by the second attempt.
    let running = stage.running();
    stage.bus.activate((*running).clone(), 2, Cause::Operator("ops".to_owned())).await.unwrap();
    drop(subscription);
    let _serving = stage.serve();
    let answer = stage.answer(position).await;
    assert_eq!(answer.event.subject.as_deref(), Some("2"));
    assert_eq!(stage.running().number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_asked_again_and_the_last_answer_says_so() {
    let mut stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    stage.served.stop().await;
    let mut subscription = stage.bus.subscribe(stage.reconcile);
    stage.ask(release("shop-staging", &reference)).await;
    let mut delivery = next(&mut subscription).await;
    let failure = stage.reconciler().handle(&delivery).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retry);
    assert!(failure.reason.contains("cannot be reached"), "{failure:?}");
    delivery.attempt = delivery.function.retry.attempts;
    let answers = stage.reconciler().handle(&delivery).await.unwrap().unwrap();
    let problems = cdevent_content(&answers[0]).unwrap()["problems"].to_string();
    assert!(answers[0].ty == REFUSED && problems.contains("cannot be reached"), "{problems}");
    assert!(problems.contains("given up after 10 attempts"), "{problems}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_answers_is_asked_again_and_then_given_up() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let mut subscription = stage.bus.subscribe(stage.reconcile);
    stage.ask(release("shop-staging", &reference)).await;
    let mut delivery = next(&mut subscription).await;
    // No pull is as quick as this.
    let hurried = Reconciler { time_max: Duration::ZERO, ..stage.reconciler() };
    let failure = hurried.handle(&delivery).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retry);
    delivery.attempt = delivery.function.retry.attempts;
    let answers = hurried.handle(&delivery).await.unwrap().unwrap();
    let problems = cdevent_content(&answers[0]).unwrap()["problems"].to_string();
    assert!(answers[0].ty == REFUSED && problems.contains("it took longer than 0 s; given up"), "{problems}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_held_up_by_a_registry_holds_back_newer_ones_of_its_function_only() {
    let mut stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    stage.served.stop().await;
    let _serving = stage.serve();
    let first = stage.ask(release("shop-staging", &reference)).await;
    let second = stage.ask(release("shop-staging", &reference)).await;
    let other = stage.publish(request(release("other", &reference)), by(OriginKind::Function, "deploy")).await;
    assert_eq!(stage.answer(other).await.event.ty, REFUSED);
    let state = stage.bus.pending(second).await.unwrap();
    assert_eq!(state, [(stage.reconcile, PendingState::Behind { position: first })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_turns_in_a_circle_ends_here_too() {
    let stage = Stage::new().await;
    let reference = stage.served.push(&component(1)).await;
    let mut subscription = stage.bus.subscribe(stage.reconcile);
    stage.ask(release("shop-staging", &reference)).await;
    let mut delivery = next(&mut subscription).await;
    let now = Clock::system().now();
    delivery.event = Arc::new(Accepted { hops: HOPS_MAX, accepted_at: now, ..(*delivery.event).clone() });
    let failure = stage.reconciler().handle(&delivery).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::ChainTooLong);
    assert_eq!(stage.running().number, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_checks_for_drift_is_told_what_runs() {
    let stage = Stage::new().await;
    let _serving = stage.serve();
    let event = Event {
        id: "tick".to_owned(),
        source: "/schedules/drift".to_owned(),
        ty: "dev.cdeventsx.tidegate-drift.checked.0.1.0".to_owned(),
        data: Some(Bytes::from_static(b"{}")),
        ..Event::default()
    };
    let position = stage.publish(event, by(OriginKind::Trigger, "schedule")).await;
    let answer = stage.answer(position).await;
    assert_eq!((answer.event.ty.as_str(), answer.event.subject.as_deref()), (REPORTED, Some("1")));
    let said = cdevent_content(&answer.event).unwrap();
    assert_eq!((&said["number"], &said["cause"], &said["position"]), (&json!(1), &json!("project-file"), &json!(1)));
    let names: Vec<&str> =
        said["functions"].as_array().unwrap().iter().map(|runs| runs["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["deploy", "shop-staging", "shop-relay", "other", "runner", "reconcile"]);
}
