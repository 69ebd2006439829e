//! The reference bus: what `Bus` and `History` mean, in memory and in order, for tests.
//!
//! `Log` is the meaning, a value; around it stands what waits. There are no threads and no chance in it, so under a paused
//! clock a run is the same each time. It does not know of rates, limits for each key and bounds of backlogs (`pace`), and
//! removes nothing.

mod history;
mod life;
mod log;
mod settle;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::log::{Log, Taken, Token};
use self::settle::Verdict;
use super::{
    ActivateError, Bus, BusError, Cause, Delivery, Incoming, PublishError, PutBack, Receipt, Refusal, Revision,
    SettleError, Settled, Settlement, Subscription, Versioned,
};
use crate::clock::{Clock, Timestamp};
use crate::deployment::{DeployedFunction, Deployment, FunctionId};
use crate::event::{CHAIN_EVENTS_MAX, Position, Replay};

/// What outlives a process: a disk without one.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Log>>);

impl Memory {
    /// Opens the bus as a new process does. `poll`: how long a clock that is moved by hand may go unnoticed.
    pub fn open(&self, clock: Clock, poll: Duration) -> Reference {
        let mut log = self.0.lock().unwrap();
        log.open(clock.now());
        let active = watch::Sender::new(log.active.clone());
        drop(log);
        Reference(Arc::new(Process {
            log: self.0.clone(),
            clock,
            poll,
            active,
            commits: watch::Sender::new(0),
            changed: Notify::new(),
            closed: CancellationToken::new(),
        }))
    }

    /// Whether nothing is left to be settled, now or later.
    pub fn is_at_rest(&self) -> bool {
        let log = self.0.lock().unwrap();
        log.owed.is_empty() && log.delayed.is_empty()
    }
}

/// The bus of one process.
#[derive(Clone)]
pub(crate) struct Reference(Arc<Process>);

struct Process {
    log: Arc<Mutex<Log>>,
    clock: Clock,
    poll: Duration,
    active: watch::Sender<Option<Arc<Deployment>>>,
    commits: watch::Sender<u64>,
    /// Wakes in the order in which they wait; a `watch` does so by chance.
    changed: Notify,
    closed: CancellationToken,
}

impl Process {
    /// The log as it is now.
    fn log(&self) -> (MutexGuard<'_, Log>, Timestamp) {
        let now = self.clock.now();
        let mut log = self.log.lock().unwrap();
        log.pass(now);
        (log, now)
    }

    /// Changes the log in one step, and tells those who wait.
    fn commit<T>(&self, change: impl FnOnce(&mut Log, Timestamp) -> T) -> Result<T, BusError> {
        if self.closed.is_cancelled() {
            return Err(BusError::Closed);
        }
        let (mut log, now) = self.log();
        let changed = change(&mut log, now);
        drop(log);
        self.commits.send_modify(|count| *count += 1);
        self.changed.notify_waiters();
        Ok(changed)
    }
}

#[async_trait]
impl Bus for Reference {
    async fn publish(&self, batch: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError> {
        self.0.commit(|log, now| log.publish(batch, now))?
    }

    async fn replay(&self, batch: Vec<Replay>) -> Result<Vec<Receipt>, PublishError> {
        self.0.commit(|log, now| log.replay(batch, now))?
    }

    fn subscribe(&self, function: FunctionId) -> Box<dyn Subscription> {
        Box::new(FunctionSubscription { process: self.0.clone(), function })
    }

    async fn settle(&self, delivery: Delivery, settlement: Settlement) -> Result<Settled, SettleError> {
        let own = delivery.guard.downcast_ref::<Guard>().filter(|guard| Arc::ptr_eq(&guard.process, &self.0));
        let token = own.map(|guard| guard.token);
        match self.0.commit(|log, now| log.settle(&delivery, token, settlement, now))? {
            Verdict::Settled => Ok(Settled::Settled),
            Verdict::AlreadySettled => Ok(Settled::AlreadySettled),
            Verdict::Conflict => Ok(Settled::Conflict(delivery)),
            Verdict::ChainTooLong { correlation } => {
                Err(SettleError::ChainTooLong { correlation, events_max: CHAIN_EVENTS_MAX, delivery })
            }
        }
    }

    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError> {
        Ok(self.0.log().0.read(space, key))
    }

    async fn list_keys(
        &self,
        space: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Revision, Vec<String>), BusError> {
        let (log, _) = self.0.log();
        let names = log.keys.keys().filter(|(of, _)| of == space).map(|(_, key)| key);
        let names = names.filter(|key| after.is_none_or(|after| key.as_str() > after)).take(max).cloned();
        Ok((log.spaces.get(space).copied().unwrap_or(0), names.collect()))
    }

    async fn activate(&self, deployment: Deployment, expected: u64, cause: Cause) -> Result<u64, ActivateError> {
        self.0.commit(|log, now| {
            let number = log.activate(deployment, expected, cause, now)?;
            self.0.active.send_replace(log.active.clone());
            Ok(number)
        })?
    }

    fn active(&self) -> watch::Receiver<Option<Arc<Deployment>>> {
        self.0.active.subscribe()
    }

    async fn redrive(&self, letters: Vec<PutBack>) -> Result<u64, BusError> {
        self.0.commit(|log, now| log.redrive(letters, now))
    }

    async fn drop_letters(&self, letters: Vec<(FunctionId, Position)>, by: &str) -> Result<u64, BusError> {
        self.0.commit(|log, now| log.drop_letters(letters, by, now))
    }

    fn keep_refusal(&self, refusal: Refusal) {
        // Nobody is told: it is kept if there is time for it, and here there always is.
        let _ = self.0.commit(|log, _| log.refusals.push(refusal.bounded()));
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    async fn close(&self) -> Result<(), BusError> {
        self.0.log().0.close();
        self.0.closed.cancel();
        Ok(())
    }
}

struct FunctionSubscription {
    process: Arc<Process>,
    function: FunctionId,
}

impl FunctionSubscription {
    fn take(&self) -> Option<Delivery> {
        let (mut log, now) = self.process.log();
        let function = DeployedFunction::find(self.process.active.borrow().clone()?, self.function)?;
        let Taken { event, token, round, attempt, lost, first_attempt_at } = log.take(self.function, now)?;
        let guard = Box::new(Guard { process: self.process.clone(), token });
        Some(Delivery { event, function, attempt, round, first_attempt_at, lost, guard })
    }

    /// How long nothing comes by time alone.
    fn pause(&self) -> Duration {
        let (log, now) = self.process.log();
        log.next_due(now).map_or(self.process.poll, |due| due.since(now).min(self.process.poll))
    }
}

#[async_trait]
impl Subscription for FunctionSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        let process = self.process.clone();
        loop {
            // Listens before it looks.
            let mut changed = std::pin::pin!(process.changed.notified());
            changed.as_mut().enable();
            if process.closed.is_cancelled() {
                return None;
            }
            if let Some(delivery) = self.take() {
                return Some(delivery);
            }
            // All are cancel-safe: they look at a state. One after the other, so that chance has no say.
            tokio::select! {
                biased;
                () = process.closed.cancelled() => {}
                () = changed => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }
}

/// Gives a delivery back when it is dropped, unless something was made of it before.
struct Guard {
    process: Arc<Process>,
    token: Token,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (mut log, now) = self.process.log();
        log.give_back(self.token, now);
        drop(log);
        self.process.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::History;
    use crate::bus::conformance::{Storage, meaning};

    impl Storage for Memory {
        fn open(&self, clock: Clock) -> (Arc<dyn Bus>, Arc<dyn History>) {
            let bus = Arc::new(Memory::open(self, clock, Duration::from_millis(2)));
            (bus.clone(), bus)
        }
    }

    meaning!(Memory::default());
}
