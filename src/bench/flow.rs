//! The path itself: events through the bus, one function, and a chain of five.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::report::{AtOnce, HOPS};
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
const IN_FLIGHT: usize = 256;

/// What was measured on the path.
pub(super) struct Flows {
    pub publishes: Vec<AtOnce>,
    pub hop: Figures,
    pub chain: Figures,
    pub chains: AtOnce,
}

/// Five functions, each of which hands the event on to the next.
pub(super) fn project_file() -> String {
    let mut text = "name = \"bench\"\n\n[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n".to_owned();
    for step in 1..=HOPS {
        let (on, to) = (step_type(step - 1), step_type(step));
        let written = write!(
            text,
            "\n[[function]]\nname = \"step-{step}\"\ncomponent = \"builtin:relay\"\non = [\"{on}\"]\n\
             config = {{ to = \"{to}\" }}\ngrants = {{ emits = [\"{to}\"] }}\nconcurrency = {IN_FLIGHT}\n"
        );
        written.expect("a string can be written");
    }
    text
}

/// The type of an event that has passed `step` functions.
fn step_type(step: usize) -> String {
    format!("dev.tidegate.bench.{step}")
}

/// Measures on a running project with [`project_file`].
pub(super) async fn measure(
    bus: &Arc<Embedded>,
    period: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Flows, BenchError> {
    let flow = Flow::follow(bus.clone());
    let mut publishes = Vec::new();
    for at_once in PRODUCERS {
        progress(&format!("the bus: {at_once} at once"));
        // Nobody listens for it.
        let figures = flow.measure(at_once, period, "dev.tidegate.bench.unheard".to_owned(), Leg::Publish).await?;
        publishes.push(AtOnce { at_once, figures });
    }
    progress("one hop");
    let hop = flow.measure(1, period, step_type(HOPS - 1), Leg::AfterPublish).await?;
    progress("five hops");
    let chain = flow.measure(1, period, step_type(0), Leg::Whole).await?;
    progress(&format!("five hops: {IN_FLIGHT} chains in flight"));
    let chains = flow.measure(IN_FLIGHT, period, step_type(0), Leg::Whole).await?;
    Ok(Flows { publishes, hop, chain, chains: AtOnce { at_once: IN_FLIGHT, figures: chains } })
}

/// What of an event's way is timed.
#[derive(Clone, Copy)]
enum Leg {
    /// Until it is durable.
    Publish,
    /// From then until the last function's event is.
    AfterPublish,
    /// From the call until the last function's event is.
    Whole,
}

/// Publishes, and is told when what was published has passed the last function.
#[derive(Clone)]
struct Flow {
    bus: Arc<Embedded>,
    ends: Ends,
    next: Arc<AtomicU64>,
    data: Bytes,
    /// Dropped, it ends its task.
    _follower: Arc<JoinSet<()>>,
}

impl Flow {
    fn follow(bus: Arc<Embedded>) -> Self {
        let ends = Ends::default();
        let mut follower = JoinSet::new();
        follower.spawn(follow(bus.clone(), ends.clone()));
        Flow { bus, ends, next: Arc::default(), data: data(), _follower: Arc::new(follower) }
    }

    async fn measure(&self, at_once: usize, period: Duration, ty: String, leg: Leg) -> Result<Figures, BenchError> {
        let ty: Arc<str> = ty.into();
        sample::measure(async || {
            let (flow, ty) = (self.clone(), ty.clone());
            let work = move || {
                let (flow, ty) = (flow.clone(), ty.clone());
                async move { flow.time(&ty, leg).await }
            };
            sample::closed_loop(at_once, period, work).await
        })
        .await
    }

    /// Publishes one event and says how long the leg took.
    async fn time(&self, ty: &str, leg: Leg) -> Result<Duration, BenchError> {
        let subject = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let incoming = self.incoming(ty, &subject);
        let begun = Instant::now();
        let begun = match leg {
            Leg::Publish => {
                self.bus.publish(vec![incoming]).await?;
                return Ok(begun.elapsed());
            }
            Leg::AfterPublish | Leg::Whole => begun,
        };
        let end = self.ends.expect(&subject);
        self.bus.publish(vec![incoming]).await?;
        let durable = Instant::now();
        let stalled = || BenchError::Stalled { seconds: STALLED.as_secs() };
        let ended = tokio::time::timeout(STALLED, end).await.map_err(|_| stalled())?.map_err(|_| stalled())?;
        Ok(match leg {
            Leg::Publish | Leg::Whole => ended.duration_since(begun),
            Leg::AfterPublish => ended.duration_since(durable),
        })
    }

    fn incoming(&self, ty: &str, subject: &str) -> Incoming {
        let event = Event {
            id: Uuid::now_v7().to_string(),
            source: "tidegate-bench".to_owned(),
            ty: ty.to_owned(),
            subject: Some(subject.to_owned()),
            datacontenttype: Some("application/json".to_owned()),
            data: Some(self.data.clone()),
            ..Event::default()
        };
        Incoming { event, origin: Origin { kind: OriginKind::Runtime, name: "bench".to_owned(), verified: true } }
    }
}

/// An object of [`DATA_BYTES`].
fn data() -> Bytes {
    let frame = r#"{"padding":""}"#.len();
    format!(r#"{{"padding":"{}"}}"#, "x".repeat(DATA_BYTES - frame)).into()
}

/// Who waits for the end of which chain, by subject.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<HashMap<String, oneshot::Sender<Instant>>>>);

impl Ends {
    fn expect(&self, subject: &str) -> oneshot::Receiver<Instant> {
        let (ended, end) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.to_owned(), ended);
        end
    }

    fn reached(&self, subject: &str, at: Instant) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
        if let Some(waiting) = waiting {
            // Nobody waits when a measurement was broken off.
            let _ = waiting.send(at);
        }
    }
}

/// Tells of every event that passed the last function, until the bus fails. Whoever still waits then sees it stall.
async fn follow(bus: Arc<Embedded>, ends: Ends) {
    let mut commits = bus.commits();
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
        let last_step = step_type(HOPS).parse::<TypePattern>().expect("a type is a pattern");
        let query = EventQuery { ty: Some(last_step), after: Some(after), max: READ_MAX, ..EventQuery::default() };
        let events = bus.history().events(query).await?;
        for accepted in &events {
            ends.reached(accepted.event.subject.as_deref().unwrap_or_default(), told);
        }
        after = events.last().map_or(after, |accepted| accepted.position);
        if events.len() < READ_MAX {
            return Ok(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_carries_the_bytes_of_json_that_are_promised() {
        assert_eq!(data().len(), DATA_BYTES);
        serde_json::from_slice::<serde_json::Value>(&data()).unwrap();
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
