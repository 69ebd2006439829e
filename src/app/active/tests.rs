//! However a function goes and comes back, one path serves it.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use tempfile::TempDir;
use tokio::sync::RwLock;

use super::*;
use crate::blob::{Blobs, FolderBlobs};
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{Bus, Cause, Incoming, InvocationQuery};
use crate::clock::Clock;
use crate::components::Components;
use crate::deployment::{Connection, Function};
use crate::event::{Event, Origin, OriginKind};
use crate::host::World;
use crate::invoke::testing::{Stage, engine, guests};
use crate::native::Natives;
use crate::reconcile::Reconciler;
use crate::record::Guests;
use crate::telemetry::Metrics;

/// Long enough for a second path to show itself.
const A_WHILE: Duration = Duration::from_millis(100);
/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that answers once its gate is open, and counts who waits for an answer.
#[derive(Clone)]
struct Peer {
    open: watch::Sender<bool>,
    asking: watch::Sender<u32>,
}

impl Peer {
    async fn start() -> (Self, String) {
        let peer = Peer { open: watch::Sender::new(false), asking: watch::Sender::new(0) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Peer::answer).with_state(peer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (peer, url)
    }

    async fn answer(State(peer): State<Peer>) {
        peer.asking.send_modify(|asking| *asking += 1);
        peer.open.subscribe().wait_for(|open| *open).await.unwrap();
        peer.asking.send_modify(|asking| *asking -= 1);
    }

    /// Whether, within the time, so many asked at once.
    async fn is_asked_by(&self, count: u32, within: Duration) -> bool {
        let mut asking = self.asking.subscribe();
        tokio::time::timeout(within, asking.wait_for(|asking| *asking >= count)).await.is_ok()
    }
}

/// A project with one function, which asks the peer for each event, one at a time.
struct Project {
    following: Following,
    bus: Arc<Embedded>,
    stage: Stage,
    peer: Peer,
    _folder: TempDir,
}

impl Project {
    async fn start() -> Self {
        let (peer, url) = Peer::start().await;
        let stage = Stage::new().with(|stage| {
            stage.function.concurrency = 1;
            stage.connections.insert("peer".to_owned(), Connection { url, headers: Default::default(), private: true });
        });
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        blobs.put(&bytes::Bytes::from_static(guests::hostile())).unwrap();
        let clock = Clock::system();
        let opened = Embedded::open(folder.path(), blobs.clone(), clock.clone(), Settings::default());
        let bus = Arc::new(opened.unwrap());
        let components = Components::new(engine().clone(), blobs);
        let reconciler = Arc::new(Reconciler {
            bus: bus.clone(),
            history: bus.clone(),
            components: components.clone(),
            env: Arc::new(|_: &str| None),
            clock: clock.clone(),
            time_max: crate::reconcile::TIME_MAX,
        });
        let world = World::new(bus.clone(), bus.clone(), clock.clone(), Arc::new(|_: &str| None));
        let path = Path {
            bus: bus.clone(),
            guests: Arc::new(Guests { components, world: Arc::new(world) }),
            natives: Arc::new(Natives { process: reconciler.clone(), reconcile: reconciler }),
            clock,
            metrics: Metrics::new(),
            process: RwLock::default(),
        };
        let following = Following::start(
            Arc::new(path),
            watch::Sender::new(Arc::default()),
            bus.clone(),
            Notices::default(),
            mpsc::channel(1).0,
            Tasks::new(),
        );
        let mut project = Project { following, bus, stage, peer, _folder: folder };
        project.activate(vec![project.stage.function.clone()]).await;
        project.following.take_up();
        project
    }

    async fn activate(&self, functions: Vec<Function>) {
        let expected = self.bus.active().borrow().as_ref().map_or(0, |active| active.number);
        let deployment = Deployment { functions: functions.into(), ..self.stage.deployment() };
        self.bus.activate(deployment, expected, Cause::ProjectFile).await.unwrap();
    }

    async fn publish(&self, id: &str) {
        let event = Event {
            id: id.to_owned(),
            source: "/tests".to_owned(),
            ty: "test.http".to_owned(),
            data: Some("peer/".into()),
            ..Event::default()
        };
        let origin = Origin { kind: OriginKind::Api, name: "tester".to_owned(), verified: true };
        self.bus.publish(vec![Incoming { event, origin }]).await.unwrap();
    }

    async fn settled(&self, count: usize) {
        let mut commits = self.bus.commits();
        let reached = async {
            let query = InvocationQuery { max: count + 1, ..InvocationQuery::default() };
            while self.bus.invocations(query.clone()).await.unwrap().len() < count {
                commits.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("every event is served");
    }
}

async fn check_served_by_one(busy: bool, told_of_each: bool) {
    let mut project = Project::start().await;
    if busy {
        project.publish("1").await;
        assert!(project.peer.is_asked_by(1, PATIENCE).await);
    }
    for functions in [vec![], vec![project.stage.function.clone()]] {
        let comes_back = !functions.is_empty();
        project.activate(functions).await;
        if told_of_each || comes_back {
            project.following.take_up();
        }
    }
    project.publish("2").await;
    project.publish("3").await;
    assert!(project.peer.is_asked_by(1, PATIENCE).await, "nobody serves it");
    assert!(!project.peer.is_asked_by(2, A_WHILE).await, "two serve it");
    project.peer.open.send_replace(true);
    project.settled(2 + usize::from(busy)).await;
}

#[tokio::test]
async fn one_path_serves_a_function_that_went_and_came_back() {
    for busy in [false, true] {
        for told_of_each in [false, true] {
            println!("busy: {busy}, told of each deployment: {told_of_each}");
            check_served_by_one(busy, told_of_each).await;
        }
    }
}
