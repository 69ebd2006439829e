//! The deliveries of one function, pulled one by one.

use std::sync::Arc;

use async_trait::async_trait;

use super::queue::{Item, Token};
use super::shared::{FunctionQueue, Shared, Taken};
use crate::bus::{Delivery, Subscription};
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::Position;

pub(super) struct FunctionSubscription {
    shared: Arc<Shared>,
    function: FunctionId,
}

impl FunctionSubscription {
    pub fn new(shared: Arc<Shared>, function: FunctionId) -> Self {
        FunctionSubscription { shared, function }
    }

    fn delivery(&self, queue: &Arc<FunctionQueue>, item: &Item, token: Token) -> Option<Delivery> {
        // Made first: whatever fails from here on gives the item back.
        let guard = Guard { shared: self.shared.clone(), queue: queue.clone(), position: item.position, token };
        let deployment = self.shared.active.borrow().clone()?;
        let event = match self.shared.log.event(item.position) {
            Ok(event) => event?,
            Err(error) => {
                tracing::error!(function = %self.function, position = item.position, %error, "an event cannot be read");
                // It would only be taken again at once: it stays out, and comes back at the next start.
                std::mem::forget(guard);
                return None;
            }
        };
        Some(Delivery {
            event,
            deployment,
            function: self.function,
            attempt: item.attempt,
            round: item.round,
            first_attempt_at: item.first_attempt_at.unwrap_or_default(),
            lost: item.lost,
            guard: Box::new(guard),
        })
    }
}

#[async_trait]
impl Subscription for FunctionSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        // Looked up each time: a function that went and came back has a new queue.
        let queue = self.shared.queue(self.function)?;
        loop {
            match queue.take(&self.shared) {
                Taken::Closed => return None,
                Taken::Nothing => queue.arrived().await,
                Taken::Item(item, token) => {
                    if let Some(delivery) = self.delivery(&queue, &item, token) {
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

    pub fn retry(&self, at: Timestamp) {
        self.queue.retry(&self.shared, self.position, self.token, at);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.queue.give_back(&self.shared, self.position, self.token);
    }
}
