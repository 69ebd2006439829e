//! Pipeline runs and their tasks. A run's id is `<repository>/runs/<12 digits of the commit>`, a task run's `<run>/<task>`; the
//! key is the commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is added to `PIPELINERUN_QUEUED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunQueued {
    pub repository: String,
    pub commit: String,
    /// Digest of the definition's text.
    pub definition: String,
    pub tasks: Vec<TaskPlanned>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPlanned {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// Content of `TASK_REQUESTED`: all that an executor needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRequested {
    pub run: String,
    pub task: String,
    pub pipeline: String,
    pub repository: String,
    pub commit: String,
    #[serde(flatten)]
    pub executor: Executor,
    /// Seconds that it may take.
    pub time_seconds: u64,
}

impl TaskRequested {
    /// The task run's id.
    pub fn id(&self) -> String {
        format!("{}/{}", self.run, self.task)
    }

    /// What `TASKRUN_FINISHED` says of it: the content, and what is added to it.
    pub fn finished(&self, result: TaskResult) -> (TaskRunFinished, TaskFinished) {
        let content = TaskRunFinished {
            task_name: self.task.clone(),
            pipeline_run: RunReference { id: self.run.clone() },
            outcome: result.outcome,
            uri: result.output.clone().filter(|output| output.starts_with("https://")),
            errors: result.reason.clone(),
        };
        (content, TaskFinished { repository: self.repository.clone(), commit: self.commit.clone(), result })
    }
}

/// Content of `RUN_DUE`. The subject is the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDue {
    pub run: String,
    pub repository: String,
    pub commit: String,
}

/// Content of `TASK_DUE`. The subject is the task run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDue {
    pub run: String,
    pub task: String,
}

/// Who runs a task, and what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "executor", rename_all = "kebab-case")]
pub enum Executor {
    /// The native runner: a program of the operator's list and its arguments, no shell.
    Process {
        argv: Vec<String>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
    },
    /// A workflow on the git host.
    WorkflowDispatch {
        workflow: String,
        #[serde(rename = "ref")]
        reference: String,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        parameters: BTreeMap<String, String>,
    },
}

/// `outcome` of CDEvents' runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    /// It ran and did not succeed.
    Failure,
    Cancel,
    /// It could not be run.
    Error,
}

/// Content of `TASKRUN_FINISHED` by CDEvents. The subject is the task run's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunFinished {
    pub task_name: String,
    pub pipeline_run: RunReference,
    pub outcome: Outcome,
    /// Where it can be read, if that is an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReference {
    pub id: String,
}

/// What is added to `TASKRUN_FINISHED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFinished {
    pub repository: String,
    pub commit: String,
    #[serde(flatten)]
    pub result: TaskResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Digest of its output in the blob store, or an address where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the task says that it made: `digest` and `artifact` (the OCI repository), and whatever later tasks need.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, String>,
    pub duration_millis: u64,
}

/// What is added to `PIPELINERUN_FINISHED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    pub repository: String,
    pub commit: String,
    pub outcome: Outcome,
    /// The task that ended the run, and its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}
