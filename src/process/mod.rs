//! Runs tasks as processes of this machine: `component = "native:process"`.
//!
//! It knows argument lists, programs that the operator allowed by name, and files; no shell and no rule of delivery. A task
//! runs at least once: after a server's death it runs again, so a program that must not do twice what it does has to see to it
//! (`TIDEGATE_RUN` and `TIDEGATE_TASK` are the same each time). What became of it is said once.
//!
//! - A process has a folder of its own, which is its `HOME` and is removed afterwards, the variables of the environment that
//!   config `env` names, those of the task, and `TIDEGATE_*`.
//! - Nothing of a task outlives it or the server: `supervisor` sees to it.
//! - Its output, both streams as they come, is a blob; `GET /blobs/DIGEST` answers it.

mod results;
mod supervised;
pub mod supervisor;
mod task;
mod verdict;
mod workspace;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery::{TaskRequested, TaskResult};
use tokio_util::sync::CancellationToken;

use crate::blob::Blobs;
use crate::bus::Delivery;
use crate::deployment::{Function, ProcessSettings};
use crate::event::Event;
use crate::native::{Fault, Native, Stopping};
use crate::outcome::{Failure, FailureKind};
use supervised::{Ran, RunError, TERMINATE};
use supervisor::Spec;
use task::Asked;
use verdict::Limit;
use workspace::{Workspace, Workspaces};

/// What is left of the function's time limit for ending a task and telling of it.
const RESERVE: Duration = TERMINATE.saturating_mul(2);

/// Runs tasks, as many at once as its function may have in flight.
pub struct Runner {
    workspaces: Workspaces,
    blobs: Arc<dyn Blobs>,
    stopping: CancellationToken,
}

impl Runner {
    /// Tasks have their folders in `work`, and are ended when the server stops.
    pub fn open(work: PathBuf, blobs: Arc<dyn Blobs>, stopping: CancellationToken) -> io::Result<Self> {
        Ok(Runner { workspaces: Workspaces::open(work)?, blobs, stopping })
    }

    async fn run(&self, asked: &Asked, settings: &ProcessSettings, function: &Function) -> Result<TaskResult, Fault> {
        let Some(program) = settings.program(&asked.program) else {
            let (name, function) = (&asked.program, &function.name);
            let reason = format!("program {name:?} is not allowed; name it in config programs of function {function}");
            return Ok(verdict::error(reason));
        };
        let workspace = self.workspaces.make()?;
        let spec = Spec {
            program: program.clone(),
            arguments: asked.arguments.clone(),
            env: environment(asked, settings, &workspace),
            folder: workspace.home(),
        };
        let limit = limit(&asked.task, function);
        let ran = supervised::run(&spec, &workspace.output(), limit.time, &self.stopping).await;
        let blobs = self.blobs.clone();
        let told = move || tell(ran, workspace, &*blobs, &limit);
        tokio::task::spawn_blocking(told).await.expect("telling what became of a task does not panic")
    }
}

#[async_trait]
impl Native for Runner {
    async fn handle(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault> {
        let asked = match task::read(&delivery.event) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Ok(Ok(Vec::new())),
            Err(failure) => return Ok(Err(failure)),
        };
        let function = &delivery.function;
        match ProcessSettings::read(&function.config) {
            Ok(settings) => {
                let result = self.run(&asked, &settings, function).await?;
                Ok(Ok(vec![task::finished(&asked.task, result)]))
            }
            Err(problems) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                Ok(Err(Failure::new(FailureKind::Rejected, problems.join("; "))))
            }
        }
    }
}

/// The whole environment of a task's program: each line counts over those before.
fn environment(asked: &Asked, settings: &ProcessSettings, workspace: &Workspace) -> BTreeMap<String, String> {
    let task = &asked.task;
    let passed = |name: &String| Some((name.clone(), std::env::var(name).ok()?));
    let mut env: BTreeMap<String, String> = settings.env.iter().filter_map(passed).collect();
    env.extend(asked.env.clone());
    let path = |path: PathBuf| path.display().to_string();
    let set = [
        ("HOME", path(workspace.home())),
        ("TIDEGATE_RUN", task.run.clone()),
        ("TIDEGATE_TASK", task.task.clone()),
        ("TIDEGATE_REPOSITORY", task.repository.clone()),
        ("TIDEGATE_COMMIT", task.commit.clone()),
        ("TIDEGATE_RESULTS", path(workspace.results())),
    ];
    env.extend(set.map(|(name, value)| (name.to_owned(), value)));
    env
}

/// The shorter of what the task and what the function may take.
fn limit(task: &TaskRequested, function: &Function) -> Limit {
    let own = Duration::from_secs(task.time_seconds);
    let held = function.limits.time_max.saturating_sub(RESERVE);
    match own <= held {
        true => Limit { time: own, by: "time of the task".to_owned() },
        false => Limit { time: held, by: format!("limits.time of function {}", function.name) },
    }
}

/// Keeps the output and says what became of the task; its folder is gone then. A fault only where it can run again: what may
/// have done its work is not done twice for a fault of ours.
fn tell(
    ran: Result<Ran, RunError>,
    workspace: Workspace,
    blobs: &dyn Blobs,
    limit: &Limit,
) -> Result<TaskResult, Fault> {
    let ran = match ran {
        Ok(ran) => ran,
        Err(RunError::Stopped) => return Err(Stopping.into()),
        Err(fault @ RunError::NotStarted(_)) => return Err(fault.into()),
        Err(error @ RunError::Unknown { .. }) => return Ok(verdict::error(error.to_string())),
    };
    match keep(&workspace.output(), blobs) {
        Ok(output) => Ok(verdict::of(&ran, results::read(&workspace.results()), output, limit)),
        Err(error) => Ok(verdict::error(format!("its output could not be kept: {error}"))),
    }
}

fn keep(output: &Path, blobs: &dyn Blobs) -> Result<String, Fault> {
    Ok(blobs.put(&std::fs::read(output)?.into())?.to_string())
}
