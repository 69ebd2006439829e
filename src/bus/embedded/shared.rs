//! What the threads of an embedded bus and its callers share.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::log::{Log, lock, weight};
use super::queue::{Item, Queue, Token};
use super::starts::{Slot, Starts};
use super::writer::Inbox;
use crate::clock::{Clock, Timestamp};
use crate::deployment::{Deployment, FunctionId};
use crate::event::{Accepted, Position};

/// Fresh events that wait for the reader in memory; beyond it, it reads them from disk.
const HANDOVER_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct Shared {
    pub clock: Clock,
    pub log: Log,
    pub inbox: Inbox,
    pub starts: Starts,
    pub checkpoints: Checkpoints,
    pub reader: ReaderSignal,
    pub active: watch::Sender<Option<Arc<Deployment>>>,
    pub commits: watch::Sender<u64>,
    /// Cancelled when nothing more is delivered.
    pub closing: CancellationToken,
    /// How the disk failed, if it did: then the writer has stopped.
    pub failed: watch::Sender<Option<String>>,
    /// The last position that is durable.
    pub tail: AtomicU64,
    /// How far the log was read and offered to functions that do not lag.
    pub read: AtomicU64,
    queues: RwLock<HashMap<FunctionId, Arc<FunctionQueue>>>,
    handover: Mutex<Handover>,
}

#[derive(Default)]
struct Handover {
    events: VecDeque<Arc<Accepted>>,
    bytes: usize,
}

impl Shared {
    pub fn new(clock: Clock, log: Log, starts: Starts) -> Self {
        Shared {
            clock,
            log,
            inbox: Inbox::default(),
            starts,
            checkpoints: Checkpoints::default(),
            reader: ReaderSignal::default(),
            active: watch::Sender::new(None),
            commits: watch::Sender::new(0),
            closing: CancellationToken::new(),
            failed: watch::Sender::new(None),
            tail: AtomicU64::new(0),
            read: AtomicU64::new(0),
            queues: RwLock::default(),
            handover: Mutex::default(),
        }
    }

    pub fn queue(&self, function: FunctionId) -> Option<Arc<FunctionQueue>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).get(&function).cloned()
    }

    pub fn queues(&self) -> Vec<(FunctionId, Arc<FunctionQueue>)> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.iter().map(|(id, queue)| (*id, queue.clone())).collect()
    }

    pub fn add_queue(&self, function: FunctionId, queue: Arc<FunctionQueue>) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).insert(function, queue);
    }

    pub fn remove_queue(&self, function: FunctionId) {
        let removed = self.queues.write().unwrap_or_else(PoisonError::into_inner).remove(&function);
        if let Some(queue) = removed {
            queue.close();
        }
    }

    /// Ends every subscription.
    pub fn stop_deliveries(&self) {
        self.closing.cancel();
        for (_, queue) in self.queues() {
            queue.close();
        }
    }

    /// Gives committed events to the reader; `tail`: the last position that was given, 0 if none was.
    pub fn hand_over(&self, fresh: Vec<Arc<Accepted>>, tail: Position) {
        if tail == 0 {
            return;
        }
        let mut handover = lock(&self.handover);
        for event in fresh {
            self.log.remember(&event);
            handover.bytes += weight(&event);
            handover.events.push_back(event);
        }
        if handover.bytes > HANDOVER_BYTES_MAX {
            // The reader is far behind: it finds them on disk.
            *handover = Handover::default();
        }
        drop(handover);
        self.tail.store(tail, Ordering::Release);
        self.reader.wake(|signals| signals.fresh = true);
    }

    /// Takes what follows `after` without a gap, if that is still in memory.
    pub fn take_fresh(&self, after: Position) -> Vec<Arc<Accepted>> {
        let mut handover = lock(&self.handover);
        while handover.events.front().is_some_and(|event| event.position <= after) {
            if let Some(event) = handover.events.pop_front() {
                handover.bytes -= weight(&event);
            }
        }
        let mut next = after + 1;
        let mut fresh = Vec::new();
        while let Some(event) = handover.events.pop_front_if(|event| event.position == next) {
            next += 1;
            handover.bytes -= weight(&event);
            fresh.push(event);
        }
        fresh
    }

    /// An event was stored that gets its position at `due`.
    pub fn expect_due(&self, due: Timestamp) {
        self.reader.wake(|signals| signals.delayed = Some(signals.delayed.map_or(due, |known| known.min(due))));
    }

    /// A function has something to try again at `due`.
    pub fn expect_retry(&self, function: FunctionId, due: Timestamp) {
        self.reader.wake(|signals| signals.retries.push(Reverse((due, function))));
    }
}

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

    /// Takes a fresh event in; without room, the function lags from here on.
    pub fn offer_fresh(&self, item: Item) {
        let mut state = lock(&self.state);
        if state.frontier.is_some() {
            return;
        }
        if !state.queue.has_room() {
            state.frontier = Some(item.position - 1);
            return;
        }
        state.queue.offer(item);
        drop(state);
        self.arrived.notify_one();
    }

    /// Hands out, and notes the start.
    pub fn take(&self, shared: &Shared) -> Taken {
        let mut state = lock(&self.state);
        if state.closed {
            return Taken::Closed;
        }
        let Some((item, token)) = state.queue.take(shared.clock.now()) else { return Taken::Nothing };
        if let Some(slot) = shared.starts.mark(self.function, &item) {
            state.slots.insert(item.position, slot);
        }
        let hungry = state.frontier.is_some() && state.queue.has_much_room();
        drop(state);
        if hungry {
            shared.reader.wake(|signals| signals.room = true);
        }
        Taken::Item(item, token)
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
        let hungry = state.frontier.is_some() && state.queue.has_much_room();
        drop(state);
        self.arrived.notify_one();
        if hungry {
            shared.reader.wake(|signals| signals.room = true);
        }
    }

    pub fn retry(&self, shared: &Shared, position: Position, token: Token, due: Timestamp) {
        let mut state = lock(&self.state);
        state.queue.retry(position, token, due);
        state.clear(shared, position);
        drop(state);
        shared.expect_retry(self.function, due);
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
    fn clear(&mut self, shared: &Shared, position: Position) {
        if let Some(slot) = self.slots.remove(&position) {
            shared.starts.clear(slot);
        }
    }
}

/// Wakes the reader, and tells it what for.
#[derive(Default)]
pub(super) struct ReaderSignal {
    signals: Mutex<Signals>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Signals {
    pub fresh: bool,
    /// A function that lags has room again.
    pub room: bool,
    pub stop: bool,
    /// When the next delayed event is due.
    pub delayed: Option<Timestamp>,
    pub retries: BinaryHeap<Reverse<(Timestamp, FunctionId)>>,
}

/// What the reader has to do.
pub(super) struct Work {
    pub stop: bool,
    pub delayed_due: bool,
    /// Functions with something to try again.
    pub retries: Vec<FunctionId>,
}

impl ReaderSignal {
    pub fn wake(&self, tell: impl FnOnce(&mut Signals)) {
        tell(&mut lock(&self.signals));
        self.changed.notify_one();
    }

    /// Waits until there is something to do, at most `longest`.
    pub fn wait(&self, clock: &Clock, longest: Duration) -> Work {
        let mut signals = lock(&self.signals);
        if !signals.is_pending(clock.now()) {
            let next = signals.next_due().map_or(longest, |due| due.since(clock.now()).min(longest));
            signals = self.changed.wait_timeout(signals, next).unwrap_or_else(PoisonError::into_inner).0;
        }
        let now = clock.now();
        signals.fresh = false;
        signals.room = false;
        let delayed_due = signals.delayed.take_if(|due| *due <= now).is_some();
        let mut retries = Vec::new();
        while let Some(Reverse((due, function))) = signals.retries.peek().copied() {
            if due > now {
                break;
            }
            signals.retries.pop();
            retries.push(function);
        }
        Work { stop: signals.stop, delayed_due, retries }
    }
}

impl Signals {
    fn is_pending(&self, now: Timestamp) -> bool {
        self.fresh || self.room || self.stop || self.next_due().is_some_and(|due| due <= now)
    }

    fn next_due(&self) -> Option<Timestamp> {
        let retry = self.retries.peek().map(|Reverse((due, _))| *due);
        [retry, self.delayed].into_iter().flatten().min()
    }
}

/// Tells the checkpoint thread that much was written, and the writer that the log does not get shorter.
#[derive(Default)]
pub(super) struct Checkpoints {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    overdue: AtomicBool,
}

impl Checkpoints {
    pub fn nudge(&self) {
        lock(&self.state).0 = true;
        self.changed.notify_one();
    }

    pub fn stop(&self) {
        lock(&self.state).1 = true;
        self.changed.notify_one();
    }

    /// Waits for a nudge; false: stop.
    pub fn wait(&self) -> bool {
        let state = lock(&self.state);
        let mut state =
            self.changed.wait_while(state, |state| !state.0 && !state.1).unwrap_or_else(PoisonError::into_inner);
        state.0 = false;
        !state.1
    }

    pub fn set_overdue(&self) {
        self.overdue.store(true, Ordering::Relaxed);
    }

    /// Whether the writer should empty the log itself; asked once.
    pub fn is_overdue(&self) -> bool {
        self.overdue.swap(false, Ordering::Relaxed)
    }
}
