//! Large data that is missing or damaged in the blob store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;

use super::*;
use crate::bus::conformance::{ack, deployment, event, function, incoming, next, nothing, ordered, with};
use crate::bus::{EventQuery, PendingState};
use crate::clock::Timestamp;
use crate::deployment::{Digest, Function, Order};
use crate::event::{Event, Position};
use crate::filter::{Filter, KeyExpression};

/// A bus, the blobs that it can lose, and its clock.
struct Shop {
    disk: OnDisk,
    bus: Embedded,
    metrics: Metrics,
    micros: Arc<AtomicI64>,
}

impl Shop {
    fn open() -> Self {
        let (disk, micros) = (on_disk(), Arc::new(AtomicI64::new(1_800_000_000_000_000)));
        let metrics = Metrics::new();
        let bus = disk.try_open_counting(clock(&micros), metrics.clone()).unwrap();
        Shop { disk, bus, metrics, micros }
    }

    fn crash(self) -> Self {
        let Shop { disk, bus, micros, .. } = self;
        drop(bus);
        let metrics = Metrics::new();
        let bus = disk.try_open_counting(clock(&micros), metrics.clone()).unwrap();
        Shop { disk, bus, metrics, micros }
    }

    fn advance(&self, seconds: i64) {
        self.micros.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    async fn activate(&self, functions: &[&Function]) {
        let functions = functions.iter().map(|function| (*function).clone()).collect();
        self.bus.activate(deployment(functions), 0, Cause::ProjectFile).await.unwrap();
    }

    async fn publish(&self, event: Event) -> Position {
        self.bus.publish(vec![incoming(event)]).await.unwrap()[0].position.unwrap()
    }

    /// The next delivery's event, acknowledged.
    async fn deliver(&self, function: &Function) -> String {
        let delivery = next(&mut self.bus.subscribe(function.id)).await;
        assert_eq!((delivery.attempt, delivery.round, delivery.lost), (1, 0, 0));
        let id = delivery.event.event.id.clone();
        self.bus.settle(delivery, ack()).await.unwrap();
        id
    }

    /// Waits until the event at `position` waits to be read again, for so long; nothing is delivered meanwhile.
    async fn waits(&self, position: Position, function: &Function, seconds: u64) {
        let expected = vec![PendingState::Unreadable { at: self.now().plus(Duration::from_secs(seconds)) }];
        let becomes = async {
            loop {
                nothing(&mut self.bus.subscribe(function.id)).await;
                let states = self.states(position, function).await;
                if states == expected {
                    return;
                }
            }
        };
        let became = tokio::time::timeout(Duration::from_secs(10), becomes).await;
        let states = self.states(position, function).await;
        assert!(became.is_ok(), "{}: {states:?} is not {expected:?}", function.name);
    }

    async fn states(&self, position: Position, function: &Function) -> Vec<PendingState> {
        let pending = self.bus.pending(position).await.unwrap();
        pending.into_iter().filter(|(id, _)| *id == function.id).map(|(_, state)| state).collect()
    }

    fn unreadable(&self, function: &Function) -> u64 {
        let text = self.metrics.text(&[], &StorageGauges::default());
        let name = format!("tidegate_events_unreadable_total{{function=\"{}\"}} ", function.name);
        text.lines().find_map(|line| line.strip_prefix(name.as_str())).map_or(0, |count| count.parse().unwrap())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn blob(&self, data: &Bytes) -> std::path::PathBuf {
        let hex = Digest::of(data).hex();
        self.disk.path().join("blobs").join(&hex[..2]).join(&hex[2..])
    }

    fn lose(&self, data: &Bytes) {
        std::fs::remove_file(self.blob(data)).unwrap();
    }

    fn restore(&self, data: &Bytes) {
        self.disk.blobs().put(data).unwrap();
    }
}

fn clock(micros: &Arc<AtomicI64>) -> Clock {
    let micros = micros.clone();
    Clock::given(move || Timestamp::from_micros(micros.load(Ordering::SeqCst)))
}

/// JSON that is kept in the blob store.
fn large() -> Bytes {
    format!(r#"{{"n":1,"key":"k","padding":"{}"}}"#, "x".repeat(100_000)).into()
}

fn filtered(name: &str, when: &str) -> Function {
    let filter = Filter::new(vec!["t".parse().unwrap()], BTreeMap::new(), Some(when)).unwrap();
    Function { filter, ..function(name, "t") }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_data_is_lost_waits_for_those_it_is_for_and_holds_nobody_up() {
    let shop = Shop::open();
    let (plain, other) = (function("plain", "t"), function("other", "u"));
    let (wants, does_not) = (filtered("wants", "data.n == 1"), filtered("does-not", "data.n == 2"));
    let never = filtered("never", "event.id != 'large' && data.n == 1");
    shop.activate(&[&plain, &other, &wants, &does_not, &never]).await;
    let position = shop.publish(Event { data: Some(large()), ..event("large", "t") }).await;
    let small = Bytes::from_static(br#"{"n":1}"#);
    shop.publish(Event { data: Some(small.clone()), ..event("small", "t") }).await;
    shop.publish(event("other", "u")).await;
    shop.lose(&large());

    let shop = shop.crash();
    for (function, expected) in [(&plain, "small"), (&other, "other"), (&wants, "small"), (&never, "small")] {
        assert_eq!(shop.deliver(function).await, expected, "{}", function.name);
    }
    for function in [&plain, &wants, &does_not] {
        shop.waits(position, function, 1).await;
        assert_eq!(shop.unreadable(function), 1, "{}", function.name);
    }
    assert_eq!(shop.bus.pending(position).await.unwrap().len(), 3, "not of a function that it is not for");
    // Told by the log too, and the cursor passes it.
    let told = shop.bus.event_at(position).await.unwrap().unwrap().event;
    assert_eq!((told.id.as_str(), &told.data), ("large", &None));
    assert_eq!(told.text("dataref"), Some(format!("blob:{}", Digest::of(&large())).as_str()));
    let all = shop.bus.events(EventQuery { max: 10, ..EventQuery::default() }).await.unwrap().events;
    assert_eq!(all.len(), 4);
    let status = shop.bus.functions().await.unwrap().into_iter().find(|one| one.function == plain.id).unwrap();
    assert_eq!((status.pending, status.lag), (1, 0), "{status:?}");

    // Again and again, with longer pauses, and told once.
    for (pause, following) in [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 60), (60, 60)] {
        shop.advance(pause);
        shop.waits(position, &plain, following).await;
    }
    assert_eq!(shop.unreadable(&plain), 1);

    // A process that stops in between loses nothing of it.
    shop.bus.close().await.unwrap();
    let history = EmbeddedHistory::open(shop.disk.path(), shop.disk.blobs()).unwrap();
    let states: Vec<_> = history.pending(position).await.unwrap().into_iter().map(|(_, state)| state).collect();
    assert!(states.iter().all(|state| matches!(state, PendingState::Unreadable { .. })), "{states:?}");
    assert_eq!(states.len(), 3);
    let shop = shop.crash();
    shop.waits(position, &plain, 1).await;
    shop.restore(&large());
    shop.advance(60);
    assert_eq!(shop.deliver(&plain).await, "large");
    assert_eq!(shop.deliver(&wants).await, "large");
    nothing(&mut shop.bus.subscribe(does_not.id)).await;
    while !shop.bus.pending(position).await.unwrap().is_empty() {
        nothing(&mut shop.bus.subscribe(does_not.id)).await;
    }
    let shop = shop.crash();
    for function in [&plain, &wants, &does_not, &never] {
        nothing(&mut shop.bus.subscribe(function.id)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_once_parks_an_event_for_a_second_and_not_for_ever() {
    let shop = Shop::open();
    let handler = function("f", "t");
    shop.activate(&[&handler]).await;
    // Larger than what is kept in memory, so that each delivery reads it.
    let data = Bytes::from(vec![b'7'; 5 * 1024 * 1024]);
    let position = shop.publish(Event { data: Some(data.clone()), ..event("large", "t") }).await;
    std::fs::write(shop.blob(&data), b"damaged").unwrap();
    let mut subscription = shop.bus.subscribe(handler.id);
    shop.waits(position, &handler, 1).await;
    assert_eq!(shop.unreadable(&handler), 1);
    std::fs::remove_file(shop.blob(&data)).unwrap();
    shop.restore(&data);
    nothing(&mut subscription).await;
    let started = shop.now().plus(Duration::from_secs(1));
    shop.advance(1);
    let delivery = next(&mut subscription).await;
    assert_eq!((delivery.attempt, delivery.first_attempt_at), (1, started));
    assert_eq!(delivery.event.event.data, Some(data));
    shop.bus.settle(delivery, ack()).await.unwrap();
    assert!(shop.bus.pending(position).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_holds_its_key_where_that_is_known_without_its_data() {
    let shop = Shop::open();
    let by_attribute = ordered("by-attribute", "t");
    let by_data = Function { order: Order::Key(KeyExpression::new("data.key").unwrap()), ..function("by-data", "t") };
    shop.activate(&[&by_attribute, &by_data]).await;
    let keyed = |id: &str, data: Bytes| Event { data: Some(data), ..with(event(id, "t"), "partitionkey", "k") };
    let position = shop.publish(keyed("large", large())).await;
    shop.publish(keyed("second", Bytes::from_static(br#"{"key":"k"}"#))).await;
    shop.publish(keyed("third", Bytes::from_static(br#"{"key":"k"}"#))).await;
    shop.lose(&large());

    let shop = shop.crash();
    shop.waits(position, &by_attribute, 1).await;
    let second = next(&mut shop.bus.subscribe(by_data.id)).await;
    assert_eq!(second.event.event.id, "second", "nothing tells that they belong together");
    shop.waits(position, &by_data, 1).await;
    shop.restore(&large());
    shop.advance(1);
    for expected in ["large", "second", "third"] {
        assert_eq!(shop.deliver(&by_attribute).await, expected);
    }
    // One at a time all the same.
    nothing(&mut shop.bus.subscribe(by_data.id)).await;
    shop.bus.settle(second, ack()).await.unwrap();
    for expected in ["large", "third"] {
        assert_eq!(shop.deliver(&by_data).await, expected);
    }
}
