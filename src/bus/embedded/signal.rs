//! How the threads of an embedded bus wake each other, and what for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::log::lock;
use crate::clock::{Clock, Timestamp};
use crate::deployment::FunctionId;
use crate::event::Position;

/// Wakes the reader, and tells it what for.
#[derive(Default)]
pub(super) struct ReaderSignal {
    signals: Mutex<Signals>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Signals {
    pub fresh: bool,
    /// Functions that lag and have room again.
    pub room: HashSet<FunctionId>,
    pub stop: bool,
    /// When the next delayed event is due.
    pub delayed: Option<Timestamp>,
    /// Functions with something that waits for a time.
    pub waiting: BinaryHeap<Reverse<(Timestamp, FunctionId)>>,
    /// Functions with events that were superseded.
    pub superseded: HashSet<FunctionId>,
    /// What was put back, and is in no queue yet.
    pub redriven: Vec<(FunctionId, Position)>,
}

/// What the reader has to do.
pub(super) struct Work {
    pub stop: bool,
    pub delayed_due: bool,
    /// Functions with something whose time has come.
    pub due: Vec<FunctionId>,
    pub room: HashSet<FunctionId>,
    pub superseded: HashSet<FunctionId>,
    pub redriven: Vec<(FunctionId, Position)>,
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
        let delayed_due = signals.delayed.take_if(|due| *due <= now).is_some();
        let mut functions = Vec::new();
        while let Some(Reverse((due, function))) = signals.waiting.peek().copied() {
            if due > now {
                break;
            }
            signals.waiting.pop();
            functions.push(function);
        }
        functions.dedup();
        let (room, redriven) = (std::mem::take(&mut signals.room), std::mem::take(&mut signals.redriven));
        let superseded = std::mem::take(&mut signals.superseded);
        Work { stop: signals.stop, delayed_due, due: functions, room, superseded, redriven }
    }
}

impl Signals {
    fn is_pending(&self, now: Timestamp) -> bool {
        let told = self.fresh || self.stop || !self.room.is_empty() || !self.redriven.is_empty();
        told || !self.superseded.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.peek().map(|Reverse((due, _))| *due);
        [waiting, self.delayed].into_iter().flatten().min()
    }
}

/// Tells the checkpoint thread that much was written, and the writer that it was moved.
#[derive(Default)]
pub(super) struct Checkpoints {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    done: AtomicBool,
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

    /// What there was when it was nudged is moved, as far as it can be.
    pub fn set_done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Whether the thread has done what it was nudged for; told once.
    pub fn is_done(&self) -> bool {
        self.done.swap(false, Ordering::Relaxed)
    }
}

/// Lets whoever keeps house sleep, and ends it.
#[derive(Default)]
pub(super) struct Housekeeping {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Housekeeping {
    pub fn stop(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }

    /// Sleeps; false: stop.
    pub fn wait(&self, pause: Duration) -> bool {
        let stopped = lock(&self.stopped);
        let waited = self.changed.wait_timeout_while(stopped, pause, |stopped| !*stopped);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
