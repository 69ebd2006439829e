//! The path itself: delivery -> invoke -> decide -> settle. READ THIS FIRST.
//!
//! The filter stands before it, in `deployment::Routes`: the bus asks it what to deliver. Nothing here decides; values
//! do, and these loops carry out what they say.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};
use tracing::Instrument;

use crate::bus::{Bus, Delivery, RecordingBytes, SettleError, Settled, Settlement, Subscription};
use crate::clock::Clock;
use crate::deployment::{Digest, Function, FunctionId};
use crate::event::EventKey;
use crate::native::{Fault, Stopping};
use crate::outcome::{Attempt, Decision, Failure, FailureKind, Outcome, decide};
use crate::record::{Invoke, Ran};
use crate::tasks::Tasks;
use crate::telemetry::{self, Metrics};

/// After this many conflicts an invocation runs alone in its function, so that it cannot lose again.
const CONFLICTS_BEFORE_ALONE: u32 = 3;
/// After a process died this often while an event ran, the event runs with nothing beside it.
const LOST_BEFORE_ALONE: u32 = 2;
/// How long a fault of ours (a full disk, a lost connection) holds back the place that met it.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// What the path needs of the process.
pub struct Path {
    pub bus: Arc<dyn Bus>,
    /// Runs components.
    pub guests: Arc<dyn Invoke>,
    /// Runs functions of the runtime's own.
    pub natives: Arc<dyn Invoke>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Held for reading by every invocation, for writing by one that must run with nothing beside it.
    pub process: RwLock<()>,
}

/// Delivers one function's events, as many at once as its deployment says, until its subscription ends.
pub async fn serve(path: Arc<Path>, function: FunctionId, mut subscription: Box<dyn Subscription>, tasks: Tasks) {
    let stopping = tasks.stopping();
    let mut places = Places::new();
    let own = Arc::new(RwLock::new(()));
    loop {
        // Both are cancel-safe: a place not taken stays free, a delivery not taken stays with the bus.
        let Some(place) = stopping.run_until_cancelled(places.take(path.concurrency(function))).await else { return };
        let Some(Some(delivery)) = stopping.run_until_cancelled(subscription.next()).await else { return };
        let (path, own) = (path.clone(), own.clone());
        tasks.spawn(async move {
            let span = telemetry::span_for(&delivery);
            path.handle(delivery, &own).instrument(span).await;
            drop(place);
        });
    }
}

impl Path {
    fn concurrency(&self, function: FunctionId) -> usize {
        let active = self.bus.active();
        let active = active.borrow();
        let deployed = active.as_ref().and_then(|deployment| deployment.function_by_id(function));
        deployed.map_or(1, |function| {
            let at_once_max = self.runner(function).at_once_max().unwrap_or(usize::MAX);
            (function.concurrency as usize).min(at_once_max)
        })
    }

    /// What runs a function.
    fn runner(&self, function: &Function) -> &dyn Invoke {
        match function.component.native() {
            Some(_) => &*self.natives,
            None => &*self.guests,
        }
    }

    /// Takes one delivery to its settlement. A conflict is no attempt: the event runs again at once.
    async fn handle(&self, mut delivery: Delivery, own: &RwLock<()>) {
        let mut conflicts = 0;
        loop {
            match self.take_turn(delivery, conflicts, own).await {
                Ok(Settled::Settled | Settled::AlreadySettled) => return,
                Ok(Settled::Conflict(again)) => delivery = again,
                Err(fault) if fault.is::<Stopping>() => return,
                Err(fault) => {
                    // The bus has the delivery back; it will be handed out again.
                    self.metrics.fault(&*fault);
                    return tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
            conflicts += 1;
        }
    }

    /// One attempt among others; alone in its function after conflicts, and alone in the process where it may have ended
    /// one, or where what it lost against may be another function's writes.
    async fn take_turn(&self, delivery: Delivery, conflicts: u32, own: &RwLock<()>) -> Result<Settled, Fault> {
        if delivery.function.component.native().is_some() {
            // It has no keys to conflict over and no guest that could end the process, and it may take hours: nothing waits for it.
            return self.attempt(delivery).await;
        }
        let lost_often = conflicts >= CONFLICTS_BEFORE_ALONE;
        let reads_others = !delivery.function.grants.keyvalue_read.is_empty();
        let alone = delivery.lost >= LOST_BEFORE_ALONE || (lost_often && reads_others);
        let _process = Turn::take(&self.process, alone).await;
        let _function = Turn::take(own, lost_often).await;
        self.attempt(delivery).await
    }

    /// One attempt: invoke, decide, settle.
    async fn attempt(&self, delivery: Delivery) -> Result<Settled, Fault> {
        let function = delivery.function.clone();
        let ran = {
            let _running = self.metrics.running(function.name.as_str());
            self.runner(&function).invoke(&delivery, self.clock.now()).await?
        };

        let key = EventKey::of(&delivery.event.event);
        let key = key.uuid();
        let attempt = Attempt { number: delivery.attempt, seed: (key.as_bytes(), function.id.as_bytes()) };
        let ended = self.clock.now();
        let decision = decide(&ran.outcome, attempt, &function.retry, ended);
        self.metrics.attempt(&delivery, &ran, decision);

        let accepted_at = delivery.event.accepted_at;
        let recording = ran.recording.clone();
        let settlement = settlement(ran, decision, function.component.digest);
        let (settled, decision) = self.settle(delivery, settlement, recording).await?;
        if let Settled::Settled = settled {
            let now = self.clock.now();
            self.metrics.settled(function.name.as_str(), decision, now.since(ended), accepted_at, now);
        }
        Ok(settled)
    }

    /// Answers what became of the settlement, and the decision that it was: a chain that is too long fails the outcome that
    /// would lengthen it, as a whole, and what failed has its recording kept.
    async fn settle(
        &self,
        delivery: Delivery,
        settlement: Settlement,
        recording: RecordingBytes,
    ) -> Result<(Settled, Decision), SettleError> {
        let (decision, component, duration) = (settlement.decision, settlement.component, settlement.duration);
        match self.bus.settle(delivery, settlement).await {
            Err(SettleError::ChainTooLong { correlation, events_max, delivery }) => {
                let reason = format!("chain {correlation} has {events_max} events; nothing more can be emitted in it");
                let failure = Failure::new(FailureKind::ChainTooLong, reason);
                let dead = Settlement::dead_letter(failure, Some(recording), component, duration);
                Ok((self.bus.settle(delivery, dead).await?, Decision::DeadLetter))
            }
            settled => Ok((settled?, decision)),
        }
    }
}

fn settlement(ran: Ran, decision: Decision, component: Digest) -> Settlement {
    let (emitted, failure) = match ran.outcome {
        Outcome::Completed { emitted } => (emitted, None),
        Outcome::Failed(failure) => (Vec::new(), Some(failure)),
    };
    let failed = failure.is_some();
    Settlement {
        decision,
        failure,
        emitted,
        reads: ran.reads,
        writes: ran.writes,
        recording: (ran.sampled || failed).then_some(ran.recording),
        component,
        duration: ran.duration,
    }
}

/// A turn among others, or alone.
enum Turn<'a> {
    Shared { _guard: tokio::sync::RwLockReadGuard<'a, ()> },
    Alone { _guard: tokio::sync::RwLockWriteGuard<'a, ()> },
}

impl<'a> Turn<'a> {
    async fn take(lock: &'a RwLock<()>, alone: bool) -> Self {
        match alone {
            true => Turn::Alone { _guard: lock.write().await },
            false => Turn::Shared { _guard: lock.read().await },
        }
    }
}

/// Places for invocations in flight, whose number may change from one deployment to the next.
struct Places {
    free: Arc<Semaphore>,
    /// How many there are, taken ones included.
    total: usize,
}

impl Places {
    fn new() -> Self {
        Places { free: Arc::new(Semaphore::new(0)), total: 0 }
    }

    /// Waits for a place among `wanted`. Cancel-safe.
    async fn take(&mut self, wanted: usize) -> OwnedSemaphorePermit {
        if wanted > self.total {
            self.free.add_permits(wanted - self.total);
            self.total = wanted;
        }
        while wanted < self.total {
            let place = self.free.acquire().await.expect("the semaphore is never closed");
            place.forget();
            self.total -= 1;
        }
        self.free.clone().acquire_owned().await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests;
