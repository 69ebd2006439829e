//! Many cases run again at once, on all cores.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::{Case, Changes, Ground, JudgeError, Judged, Recording, Summary, judge};
use crate::bus::InvocationId;
use crate::deployment::Deployment;
use crate::event::Accepted;
use crate::host::HostFault;
use crate::invoke::{Compiled, Engine};

/// A recorded attempt as it was stored, and what it ran under.
pub struct Stored {
    pub id: InvocationId,
    pub event: Accepted,
    pub recording: Bytes,
    pub deployment: Arc<Deployment>,
    /// Or why it cannot be had.
    pub compiled: Result<Compiled, String>,
}

/// Told of each case that ran, as soon as it did; from many threads.
pub type Told = Arc<dyn Fn(&Case, &Judged) + Send + Sync>;

impl Stored {
    /// Errors: why it cannot be run again.
    pub fn read(&self) -> Result<Case, String> {
        let function = self.deployment.function_by_id(self.id.function);
        let ground = function.map(|function| Ground::new(&self.event.event, function));
        let ground = ground.ok_or_else(|| {
            let number = self.deployment.number;
            format!("deployment {number} has no function {}", self.id.function)
        })?;
        let recording = Recording::decode(&self.recording, &ground).map_err(|error| error.to_string())?;
        Case::new(self.id, self.event.clone(), self.deployment.clone(), recording).map_err(|error| error.to_string())
    }
}

/// Runs every case that comes until there are no more. Dropping the future ends what runs.
pub async fn backtest(
    engine: Arc<Engine>,
    cases: mpsc::Receiver<Vec<Stored>>,
    changes: Arc<Changes>,
    told: Told,
    at_once: usize,
) -> Result<Summary, HostFault> {
    let cases = Arc::new(Mutex::new(cases));
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
                self.one(&stored, &mut summary).await?;
            }
        }
    }

    async fn one(&self, stored: &Stored, summary: &mut Summary) -> Result<(), HostFault> {
        let case = match stored.read() {
            Ok(case) => case,
            Err(reason) => {
                summary.add_not_replayed(reason);
                return Ok(());
            }
        };
        let compiled = match &stored.compiled {
            Ok(compiled) => compiled,
            Err(reason) => {
                summary.add_not_replayed(reason.clone());
                return Ok(());
            }
        };
        match judge(&self.engine, compiled, &case, &self.changes, None).await {
            Ok(judged) => {
                (self.told)(&case, &judged);
                summary.add(&case, judged);
            }
            Err(JudgeError::Edit(error)) => summary.add_not_replayed(error.to_string()),
            Err(JudgeError::Host(fault)) => return Err(fault),
        }
        Ok(())
    }
}
