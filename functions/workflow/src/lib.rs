//! Runs tasks as workflows of the git host: `tidegate-task.requested` whose executor is `workflow-dispatch` starts one over a
//! connection, and `taskrun.finished` follows when that workflow run has completed.
//!
//! - What it starts, it tells apart: GitHub names the run that a dispatch began. Where it does not (an older server), the run
//!   is known by its title, so the workflow puts the token into it. Either way the workflow declares the input:
//!
//!   ```yaml
//!   run-name: smoke test ${{ inputs.tidegate }}
//!   on:
//!     workflow_dispatch:
//!       inputs:
//!         tidegate: { type: string }
//!   ```
//!
//! - It counts only as a run of the same repository, file and commit. A dispatch names a branch or a tag, so where that has
//!   moved on meanwhile, the task ends with an error that says so.
//! - Only `success` is success: skipped, neutral and cancelled are not. A run without a conclusion is not done.
//! - Its output is the address of the run. A run that does not complete in the task's time, or that nobody ever heard of,
//!   ends with an error by a timer. What comes after the end changes nothing.
//! - A dispatch may be made twice if a process dies in between; the run that was begun last is the one that counts.
//!
//! Config: `senders`, whose `workflow_run` events count (like `["trigger:/hooks/github"]`), and `connection` to the git host
//! (default `github`).

mod title;
mod waiting;

use delivery::{Executor, Outcome, Route, TaskDue, TaskRequested, content, hear, is_named, now, types};
use serde::Deserialize;
use serde_json::json;
use tidegate_sdk::http::{self, Request, Response};
use tidegate_sdk::kv::{self, KeySpace};
use tidegate_sdk::{Event, Failure, config, info};

use waiting::{Waiting, WorkflowRun};

const SPACE: &str = "workflows";
const CONNECTION_DEFAULT: &str = "github";
/// The input by which a workflow is told its token.
const INPUT: &str = "tidegate";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, || Ok(kv::open(SPACE)?))
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<KeySpace>; 5] = [
    (types::TASK_REQUESTED, Some("function"), requested),
    (types::TASK_DUE, Some("function"), due),
    // Which sender's word counts is configured.
    ("com.github.workflow_run.requested", None, told),
    ("com.github.workflow_run.in_progress", None, told),
    ("com.github.workflow_run.completed", None, told),
];

fn requested(event: &Event, space: &KeySpace) -> Result<Vec<Event>, Failure> {
    let request: TaskRequested = content(event)?;
    let Executor::WorkflowDispatch { workflow, reference, parameters } = &request.executor else {
        return Ok(Vec::new());
    };
    let token = title::token_of(&request.id());
    if space.exists(&token)? {
        info!("{} is under way already", request.id());
        return Ok(Vec::new());
    }
    let mut waiting = Waiting::new(request.clone(), workflow.clone(), now());
    let mut inputs = parameters.clone();
    inputs.insert(INPUT.to_owned(), token.clone());
    let body = json!({ "ref": reference, "inputs": inputs, "return_run_details": true });
    let connection = config::text("connection")?.unwrap_or_else(|| CONNECTION_DEFAULT.to_owned());
    let url = format!("http://{connection}/repos/{}/actions/workflows/{workflow}/dispatches", request.repository);
    let answer = Request::post(&url).header("accept", "application/vnd.github+json").json(&body)?.send()?;
    match answer.status {
        200 | 204 => {}
        // What was asked for cannot be had: another attempt would be told the same.
        404 | 422 => return Ok(vec![waiting.ended(Outcome::Error, Some(refusal(workflow, &answer)), now())?]),
        status => return Err(http::Error::Status { method: "POST".to_owned(), url, status }.into()),
    }
    let details: Details = answer.json().unwrap_or_default();
    if let Some(id) = details.workflow_run_id {
        space.set(&run_key(&request.repository, id), token.as_bytes())?;
    }
    (waiting.run, waiting.address) = (details.workflow_run_id, details.html_url);
    space.set_json(&token, &waiting)?;
    Ok(vec![waiting.reminder()?])
}

/// The run that a dispatch began, where the host tells it.
#[derive(Default, Deserialize)]
struct Details {
    workflow_run_id: Option<u64>,
    html_url: Option<String>,
}

fn refusal(workflow: &str, answer: &Response) -> String {
    #[derive(Deserialize)]
    struct Body {
        message: String,
    }
    let said = answer.json::<Body>().map_or_else(|_| "nothing".to_owned(), |body| body.message);
    format!(
        "{workflow} was not started: the git host answered {} and said {said:?}; \
         it has to be there with workflow_dispatch and the input {INPUT}",
        answer.status
    )
}

/// The host tells of a workflow run: whose it is, then whether that ends the task.
fn told(event: &Event, space: &KeySpace) -> Result<Vec<Event>, Failure> {
    if !is_named(event, "senders")? {
        return Ok(Vec::new());
    }
    let Some(run) = WorkflowRun::read(event)? else { return Ok(Vec::new()) };
    let by_id = space.get(&run_key(&run.repository, run.id))?.and_then(|token| String::from_utf8(token).ok());
    let Some(token) = by_id.or_else(|| title::token_in(&run.title)) else { return Ok(Vec::new()) };
    let Some(mut waiting) = space.get_json::<Waiting>(&token)?.filter(|waiting| waiting.is_of(&run)) else {
        info!("run {} of {} is none that a task waits for", run.id, run.repository);
        return Ok(Vec::new());
    };
    waiting.address = Some(run.address.clone());
    match waiting.verdict(&run) {
        Some((outcome, reason)) => end(space, &token, &waiting, outcome, reason),
        None => {
            space.set_json(&token, &waiting)?;
            Ok(Vec::new())
        }
    }
}

fn due(event: &Event, space: &KeySpace) -> Result<Vec<Event>, Failure> {
    let TaskDue { run, task } = content(event)?;
    let token = title::token_of(&format!("{run}/{task}"));
    let Some(waiting) = space.get_json::<Waiting>(&token)? else { return Ok(Vec::new()) };
    if !waiting.is_over(now()) {
        return Ok(vec![waiting.reminder()?]);
    }
    end(space, &token, &waiting, Outcome::Error, Some(waiting.overdue()))
}

/// Says what became of the task, and forgets it.
fn end(
    space: &KeySpace,
    token: &str,
    waiting: &Waiting,
    outcome: Outcome,
    reason: Option<String>,
) -> Result<Vec<Event>, Failure> {
    if let Some(id) = waiting.run {
        space.delete(&run_key(&waiting.request.repository, id))?;
    }
    space.delete(token)?;
    Ok(vec![waiting.ended(outcome, reason, now())?])
}

fn run_key(repository: &str, id: u64) -> String {
    format!("{repository}#{id}")
}

#[cfg(test)]
mod tests;
