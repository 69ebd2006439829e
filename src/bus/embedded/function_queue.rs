//! The queue of one function with its lock, and whoever waits for it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::log::lock;
use super::queue::{Item, Queue, Token};
use super::shared::Shared;
use super::starts::Slot;
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::Position;

/// The queue of one function, and whoever waits for it.
pub(super) struct FunctionQueue {
    pub function: FunctionId,
    state: Mutex<QueueState>,
    arrived: Notify,
}

struct QueueState {
    queue: Queue,
    slots: HashMap<Position, Slot>,
    /// How far the function has read when it lags; none: as far as the reader.
    frontier: Option<Position>,
    closed: bool,
}

/// What a subscription finds.
pub(super) enum Taken {
    Item(Item, Token),
    Nothing,
    Closed,
}

impl FunctionQueue {
    /// A queue that has read up to `frontier`.
    pub fn new(function: FunctionId, frontier: Position) -> Self {
        FunctionQueue {
            function,
            state: Mutex::new(QueueState {
                queue: Queue::default(),
                slots: HashMap::new(),
                frontier: Some(frontier),
                closed: false,
            }),
            arrived: Notify::new(),
        }
    }

    pub fn has_room(&self) -> bool {
        lock(&self.state).queue.has_room()
    }

    pub fn has_much_room(&self) -> bool {
        lock(&self.state).queue.has_much_room()
    }

    pub fn offer(&self, item: Item) {
        lock(&self.state).queue.offer(item);
        self.arrived.notify_one();
    }

    pub fn offer_at(&self, item: Item, due: Timestamp) {
        lock(&self.state).queue.offer_at(item, due);
    }

    /// Takes a fresh event in; without room it does not, and the function lags from here on.
    pub fn offer_fresh(&self, item: Item) -> bool {
        let mut state = lock(&self.state);
        if !state.queue.has_room() {
            state.frontier = Some(item.position - 1);
            return false;
        }
        state.queue.offer(item);
        drop(state);
        self.arrived.notify_one();
        true
    }

    /// Takes the next item, to read its event.
    pub fn take(&self, shared: &Shared) -> Taken {
        let mut state = lock(&self.state);
        if state.closed {
            return Taken::Closed;
        }
        let Some((item, token)) = state.queue.take() else { return Taken::Nothing };
        let hungry = state.is_hungry();
        drop(state);
        if hungry {
            shared.expect_room(self.function);
        }
        Taken::Item(item, token)
    }

    /// Notes that an attempt starts.
    pub fn start(&self, shared: &Shared, position: Position, token: Token) -> Option<Item> {
        let mut state = lock(&self.state);
        let item = state.queue.start(position, token, shared.clock.now())?;
        if let Some(slot) = shared.starts.mark(self.function, &item) {
            state.slots.insert(position, slot);
        }
        Some(item)
    }

    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub fn give_back(&self, shared: &Shared, position: Position, token: Token) {
        let mut state = lock(&self.state);
        if state.queue.give_back(position, token) {
            state.clear(shared, position);
            drop(state);
            self.arrived.notify_one();
        }
    }

    pub fn settled(&self, shared: &Shared, position: Position, token: Token) {
        let mut state = lock(&self.state);
        state.queue.settled(position, token);
        state.clear(shared, position);
        let hungry = state.is_hungry();
        drop(state);
        self.arrived.notify_one();
        if hungry {
            shared.expect_room(self.function);
        }
    }

    pub fn retry(&self, shared: &Shared, position: Position, token: Token, due: Timestamp) {
        let mut state = lock(&self.state);
        state.queue.retry(position, token, due);
        state.clear(shared, position);
        drop(state);
        shared.expect_waiting(self.function, due);
    }

    /// Lets what could not be read wait until it is read again.
    pub fn set_aside(&self, shared: &Shared, position: Position, token: Token, due: Timestamp) {
        lock(&self.state).queue.set_aside(position, token, due);
        shared.expect_waiting(self.function, due);
    }

    /// Takes in what the filter said of an event that could be read at last.
    pub fn judged(&self, position: Position, token: Token, key: Option<Arc<str>>) {
        lock(&self.state).queue.judged(position, token, key);
        self.arrived.notify_one();
    }

    /// The log has a row for it from now on.
    pub fn keep(&self, position: Position, token: Token) {
        lock(&self.state).queue.keep(position, token);
    }

    /// Makes ready what is due; answers when the next is.
    pub fn release(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = lock(&self.state);
        let any = state.queue.release(now);
        let next = state.queue.next_due();
        drop(state);
        if any {
            self.arrived.notify_one();
        }
        next
    }

    /// How far the function itself has read; none: as far as the reader.
    pub fn frontier(&self) -> Option<Position> {
        lock(&self.state).frontier
    }

    pub fn set_frontier(&self, frontier: Option<Position>) {
        lock(&self.state).frontier = frontier;
    }

    /// Where reading would have to start again.
    pub fn cursor(&self, shared: &Shared) -> Position {
        let state = lock(&self.state);
        let read = state.frontier.unwrap_or_else(|| shared.read.load(Ordering::Acquire));
        state.queue.cursor(read)
    }

    /// Looks at the queue as a value.
    pub fn look<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&lock(&self.state).queue)
    }

    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_one();
    }
}

impl QueueState {
    /// Whether the function lags and should read on.
    fn is_hungry(&self) -> bool {
        self.frontier.is_some() && self.queue.has_much_room()
    }

    fn clear(&mut self, shared: &Shared, position: Position) {
        if let Some(slot) = self.slots.remove(&position) {
            shared.starts.clear(slot);
        }
    }
}
