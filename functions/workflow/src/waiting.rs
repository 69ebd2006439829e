//! A task whose workflow runs, and what the host's word on a run means for it.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery::{
    Instant, Outcome, TaskDue, TaskRequested, TaskResult, instant, millis_between, rfc3339, say, say_cd, types,
};
use serde::{Deserialize, Serialize};
use tidegate_sdk::{Event, Failure};

/// What is kept of a task until its end.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub request: TaskRequested,
    /// The file's name.
    workflow: String,
    /// RFC 3339.
    since: String,
    /// RFC 3339: when it is over, whatever was heard.
    until: String,
    /// The run that the dispatch began, where the host told it.
    pub run: Option<u64>,
    /// Where the run can be seen, once it was heard of.
    pub address: Option<String>,
}

/// What the host says of a workflow run that was dispatched.
pub struct WorkflowRun {
    pub id: u64,
    pub repository: String,
    pub title: String,
    pub address: String,
    commit: String,
    /// The file's name.
    workflow: String,
    /// None until it is done.
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    git: Git,
    payload: Payload,
}

#[derive(Deserialize)]
struct Git {
    repo: String,
}

#[derive(Deserialize)]
struct Payload {
    workflow_run: Told,
}

#[derive(Deserialize)]
struct Told {
    id: u64,
    event: String,
    path: String,
    head_sha: String,
    conclusion: Option<String>,
    html_url: String,
    #[serde(default)]
    display_title: String,
}

impl WorkflowRun {
    /// None: nobody dispatched it.
    pub fn read(event: &Event) -> Result<Option<Self>, Failure> {
        let Data { git, payload: Payload { workflow_run: told } } = event.data()?;
        // Of a run on another ref than the default, the path ends in `@` and the ref.
        let path = told.path.split('@').next().unwrap_or_default();
        let run = WorkflowRun {
            id: told.id,
            repository: git.repo,
            title: told.display_title,
            address: told.html_url,
            commit: told.head_sha,
            workflow: path.rsplit('/').next().unwrap_or_default().to_owned(),
            conclusion: told.conclusion,
        };
        Ok((told.event == "workflow_dispatch").then_some(run))
    }
}

impl Waiting {
    pub fn new(request: TaskRequested, workflow: String, now: Instant) -> Self {
        let until = rfc3339(now + Duration::from_secs(request.time_seconds));
        Waiting { request, workflow, since: rfc3339(now), until, run: None, address: None }
    }

    pub fn reminder(&self) -> Result<Event, Failure> {
        let TaskRequested { run, task, commit, .. } = &self.request;
        let due = TaskDue { run: run.clone(), task: task.clone() };
        Ok(say(types::TASK_DUE, &self.request.id(), commit, &due)?.deliver_at(self.until.clone()))
    }

    /// Whether a run is the one that was dispatched. Where the host told which that is, no title counts.
    pub fn is_of(&self, run: &WorkflowRun) -> bool {
        let same = self.run.is_none_or(|id| id == run.id);
        same && self.request.repository == run.repository && self.workflow == run.workflow
    }

    /// What became of the task, if the run says so.
    pub fn verdict(&self, run: &WorkflowRun) -> Option<(Outcome, Option<String>)> {
        let commit = &self.request.commit;
        if run.commit != *commit {
            let reason = format!("it ran on commit {}, not on {commit}: its ref has moved on", run.commit);
            return Some((Outcome::Error, Some(reason)));
        }
        match run.conclusion.as_deref()? {
            "success" => Some((Outcome::Success, None)),
            "cancelled" => Some((Outcome::Cancel, Some("it was cancelled".to_owned()))),
            other => Some((Outcome::Failure, Some(format!("its conclusion is {other}, which is not success")))),
        }
    }

    pub fn is_over(&self, now: Instant) -> bool {
        instant(&self.until).is_none_or(|until| until <= now)
    }

    /// Why it is over without an end.
    pub fn overdue(&self) -> String {
        let Waiting { workflow, until, .. } = self;
        match &self.address {
            Some(_) => format!("{workflow} did not complete by {until}"),
            None => format!(
                "no run of {workflow} was heard of by {until}; have the webhook send workflow_run, and put \
                 ${{{{ inputs.tidegate }}}} into the workflow's run-name"
            ),
        }
    }

    /// The event of its end.
    pub fn ended(&self, outcome: Outcome, reason: Option<String>, now: Instant) -> Result<Event, Failure> {
        let result = TaskResult {
            outcome,
            reason,
            exit_code: None,
            output: self.address.clone(),
            results: BTreeMap::new(),
            duration_millis: millis_between(&self.since, &rfc3339(now)).unwrap_or(0),
        };
        let (content, custom) = self.request.finished(result);
        say_cd(types::TASKRUN_FINISHED, &self.request.id(), &self.request.commit, &content, &custom)
    }
}
