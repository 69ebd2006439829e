//! `cargo bench --bench retention`: the same load on two logs by turns, one that is kept whole and one of which as much is
//! removed as comes, on the disk of the current folder.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate::bench::{BenchError, Figures, Run, closed_loop};
use tidegate::blob::FolderBlobs;
use tidegate::bus::embedded::{Embedded, Settings};
use tidegate::bus::{Bus, Cause, History, Incoming, Settlement, Subscription};
use tidegate::clock::Clock;
use tidegate::deployment::{Component, ComponentRef, Deployment, Digest, Function, Retention, Rule};
use tidegate::event::{Event, Origin, OriginKind, Position};
use tidegate::filter::Filter;
use tidegate::outcome::Decision;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const PERIOD: Duration = Duration::from_secs(2);
/// Runs that count, after one that warms up.
const RUNS: usize = 5;
/// The most first: they fill the log up to its size.
const AT_ONCE: [usize; 3] = [128, 16, 1];
const DATA_BYTES: usize = 1024;
/// What the log that is removed keeps of events.
const KEPT_BYTES: u64 = 8 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir_in(".")?;
    let rule = Rule { age: None, bytes_max: Some(KEPT_BYTES) };
    let removed = Retention { events: rule, dedupe: Duration::ZERO, ..Retention::default() };
    let logs = [
        ("kept", Log::open(&folder.path().join("kept"), Retention::default()).await?),
        ("removed", Log::open(&folder.path().join("removed"), removed).await?),
    ];
    for at_once in AT_ONCE {
        let mut runs: [Vec<Run>; 2] = Default::default();
        for round in 0..=RUNS {
            for ((_, log), runs) in logs.iter().zip(&mut runs) {
                let run = log.run(at_once).await?;
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        for ((name, log), runs) in logs.iter().zip(runs) {
            let (storage, figures) = (log.bus.storage().await?, Figures::of(runs));
            println!(
                "{at_once:>3} at once, {name:>7}: {:>6.0} published and settled/s, p50 {:>6} us, p99 {:>6} us; \
                 #{} is the first, {:.1} MiB of events, {:.1} MiB on disk",
                figures.per_second,
                figures.p50.as_micros(),
                figures.p99.as_micros(),
                storage.first.map_or(0, |(first, _)| first),
                storage.event_bytes as f64 / f64::from(1 << 20),
                (storage.used_bytes + storage.free_bytes) as f64 / f64::from(1 << 20),
            );
        }
    }
    Ok(())
}

/// Who waits for the settlement of which event. A settlement that nobody waits for yet is kept for who comes.
type Waiting = Arc<Mutex<HashMap<Position, Option<oneshot::Sender<()>>>>>;

struct Log {
    bus: Arc<Embedded>,
    waiting: Waiting,
    _settling: JoinSet<()>,
}

impl Log {
    async fn open(folder: &Path, retention: Retention) -> Result<Self, Box<dyn std::error::Error>> {
        let blobs = Arc::new(FolderBlobs::open(folder.join("blobs"))?);
        let settings = Settings { retention, ..Settings::default() };
        let bus = Arc::new(Embedded::open(folder, blobs, Clock::system(), settings)?);
        let handler = function();
        bus.activate(Deployment::new("bench".to_owned(), vec![handler.clone()]), 0, Cause::ProjectFile).await?;
        let (waiting, mut settling) = (Waiting::default(), JoinSet::new());
        settling.spawn(settle(bus.clone(), bus.subscribe(handler.id), waiting.clone()));
        Ok(Log { bus, waiting, _settling: settling })
    }

    /// Workers that each publish an event and wait until it is settled.
    async fn run(&self, at_once: usize) -> Result<Run, BenchError> {
        let (bus, waiting) = (self.bus.clone(), self.waiting.clone());
        let work = move || {
            let (bus, waiting) = (bus.clone(), waiting.clone());
            async move {
                let begun = Instant::now();
                let receipts = bus.publish(vec![incoming()]).await?;
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
        closed_loop(at_once, PERIOD, work).await
    }
}

async fn settle(bus: Arc<Embedded>, mut subscription: Box<dyn Subscription>, waiting: Waiting) {
    let mut settling = JoinSet::new();
    while let Some(delivery) = subscription.next().await {
        let (bus, waiting) = (bus.clone(), waiting.clone());
        settling.spawn(async move {
            let position = delivery.event.position;
            bus.settle(delivery, settlement()).await.expect("the log takes settlements");
            let told = waiting.lock().expect("nobody panics").insert(position, None);
            // Whoever published it may have gone, at the end of its run.
            let _ = told.flatten().map(|tell| tell.send(()));
        });
        while settling.try_join_next().is_some() {}
    }
}

fn incoming() -> Incoming {
    let event = Event {
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, uuid::Uuid::now_v7().as_bytes()).to_string(),
        source: "/bench".to_owned(),
        ty: "dev.tidegate.bench".to_owned(),
        data: Some(Bytes::from(vec![b'x'; DATA_BYTES])),
        ..Event::default()
    };
    Incoming { event, origin: Origin { kind: OriginKind::Api, name: "bench".to_owned(), verified: true } }
}

fn settlement() -> Settlement {
    Settlement {
        decision: Decision::Ack,
        failure: None,
        emitted: Vec::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        recording: Bytes::from(vec![b'r'; DATA_BYTES]),
        component: Digest::of(b"bench"),
        duration: Duration::from_millis(1),
    }
}

fn function() -> Function {
    let ty = "dev.tidegate.bench".parse().expect("it is a type");
    let filter = Filter::new(vec![ty], BTreeMap::new(), None).expect("it is a filter");
    let component = Component { reference: ComponentRef::Builtin("bench".to_owned()), digest: Digest::of(b"bench") };
    Function { concurrency: 256, ..Function::new("bench".parse().expect("it is a name"), component, filter) }
}
