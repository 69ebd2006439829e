//! Where requests wait for the writer, and what is sent away since too much waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::log::lock;
use super::writer::Write;

pub(super) const GROUP_REQUESTS_MAX: usize = 512;
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What waits at the door beyond this is sent away to come again.
const INTAKE_BYTES_MAX: usize = 64 * 1024 * 1024;
const INTAKE_AGE_MAX: Duration = Duration::from_secs(5);
/// How long a full disk is left alone before it is tried again.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// Where requests wait for the writer.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// The disk is full: what comes in is refused at once.
    full: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(Instant, Box<dyn Write>)>,
    bytes: usize,
    closed: bool,
}

/// Too much waits.
pub(super) struct Busy {
    pub retry_after_seconds: u64,
}

impl Inbox {
    /// Whether something new may come in.
    pub fn admit(&self) -> Result<(), Busy> {
        let waiting = lock(&self.waiting);
        let old = waiting.requests.front().is_some_and(|(since, _)| since.elapsed() > INTAKE_AGE_MAX);
        if waiting.bytes > INTAKE_BYTES_MAX || (old && !self.full.load(Ordering::Relaxed)) {
            return Err(Busy { retry_after_seconds: 1 });
        }
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Queues a change; gives it back when the bus is closed.
    pub fn submit(&self, request: Box<dyn Write>) -> Result<(), Box<dyn Write>> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(request);
        }
        waiting.bytes += request.bytes();
        waiting.requests.push_back((Instant::now(), request));
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes nothing more; the writer ends when it has done what waits.
    pub fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_all();
    }

    /// Takes nothing more, and lets go of what waits: nobody is left to write it, so it is answered as closed.
    pub fn abandon(&self) {
        let left = std::mem::replace(&mut *lock(&self.waiting), Waiting { closed: true, ..Waiting::default() });
        self.arrived.notify_all();
        // Unlocked: a delivery that is let go of goes back to its queue.
        drop(left);
    }

    pub fn mark_full(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    pub fn mark_room(&self) {
        self.full.store(false, Ordering::Relaxed);
    }

    /// Waits a while, or until something arrives that a little room may be enough for. None: the bus closes.
    pub fn wait_while_full(&self) -> Option<Vec<Box<dyn Write>>> {
        let waiting = lock(&self.waiting);
        let (mut waiting, _) = self
            .arrived
            .wait_timeout_while(waiting, FULL_RETRY, |waiting| waiting.requests.is_empty() && !waiting.closed)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.closed && waiting.requests.is_empty() {
            return None;
        }
        waiting.bytes = 0;
        Some(waiting.requests.drain(..).map(|(_, request)| request).collect())
    }

    /// Waits for requests and takes as many as a group may have; none: closed and empty.
    pub fn take(&self) -> Option<Vec<Box<dyn Write>>> {
        let mut waiting = lock(&self.waiting);
        while waiting.requests.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < GROUP_REQUESTS_MAX && bytes < GROUP_BYTES_MAX {
            let Some((_, request)) = waiting.requests.pop_front() else { break };
            bytes += request.bytes();
            group.push(request);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        Some(group)
    }
}
