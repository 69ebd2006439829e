//! A run: which of its tasks are asked for, what they gave, and when it is over. It knows its tasks, not who runs them.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery::{
    Change, Instant, Outcome, Packaged, RunDue, RunFinished, RunQueued, TaskPlanned, TaskRequested, TaskResult,
    instant, is_digest, purl, rfc3339, say, say_cd, types,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_sdk::{Event, Failure};

use crate::definition::{Definition, Task};
use crate::reference::{self, Results};

/// Names and values of one task's results together. With the limits of a definition it keeps a run within a key's value.
const RESULTS_BYTES_MAX: usize = 1024;
const REASON_CHARS_MAX: usize = 4 * 1024;

/// What is kept of a run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    Running(Run),
    /// Stays, so that the same commit does not run again and late results change nothing.
    Ended(Outcome),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub about: About,
    /// RFC 3339: when it is over, whatever was heard.
    deadline: String,
    tasks: Vec<TaskRun>,
}

/// What a run is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub repository: String,
    pub commit: String,
    /// The subject of the change that was accepted.
    pub change: String,
    pub pipeline: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TaskRun {
    #[serde(flatten)]
    task: Task,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Waiting,
    Requested,
    Succeeded(BTreeMap<String, String>),
}

/// Why a run did not succeed.
struct Fault {
    outcome: Outcome,
    task: Option<String>,
    reason: Option<String>,
    output: Option<String>,
}

impl About {
    pub fn new(change: &Change, subject: &str, pipeline: &str) -> Self {
        About {
            repository: change.repository.clone(),
            commit: change.commit.clone(),
            change: subject.to_owned(),
            pipeline: pipeline.to_owned(),
        }
    }

    /// The run's id.
    pub fn run(&self) -> String {
        format!("{}/runs/{}", self.repository, &self.commit[..12])
    }

    /// The end of a run whose definition cannot be read.
    pub fn unreadable(&self, reason: String) -> Result<(Record, Vec<Event>), Failure> {
        let fault = Fault { outcome: Outcome::Error, task: None, reason: Some(reason), output: None };
        self.end(Some(fault))
    }

    fn end(&self, fault: Option<Fault>) -> Result<(Record, Vec<Event>), Failure> {
        let outcome = fault.as_ref().map_or(Outcome::Success, |fault| fault.outcome);
        let (failed, reason, output) = match fault {
            Some(fault) => (fault.task, fault.reason, fault.output),
            None => (None, None, None),
        };
        let reason = reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect::<String>());
        let mut content = json!({ "pipelineName": self.pipeline, "outcome": outcome });
        if let Some(reason) = &reason {
            content["errors"] = json!(reason);
        }
        let (repository, commit) = (self.repository.clone(), self.commit.clone());
        let custom = RunFinished { repository, commit, outcome, failed, reason, output };
        let finished = say_cd(types::PIPELINERUN_FINISHED, &self.run(), &self.commit, &content, &custom)?;
        Ok((Record::Ended(outcome), vec![finished]))
    }
}

impl Run {
    /// Starts: what is kept, and the events of its queue, its first tasks and its time limit.
    pub fn start(
        about: About,
        definition: Definition,
        digest: String,
        now: Instant,
    ) -> Result<(Record, Vec<Event>), Failure> {
        let planned = |task: &Task| TaskPlanned { name: task.name.clone(), needs: task.needs.clone() };
        let queued = RunQueued {
            repository: about.repository.clone(),
            commit: about.commit.clone(),
            definition: digest,
            tasks: definition.tasks.iter().map(planned).collect(),
        };
        let content = json!({ "pipelineName": about.pipeline });
        let mut events = vec![say_cd(types::PIPELINERUN_QUEUED, &about.run(), &about.commit, &content, &queued)?];
        let tasks = definition.tasks.into_iter().map(|task| TaskRun { task, state: State::Waiting }).collect();
        let deadline = rfc3339(now + Duration::from_secs(definition.time_seconds));
        let mut run = Run { about, deadline, tasks };
        events.push(run.reminder()?);
        events.extend(run.request_ready()?);
        Ok((Record::Running(run), events))
    }

    /// Takes in what became of a task. None: it was not asked for, or what became of it is known; nothing changes.
    pub fn finish(mut self, name: &str, result: TaskResult) -> Result<Option<(Record, Vec<Event>)>, Failure> {
        let requested = |run: &&mut TaskRun| run.task.name == name && run.state == State::Requested;
        let Some(run) = self.tasks.iter_mut().find(requested) else { return Ok(None) };
        match run.task.given(result) {
            Err(fault) => self.about.end(Some(fault)).map(Some),
            Ok(results) => {
                run.state = State::Succeeded(results);
                self.go_on().map(Some)
            }
        }
    }

    fn go_on(mut self) -> Result<(Record, Vec<Event>), Failure> {
        if !self.tasks.iter().all(|run| matches!(run.state, State::Succeeded(_))) {
            let requests = self.request_ready()?;
            return Ok((Record::Running(self), requests));
        }
        let (record, end) = self.about.end(None)?;
        let mut events = self.packaged()?;
        events.extend(end);
        Ok((record, events))
    }

    /// Ends it if its time is over; else reminds it again.
    pub fn expire(self, now: Instant) -> Result<(Record, Vec<Event>), Failure> {
        if instant(&self.deadline).is_some_and(|deadline| now < deadline) {
            let reminder = self.reminder()?;
            return Ok((Record::Running(self), vec![reminder]));
        }
        let waiting = self.tasks.iter().filter(|run| run.state == State::Requested);
        let names: Vec<&str> = waiting.map(|run| run.task.name.as_str()).collect();
        let fault = Fault {
            outcome: Outcome::Error,
            task: names.first().map(|&name| name.to_owned()),
            reason: Some(format!("it did not end by {}; nothing was heard of {}", self.deadline, names.join(", "))),
            output: None,
        };
        self.about.end(Some(fault))
    }

    fn reminder(&self) -> Result<Event, Failure> {
        let About { repository, commit, .. } = &self.about;
        let due = RunDue { run: self.about.run(), repository: repository.clone(), commit: commit.clone() };
        Ok(say(types::RUN_DUE, &due.run, commit, &due)?.deliver_at(self.deadline.clone()))
    }

    /// Asks for each task that waits for nothing more.
    fn request_ready(&mut self) -> Result<Vec<Event>, Failure> {
        let results = self.results();
        let mut requests = Vec::new();
        for run in &mut self.tasks {
            if run.state == State::Waiting && run.task.needs.iter().all(|need| results.contains_key(need)) {
                run.state = State::Requested;
                let request = TaskRequested {
                    run: self.about.run(),
                    task: run.task.name.clone(),
                    pipeline: self.about.pipeline.clone(),
                    repository: self.about.repository.clone(),
                    commit: self.about.commit.clone(),
                    executor: reference::resolve(&run.task.executor, &results),
                    time_seconds: run.task.time_seconds,
                };
                requests.push(say(types::TASK_REQUESTED, &request.id(), &request.commit, &request)?);
            }
        }
        Ok(requests)
    }

    /// Of the tasks that succeeded.
    fn results(&self) -> Results {
        let given = |run: &TaskRun| match &run.state {
            State::Succeeded(results) => Some((run.task.name.clone(), results.clone())),
            State::Waiting | State::Requested => None,
        };
        self.tasks.iter().filter_map(given).collect()
    }

    /// An event for each artifact that tasks say they made.
    fn packaged(&self) -> Result<Vec<Event>, Failure> {
        let mut events = Vec::new();
        for results in self.results().values() {
            let (Some(digest), Some(artifact)) = (results.get("digest"), results.get("artifact")) else { continue };
            let custom = Packaged {
                digest: digest.clone(),
                artifact: artifact.clone(),
                commit: self.about.commit.clone(),
                repository: self.about.repository.clone(),
                run: self.about.run(),
            };
            let content = json!({ "change": { "id": self.about.change } });
            events.push(say_cd(types::ARTIFACT_PACKAGED, &purl(artifact, digest), digest, &content, &custom)?);
        }
        Ok(events)
    }
}

impl Task {
    /// The results that the task must give, or why it did not succeed.
    fn given(&self, result: TaskResult) -> Result<BTreeMap<String, String>, Fault> {
        let TaskResult { outcome, reason, output, mut results, .. } = result;
        let fault = |outcome, reason| Fault { outcome, task: Some(self.name.clone()), reason, output: output.clone() };
        if outcome != Outcome::Success {
            return Err(fault(outcome, reason));
        }
        let broken = |problem: String| Err(fault(Outcome::Error, Some(problem)));
        results.retain(|name, _| self.results.contains(name));
        if let Some(missing) = self.results.iter().find(|name| !results.contains_key(*name)) {
            return broken(format!("it succeeded without its result {missing}"));
        }
        let bytes: usize = results.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > RESULTS_BYTES_MAX || results.values().any(|value| value.contains(char::is_control)) {
            return broken(format!("its results are not {RESULTS_BYTES_MAX} bytes of plain text at most"));
        }
        match (results.get("digest"), results.get("artifact")) {
            (Some(digest), Some(_)) if !is_digest(digest) => {
                broken(format!("its result digest {digest:?} is not sha256: and 64 hex digits"))
            }
            (Some(_), Some(artifact)) if !is_oci_repository(artifact) => broken(format!(
                "its result artifact {artifact:?} is no OCI repository without a tag, like registry.example.com/acme/shop"
            )),
            _ => Ok(results),
        }
    }
}

fn is_oci_repository(text: &str) -> bool {
    let name = text.rsplit_once('/').map(|(_, name)| name);
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#');
    name.is_some_and(|name| !name.is_empty() && !name.contains(':')) && text.bytes().all(plain)
}
