//! The deliveries of one function, pulled one by one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::log::may_pass;
use super::queue::{Item, Token};
use super::shared::{FunctionQueue, Shared, Taken};
use crate::bus::{BusError, Delivery, Subscription};
use crate::clock::Timestamp;
use crate::deployment::{DeployedFunction, FunctionId};
use crate::event::{Accepted, Position};
use crate::telemetry::Causes;

/// How long a store of blobs that is away holds back a function whose next event lies there.
const STORE_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct FunctionSubscription {
    shared: Arc<Shared>,
    function: FunctionId,
}

impl FunctionSubscription {
    pub fn new(shared: Arc<Shared>, function: FunctionId) -> Self {
        FunctionSubscription { shared, function }
    }

    async fn delivery(&self, queue: &Arc<FunctionQueue>, item: Item, token: Token) -> Option<Delivery> {
        // Made first: if whoever waits is gone meanwhile, the item goes back.
        let mut guard = Guard { shared: self.shared.clone(), queue: queue.clone(), position: item.position, token };
        let event = match self.event(item.position).await {
            Ok(event) => event,
            Err(error) => {
                self.told(item.position, &error);
                if may_pass(&error) {
                    // Given up while it waits, the item goes back all the same.
                    tokio::time::sleep(STORE_PAUSE).await;
                } else {
                    guard.stay_out();
                }
                return None;
            }
        };
        let deployment = self.shared.active.borrow().clone()?;
        // It may have left the deployment since the item was taken: then the item goes back.
        let function = DeployedFunction::find(deployment, self.function)?;
        Some(Delivery {
            event,
            function,
            attempt: item.attempt,
            round: item.round,
            first_attempt_at: item.first_attempt_at.unwrap_or_default(),
            lost: item.lost,
            guard: Box::new(guard),
        })
    }

    fn told(&self, position: Position, error: &BusError) {
        tracing::error!(function = %self.function, position, error = %Causes(error), "an event cannot be read");
    }

    /// The function's queue; waits for it while no active deployment has the function. Cancel-safe.
    async fn queue(&self) -> Arc<FunctionQueue> {
        let mut active = self.shared.active.subscribe();
        loop {
            // Marked as seen before looking: a deployment's queues stand before it is told.
            active.borrow_and_update();
            if let Some(queue) = self.shared.queue(self.function) {
                return queue;
            }
            active.changed().await.expect("the sender is shared");
        }
    }

    async fn event(&self, position: Position) -> Result<Arc<Accepted>, BusError> {
        if let Some(event) = self.shared.log.recent(position) {
            return Ok(event);
        }
        let shared = self.shared.clone();
        let read = move || shared.log.event(position);
        let event = tokio::task::spawn_blocking(read).await.map_err(|_| BusError::Closed)??;
        event.ok_or_else(|| BusError::Store { what: "find an event of the log", source: "it is not there".into() })
    }
}

#[async_trait]
impl Subscription for FunctionSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Looked up each time: a function that went and came back has a new queue.
            let queue = self.shared.closing.run_until_cancelled(self.queue()).await?;
            match queue.take(&self.shared) {
                Taken::Closed => {}
                Taken::Nothing => queue.arrived().await,
                Taken::Item(item, token) => {
                    if let Some(delivery) = self.delivery(&queue, item, token).await {
                        return Some(delivery);
                    }
                }
            }
        }
    }
}

/// Gives a delivery back to its queue when it is dropped, unless it was settled before.
pub(super) struct Guard {
    shared: Arc<Shared>,
    queue: Arc<FunctionQueue>,
    position: Position,
    token: Token,
}

impl Guard {
    pub fn settled(&self) {
        self.queue.settled(&self.shared, self.position, self.token);
    }

    /// It cannot be delivered, and would only be taken again at once: it comes back at the next start.
    fn stay_out(&mut self) {
        self.token = Token::MAX;
    }

    pub fn retry(&self, at: Timestamp) {
        self.queue.retry(&self.shared, self.position, self.token, at);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.queue.give_back(&self.shared, self.position, self.token);
    }
}
