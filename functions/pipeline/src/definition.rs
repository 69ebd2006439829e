//! The definition of a pipeline: what stands in `.tidegate/pipeline.toml`, checked. All that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};

use delivery::{Executor, period};
use serde::{Deserialize, Serialize};

use crate::reference;

const DEFINITION_BYTES_MAX: usize = 32 * 1024;
const TASKS_MAX: usize = 64;
const RESULTS_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 63;
const RUN_SECONDS_DEFAULT: u64 = 60 * 60;
const RUN_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
const TASK_SECONDS_DEFAULT: u64 = 10 * 60;
const TASK_SECONDS_MAX: u64 = 24 * 60 * 60;
/// The runner's own variables of the environment.
const RESERVED_ENV: &str = "TIDEGATE_";
/// The input by which a workflow is told which task it is.
const RESERVED_PARAMETER: &str = "tidegate";

#[derive(Debug, PartialEq)]
pub struct Definition {
    pub name: String,
    /// That a run may take as a whole.
    pub time_seconds: u64,
    /// Invariant: names are unique, needs name tasks, and no task needs itself, not by others either.
    pub tasks: Vec<Task>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// References to results still stand in it.
    #[serde(flatten)]
    pub executor: Executor,
    pub time_seconds: u64,
    /// What it must give, for later tasks and for the artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineText {
    name: Option<String>,
    time: Option<String>,
    #[serde(default)]
    task: Vec<TaskText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskText {
    name: String,
    executor: Kind,
    #[serde(default)]
    needs: Vec<String>,
    time: Option<String>,
    #[serde(default)]
    results: Vec<String>,
    // Of a process.
    argv: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    // Of a workflow.
    workflow: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    parameters: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Process,
    WorkflowDispatch,
}

impl Definition {
    /// Reads a definition; a workflow runs on `branch` unless its task names another ref. The error is every problem in one line.
    pub fn parse(text: &str, branch: &str) -> Result<Self, String> {
        if text.len() > DEFINITION_BYTES_MAX {
            return Err(format!("it has {} bytes; at most {DEFINITION_BYTES_MAX} are allowed", text.len()));
        }
        let read: PipelineText = toml::from_str(text).map_err(|error| at_line(text, &error))?;
        let mut problems = Vec::new();
        let name = read.name.unwrap_or_else(|| "pipeline".to_owned());
        if !is_name(&name) {
            problems.push(no_name("name", &name));
        }
        let time_seconds = seconds("time", read.time.as_deref(), RUN_SECONDS_DEFAULT, RUN_SECONDS_MAX, &mut problems);
        if !(1..=TASKS_MAX).contains(&read.task.len()) {
            problems.push(format!("it has {} tasks; 1 to {TASKS_MAX} are allowed", read.task.len()));
        }
        let tasks: Vec<Task> = read.task.into_iter().map(|task| task.check(branch, &mut problems)).collect();
        check_needs(&tasks, &mut problems);
        check_references(&tasks, &mut problems);
        if problems.is_empty() { Ok(Definition { name, time_seconds, tasks }) } else { Err(problems.join("; ")) }
    }
}

impl TaskText {
    fn check(self, branch: &str, problems: &mut Vec<String>) -> Task {
        let at = format!("task {}", self.name);
        if !is_name(&self.name) {
            problems.push(no_name("task", &self.name));
        }
        problems.extend(self.results.iter().filter(|result| !is_name(result)).map(|result| no_name(&at, result)));
        if self.results.len() > RESULTS_MAX {
            problems.push(format!("{at} has {} results; at most {RESULTS_MAX} are allowed", self.results.len()));
        }
        let time = self.time.as_deref();
        let time_seconds = seconds(&format!("{at}: time"), time, TASK_SECONDS_DEFAULT, TASK_SECONDS_MAX, problems);
        let foreign = match self.executor {
            Kind::Process => vec![
                ("workflow", self.workflow.is_some()),
                ("ref", self.reference.is_some()),
                ("parameters", self.parameters.is_some()),
            ],
            Kind::WorkflowDispatch => vec![("argv", self.argv.is_some()), ("env", self.env.is_some())],
        };
        for (key, _) in foreign.into_iter().filter(|(_, is_set)| *is_set) {
            problems.push(format!("{at}: its executor has no {key}"));
        }
        let executor = match self.executor {
            Kind::Process => process(&at, self.argv.unwrap_or_default(), self.env.unwrap_or_default(), problems),
            Kind::WorkflowDispatch => {
                let workflow = self.workflow.unwrap_or_default();
                let reference = self.reference.unwrap_or_else(|| branch.to_owned());
                dispatch(&at, workflow, reference, self.parameters.unwrap_or_default(), problems)
            }
        };
        Task { name: self.name, needs: self.needs, executor, time_seconds, results: self.results }
    }
}

fn process(at: &str, argv: Vec<String>, env: BTreeMap<String, String>, problems: &mut Vec<String>) -> Executor {
    if argv.first().is_none_or(String::is_empty) {
        problems.push(format!("{at}: argv is needed: the program's name, then its arguments"));
    }
    if argv.iter().chain(env.values()).any(|text| text.contains('\0')) {
        problems.push(format!("{at}: argv and env cannot hold a zero byte"));
    }
    for name in env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.push(format!("{at}: env {name:?} is no name of a variable"));
        }
        if name.starts_with(RESERVED_ENV) {
            problems.push(format!("{at}: env {name} is the runner's; names that begin with {RESERVED_ENV} are"));
        }
    }
    Executor::Process { argv, env }
}

fn dispatch(
    at: &str,
    workflow: String,
    reference: String,
    parameters: BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> Executor {
    let stem = workflow.strip_suffix(".yml").or_else(|| workflow.strip_suffix(".yaml")).unwrap_or_default();
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if stem.is_empty() || !stem.bytes().all(safe) {
        problems.push(format!("{at}: workflow is needed: the name of a file in .github/workflows, like build.yml"));
    }
    if parameters.contains_key(RESERVED_PARAMETER) {
        problems.push(format!("{at}: parameter {RESERVED_PARAMETER} is the executor's"));
    }
    if reference.is_empty() {
        problems.push(format!("{at}: ref is empty; leave it out for the change's branch"));
    }
    Executor::WorkflowDispatch { workflow, reference, parameters }
}

fn check_needs(tasks: &[Task], problems: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for task in tasks {
        if !names.insert(&task.name) {
            problems.push(format!("two tasks are called {}", task.name));
        }
    }
    for task in tasks {
        for need in task.needs.iter().filter(|need| !names.contains(need)) {
            problems.push(format!("task {} needs {need}, which is no task", task.name));
        }
    }
    // What is left when every task whose needs are done is taken out, again and again, goes round in a circle.
    let mut left: Vec<&Task> = tasks.iter().collect();
    loop {
        let waits = |task: &&Task| task.needs.iter().any(|need| left.iter().any(|other| other.name == *need));
        let still: Vec<&Task> = left.iter().copied().filter(waits).collect();
        if still.len() == left.len() {
            break;
        }
        left = still;
    }
    if !left.is_empty() {
        let names: Vec<_> = left.iter().map(|task| task.name.as_str()).collect();
        problems
            .push(format!("none of these tasks can be the first, since they need each other: {}", names.join(", ")));
    }
}

/// A task speaks of results only of tasks that it needs, so that they are there when it is requested.
fn check_references(tasks: &[Task], problems: &mut Vec<String>) {
    let gives = |name: &str, result: &str| {
        tasks.iter().any(|task| task.name == name && task.results.iter().any(|given| given == result))
    };
    for task in tasks {
        let at = &task.name;
        match reference::all(&task.executor) {
            Err(problem) => problems.push(format!("task {at}: {problem}")),
            Ok(references) => {
                for (name, result) in references {
                    if !task.needs.iter().any(|need| need == name) {
                        problems.push(format!("task {at}: ${{{name}.{result}}} is of a task that it does not need"));
                    } else if !gives(name, result) {
                        problems.push(format!("task {at}: {result} is not among the results of task {name}"));
                    }
                }
            }
        }
    }
}

fn seconds(at: &str, text: Option<&str>, default: u64, max: u64, problems: &mut Vec<String>) -> u64 {
    let Some(text) = text else { return default };
    match period(text) {
        Some(seconds) if (1..=max).contains(&seconds) => seconds,
        _ => {
            problems.push(format!("{at} {text:?} is not within 1s and {max}s; write one like 10m"));
            default
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn no_name(at: &str, text: &str) -> String {
    format!("{at}: {text:?} is no name; use 1 to {NAME_BYTES_MAX} of a-z, 0-9, - and _, starting with a letter")
}

fn at_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let message = error.message().trim_end();
    before.map_or_else(|| message.to_owned(), |before| format!("line {}: {message}", before.matches('\n').count() + 1))
}
