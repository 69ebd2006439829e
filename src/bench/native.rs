//! The chain that functions are measured with, by native handlers on the bare store: what it comes to at the least.
//!
//! Each of the five waits for events, takes one apart, makes the next of it with a derived id, and hands that on when the
//! store has it. There is no sandbox and no fence, nothing is recorded, routed or retried, and a handler that dies
//! leaves its chain where it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::report::HOPS;
use super::{BenchError, flow};
use crate::bus::BusError;
use crate::bus::embedded::bare::BareStore;
use crate::event::{Event, derive_uuid};

/// Five handlers on a store. Dropping it ends them.
pub struct Handlers {
    store: Arc<BareStore>,
    first: mpsc::UnboundedSender<Handed>,
    published: AtomicU64,
    _tasks: JoinSet<()>,
}

/// An event that the store has, on its way through the handlers.
struct Handed {
    stored: Bytes,
    /// Told when the last handler's event is durable too, or why it is not.
    ended: oneshot::Sender<Result<(), BusError>>,
}

impl Handlers {
    pub fn start(store: BareStore) -> Self {
        let store = Arc::new(store);
        let mut tasks = JoinSet::new();
        let mut next = None;
        for step in (1..=HOPS).rev() {
            let (handed, events) = mpsc::unbounded_channel();
            tasks.spawn(handle_all(store.clone(), step, events, next.replace(handed)));
        }
        let first = next.expect("a chain has handlers");
        Handlers { store, first, published: AtomicU64::new(0), _tasks: tasks }
    }

    /// From publishing an event until that of the last handler is durable.
    pub async fn run_chain(&self) -> Result<Duration, BenchError> {
        let begun = Instant::now();
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        let event = Event {
            // In no order, as the derived ones are: ids in the order of time would be found in fewer pages.
            id: derive_uuid(&[b"bench", &number.to_be_bytes()]).to_string(),
            ..flow::event(flow::step_type(0), number.to_string())
        };
        let stored = event.encode();
        self.store.publish(event.id, stored.to_vec()).await?;
        let (ended, end) = oneshot::channel();
        // Handlers end with this value: there is one that takes it.
        let _ = self.first.send(Handed { stored, ended });
        end.await.unwrap_or(Err(BusError::Closed))?;
        Ok(begun.elapsed())
    }
}

/// One handler: takes each event that it is handed, as many at once as there are.
async fn handle_all(
    store: Arc<BareStore>,
    step: usize,
    mut events: mpsc::UnboundedReceiver<Handed>,
    next: Option<mpsc::UnboundedSender<Handed>>,
) {
    let mut running = JoinSet::new();
    while let Some(Handed { stored, ended }) = events.recv().await {
        while running.try_join_next().is_some() {}
        let (store, next) = (store.clone(), next.clone());
        running.spawn(async move {
            match (handle(&store, step, stored).await, next) {
                (Ok(stored), Some(next)) => drop(next.send(Handed { stored, ended })),
                (handled, _) => drop(ended.send(handled.map(drop))),
            }
        });
    }
}

/// What a relay does: the same subject and data under the next type. Answers the stored form of what it published.
async fn handle(store: &BareStore, step: usize, stored: Bytes) -> Result<Bytes, BusError> {
    let damaged = |error| BusError::Store { what: "read an event of the bare store", source: Box::new(error) };
    let event = Event::decode(stored).map_err(damaged)?;
    let id = derive_uuid(&[event.id.as_bytes(), &step.to_be_bytes()]).to_string();
    let emitted = Event { id, ty: flow::step_type(step), ..event };
    let stored = emitted.encode();
    store.publish(emitted.id, stored.to_vec()).await?;
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chain_on_the_bare_store_leaves_the_event_and_one_for_each_handler() {
        let folder = tempfile::tempdir().unwrap();
        let handlers = Handlers::start(BareStore::open(folder.path()).unwrap());
        for _ in 0..3 {
            handlers.run_chain().await.unwrap();
        }
        drop(handlers);
        assert_eq!(crate::bus::embedded::bare::events(folder.path()), 3 * crate::bench::CHAIN_EVENTS as u64);
    }
}
