//! The queue of one function with its lock, and whoever waits for it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::Notify;

use super::item::Item;
use super::lines::Newest;
use super::log::lock;
use super::queue::{Judged, Queue, Token};
use super::shared::Shared;
use super::starts::Slot;
use super::superseded;
use crate::bus::BusError;
use crate::clock::Timestamp;
use crate::deployment::{Function, FunctionId, Keys};
use crate::event::Position;

/// The queue of one function, and whoever waits for it.
pub(super) struct FunctionQueue {
    pub function: FunctionId,
    state: Mutex<QueueState>,
    /// Events of its types that it lags behind by, about.
    unread: AtomicU64,
    arrived: Notify,
}

struct QueueState {
    queue: Queue,
    slots: HashMap<Position, Slot>,
    /// How far the function has read when it lags; none: as far as the reader.
    frontier: Option<Position>,
    /// The next time that the reader was told of.
    announced: Option<Timestamp>,
    closed: bool,
}

/// What a subscription finds.
pub(super) enum Taken {
    Item(Item, Token),
    Nothing,
    Closed,
}

impl FunctionQueue {
    pub fn new(function: FunctionId) -> Self {
        FunctionQueue {
            function,
            state: Mutex::new(QueueState {
                queue: Queue::default(),
                slots: HashMap::new(),
                frontier: None,
                announced: None,
                closed: false,
            }),
            unread: AtomicU64::new(0),
            arrived: Notify::new(),
        }
    }

    /// Its function is deployed, and has read up to `frontier`.
    pub fn open(&self, frontier: Position) {
        let mut state = lock(&self.state);
        (state.frontier, state.closed) = (Some(frontier), false);
    }

    pub fn has_room(&self) -> bool {
        lock(&self.state).queue.has_room()
    }

    pub fn has_much_room(&self) -> bool {
        lock(&self.state).queue.has_much_room()
    }

    /// Takes up how quickly the function is given events from now on.
    pub fn set_pace(&self, shared: &Shared, function: &Function) {
        self.change(shared, |state, now| state.queue.set_pace(function, now));
        self.arrived.notify_one();
    }

    pub fn offer(&self, shared: &Shared, item: Item) -> Result<(), BusError> {
        let newest = self.newest(shared, &item.keys)?;
        self.change(shared, |state, now| state.queue.offer(item, newest, now));
        self.arrived.notify_one();
        Ok(())
    }

    pub fn offer_at(&self, shared: &Shared, item: Item, due: Timestamp) -> Result<(), BusError> {
        let newest = self.newest(shared, &item.keys)?;
        self.change(shared, |state, now| state.queue.offer_at(item, newest, due, now));
        Ok(())
    }

    /// The newest event that the log has of the line in which an event stands, unless the queue knows better.
    pub fn newest(&self, shared: &Shared, keys: &Keys) -> Result<Option<Newest>, BusError> {
        match &keys.succession {
            Some(succession) if !lock(&self.state).queue.knows_newest(succession) => {
                let read = |db: &Connection| superseded::newest(db, self.function, &succession.line);
                shared.log.read("read the newest event of a key", read)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Takes a fresh event in; without room it does not, and the function lags from here on.
    pub fn offer_fresh(&self, shared: &Shared, item: Item) -> Result<bool, BusError> {
        let newest = self.newest(shared, &item.keys)?;
        let taken_in = self.change(shared, |state, now| {
            if !state.queue.has_room() {
                state.frontier = Some(item.position - 1);
                return false;
            }
            state.queue.offer(item, newest, now);
            true
        });
        if taken_in {
            self.arrived.notify_one();
        }
        Ok(taken_in)
    }

    /// Takes the next item, to read its event.
    pub fn take(&self, shared: &Shared) -> Taken {
        self.change(shared, |state, now| {
            if state.closed {
                return Taken::Closed;
            }
            state.queue.take(now).map_or(Taken::Nothing, |(item, token)| Taken::Item(item, token))
        })
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
        let given_back = self.change(shared, |state, now| {
            let given_back = state.queue.give_back(position, token, now);
            if given_back {
                state.clear(shared, position);
            }
            given_back
        });
        if given_back {
            self.arrived.notify_one();
        }
    }

    pub fn settled(&self, shared: &Shared, position: Position, token: Token) {
        self.change(shared, |state, now| {
            state.queue.settled(position, token, now);
            state.clear(shared, position);
        });
        self.arrived.notify_one();
    }

    pub fn retry(&self, shared: &Shared, position: Position, token: Token, due: Timestamp) {
        self.change(shared, |state, now| {
            state.queue.retry(position, token, due, now);
            state.clear(shared, position);
        });
        self.arrived.notify_one();
    }

    /// Lets what could not be read wait until it is read again.
    pub fn set_aside(&self, shared: &Shared, position: Position, token: Token, due: Timestamp) {
        self.change(shared, |state, now| state.queue.set_aside(position, token, due, now));
        self.arrived.notify_one();
    }

    /// Takes in what the filter said of an event that could be read at last.
    pub fn judged(&self, shared: &Shared, position: Position, token: Token, judged: Judged) {
        self.change(shared, |state, now| state.queue.judged(position, token, judged, now));
        self.arrived.notify_one();
    }

    /// What is to be settled without being run.
    pub fn take_superseded(&self) -> Vec<(Item, Token)> {
        lock(&self.state).queue.take_superseded()
    }

    /// The log has a row for it from now on.
    pub fn keep(&self, position: Position, token: Token) {
        lock(&self.state).queue.keep(position, token);
    }

    /// Makes ready what is due.
    pub fn release(&self, shared: &Shared) {
        self.change(shared, |state, now| {
            state.announced = None;
            state.queue.release(now);
        });
        self.arrived.notify_one();
    }

    /// Changes the queue, and tells the reader what follows for it: when something is due, whether there is room again, and
    /// whether something was superseded.
    fn change<T>(&self, shared: &Shared, change: impl FnOnce(&mut QueueState, Timestamp) -> T) -> T {
        let mut state = lock(&self.state);
        let was_hungry = state.is_hungry();
        let result = change(&mut state, shared.clock.now());
        let (due, hungry) = (state.announce(), state.is_hungry() && !was_hungry);
        let has_superseded = state.queue.has_superseded();
        drop(state);
        if has_superseded {
            shared.expect_superseded(self.function);
        }
        if let Some(due) = due {
            shared.expect_waiting(self.function, due);
        }
        if hungry {
            shared.expect_room(self.function);
        }
        result
    }

    /// Events that wait for the function or run.
    pub fn backlog(&self) -> u64 {
        self.look(|queue| queue.backlog() as u64) + self.unread.load(Ordering::Relaxed)
    }

    /// An event of its types came that it does not read yet.
    pub fn falls_behind(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    pub fn set_behind(&self, events: u64) {
        self.unread.store(events, Ordering::Relaxed);
    }

    /// It has read one of them.
    pub fn comes_up(&self) {
        // Only the reader changes it, so nothing is lost between the two.
        self.unread.store(self.unread.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
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

    /// When something is due, if that is before what the reader knows.
    fn announce(&mut self) -> Option<Timestamp> {
        let due = self.queue.next_due().filter(|due| self.announced.is_none_or(|announced| *due < announced))?;
        self.announced = Some(due);
        self.announced
    }

    fn clear(&mut self, shared: &Shared, position: Position) {
        if let Some(slot) = self.slots.remove(&position) {
            shared.starts.clear(slot);
        }
    }
}
