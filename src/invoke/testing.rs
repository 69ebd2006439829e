//! What tests of host, engine and record run guests with.

#[path = "../../tests/guests/mod.rs"]
pub mod guests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{Compiled, Engine, EngineSettings, Invoked};
use crate::bus::{
    ActivateError, Bus, BusError, Cause, Delivery, Incoming, KeyWrite, PublishError, Receipt, Revision, SettleError,
    Settled, Settlement, Subscription, Versioned,
};
use crate::clock::{Clock, Timestamp};
use crate::deployment::{
    Component, ComponentRef, ConfigValue, Connection, Deployment, Digest, Function, FunctionId, Grants, Limits, Order,
    Secret, Start,
};
use crate::event::{Accepted, Event, Origin, OriginKind, Position};
use crate::filter::Filter;
use crate::host::{Connections, Host, World};
use crate::outcome::RetryPolicy;
use crate::record::{self, Ran};
use crate::scaffold::cargo;

/// Value of `PEER_TOKEN`, which the connection `peer` sends.
pub const PEER_TOKEN: &str = "t0p-s3cret";

/// One engine for all tests of a process: compiling the guest is what takes time.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineSettings { invocations_max: 32, cache: None, threads: 2 }).unwrap())
}

pub async fn compiled(bytes: &'static [u8]) -> Compiled {
    engine().compile(Digest::of(bytes), Bytes::from_static(bytes)).await.unwrap()
}

/// A function on a bus of keys, ready to be handed events.
pub struct Stage {
    pub bus: Arc<KeysOnly>,
    pub function: Function,
    pub connections: BTreeMap<String, Connection>,
    pub first_attempt_at: Timestamp,
}

impl Stage {
    pub fn new() -> Self {
        Stage {
            bus: Arc::default(),
            function: function(),
            connections: BTreeMap::new(),
            first_attempt_at: Timestamp::from_micros(1_700_000_000_000_000),
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
        let connections = Connections::from_deployment(&self.deployment(), &env).unwrap();
        Arc::new(World::new(self.bus.clone(), Clock::system(), connections))
    }

    pub fn deployment(&self) -> Deployment {
        Deployment {
            number: 7,
            project: "shop".to_owned(),
            environments: Vec::new(),
            functions: vec![self.function.clone()].into(),
            triggers: Vec::new(),
            connections: self.connections.clone(),
            filter_language: 1,
            digest: Digest::of(b"deployment"),
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
        let origin = Origin { kind: OriginKind::Api, name: "tester".to_owned(), verified: true };
        Delivery {
            event: Arc::new(Accepted { position: 1, accepted_at: self.first_attempt_at, origin, hops: 0, event }),
            deployment: Arc::new(self.deployment()),
            function: self.function.id,
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
        engine().invoke(&compiled, &self.function, &delivery.event, host).await.unwrap()
    }

    pub async fn run(&self, ty: &str, data: &str) -> Ran {
        self.run_component(guests::hostile(), ty, data).await
    }

    pub async fn run_component(&self, component: &'static [u8], ty: &str, data: &str) -> Ran {
        let delivery = self.delivery(ty, data);
        let compiled = compiled(component).await;
        record::run(engine(), &compiled, self.world(), &delivery, self.first_attempt_at).await.unwrap()
    }
}

fn function() -> Function {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let greeting = ConfigValue { text: "hello".to_owned(), file: None };
    Function {
        id: FunctionId::from_uuid(Uuid::from_u128(42)),
        name: "tester".parse().unwrap(),
        component: Component {
            reference: ComponentRef::Path("tester.wasm".to_owned()),
            digest: Digest::of(guests::hostile()),
        },
        filter: Filter::new(vec!["test.*".parse().unwrap()], BTreeMap::new(), None).unwrap(),
        config: BTreeMap::from([("greeting".to_owned(), greeting)]),
        grants: Grants {
            keyvalue_write: names(&["counts", "frozen"]),
            keyvalue_read: names(&["shared"]),
            emits: names(&["test.done"]),
            http: names(&["peer", "public"]),
            logging: true,
        },
        limits: Limits { memory_bytes_max: 64 << 20, time_max: Duration::from_secs(20) },
        retry: RetryPolicy::default(),
        concurrency: 8,
        order: Order::None,
        start: Start::Latest,
    }
}

/// Text of what a run emitted.
pub fn text(emitted: &[Event]) -> String {
    let texts =
        emitted.iter().map(|event| String::from_utf8_lossy(event.data.as_deref().unwrap_or_default()).into_owned());
    texts.collect::<Vec<_>>().join("\n")
}

/// A bus that has keys and nothing else.
#[derive(Default)]
pub struct KeysOnly {
    keys: Mutex<HashMap<(String, String), Versioned>>,
    /// Fails every read, as a lost connection would.
    pub broken: std::sync::atomic::AtomicBool,
}

impl KeysOnly {
    pub fn commit(&self, writes: Vec<KeyWrite>) {
        let mut keys = self.keys.lock().unwrap();
        for write in writes {
            let committed = keys.entry((write.space, write.key)).or_insert(Versioned { revision: 0, value: None });
            committed.revision += 1;
            committed.value = write.value;
        }
    }

    pub fn set(&self, space: &str, key: &str, value: &'static [u8]) {
        let (space, key, value) = (space.to_owned(), key.to_owned(), Some(Bytes::from_static(value)));
        self.commit(vec![KeyWrite { space, key, value }]);
    }
}

#[async_trait]
impl Bus for KeysOnly {
    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(BusError::Closed);
        }
        let keys = self.keys.lock().unwrap();
        Ok(keys.get(&(space.to_owned(), key.to_owned())).cloned().unwrap_or(Versioned { revision: 0, value: None }))
    }

    async fn list_keys(
        &self,
        space: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Revision, Vec<String>), BusError> {
        let keys = self.keys.lock().unwrap();
        let own = keys.iter().filter(|((owner, _), _)| owner == space);
        let revision = own.clone().map(|(_, value)| value.revision).sum();
        let present = own.filter(|(_, value)| value.value.is_some()).map(|((_, key), _)| key.clone());
        let mut listed: Vec<String> = present.filter(|key| after.is_none_or(|after| key.as_str() > after)).collect();
        listed.sort();
        listed.truncate(max);
        Ok((revision, listed))
    }

    async fn publish(&self, _: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError> {
        unimplemented!()
    }

    fn subscribe(&self, _: FunctionId) -> Box<dyn Subscription> {
        unimplemented!()
    }

    async fn settle(&self, _: Delivery, _: Settlement) -> Result<Settled, SettleError> {
        unimplemented!()
    }

    async fn activate(&self, _: Deployment, _: u64, _: Cause) -> Result<u64, ActivateError> {
        unimplemented!()
    }

    fn active(&self) -> tokio::sync::watch::Receiver<Option<Arc<Deployment>>> {
        unimplemented!()
    }

    async fn redrive(&self, _: Vec<(FunctionId, Position)>) -> Result<u64, BusError> {
        unimplemented!()
    }

    async fn drop_letters(&self, _: Vec<(FunctionId, Position)>, _: &str) -> Result<u64, BusError> {
        unimplemented!()
    }

    fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        unimplemented!()
    }

    async fn close(&self) -> Result<(), BusError> {
        unimplemented!()
    }
}
