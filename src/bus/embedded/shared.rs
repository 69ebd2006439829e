//! What the threads of an embedded bus and its callers share.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::backlog::Backlogs;
use super::function_queue::FunctionQueue;
use super::inbox::Inbox;
use super::log::{Log, lock, weight};
use super::refused;
use super::signal::{Checkpoints, Housekeeping, ReaderSignal};
use super::starts::Starts;
use crate::clock::{Clock, Timestamp};
use crate::deployment::{Deployment, FunctionId, Retention};
use crate::event::{Accepted, Position};
use crate::telemetry::Metrics;

/// Fresh events that wait for the reader in memory; beyond it, it reads them from disk.
const HANDOVER_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct Shared {
    pub clock: Clock,
    pub log: Log,
    pub inbox: Inbox,
    pub starts: Starts,
    pub refusals: refused::Waiting,
    pub checkpoints: Checkpoints,
    pub housekeeping: Housekeeping,
    pub reader: ReaderSignal,
    pub active: watch::Sender<Option<Arc<Deployment>>>,
    pub commits: watch::Sender<u64>,
    /// Cancelled when nothing more is delivered.
    pub closing: CancellationToken,
    /// How the log failed, if it did: then nothing more is written or delivered.
    pub failed: watch::Sender<Option<String>>,
    pub metrics: Metrics,
    /// What is removed from the log, and when.
    pub retention: Retention,
    /// At so many bytes of the log nothing new is accepted.
    pub disk_bytes_max: Option<u64>,
    /// The last position that is durable.
    pub tail: AtomicU64,
    /// How far the log was read and offered to functions that do not lag.
    pub read: AtomicU64,
    queues: RwLock<HashMap<FunctionId, Arc<FunctionQueue>>>,
    backlogs: RwLock<Arc<Backlogs>>,
    handover: Mutex<Handover>,
}

#[derive(Default)]
struct Handover {
    events: VecDeque<Arc<Accepted>>,
    bytes: usize,
}

impl Shared {
    pub fn new(clock: Clock, log: Log, starts: Starts, settings: Settings) -> Self {
        let Settings { metrics, poll: _, retention, disk_bytes_max } = settings;
        Shared {
            clock,
            log,
            inbox: Inbox::default(),
            starts,
            refusals: refused::Waiting::default(),
            checkpoints: Checkpoints::default(),
            housekeeping: Housekeeping::default(),
            reader: ReaderSignal::default(),
            active: watch::Sender::new(None),
            commits: watch::Sender::new(0),
            closing: CancellationToken::new(),
            failed: watch::Sender::new(None),
            metrics,
            retention,
            disk_bytes_max,
            tail: AtomicU64::new(0),
            read: AtomicU64::new(0),
            queues: RwLock::default(),
            backlogs: RwLock::default(),
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

    /// Those of the active deployment.
    pub fn backlogs(&self) -> Arc<Backlogs> {
        self.backlogs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_backlogs(&self, backlogs: Backlogs) {
        *self.backlogs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(backlogs);
    }

    /// Takes and gives nothing more: the process must end.
    pub fn fail(&self, reason: String) {
        // First: whoever sees that nothing more is taken or delivered looks here for the reason.
        self.failed.send_replace(Some(reason));
        self.inbox.abandon();
        self.stop_deliveries();
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

    /// A function has something that waits until `due`.
    pub fn expect_waiting(&self, function: FunctionId, due: Timestamp) {
        self.reader.wake(|signals| signals.waiting.push(Reverse((due, function))));
    }

    /// A function that lags has room again.
    pub fn expect_room(&self, function: FunctionId) {
        self.reader.wake(|signals| {
            signals.room.insert(function);
        });
    }

    /// A function has events that were superseded.
    pub fn expect_superseded(&self, function: FunctionId) {
        self.reader.wake(|signals| {
            signals.superseded.insert(function);
        });
    }

    /// Dead letters were put back.
    pub fn expect_redriven(&self, letters: Vec<(FunctionId, Position)>) {
        self.reader.wake(|signals| signals.redriven.extend(letters));
    }
}
