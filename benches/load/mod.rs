//! A log under load: workers that each publish an event and wait until its one function has settled it.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate::bench::{BenchError, Figures, Run, closed_loop};
use tidegate::blob::FolderBlobs;
use tidegate::bus::embedded::{Embedded, Settings};
use tidegate::bus::{Bus, Cause, Delivery, Incoming, Settlement, Subscription};
use tidegate::clock::Clock;
use tidegate::deployment::{Component, ComponentRef, Deployment, Digest, Function};
use tidegate::event::{Event, Origin, OriginKind, Position};
use tidegate::filter::Filter;
use tidegate::outcome::Decision;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// What is measured takes this type.
pub const TYPE: &str = "dev.tidegate.bench";
const DATA_BYTES: usize = 1024;

/// Who waits for the settlement of which event. A settlement that nobody waits for yet is kept for who comes.
type Waiting = Arc<Mutex<HashMap<Position, Option<oneshot::Sender<()>>>>>;

/// Dropping it ends its deliveries.
pub struct Log {
    pub bus: Arc<Embedded>,
    waiting: Waiting,
    _settling: JoinSet<()>,
}

impl Log {
    /// Opens a log with one function of [`TYPE`], and `others` functions of types of their own that no event has.
    pub async fn open(folder: &Path, settings: Settings, others: usize) -> Result<Self, Box<dyn Error>> {
        let blobs = Arc::new(FolderBlobs::open(folder.join("blobs"))?);
        let bus = Arc::new(Embedded::open(folder, blobs, Clock::system(), settings)?);
        let handler = function("bench", TYPE);
        let other = |index| function(&format!("other-{index}"), &format!("dev.tidegate.other.{index}"));
        let functions = std::iter::once(handler.clone()).chain((0..others).map(other)).collect();
        bus.activate(Deployment::new("bench".to_owned(), functions), 0, Cause::ProjectFile).await?;
        let (waiting, mut settling) = (Waiting::default(), JoinSet::new());
        settling.spawn(settle_all(bus.clone(), bus.subscribe(handler.id), waiting.clone()));
        Ok(Log { bus, waiting, _settling: settling })
    }

    /// A run of `at_once` workers.
    pub async fn run(&self, at_once: usize, period: Duration) -> Result<Run, BenchError> {
        let (bus, waiting) = (self.bus.clone(), self.waiting.clone());
        let work = move || {
            let (bus, waiting) = (bus.clone(), waiting.clone());
            async move {
                let begun = Instant::now();
                let receipts = bus.publish(vec![incoming(event())]).await?;
                let position = receipts[0].position.expect("it is not delayed");
                let (tell, told) = oneshot::channel();
                let settled = waiting.lock().expect("nobody panics").insert(position, Some(tell));
                if settled.is_none() {
                    told.await.expect("it is settled");
                }
                waiting.lock().expect("nobody panics").remove(&position);
                Ok(begun.elapsed())
            }
        };
        closed_loop(at_once, period, work).await
    }
}

/// Runs on each log by turns, after one on each that warms up. Answers the figures of each.
pub async fn by_turns<const N: usize>(
    logs: [&Log; N],
    at_once: usize,
    period: Duration,
    runs: usize,
) -> Result<[Figures; N], BenchError> {
    let mut counted = [const { Vec::new() }; N];
    for round in 0..=runs {
        for (log, counted) in logs.iter().zip(&mut counted) {
            let run = log.run(at_once, period).await?;
            if round > 0 {
                counted.push(run);
            }
        }
    }
    Ok(counted.map(Figures::of))
}

async fn settle_all(bus: Arc<Embedded>, mut subscription: Box<dyn Subscription>, waiting: Waiting) {
    let mut settling = JoinSet::new();
    while let Some(delivery) = subscription.next().await {
        let (bus, waiting) = (bus.clone(), waiting.clone());
        settling.spawn(async move {
            let position = delivery.event.position;
            settle(&bus, delivery).await;
            let told = waiting.lock().expect("nobody panics").insert(position, None);
            // Whoever published it may have gone, at the end of its run.
            let _ = told.flatten().map(|tell| tell.send(()));
        });
        while settling.try_join_next().is_some() {}
    }
}

/// Settles a delivery with a recording of the size that a small function leaves.
pub async fn settle(bus: &Embedded, delivery: Delivery) {
    let settlement = Settlement {
        decision: Decision::Ack,
        failure: None,
        emitted: Vec::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        recording: Some(Bytes::from(vec![b'r'; DATA_BYTES])),
        component: Digest::of(b"bench"),
        duration: Duration::from_millis(1),
    };
    bus.settle(delivery, settlement).await.expect("the log takes settlements");
}

/// An event of [`TYPE`], whose id is in no order, as derived ids are.
pub fn event() -> Event {
    Event {
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, uuid::Uuid::now_v7().as_bytes()).to_string(),
        source: "/bench".to_owned(),
        ty: TYPE.to_owned(),
        data: Some(Bytes::from(vec![b'x'; DATA_BYTES])),
        ..Event::default()
    }
}

pub fn incoming(event: Event) -> Incoming {
    Incoming { event, origin: Origin { kind: OriginKind::Api, name: "bench".to_owned(), verified: true } }
}

fn function(name: &str, ty: &str) -> Function {
    let filter = Filter::new(vec![ty.parse().expect("it is a type")], BTreeMap::new(), None).expect("it is a filter");
    let component = Component { reference: ComponentRef::Builtin("bench".to_owned()), digest: Digest::of(b"bench") };
    Function { concurrency: 256, ..Function::new(name.parse().expect("it is a name"), component, filter) }
}
