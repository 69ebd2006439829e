//! A function of the runtime's own goes the same way as a guest; and how the path goes over a bus that fails (`simulation`).

mod simulation;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::blob::{Blobs, FolderBlobs};
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{Cause, DeadLetter, EventQuery, History, Incoming, StoredVerdict};
use crate::components::Components;
use crate::deployment::testing::Shipped;
use crate::deployment::{Manifest, NativeKind, plan};
use crate::event::{Accepted, Event, Origin, OriginKind, Position};
use crate::host::World;
use crate::invoke::{Engine, EngineSettings};
use crate::native::{Native, Natives};
use crate::record::{Ground, Guests, Recorded, Recording};

const PROJECT: &str = r#"
    name = "shop"
    recording = { sample = SAMPLE }
    [[function]]
    name = "runner"
    component = "native:process"
    on = ["org.test.*"]
    when = 'event.subject != "other"'
    grants = { emits = ["org.test.done"] }
    limits = { time = "300ms" }
    retry = { attempts = 2, initial = "1ms" }
"#;

/// Does as the event's type says.
#[derive(Default)]
struct Obedient {
    calls: AtomicU32,
}

#[async_trait]
impl Native for Obedient {
    async fn handle(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let emit = |ty: &str| {
            let data = Bytes::from(format!("attempt {}", delivery.attempt));
            Event { ty: ty.to_owned(), data: Some(data), ..Event::default() }
        };
        match delivery.event.event.ty.as_str() {
            "org.test.emit" => Ok(Ok(vec![emit("org.test.done")])),
            "org.test.overstep" => Ok(Ok(vec![emit("org.test.undone")])),
            "org.test.fault" if calls == 1 => Err("the network is gone".into()),
            "org.test.fault" => Ok(Ok(Vec::new())),
            "org.test.hang" => std::future::pending().await,
            other => Ok(Err(Failure::new(FailureKind::Retry, format!("not yet: {other}")))),
        }
    }
}

struct Stage {
    bus: Arc<Embedded>,
    function: FunctionId,
    tasks: Tasks,
    _folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        Self::sampling("1.0").await
    }

    async fn sampling(share: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        let bus = Embedded::open(folder.path(), blobs.clone(), Clock::system(), Settings::default());
        let bus = Arc::new(bus.unwrap());
        let (manifest, problems) = Manifest::parse(&PROJECT.replace("SAMPLE", share), &Shipped);
        let deployment = plan(&BTreeMap::new(), &manifest.unwrap_or_else(|| panic!("{problems:?}"))).unwrap();
        let function = deployment.functions[0].id;
        bus.activate(deployment, 0, Cause::ProjectFile).await.unwrap();
        let engine = Engine::new(EngineSettings { invocations_max: 1, cache: None, threads: 1 }).unwrap();
        let obedient = Arc::new(Obedient::default());
        let world = World::new(bus.clone(), bus.clone(), Clock::system(), Arc::new(|_: &str| None));
        let path = Arc::new(Path {
            bus: bus.clone(),
            guests: Arc::new(Guests { components: Components::new(Arc::new(engine), blobs), world: Arc::new(world) }),
            natives: Arc::new(Natives { process: obedient.clone(), reconcile: obedient }),
            clock: Clock::system(),
            metrics: Metrics::new(),
            process: RwLock::default(),
        });
        let tasks = Tasks::new();
        tasks.spawn(serve(path, function, bus.subscribe(function), tasks.clone()));
        Stage { bus, function, tasks, _folder: folder }
    }

    /// Publishes an event and waits until nothing of it is pending.
    async fn settle(&self, ty: &str, subject: &str) -> Position {
        let event = Event {
            id: ty.to_owned(),
            source: "/test".to_owned(),
            ty: ty.to_owned(),
            subject: Some(subject.to_owned()),
            ..Event::default()
        };
        let origin = Origin { kind: OriginKind::Api, name: "test".to_owned(), verified: true };
        let receipts = self.bus.publish(vec![Incoming { event, origin }]).await.unwrap();
        let position = receipts[0].position.unwrap();
        let mut commits = self.bus.commits();
        let settled = async {
            while !self.bus.pending(position).await.unwrap().is_empty() {
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("it is settled");
        position
    }

    async fn done(&self) -> Vec<Accepted> {
        let query = EventQuery { ty: Some("org.test.done".parse().unwrap()), max: 10, ..EventQuery::default() };
        self.bus.events(query).await.unwrap().events
    }

    async fn dead_letter(&self, position: Position) -> DeadLetter {
        self.bus.dead_letter(self.function, position).await.unwrap().expect("a dead letter")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_native_returns_is_stamped_recorded_and_settled() {
    let stage = Stage::new().await;
    let position = stage.settle("org.test.emit", "this").await;
    let done = &stage.done().await[0];
    assert_eq!((done.event.source.as_str(), done.event.causation()), ("tidegate/shop/runner", Some("org.test.emit")));
    assert_eq!((done.origin.kind, done.origin.name.as_str()), (OriginKind::Function, "runner"));
    assert_eq!(done.hops, 1);
    let attempts = stage.bus.attempts(position).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].verdict), (1, StoredVerdict::Delivered));
    assert_eq!(attempts[0].component, NativeKind::Process.digest());
    let recording = stage.bus.recording(&attempts[0].id).await.unwrap().unwrap();
    let event = stage.bus.event_at(position).await.unwrap().unwrap();
    let active = stage.bus.active().borrow().clone().unwrap();
    let ground = Ground::new(&event.event, active.function_by_id(attempts[0].id.function).unwrap());
    let recording = Recording::decode(&recording, &ground).unwrap();
    assert!(recording.journal.entries().is_empty() && !recording.truncated);
    assert!(matches!(recording.outcome, Recorded::Completed { emitted } if emitted.len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_is_settled_without_a_recording_and_what_fails_has_one() {
    let stage = Stage::sampling("0").await;
    for (ty, kept) in [("org.test.emit", false), ("org.test.overstep", true), ("org.test.retry", true)] {
        let position = stage.settle(ty, "this").await;
        let attempts = stage.bus.attempts(position).await.unwrap();
        assert!(!attempts.is_empty(), "{ty}");
        for attempt in attempts {
            assert_eq!(stage.bus.recording(&attempt.id).await.unwrap().is_some(), kept, "{ty}: {attempt:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_is_filtered_as_every_function_is() {
    let stage = Stage::new().await;
    let other = stage.settle("org.test.emit", "other").await;
    assert!(stage.bus.attempts(other).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_that_fails_is_retried_and_then_a_dead_letter() {
    let stage = Stage::new().await;
    let position = stage.settle("org.test.retry", "this").await;
    let attempts = stage.bus.attempts(position).await.unwrap();
    let verdicts: Vec<_> = attempts.iter().map(|attempt| attempt.verdict).collect();
    assert!(matches!(verdicts[..], [StoredVerdict::Retried(_), StoredVerdict::DeadLettered]), "{verdicts:?}");
    let failure = stage.dead_letter(position).await.invocation.failure.unwrap();
    assert_eq!((failure.kind, failure.reason.as_str()), (FailureKind::Retry, "not yet: org.test.retry"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_that_runs_past_its_time_or_its_grants_has_failed() {
    let stage = Stage::new().await;
    let hung = stage.settle("org.test.hang", "this").await;
    let failure = stage.dead_letter(hung).await.invocation.failure.unwrap();
    assert_eq!((failure.kind, failure.reason.contains("300ms")), (FailureKind::TimedOut, true), "{failure:?}");
    let overstepped = stage.settle("org.test.overstep", "this").await;
    let failure = stage.dead_letter(overstepped).await.invocation.failure.unwrap();
    assert_eq!((failure.kind, failure.reason.contains("org.test.undone")), (FailureKind::NotPermitted, true));
    assert!(stage.done().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_under_a_native_is_no_attempt_and_it_runs_again() {
    let stage = Stage::new().await;
    let position = stage.settle("org.test.fault", "this").await;
    let attempts = stage.bus.attempts(position).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].id.attempt), (1, 1));
    assert_eq!(attempts[0].verdict, StoredVerdict::Delivered);
}
