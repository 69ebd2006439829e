//! Runs the tasks that a repository defines beside its code: an accepted merge or push becomes `pipelinerun.queued`, a
//! `tidegate-task.requested` for each task whose needs are done, and at the end `pipelinerun.finished`, with an
//! `artifact.packaged` for each artifact that the run made.
//!
//! The definition is `.tidegate/pipeline.toml` at the commit that was accepted:
//!
//! ```toml
//! name = "release"                  # default: "pipeline"
//! time = "30m"                      # of the run as a whole; default: 1h
//!
//! [[task]]
//! name = "test"
//! executor = "process"
//! argv = ["cargo", "test"]          # a program of the operator's list, no shell
//! env = { RUST_BACKTRACE = "1" }
//! time = "10m"                      # default
//!
//! [[task]]
//! name = "image"
//! needs = ["test"]
//! executor = "process"
//! argv = ["make", "image"]
//! results = ["digest", "artifact"]  # what it must give; these two say which artifact was made
//!
//! [[task]]
//! name = "smoke"
//! needs = ["image"]
//! executor = "workflow-dispatch"
//! workflow = "smoke.yml"
//! ref = "main"                      # default: the change's branch
//! parameters = { image = "${image.artifact}@${image.digest}" }
//! ```
//!
//! - A commit of a repository runs once, however often it is accepted.
//! - The first task that does not succeed ends the run; what was not asked for yet is not asked for. Artifacts count only
//!   where the whole run succeeded.
//! - Results count from the origins that config `executors` names, if they were proved, for tasks that were asked for, once.
//! - A run that hears nothing ends by itself when its time is over.
//!
//! Config: `executors` (like `["function:runner"]`), `connection` to the git host (default `github`), and `pipeline`, the
//! definition of repositories that have none.

mod definition;
mod reference;
mod run;

use delivery::{
    Change, Route, RunDue, TaskFinished, TaskRunFinished, Way, content, custom, hear, is_commit, is_named,
    is_repository, now, sha256, types,
};
use tidegate_sdk::http::{self, Request};
use tidegate_sdk::kv::{self, KeySpace};
use tidegate_sdk::{Event, Failure, config, info};

use definition::Definition;
use run::{About, Record, Run};

const SPACE: &str = "pipelines";
const CONNECTION_DEFAULT: &str = "github";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, || Ok(kv::open(SPACE)?))
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<KeySpace>; 3] = [
    (types::CHANGE_ACCEPTED, Some("function"), accepted),
    // Whose word counts is configured.
    (types::TASKRUN_FINISHED, None, finished),
    (types::RUN_DUE, Some("function"), due),
];

fn accepted(event: &Event, runs: &KeySpace) -> Result<Vec<Event>, Failure> {
    let change: Change = content(event)?;
    let Change { repository, commit, .. } = &change;
    match change.way {
        Way::Merge | Way::Push => {}
        Way::Proposal | Way::Queue => return Ok(Vec::new()),
    }
    if !is_commit(commit) || !is_repository(repository) {
        return Err(Failure::reject(format!("{repository:?} and {commit:?} are no repository and commit")));
    }
    let key = key(repository, commit);
    if runs.exists(&key)? {
        info!("{commit} of {repository} has its run already");
        return Ok(Vec::new());
    }
    let Some(text) = definition(repository, commit)? else {
        info!(
            "{repository} has no .tidegate/pipeline.toml at {commit}, and there is no config pipeline: nothing is run"
        );
        return Ok(Vec::new());
    };
    let subject = event.subject.as_deref().unwrap_or(commit);
    let (record, events) = match Definition::parse(&text, &change.branch) {
        Ok(read) => Run::start(About::new(&change, subject, &read.name), read, sha256(text.as_bytes()), now())?,
        Err(problem) => {
            let reason = format!("its definition, .tidegate/pipeline.toml, cannot be read: {problem}");
            About::new(&change, subject, "pipeline").unreadable(reason)?
        }
    };
    runs.set_json(&key, &record)?;
    Ok(events)
}

/// The definition's text, of the repository or else of the configuration.
fn definition(repository: &str, commit: &str) -> Result<Option<String>, Failure> {
    let connection = config::text("connection")?.unwrap_or_else(|| CONNECTION_DEFAULT.to_owned());
    let url = format!("http://{connection}/repos/{repository}/contents/.tidegate/pipeline.toml?ref={commit}");
    let answer = Request::get(&url).header("accept", "application/vnd.github.raw+json").send()?;
    match answer.status {
        200 => Ok(Some(String::from_utf8_lossy(&answer.body).into_owned())),
        404 => Ok(config::text("pipeline")?),
        status => Err(http::Error::Status { method: "GET".to_owned(), url, status }.into()),
    }
}

fn finished(event: &Event, runs: &KeySpace) -> Result<Vec<Event>, Failure> {
    if !is_named(event, "executors")? {
        return Ok(Vec::new());
    }
    let said: TaskRunFinished = content(event)?;
    let added: TaskFinished = custom(event)?;
    let key = key(&added.repository, &added.commit);
    let Some(run) = running(runs, &key, &said.pipeline_run.id)? else { return Ok(Vec::new()) };
    let Some((record, events)) = run.finish(&said.task_name, added.result)? else {
        info!("{:?} was not asked for, or what became of it is known", event.subject);
        return Ok(Vec::new());
    };
    runs.set_json(&key, &record)?;
    Ok(events)
}

fn due(event: &Event, runs: &KeySpace) -> Result<Vec<Event>, Failure> {
    let due: RunDue = content(event)?;
    let key = key(&due.repository, &due.commit);
    let Some(run) = running(runs, &key, &due.run)? else { return Ok(Vec::new()) };
    let (record, events) = run.expire(now())?;
    runs.set_json(&key, &record)?;
    Ok(events)
}

/// The run of a commit, if it is this one and not over.
fn running(runs: &KeySpace, key: &str, id: &str) -> Result<Option<Run>, Failure> {
    match runs.get_json::<Record>(key)? {
        Some(Record::Running(run)) if run.about.run() == id => Ok(Some(run)),
        Some(Record::Running(_) | Record::Ended(_)) | None => {
            info!("no run {id} goes on");
            Ok(None)
        }
    }
}

fn key(repository: &str, commit: &str) -> String {
    format!("{repository}@{commit}")
}

#[cfg(test)]
mod tests;
