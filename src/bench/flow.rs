//! The path itself: events through the bus, one function, and a chain of five.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::report::{AtOnce, Flows, HOPS};
use super::sample::{self, Figures};
use super::{BenchError, DATA_BYTES, PRODUCERS};
use crate::bus::embedded::Embedded;
use crate::bus::{Bus, BusError, EventQuery, History, Incoming};
use crate::event::{Event, Origin, OriginKind, Position};
use crate::filter::TypePattern;

/// Longer than any event takes that is on its way.
const STALLED: Duration = Duration::from_secs(30);
/// Events that are read at once.
const READ_MAX: usize = 1_000;
/// More chains at once than there are invocations, so that none of the parts has to wait for work.
pub(super) const IN_FLIGHT: usize = 256;

/// Five functions, each of which hands the event on to the next.
pub(super) fn project_file() -> String {
    let functions = include_str!("../../examples/chain/tidegate.toml");
    format!("{functions}\n[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n")
}

/// The type of an event that has passed `step` functions.
pub(super) fn step_type(step: usize) -> String {
    format!("dev.tidegate.bench.{step}")
}

/// The type of an event that has passed them all.
pub fn last_type() -> String {
    step_type(HOPS)
}

/// Takes events: the bus of this process, or a server.
#[async_trait]
pub trait Door: Send + Sync {
    /// Returns when the event is durable.
    async fn publish(&self, event: Event) -> Result<(), BenchError>;
}

#[async_trait]
impl Door for Embedded {
    async fn publish(&self, event: Event) -> Result<(), BenchError> {
        let origin = Origin { kind: OriginKind::Runtime, name: "bench".to_owned(), verified: true };
        Bus::publish(self, vec![Incoming { event, origin }]).await?;
        Ok(())
    }
}

/// Measures on a running project with [`project_file`].
pub(super) async fn measure_bus(
    bus: &Arc<Embedded>,
    period: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Flows, BenchError> {
    let ends = Ends::default();
    // Dropped, it ends its task.
    let mut follower = JoinSet::new();
    // Listening before anything is published.
    let commits = bus.commits();
    follower.spawn(follow(bus.clone(), commits, ends.clone()));
    measure(bus.clone(), ends, period, progress).await
}

/// Measures what is behind a door. Whoever sees an event of [`last_type`] tells `ends`.
pub(super) async fn measure(
    door: Arc<dyn Door>,
    ends: Ends,
    period: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Flows, BenchError> {
    let flow = Flow { door, ends, run: Uuid::now_v7(), next: Arc::default() };
    let mut publishes = Vec::new();
    for at_once in PRODUCERS {
        progress(&format!("publishing: {at_once} at once"));
        publishes.push(AtOnce { at_once, figures: flow.measure(Leg::Publish, at_once, period).await? });
    }
    progress("one hop");
    let hop = flow.measure(Leg::Hop, 1, period).await?;
    progress("five hops");
    let chain = flow.measure(Leg::Chain, 1, period).await?;
    progress(&format!("five hops: {IN_FLIGHT} chains in flight"));
    let chains = AtOnce { at_once: IN_FLIGHT, figures: flow.measure(Leg::Chain, IN_FLIGHT, period).await? };
    Ok(Flows { publishes, hop, chain, chains })
}

/// What of an event's way is timed.
#[derive(Clone, Copy)]
enum Leg {
    /// Of an event that nobody listens for, until it is durable.
    Publish,
    /// From an event that is durable until the last function's is.
    Hop,
    /// From publishing until the last function's event is durable.
    Chain,
}

impl Leg {
    /// The type of the event that is published.
    fn entry(self) -> String {
        match self {
            Leg::Publish => "dev.tidegate.bench.unheard".to_owned(),
            Leg::Hop => step_type(HOPS - 1),
            Leg::Chain => step_type(0),
        }
    }
}

/// Publishes, and is told when what was published has passed the last function.
#[derive(Clone)]
struct Flow {
    door: Arc<dyn Door>,
    ends: Ends,
    run: Uuid,
    next: Arc<AtomicU64>,
}

/// An event's way through the last function.
struct Passed {
    published: Instant,
    durable: Instant,
    ended: Instant,
}

impl Flow {
    async fn measure(&self, leg: Leg, at_once: usize, period: Duration) -> Result<Figures, BenchError> {
        sample::measure(async || {
            let flow = self.clone();
            let work = move || {
                let flow = flow.clone();
                async move { flow.time(leg).await }
            };
            sample::closed_loop(at_once, period, work).await
        })
        .await
    }

    /// How long the leg of one event takes.
    async fn time(&self, leg: Leg) -> Result<Duration, BenchError> {
        match leg {
            Leg::Publish => {
                let event = event(leg.entry(), self.subject());
                let published = Instant::now();
                self.door.publish(event).await?;
                Ok(published.elapsed())
            }
            Leg::Hop => self.pass(leg).await.map(|passed| passed.ended.duration_since(passed.durable)),
            Leg::Chain => self.pass(leg).await.map(|passed| passed.ended.duration_since(passed.published)),
        }
    }

    /// Publishes an event and waits until it has passed the last function.
    async fn pass(&self, leg: Leg) -> Result<Passed, BenchError> {
        let subject = self.subject();
        let end = self.ends.expect(&subject);
        let event = event(leg.entry(), subject);
        let published = Instant::now();
        self.door.publish(event).await?;
        let durable = Instant::now();
        match tokio::time::timeout(STALLED, end).await {
            Ok(Ok(ended)) => Ok(Passed { published, durable, ended }),
            Ok(Err(_)) | Err(_) => Err(BenchError::Stalled { seconds: STALLED.as_secs() }),
        }
    }

    /// One that no other event has.
    fn subject(&self) -> String {
        format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// An event that is measured.
pub(super) fn event(ty: String, subject: String) -> Event {
    Event {
        id: Uuid::now_v7().to_string(),
        source: "tidegate-bench".to_owned(),
        ty,
        subject: Some(subject),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(DATA.clone()),
        ..Event::default()
    }
}

/// An object of [`DATA_BYTES`].
static DATA: LazyLock<Bytes> = LazyLock::new(|| {
    let frame = r#"{"padding":""}"#.len();
    format!(r#"{{"padding":"{}"}}"#, "x".repeat(DATA_BYTES - frame)).into()
});

/// Who waits for the end of which chain, by subject.
#[derive(Clone, Default)]
pub struct Ends(Arc<Mutex<HashMap<String, oneshot::Sender<Instant>>>>);

impl Ends {
    fn expect(&self, subject: &str) -> oneshot::Receiver<Instant> {
        let (ended, end) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.to_owned(), ended);
        end
    }

    /// An event with this subject has passed the last function.
    pub fn reached(&self, subject: &str, at: Instant) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
        if let Some(waiting) = waiting {
            // Nobody waits when a measurement was broken off.
            let _ = waiting.send(at);
        }
    }
}

/// Tells of every event that passed the last function, until the bus fails. Whoever still waits then sees it stall.
async fn follow(bus: Arc<Embedded>, mut commits: watch::Receiver<u64>, ends: Ends) {
    let mut position = 0;
    while commits.changed().await.is_ok() {
        // The commit ends the hop: reading what it was is not part of it.
        let told = Instant::now();
        match passed(&bus, &ends, position, told).await {
            Ok(last) => position = last,
            Err(error) => return tracing::error!(%error, "the log could not be followed"),
        }
    }
}

async fn passed(bus: &Embedded, ends: &Ends, mut after: Position, told: Instant) -> Result<Position, BusError> {
    loop {
        let last_step = last_type().parse::<TypePattern>().expect("a type is a pattern");
        let query = EventQuery { ty: Some(last_step), after: Some(after), max: READ_MAX, ..EventQuery::default() };
        let page = bus.events(query).await?;
        for accepted in &page.events {
            ends.reached(accepted.event.subject.as_deref().unwrap_or_default(), told);
        }
        after = page.events.last().map_or(after, |accepted| accepted.position);
        if !page.more {
            return Ok(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_the_bytes_of_json_that_are_promised() {
        assert_eq!(DATA.len(), DATA_BYTES);
        serde_json::from_slice::<serde_json::Value>(&DATA).unwrap();
    }

    #[test]
    fn the_project_that_is_measured_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(crate::project::PROJECT_FILE), project_file()).unwrap();
        let project = crate::project::Project::open(folder.path()).unwrap();
        assert_eq!(project.manifest.functions.len(), HOPS);
        assert!(project.warnings.is_empty(), "{:?}", project.warnings);
    }
}
