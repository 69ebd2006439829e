//! Many cases run again at once, on all cores.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::{Case, Changes, Ground, JudgeError, Judged, NotReplayable, Recording, Summary, judge};
use crate::bus::InvocationId;
use crate::deployment::Deployment;
use crate::event::Accepted;
use crate::host::HostFault;
use crate::invoke::{Compiled, Engine};

/// Batches that are read ahead of those who run them: enough for them while the next page is read.
const BATCHES_AHEAD: usize = 32;
/// Attempts of one batch, and bytes of their events and recordings together, about.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 1024 * 1024;

/// A recorded attempt as it was stored, and what it ran under.
#[derive(Clone)]
pub struct Stored {
    pub id: InvocationId,
    pub event: Accepted,
    pub recording: Bytes,
    pub deployment: Arc<Deployment>,
    /// Or why it cannot be had.
    pub compiled: Result<Compiled, String>,
}

/// What is to be run again, in batches; at its other end, `backtest` takes them.
pub struct Feed {
    sender: mpsc::Sender<Vec<Stored>>,
    batch: Vec<Stored>,
    bytes: usize,
}

/// Where `backtest` takes what is to be run again.
pub struct Cases(mpsc::Receiver<Vec<Stored>>);

impl Feed {
    pub fn new() -> (Feed, Cases) {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        (Feed { sender, batch: Vec::new(), bytes: 0 }, Cases(receiver))
    }

    /// Waits while enough is ahead. Whether anybody still takes it.
    pub async fn push(&mut self, stored: Stored) -> bool {
        self.bytes += stored.recording.len() + stored.event.event.data_bytes();
        self.batch.push(stored);
        let is_full = self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES;
        !is_full || self.flush().await
    }

    /// Hands on what is left; nothing more comes.
    pub async fn finish(mut self) {
        self.flush().await;
    }

    async fn flush(&mut self) -> bool {
        self.bytes = 0;
        self.sender.send(std::mem::take(&mut self.batch)).await.is_ok()
    }
}

/// Told of each case that ran, as soon as it did; from many threads.
pub type Told = Arc<dyn Fn(&Case, &Judged) + Send + Sync>;

impl Stored {
    /// `POSITION.FUNCTION-NAME.ROUND.ATTEMPT`, or with the function's id where its deployment is without it.
    pub fn name(&self) -> String {
        let id = self.id;
        let function = self.deployment.function_by_id(id.function);
        let name = function.map_or_else(|| id.function.to_string(), |function| function.name.to_string());
        format!("{}.{name}.{}.{}", id.position, id.round, id.attempt)
    }

    /// The case, and its component. Errors: why it cannot be run again.
    pub fn read(self) -> Result<(Case, Compiled), String> {
        let function = self.deployment.function_by_id(self.id.function);
        let ground = function.map(|function| Ground::new(&self.event.event, function));
        let ground = ground.ok_or_else(|| {
            let number = self.deployment.number;
            format!("deployment {number} has no function {}", self.id.function)
        })?;
        let recording = Recording::decode(&self.recording, &ground).map_err(|error| error.to_string())?;
        let case = Case::new(self.id, self.event, self.deployment, recording).map_err(|error| error.to_string())?;
        let compiled = self.compiled?;
        if compiled.digest != case.recording.component {
            return Err(NotReplayable::Other("the component").to_string());
        }
        Ok((case, compiled))
    }
}

/// Runs every case that comes until there are no more. Dropping the future ends what runs.
pub async fn backtest(
    engine: Arc<Engine>,
    cases: Cases,
    changes: Arc<Changes>,
    told: Told,
    at_once: usize,
) -> Result<Summary, HostFault> {
    let cases = Arc::new(Mutex::new(cases.0));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let worker =
            Worker { engine: engine.clone(), cases: cases.clone(), changes: changes.clone(), told: told.clone() };
        workers.spawn(worker.run());
    }
    let mut summary = Summary::default();
    while let Some(done) = workers.join_next().await {
        summary.merge(done.map_err(|error| HostFault::Engine(error.into()))??);
    }
    Ok(summary)
}

struct Worker {
    engine: Arc<Engine>,
    cases: Arc<Mutex<mpsc::Receiver<Vec<Stored>>>>,
    changes: Arc<Changes>,
    told: Told,
}

impl Worker {
    async fn run(self) -> Result<Summary, HostFault> {
        let mut summary = Summary::default();
        loop {
            let next = self.cases.lock().await.recv().await;
            let Some(batch) = next else { return Ok(summary) };
            for stored in batch {
                self.one(stored, &mut summary).await?;
            }
        }
    }

    async fn one(&self, stored: Stored, summary: &mut Summary) -> Result<(), HostFault> {
        let (case, compiled) = match stored.read() {
            Ok(read) => read,
            Err(reason) => {
                summary.add_not_replayed(reason, 1);
                return Ok(());
            }
        };
        match judge(&self.engine, &compiled, &case, &self.changes, None).await {
            Ok(judged) => {
                (self.told)(&case, &judged);
                summary.add(&case, judged);
            }
            Err(JudgeError::Edit(error)) => summary.add_not_replayed(error.to_string(), 1),
            Err(JudgeError::Host(fault)) => return Err(fault),
        }
        Ok(())
    }
}
