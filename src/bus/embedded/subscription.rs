//! The deliveries of one function, pulled one by one.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::function_queue::{FunctionQueue, Taken};
use super::item::Item;
use super::queue::{Judged, Token};
use super::shared::Shared;
use super::{blocking, unread};
use crate::bus::{BusError, Delivery, Subscription};
use crate::clock::Timestamp;
use crate::deployment::{DeployedFunction, Deployment, FunctionId, Succession};
use crate::event::{Accepted, Position};

pub(super) struct FunctionSubscription {
    shared: Arc<Shared>,
    active: watch::Receiver<Option<Arc<Deployment>>>,
    function: FunctionId,
}

impl FunctionSubscription {
    pub fn new(shared: Arc<Shared>, function: FunctionId) -> Self {
        FunctionSubscription { active: shared.active.subscribe(), shared, function }
    }

    /// The function as the active deployment has it.
    fn deployed(&self) -> Option<DeployedFunction> {
        DeployedFunction::find(self.shared.active.borrow().clone()?, self.function)
    }

    /// The function's queue; waits for it while no active deployment has the function. Cancel-safe.
    async fn queue(&mut self) -> Arc<FunctionQueue> {
        loop {
            // Marked as seen before looking. A deployment's queues stand before it is told, and are left alone until it is.
            let active = self.active.borrow_and_update().clone();
            let is_deployed = active.is_some_and(|active| active.function_by_id(self.function).is_some());
            if let Some(queue) = self.shared.queue(self.function).filter(|_| is_deployed) {
                return queue;
            }
            self.active.changed().await.expect("the sender is shared");
        }
    }

    /// Reads the event of an item and starts an attempt; none: the item waits, is done with, or went back.
    async fn delivery(&self, queue: &Arc<FunctionQueue>, item: Item, token: Token) -> Option<Delivery> {
        let (position, judged) = (item.position, item.judged);
        // Made first: if whoever waits is gone meanwhile, the item goes back.
        let guard = Guard::of(&self.shared, queue, &item, token);
        let read = self.event(position).await;
        // It may have left the deployment since the item was taken: then the item goes back.
        let function = self.deployed()?;
        let taken = |guard| unread::Taken { shared: &self.shared, function: &function, item, guard };
        let event = match read {
            Ok(event) => event,
            Err(error) => {
                taken(guard).set_aside(&error);
                return None;
            }
        };
        if !judged {
            match self.judge(queue, event).await {
                Ok(wanted) => taken(guard).judged(wanted),
                Err(error) => taken(guard).set_aside(&error),
            }
            return None;
        }
        let item = queue.start(&self.shared, position, token)?;
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

    async fn event(&self, position: Position) -> Result<Arc<Accepted>, BusError> {
        if let Some(event) = self.shared.log.recent(position) {
            return Ok(event);
        }
        let shared = self.shared.clone();
        let event = blocking(move || shared.log.event(position)).await??;
        event.ok_or_else(|| BusError::Store { what: "find an event of the log", source: "it is not there".into() })
    }

    async fn judge(&self, queue: &Arc<FunctionQueue>, event: Arc<Accepted>) -> Result<Option<Judged>, BusError> {
        let (shared, queue) = (self.shared.clone(), queue.clone());
        blocking(move || unread::judge(&shared, &queue, &event)).await?
    }
}

#[async_trait]
impl Subscription for FunctionSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        let closing = self.shared.closing.clone();
        loop {
            // Looked up each time: a function that went and came back has a new queue.
            let queue = closing.run_until_cancelled(self.queue()).await?;
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

/// Gives what was taken back to its queue when it is dropped, unless something was made of it before.
pub(super) struct Guard {
    shared: Arc<Shared>,
    queue: Arc<FunctionQueue>,
    position: Position,
    token: Token,
    has_row: bool,
    succession: Option<Succession>,
}

impl Guard {
    pub fn of(shared: &Arc<Shared>, queue: &Arc<FunctionQueue>, item: &Item, token: Token) -> Self {
        let Item { position, durable, ref keys, .. } = *item;
        let (shared, queue) = (shared.clone(), queue.clone());
        Guard { shared, queue, position, token, has_row: durable, succession: keys.succession.clone() }
    }

    pub fn position(&self) -> Position {
        self.position
    }

    /// Its place among events that supersede each other.
    pub fn succession(&self) -> Option<&Succession> {
        self.succession.as_ref()
    }

    /// Whether the log had a row for it when it was taken.
    pub fn has_row(&self) -> bool {
        self.has_row
    }

    pub fn settled(&self) {
        self.queue.settled(&self.shared, self.position, self.token);
    }

    pub fn retry(&self, at: Timestamp) {
        self.queue.retry(&self.shared, self.position, self.token, at);
    }

    /// The log has a row for it from now on.
    pub fn keep(&self) {
        self.queue.keep(self.position, self.token);
    }

    /// It is to be read again, and no attempt was made.
    pub fn set_aside(&self, due: Timestamp) {
        self.queue.set_aside(&self.shared, self.position, self.token, due);
    }

    /// Its function's filter lets it pass.
    pub fn judged(&self, judged: Judged) {
        self.queue.judged(&self.shared, self.position, self.token, judged);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.queue.give_back(&self.shared, self.position, self.token);
    }
}
