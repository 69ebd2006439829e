//! The host: everything a function can ask of the world, as values, through one seam.
//!
//! `Host::perform` is the only place that knows live from replay. Every effect and its answer goes into the journal, in
//! the order in which the guest asked; the journal is stored with the settlement, so that a replay can answer from it.
//! A new effect is one variant and one live file.
//!
//! Invariants: no lock is held across an await; answers to time, random, configuration and log never wait.

mod chance;
mod effect;
pub mod http;
mod journal;
mod keys;
mod live;
mod log;
mod redact;
mod replay;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use effect::{Answer, Effect, EffectError, HttpRequest, HttpResponse, LogLevel};
pub use http::{Connections, ConnectionsError, LiveConnection};
pub use journal::{Entry, JOURNAL_BYTES_MAX, Journal, Place};
pub use keys::{KEY_BYTES_MAX, KEYS_READ_MAX, VALUE_BYTES_MAX, WRITES_MAX};
pub use log::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};
pub use replay::{Ended, Missing, Script, Unanswered};

use crate::bus::{Bus, BusError, Delivery, History, KeyRead, KeyWrite};
use crate::clock::{Clock, Timestamp};
use crate::deployment::{DeployedFunction, Deployment, Env, Redaction};
use crate::event::EventKey;
use live::Live;
use log::Lines;
use replay::Replay;

/// Deployments whose connections are kept: the active one, and those whose last invocations still run.
const DEPLOYMENTS_CONNECTED_MAX: usize = 4;

/// What every live host of a process shares.
pub struct World {
    pub bus: Arc<dyn Bus>,
    /// Of the same log.
    pub history: Arc<dyn History>,
    pub clock: Clock,
    env: Env,
    /// By the number of their deployment.
    connections: Mutex<BTreeMap<u64, Arc<Connections>>>,
}

impl World {
    /// `env` has the values of the secrets that deployments name.
    pub fn new(bus: Arc<dyn Bus>, history: Arc<dyn History>, clock: Clock, env: Env) -> Self {
        World { bus, history, clock, env, connections: Mutex::default() }
    }

    /// The connections of a deployment, with their secrets: an invocation that began under it ends with them, whatever
    /// was activated since.
    pub fn connections(&self, deployment: &Deployment) -> Result<Arc<Connections>, ConnectionsError> {
        let mut known = lock(&self.connections);
        if let Some(connections) = known.get(&deployment.number) {
            return Ok(connections.clone());
        }
        let connections = Arc::new(Connections::from_deployment(deployment, &*self.env)?);
        known.insert(deployment.number, connections.clone());
        if known.len() > DEPLOYMENTS_CONNECTED_MAX {
            known.pop_first();
        }
        Ok(connections)
    }
}

/// Answers the effects of one invocation and keeps its journal. Clones share both: a request in flight answers beside
/// the guest.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    call: Call,
    answers: Answers,
    lines: Mutex<Lines>,
    journal: Mutex<Journal>,
}

/// Whose invocation it is, and what its answers begin with.
#[derive(Debug, Clone)]
pub struct Call {
    /// With its grants, limits and configuration.
    pub function: DeployedFunction,
    /// Of the event that is handled.
    pub event_key: EventKey,
    /// Where the guest's wall clock starts.
    pub wall_start: Timestamp,
}

enum Answers {
    Live(Box<Live>),
    Replay(Replay),
}

/// A fault of ours while an effect was answered or a guest was run: no outcome, no attempt.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    #[error("an effect could not be answered")]
    Bus(#[from] BusError),
    #[error("the connections of the deployment cannot be had")]
    Connections(#[from] ConnectionsError),
    #[error("HTTP cannot be set up")]
    Http(#[from] reqwest::Error),
    /// `Host::ended` says why.
    #[error("the replay went no further")]
    ReplayEnded,
    #[error("the engine lost an invocation")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What an invocation leaves behind.
#[derive(Default)]
pub struct Trail {
    pub journal: Journal,
    pub reads: Vec<KeyRead>,
    pub writes: Vec<KeyWrite>,
}

impl Host {
    /// Answers from the world, for this delivery's function and its grants.
    pub fn live(world: Arc<World>, delivery: &Delivery) -> Self {
        let call = Call {
            function: delivery.function.clone(),
            event_key: EventKey::of(&delivery.event.event),
            wall_start: delivery.first_attempt_at,
        };
        Self::new(Answers::Live(Box::new(Live::new(world, &call))), call)
    }

    /// Answers from a recording, and reaches nothing else.
    pub fn replay(script: Script, call: Call) -> Self {
        Self::new(Answers::Replay(Replay::new(script, &call)), call)
    }

    fn new(answers: Answers, call: Call) -> Self {
        Host(Arc::new(Shared { call, answers, lines: Mutex::default(), journal: Mutex::default() }))
    }

    /// The one seam: live or replay, every effect passes here and into the journal.
    pub async fn perform(&self, effect: Effect) -> Result<Answer, HostFault> {
        if let Some(denied) = self.journal().closed() {
            return Ok(Answer::Failed(denied));
        }
        let admitted = lock(&self.0.lines).admit(effect, self.0.call.redaction());
        let Some(effect) = admitted else { return Ok(Answer::Done) };
        let index = self.journal().entries().len();
        let answer = self.answer(index, &effect).await?;
        self.journal().push(effect, answer.clone());
        Ok(answer)
    }

    /// Keeps a place in the journal for an effect that the guest has begun to ask and does not wait for. `begun`: as much
    /// of it as is known, for the case that it never ends.
    pub fn begin(&self, begun: Effect) -> Place {
        self.journal().begin(begun)
    }

    /// `perform` for an effect whose place was kept.
    pub async fn perform_at(&self, place: Place, effect: Effect) -> Result<Answer, HostFault> {
        let answer = self.answer(place.index(), &effect).await?;
        self.journal().fill(place, effect, answer.clone());
        Ok(answer)
    }

    /// What the guest is to see of what it has begun, `Effect::Poll` or `IsReady`; none: what its own instance sees, which is
    /// then told by `saw`.
    pub fn seen(&self, place: &Place, effect: &Effect) -> Result<Option<Vec<u32>>, HostFault> {
        match &self.0.answers {
            Answers::Live(_) => Ok(None),
            Answers::Replay(replay) => replay.seen(place.index(), effect),
        }
    }

    /// Ends what `begin` began with what the guest saw.
    pub fn saw(&self, place: Place, effect: Effect, ready: Vec<u32>) {
        self.journal().fill(place, effect, Answer::Ready(ready));
    }

    async fn answer(&self, index: usize, effect: &Effect) -> Result<Answer, HostFault> {
        match &self.0.answers {
            Answers::Live(live) => live.answer(&self.0.call, effect).await,
            Answers::Replay(replay) => replay.answer(&self.0.call, index, effect).await,
        }
    }

    pub fn call(&self) -> &Call {
        &self.0.call
    }

    /// Whether a guest that sleeps has to wait: the time of a recording has passed already.
    pub fn time_passes(&self) -> bool {
        matches!(self.0.answers, Answers::Live(_))
    }

    /// Where the run ends instead of at its time limit.
    pub fn instructions_max(&self) -> Option<u64> {
        match &self.0.answers {
            Answers::Live(_) => None,
            Answers::Replay(replay) => replay.instructions_max(),
        }
    }

    /// Why a replay went no further; none: it did, or is none.
    pub fn ended(&self) -> Option<Ended> {
        match &self.0.answers {
            Answers::Live(_) => None,
            Answers::Replay(replay) => replay.ended(),
        }
    }

    /// How many effects are in the journal.
    pub fn performed(&self) -> usize {
        self.journal().entries().len()
    }

    /// Ends the invocation. Requests that are still in flight no longer reach the journal.
    pub fn into_trail(self) -> Trail {
        let journal = std::mem::take(&mut *self.journal());
        let (reads, writes) = match &self.0.answers {
            Answers::Live(live) => live.take_keys(),
            Answers::Replay(_) => Default::default(),
        };
        Trail { journal, reads, writes }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.0.journal)
    }
}

impl Call {
    fn redaction(&self) -> &Redaction {
        &self.function.deployment().recording.redact
    }

    fn config_value(&self, key: &str) -> Answer {
        Answer::Text(self.function.config.get(key).map(|value| value.text.clone()))
    }

    fn config_all(&self) -> Answer {
        let config = self.function.config.iter();
        Answer::Pairs(config.map(|(key, value)| (key.clone(), value.text.clone())).collect())
    }
}

/// A panic elsewhere leaves these values whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
