//! From a project's files to an active deployment, and back to an earlier one.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::env;
use crate::api::model::DeployedView;
use crate::api::{self, DeployError, ProjectFiles, Webhooks};
use crate::bus::{Bus, Cause, History, StoredDeployment};
use crate::components::Components;
use crate::deployment::{
    ComponentRef, Deployment, Digest, Function, FunctionId, FunctionName, Manifest, Problem, Severity, Sources,
    Unverified, plan,
};
use crate::host::Connections;
use crate::project::{PROJECT_FILE, normal};
use crate::registry::Registries;

/// Makes deployments: checks, compiles, stores, activates. One for a process.
pub struct Deployer {
    pub bus: Arc<dyn Bus>,
    pub history: Arc<dyn History>,
    pub components: Components,
    /// Two deployments made at once would each expect to follow the same one.
    pub turn: Mutex<()>,
}

/// A deployment's number, and whether it was activated now or is what ran before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed {
    pub number: u64,
    pub changed: bool,
}

impl Deployer {
    /// Activates what a checked manifest says, unless that is what runs, or for `up`, what it applied last. What was released
    /// since then stays in force, but for functions whose component or configuration a person changed.
    pub async fn apply(&self, manifest: &Manifest, sources: &Files<'_>, cause: Cause) -> Result<Deployed, DeployError> {
        let _turn = self.turn.lock().await;
        let stored = self.history.deployments().await.map_err(fault("read the deployments"))?;
        let mut deployment = plan(&known_functions(&stored), manifest).map_err(|error| problem("function", &error))?;
        if let Some(running) = running(&stored) {
            if running.project != deployment.project {
                let (asked, runs) = (&deployment.project, &running.project);
                let message = format!("this is project {asked}, and {runs} runs here; deploy it to its own server");
                return Err(refused("name", message));
            }
            check_verified(running, &cause)?;
            // `up` leaves what came after the file that it applied last; a person who deploys means what runs now.
            let nothing_new = match cause {
                Cause::ProjectFile => {
                    let last = stored.iter().rev().find(|stored| is_from_a_file(&stored.cause));
                    let is_old = last.is_some_and(|last| last.deployment.filed_digest() == deployment.digest);
                    deployment = deployment.keeping_releases(running);
                    is_old
                }
                Cause::Operator(_) | Cause::Rollback { .. } | Cause::Event(_) => {
                    deployment = deployment.keeping_releases_of_unchanged(running);
                    running.digest == deployment.digest
                }
            };
            if nothing_new {
                return Ok(Deployed { number: running.number, changed: false });
            }
        }
        for function in &deployment.functions {
            self.store(function, sources).await?;
        }
        self.activate(deployment, &stored, cause).await
    }

    /// Checks and compiles everything first: what is active can run.
    async fn activate(
        &self,
        deployment: Deployment,
        stored: &[StoredDeployment],
        cause: Cause,
    ) -> Result<Deployed, DeployError> {
        check_secrets(&deployment)?;
        for function in deployment.functions.iter().filter(|function| function.component.native().is_none()) {
            let key = format!("function {}", function.name);
            let ready = self.components.get(function.component.digest).await;
            let ready = ready.map_err(|error| problem(&key, &error))?;
            self.components.engine().check_link(&ready, function).map_err(|error| problem(&key, &error))?;
        }
        let expected = running(stored).map_or(0, |running| running.number);
        let number = self.bus.activate(deployment, expected, cause).await?;
        Ok(Deployed { number, changed: true })
    }

    /// Keeps a function's component, so that its deployment can run whatever becomes of the folder.
    async fn store(&self, function: &Function, sources: &Files<'_>) -> Result<(), DeployError> {
        let digest = function.component.digest;
        if self.components.has(digest).await.map_err(fault("look for a component"))? {
            return Ok(());
        }
        let reference = &function.component.reference;
        let bytes = match reference {
            ComponentRef::Builtin(name) => sources.builtin(name).map(<[u8]>::to_vec),
            ComponentRef::Native(_) => return Ok(()),
            ComponentRef::Path(path) => sources.file(path).ok(),
            ComponentRef::Oci(reference) => {
                let message = format!("{reference} is not in the store any more, where its release had put it");
                return Err(refused(&format!("function {}", function.name), message));
            }
        };
        let Some(bytes) = bytes.filter(|bytes| Digest::of(bytes) == digest) else {
            let key = format!("function {}", function.name);
            return Err(refused(&key, format!("{reference} changed while it was read; deploy again")));
        };
        self.components.put(bytes.into()).await.map_err(fault("store a component"))
    }
}

/// Where a manifest's files come from, shared by threads.
type Files<'a> = dyn Sources + Sync + 'a;

#[async_trait]
impl api::Deployer for Deployer {
    async fn deploy(&self, project: ProjectFiles, by: &str) -> Result<DeployedView, DeployError> {
        let sources = Uploaded(project);
        let text = sources.file(PROJECT_FILE).expect("an upload has a project file");
        let text = String::from_utf8(text).map_err(|error| problem(PROJECT_FILE, &error))?;
        let (manifest, problems) = Manifest::parse(&text, &sources);
        let Some(manifest) = manifest else { return Err(DeployError::Problems(problems)) };
        let unset = manifest.unset_variables(&sources);
        if !unset.is_empty() {
            return Err(DeployError::Problems(unset.iter().map(|name| unset_here(name)).collect()));
        }
        let deployed = self.apply(&manifest, &sources, Cause::Operator(by.to_owned())).await?;
        Ok(view(deployed, problems))
    }

    async fn rollback(&self, number: u64, by: &str) -> Result<DeployedView, DeployError> {
        let _turn = self.turn.lock().await;
        let stored = self.history.deployments().await.map_err(fault("read the deployments"))?;
        if running(&stored).is_some_and(|running| running.number == number) {
            return Ok(view(Deployed { number, changed: false }, Vec::new()));
        }
        let wanted = stored.iter().find(|stored| stored.deployment.number == number);
        let wanted = wanted.ok_or(DeployError::Unknown { number })?;
        let cause = Cause::Rollback { to: number, by: by.to_owned(), verified: wanted.cause.is_verified() };
        let mut deployment = wanted.deployment.clone();
        if let Some(running) = running(&stored) {
            check_verified(running, &cause)?;
            // Going back is no way around what the project refuses now.
            deployment.unverified = running.unverified;
            deployment.digest = deployment.compute_digest();
        }
        let deployed = self.activate(deployment, &stored, cause).await?;
        Ok(view(deployed, Vec::new()))
    }
}

/// Whether the project that runs lets in what comes by this cause.
fn check_verified(running: &Deployment, cause: &Cause) -> Result<(), DeployError> {
    match running.unverified {
        Unverified::Refuse if !cause.is_verified() => Err(DeployError::Unverified),
        Unverified::Refuse | Unverified::Accept => Ok(()),
    }
}

/// A project's files as they came over HTTP; components that are shipped and secrets are this server's own.
struct Uploaded(ProjectFiles);

impl Sources for Uploaded {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let file = self.0.get(&normal(path)?).ok_or("it is not in the upload")?;
        Ok(file.to_vec())
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        crate::builtin::component(name)
    }

    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String> {
        crate::invoke::imports(component)
    }

    fn env(&self, name: &str) -> Option<String> {
        env(name)
    }
}

/// Whether every secret of a deployment can be had from this process's environment.
pub fn check_secrets(deployment: &Deployment) -> Result<(), DeployError> {
    Connections::from_deployment(deployment, &env).map_err(|error| problem("connections", &error))?;
    Registries::from_deployment(deployment, &env).map_err(|error| problem("registries", &error))?;
    Webhooks::resolve(&deployment.triggers, &env).map_err(|error| problem("trigger.webhook", &error))?;
    Ok(())
}

/// The last one that was appended is the one that runs.
fn running(stored: &[StoredDeployment]) -> Option<&Deployment> {
    stored.iter().map(|stored| &stored.deployment).max_by_key(|deployment| deployment.number)
}

/// Every name that a function of this project ever had, with its id; a name given twice means its last function.
fn known_functions(stored: &[StoredDeployment]) -> BTreeMap<FunctionName, FunctionId> {
    let functions = stored.iter().flat_map(|stored| &stored.deployment.functions);
    functions.map(|function| (function.name.clone(), function.id)).collect()
}

fn is_from_a_file(cause: &Cause) -> bool {
    match cause {
        Cause::ProjectFile | Cause::Operator(_) => true,
        Cause::Rollback { .. } | Cause::Event(_) => false,
    }
}

fn view(deployed: Deployed, problems: Vec<Problem>) -> DeployedView {
    let problems = problems.into_iter().map(Into::into).collect();
    DeployedView { number: deployed.number, changed: deployed.changed, problems }
}

/// A secret that the project names is this server's to know: what cannot be resolved here would fail later.
fn unset_here(name: &str) -> Problem {
    let message = format!(
        "the environment variable {name} is not set where the server runs; set it there, start the server again and deploy"
    );
    Problem { severity: Severity::Error, key: String::new(), line: 0, message }
}

fn refused(key: &str, message: String) -> DeployError {
    let key = key.to_owned();
    DeployError::Problems(vec![Problem { severity: Severity::Error, key, line: 0, message }])
}

/// What the error and its causes say, as a problem of the project.
fn problem(key: &str, error: &dyn Error) -> DeployError {
    refused(key, crate::telemetry::Causes(error).to_string())
}

fn fault<E: Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> DeployError {
    move |error| DeployError::Fault { what, source: error.into() }
}
