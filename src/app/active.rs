//! What follows from an activation: webhooks, triggers and a path for each function, as the active deployment has them.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{AppError, env};
use crate::api::Webhooks;
use crate::bus::History;
use crate::deployment::{Deployment, FunctionId, Trigger};
use crate::dispatch::{self, Path};
use crate::tasks::Tasks;
use crate::trigger::{Intake, Notices, TriggerError, bucket, queue, schedule};

/// What serves the active deployment, whichever that is.
pub struct Following {
    path: Arc<Path>,
    webhooks: watch::Sender<Arc<Webhooks>>,
    history: Arc<dyn History>,
    ended: mpsc::Sender<AppError>,
    notices: Notices,
    tasks: Tasks,
    active: watch::Receiver<Option<Arc<Deployment>>>,
    /// Every function that was ever active here: its path waits while no deployment has it.
    served: HashSet<FunctionId>,
    /// Of the active deployment.
    triggers: Tasks,
}

impl Following {
    /// Takes up what is active now: doors that open after this know the webhooks.
    pub fn start(
        path: Arc<Path>,
        webhooks: watch::Sender<Arc<Webhooks>>,
        history: Arc<dyn History>,
        notices: Notices,
        ended: mpsc::Sender<AppError>,
        tasks: Tasks,
    ) -> Self {
        let (active, triggers) = (path.bus.active(), tasks.child());
        let mut following =
            Following { path, webhooks, history, notices, ended, tasks, active, served: HashSet::new(), triggers };
        following.take_up();
        following
    }

    /// Follows activations until the process stops.
    pub async fn run(mut self) {
        let stopping = self.tasks.stopping();
        while let Some(Ok(())) = stopping.run_until_cancelled(self.active.changed()).await {
            self.take_up();
        }
    }

    fn take_up(&mut self) {
        let Some(deployment) = self.active.borrow_and_update().clone() else { return };
        open_webhooks(&self.path, &self.webhooks, &deployment);
        serve_new(&self.path, &deployment, &mut self.served, &self.tasks);
        // A trigger keeps its place in the log, so that its successor goes on where it stopped.
        self.triggers.stop();
        self.triggers = self.tasks.child();
        for trigger in &deployment.triggers {
            let intake = intake(&self.path, &self.notices, &self.triggers);
            spawn(trigger, &deployment.project, intake, &self.history, &self.ended, &self.triggers);
        }
    }
}

/// Puts a deployment's webhooks in place. Secrets were resolved before the activation; where one vanished since then, the
/// webhooks that stood before stay.
fn open_webhooks(path: &Path, webhooks: &watch::Sender<Arc<Webhooks>>, deployment: &Deployment) {
    match Webhooks::resolve(&deployment.triggers, &env) {
        Ok(resolved) => drop(webhooks.send_replace(Arc::new(resolved))),
        Err(error) => path.metrics.webhooks_kept(deployment.number, &error),
    }
}

/// A path for each function that had none.
fn serve_new(path: &Arc<Path>, deployment: &Deployment, served: &mut HashSet<FunctionId>, tasks: &Tasks) {
    for function in &deployment.functions {
        if served.insert(function.id) {
            let subscription = path.bus.subscribe(function.id);
            tasks.spawn(dispatch::serve(path.clone(), function.id, subscription, tasks.clone()));
        }
    }
}

fn intake(path: &Path, notices: &Notices, triggers: &Tasks) -> Intake {
    Intake {
        bus: path.bus.clone(),
        clock: path.clock.clone(),
        metrics: path.metrics.clone(),
        env: Arc::new(env),
        notices: notices.clone(),
        stop: triggers.stopping(),
    }
}

fn spawn(
    trigger: &Trigger,
    project: &str,
    intake: Intake,
    history: &Arc<dyn History>,
    ended: &mpsc::Sender<AppError>,
    triggers: &Tasks,
) {
    let (project, history, ended) = (project.to_owned(), history.clone(), ended.clone());
    let serving: BoxFuture<'static, Result<(), TriggerError>> = match trigger.clone() {
        Trigger::Webhook(_) => return,
        Trigger::Schedule(trigger) => Box::pin(schedule::run(trigger, intake, history)),
        Trigger::Bucket(trigger) => Box::pin(bucket::run(trigger, intake, history)),
        Trigger::Queue(trigger) => Box::pin(async move { queue::run(trigger, &project, intake).await }),
    };
    triggers.spawn(async move {
        if let Err(error) = serving.await {
            // Another failure may be told first; one is enough to stop the process.
            let _ = ended.try_send(error.into());
        }
    });
}

#[cfg(test)]
mod tests;
