//! The reconciler: desired -> active -> reported. A function's request becomes a numbered deployment, or is refused with every
//! problem; asked for drift, it tells what runs.
//!
//! Only a function of the deployment is answered. What anybody else sends as a request is a dead letter that says so: an answer
//! says what was asked for, and whoever asked for the same would take it for its own.
//!
//! An activation and the settlement of its request are two commits. What makes them one: the deployment names the request as
//! its cause, so that a second attempt finds what the first one did. The answer to a request is the record of the activation
//! itself. A request for what runs already is appended too: whoever asked gets its answer, and the pin says which release it
//! is now.

mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::request::Request;
use crate::bus::{ActivateError, Bus, Cause, Delivery, History, StoredDeployment, what_runs};
use crate::clock::Clock;
use crate::components::{ComponentError, Components};
use crate::deployment::{ComponentRef, Deployment, Digest, Env, Function, OciReference, Release};
use crate::event::{Accepted, DATA_INLINE_BYTES_MAX, Event, cdevent, cdevent_content, check_hops};
use crate::invoke::EngineError;
use crate::native::{Fault, Native};
use crate::outcome::{Failure, FailureKind};
use crate::registry::{PullError, Registries};
use crate::telemetry::Causes;

/// Of any version.
const REQUESTED: &str = "dev.cdeventsx.tidegate-deployment.requested.";
const REFUSED: &str = "dev.cdeventsx.tidegate-deployment.refused.0.1.0";
const REPORTED: &str = "dev.cdeventsx.tidegate-deployment.reported.0.1.0";
/// How often others may activate something between two looks before this is a fault.
const MOVES_MAX: u32 = 16;

/// For one request: its component is pulled, checked and compiled.
pub const TIME_MAX: Duration = Duration::from_secs(4 * 60);

/// What answers requests for deployments. One for a process.
pub struct Reconciler {
    pub bus: Arc<dyn Bus>,
    pub history: Arc<dyn History>,
    pub components: Components,
    /// The values of the secrets of registries.
    pub env: Env,
    pub clock: Clock,
    /// For one look at a request. Shorter than the limit of its function: an attempt that is cut off there answers nobody.
    pub time_max: Duration,
}

/// Why there is no deployment for a request.
enum Refusal {
    /// Nobody who is answered asked for it.
    Unasked(String),
    /// For good: every problem.
    Problems(Vec<String>),
    /// A registry may answer later.
    Later(String),
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Refusal::Problems(vec![problem])
    }
}

#[async_trait]
impl Native for Reconciler {
    async fn handle(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault> {
        let asks = delivery.event.event.ty.starts_with(REQUESTED);
        if asks { self.answer(delivery).await } else { self.report().await }
    }
}

impl Reconciler {
    async fn answer(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault> {
        // An activation is no emitted event, but a chain that turns in a circle has to end here too.
        if let Err(failure) = check_hops(&delivery.event, self.clock.now()) {
            return Ok(Err(failure));
        }
        let deployed = tokio::time::timeout(self.time_max, self.deploy(&delivery.event)).await;
        let late = || Ok(Err(Refusal::Later(format!("it took longer than {} s", self.time_max.as_secs_f64()))));
        let problems = match deployed.unwrap_or_else(|_| late())? {
            // The record of the activation is the answer.
            Ok(()) => return Ok(Ok(Vec::new())),
            Err(Refusal::Unasked(reason)) => return Ok(Err(Failure::new(FailureKind::Rejected, reason))),
            Err(Refusal::Problems(problems)) => problems,
            Err(Refusal::Later(reason)) if delivery.attempt < delivery.function.retry.attempts => {
                return Ok(Err(Failure::new(FailureKind::Retry, reason)));
            }
            // Whoever waits for an answer gets one: a dead letter would be none.
            Err(Refusal::Later(reason)) => vec![format!("{reason}; given up after {} attempts", delivery.attempt)],
        };
        Ok(Ok(vec![refused(&delivery.event.event, &problems)]))
    }

    /// Appends what the request asks for, once.
    async fn deploy(&self, event: &Accepted) -> Result<Result<(), Refusal>, Fault> {
        let cause = Cause::Event(event.position);
        let mut component = None;
        for _ in 0..MOVES_MAX {
            let stored = self.history.deployments().await?;
            if stored.iter().any(|stored| stored.cause == cause) {
                return Ok(Ok(()));
            }
            let Some(running) = newest(&stored) else { return Ok(Err("nothing is deployed".to_owned().into())) };
            let wanted = match self.wanted(event, &stored, &running.deployment, &mut component).await? {
                Ok(wanted) => wanted,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match self.bus.activate(wanted, running.deployment.number, cause.clone()).await {
                Ok(_) => return Ok(Ok(())),
                // Somebody else's activation came between: what they made is what the request changes now.
                Err(ActivateError::Moved { .. }) => {}
                Err(ActivateError::Bus(error)) => return Err(error.into()),
            }
        }
        Err("other deployments came between, again and again".into())
    }

    /// The running deployment with the one function changed, if it may be and can run. The component is kept for another
    /// look.
    async fn wanted(
        &self,
        event: &Accepted,
        stored: &[StoredDeployment],
        running: &Deployment,
        component: &mut Option<Digest>,
    ) -> Result<Result<Deployment, Refusal>, Fault> {
        let asker = match request::asker(&event.origin, running) {
            Ok(asker) => asker,
            Err(reason) => return Ok(Err(Refusal::Unasked(reason))),
        };
        if event.event.data_bytes() > DATA_INLINE_BYTES_MAX {
            // Its record copies it, and a record waits for no store.
            return Ok(Err(format!("the request has more than {DATA_INLINE_BYTES_MAX} bytes").into()));
        }
        let request = match Request::read(&event.event) {
            Ok(request) => request,
            Err(problem) => return Ok(Err(problem.into())),
        };
        let function = match request.judge(asker, running) {
            Ok(function) => function,
            Err(problems) => return Ok(Err(Refusal::Problems(problems))),
        };
        let component = match *component {
            Some(component) => component,
            None => match self.obtain(&request.component, stored, running).await? {
                Ok(obtained) => *component.insert(obtained),
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let Request { component: reference, config, release, .. } = request;
        let release = Release { request: event.position, release, reference, component, config };
        let released = function.released(release);
        Ok(match self.check(&released).await? {
            Ok(()) => Ok(running.with(released)),
            Err(problem) => Err(problem.into()),
        })
    }

    /// Sees to it that the component is in the store; its digest. What was released before is there, and going back to it
    /// needs no registry.
    async fn obtain(
        &self,
        reference: &OciReference,
        stored: &[StoredDeployment],
        running: &Deployment,
    ) -> Result<Result<Digest, Refusal>, Fault> {
        let mut functions = stored.iter().flat_map(|stored| &stored.deployment.functions);
        let wanted = ComponentRef::Oci(reference.clone());
        if let Some(known) = functions.find(|function| function.component.reference == wanted)
            && self.components.has(known.component.digest).await?
        {
            return Ok(Ok(known.component.digest));
        }
        let registries = match Registries::from_deployment(running, &*self.env) {
            Ok(registries) => registries,
            Err(error) => return Ok(Err(format!("registries: {error}").into())),
        };
        match registries.pull(reference).await {
            Ok(bytes) => {
                let digest = Digest::of(&bytes);
                self.components.put(bytes).await?;
                Ok(Ok(digest))
            }
            Err(error) => Ok(Err(refusal(&error))),
        }
    }

    /// Compiles the function's component, and holds its imports against the function's grants.
    async fn check(&self, function: &Function) -> Result<Result<(), String>, Fault> {
        let linked = match self.components.get(function.component.digest).await {
            Ok(compiled) => self.components.engine().check_link(&compiled, function),
            Err(ComponentError::Engine(error)) => Err(error),
            Err(ComponentError::Store(error)) => return Err(error.into()),
        };
        match linked {
            Ok(()) => Ok(Ok(())),
            Err(error @ EngineError::Setup(_)) => Err(error.into()),
            Err(error @ (EngineError::Compile { .. } | EngineError::Link { .. } | EngineError::NoHandle { .. })) => {
                Ok(Err(Causes(&error).to_string()))
            }
        }
    }

    /// What really runs, and since when.
    async fn report(&self) -> Result<Result<Vec<Event>, Failure>, Fault> {
        let stored = self.history.deployments().await?;
        let Some(running) = newest(&stored) else { return Ok(Ok(Vec::new())) };
        let StoredDeployment { deployment, position, cause, .. } = running;
        let content = what_runs(deployment, cause, None, Some(*position));
        Ok(Ok(vec![cdevent(REPORTED, &deployment.number.to_string(), &content)]))
    }
}

/// The last one that was appended is the one that runs.
fn newest(stored: &[StoredDeployment]) -> Option<&StoredDeployment> {
    stored.iter().max_by_key(|stored| stored.deployment.number)
}

fn refusal(error: &PullError) -> Refusal {
    let reason = Causes(error).to_string();
    if error.is_passing() { Refusal::Later(reason) } else { reason.into() }
}

/// The request is copied as it was made, so that whoever made it knows it again. The subject is the request's.
fn refused(request: &Event, problems: &[String]) -> Event {
    let content = json!({ "request": cdevent_content(request).unwrap_or(Value::Null), "problems": problems });
    cdevent(REFUSED, request.subject.as_deref().unwrap_or("deployment"), &content)
}
