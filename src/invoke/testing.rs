//! What tests of host, engine and record run guests with.

#[path = "../../tests/guests/mod.rs"]
pub mod guests;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Compiled, Engine, EngineSettings, Invoked};
use crate::blob::FolderBlobs;
use crate::bus::embedded::{Embedded, Settings};
use crate::bus::{Bus, Cause, Delivery, History, Incoming, InvocationId, KeyWrite, Settled, Settlement};
use crate::clock::{Clock, Timestamp};
use crate::deployment::{
    Component, ComponentRef, ConfigValue, Connection, DeployedFunction, Deployment, Digest, Function, FunctionId,
    Grants, Limits, RecordingSettings, Secret,
};
use crate::event::{Accepted, Event, Origin, OriginKind};
use crate::filter::Filter;
use crate::host::{Host, World};
use crate::outcome::Decision;
use crate::record::{self, Case, Ground, Ran, Recording};
use crate::scaffold::{cargo, debug_settings};

/// Value of `PEER_TOKEN`, which the connection `peer` sends.
pub const PEER_TOKEN: &str = "t0p-s3cret";

/// One engine for all tests of a process: compiling the guest is what takes time.
pub fn engine() -> &'static Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let settings = EngineSettings { invocations_max: 32, cache: None, threads: 2 };
    ENGINE.get_or_init(|| Arc::new(Engine::new(settings).unwrap()))
}

/// The guest of `tests/guests/invoice`, as `tidegate build --debug-info` builds it: it adds up wrongly.
pub fn invoice() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| guests::build_with("invoice", &debug_settings("function")))
}

/// The sources of `invoice`, by whose lines it is debugged.
pub const INVOICE_SOURCE: &str = include_str!("../../tests/guests/invoice/src/lib.rs");

pub async fn compiled(bytes: &'static [u8]) -> Compiled {
    engine().compile(Digest::of(bytes), Bytes::from_static(bytes)).await.unwrap()
}

/// A function beside a bus of its own, ready to be handed events.
pub struct Stage {
    pub bus: Arc<dyn Bus>,
    pub history: Arc<dyn History>,
    pub function: Function,
    pub connections: BTreeMap<String, Connection>,
    pub recording: RecordingSettings,
    pub first_attempt_at: Timestamp,
    /// Where the bus is.
    _folder: TempDir,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(FolderBlobs::open(folder.path().join("blobs")).unwrap());
        let bus = Embedded::open(folder.path(), blobs, Clock::system(), Settings::default()).unwrap();
        let history = Arc::new(bus.history());
        Stage {
            bus: Arc::new(bus),
            history,
            function: function(),
            connections: BTreeMap::new(),
            recording: RecordingSettings::default(),
            first_attempt_at: Timestamp::from_micros(1_700_000_000_000_000),
            _folder: folder,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Stage)) -> Self {
        change(&mut self);
        self
    }

    /// A connection that `url` stands behind; its host adds a secret.
    pub fn connect(mut self, name: &str, url: &str, private: bool) -> Self {
        let secret = Secret::new("Bearer ${env:PEER_TOKEN}");
        let headers = BTreeMap::from([("authorization".to_owned(), secret)]);
        self.connections.insert(name.to_owned(), Connection { url: url.to_owned(), headers, private });
        self
    }

    pub fn world(&self) -> Arc<World> {
        let env = |name: &str| (name == "PEER_TOKEN").then(|| PEER_TOKEN.to_owned());
        Arc::new(World::new(self.bus.clone(), self.history.clone(), Clock::system(), Arc::new(env)))
    }

    pub fn deployment(&self) -> Deployment {
        Deployment {
            number: 7,
            connections: self.connections.clone(),
            recording: self.recording.clone(),
            ..Deployment::new("shop".to_owned(), vec![self.function.clone()])
        }
    }

    pub fn delivery(&self, ty: &str, data: &str) -> Delivery {
        let event = Event {
            id: "1".to_owned(),
            source: "/tests".to_owned(),
            ty: ty.to_owned(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            ..Event::default()
        };
        let deployment = Arc::new(self.deployment());
        Delivery {
            event: Arc::new(Accepted {
                position: 1,
                accepted_at: self.first_attempt_at,
                origin: origin(),
                hops: 0,
                event,
            }),
            function: DeployedFunction::find(deployment, self.function.id).unwrap(),
            attempt: 1,
            round: 0,
            first_attempt_at: self.first_attempt_at,
            lost: 0,
            guard: Box::new(()),
        }
    }

    pub async fn invoke(&self, ty: &str, data: &str) -> Invoked {
        let delivery = self.delivery(ty, data);
        let host = Host::live(self.world(), &delivery);
        let compiled = compiled(guests::hostile()).await;
        engine().invoke(&compiled, &delivery.event, host).await.unwrap()
    }

    pub async fn run(&self, ty: &str, data: &str) -> Ran {
        self.run_component(guests::hostile(), ty, data).await
    }

    pub async fn run_component(&self, component: &'static [u8], ty: &str, data: &str) -> Ran {
        let delivery = self.delivery(ty, data);
        let compiled = compiled(component).await;
        record::run(engine(), &compiled, self.world(), &delivery, self.first_attempt_at).await.unwrap()
    }

    /// What was recorded of a run on such an event.
    pub fn recording(&self, ty: &str, data: &str, ran: &Ran) -> Recording {
        let ground = Ground::new(&self.delivery(ty, data).event.event, &self.function);
        Recording::decode(&ran.recording, &ground).unwrap()
    }

    /// The same as a case that can be run again.
    pub fn case(&self, ty: &str, data: &str, ran: &Ran) -> Case {
        let delivery = self.delivery(ty, data);
        let id = InvocationId { position: 1, function: self.function.id, round: 0, attempt: 1 };
        let event = Accepted::clone(&delivery.event);
        Case::new(id, event, Arc::new(self.deployment()), self.recording(ty, data, ran)).unwrap()
    }

    /// Commits keys, as a settlement of the function does.
    pub async fn commit(&self, writes: Vec<KeyWrite>) {
        if self.bus.active().borrow().is_none() {
            self.bus.activate(self.deployment(), 0, Cause::ProjectFile).await.unwrap();
        }
        let mut deliveries = self.bus.subscribe(self.function.id);
        let id = Uuid::now_v7().to_string();
        let event = Event { id, source: "/tests".to_owned(), ty: "test.commit".to_owned(), ..Event::default() };
        self.bus.publish(vec![Incoming { event, origin: origin() }]).await.unwrap();
        let delivery = deliveries.next().await.unwrap();
        let settlement = Settlement {
            decision: Decision::Ack,
            failure: None,
            emitted: Vec::new(),
            reads: Vec::new(),
            writes,
            recording: None,
            component: self.function.component.digest,
            duration: Duration::ZERO,
        };
        assert!(matches!(self.bus.settle(delivery, settlement).await, Ok(Settled::Settled)));
    }

    pub async fn set(&self, space: &str, key: &str, value: &'static [u8]) {
        let (space, key, value) = (space.to_owned(), key.to_owned(), Some(Bytes::from_static(value)));
        self.commit(vec![KeyWrite { space, key, value }]).await;
    }
}

fn origin() -> Origin {
    Origin { kind: OriginKind::Api, name: "tester".to_owned(), verified: true }
}

fn function() -> Function {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let greeting = ConfigValue { text: "hello".to_owned(), file: None };
    let reference = ComponentRef::Path("tester.wasm".to_owned());
    let component = Component { reference, digest: Digest::of(guests::hostile()) };
    let filter = Filter::new(vec!["test.*".parse().unwrap()], BTreeMap::new(), None).unwrap();
    Function {
        id: FunctionId::from_uuid(Uuid::from_u128(42)),
        config: BTreeMap::from([("greeting".to_owned(), greeting)]),
        grants: Grants {
            keyvalue_write: names(&["counts", "frozen"]),
            keyvalue_read: names(&["shared"]),
            emits: names(&["test.done"]),
            http: names(&["peer", "public"]),
            logging: true,
            statistics: vec!["tester".parse().unwrap(), "shop-*".parse().unwrap()],
            deploy: Vec::new(),
        },
        limits: Limits { memory_bytes_max: 64 << 20, time_max: Duration::from_secs(20) },
        ..Function::new("tester".parse().unwrap(), component, filter)
    }
}

/// Text of what a run emitted.
pub fn text(emitted: &[Event]) -> String {
    let texts =
        emitted.iter().map(|event| String::from_utf8_lossy(event.data.as_deref().unwrap_or_default()).into_owned());
    texts.collect::<Vec<_>>().join("\n")
}
