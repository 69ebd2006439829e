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
    /// Results of the tasks that it needs, by task and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, BTreeMap<String, String>>,
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
    /// What the task says that it made: `digest` and `repository` of an artifact, and whatever later tasks need.
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
