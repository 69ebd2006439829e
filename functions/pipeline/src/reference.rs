//! `${task.result}` in a task's arguments, variables and parameters: the result of a task before it. No shell reads what is
//! put in their place.

use std::collections::BTreeMap;

use delivery::Executor;

/// In one task. With the limit of a task's results it bounds what a request can grow to.
const REFERENCES_MAX: usize = 64;
const OPEN: &str = "${";

/// Results by task and name.
pub type Results = BTreeMap<String, BTreeMap<String, String>>;

/// Every task and result that an executor's settings speak of.
pub fn all(executor: &Executor) -> Result<Vec<(&str, &str)>, String> {
    let mut found = Vec::new();
    for text in texts(executor) {
        for part in text.split(OPEN).skip(1) {
            let inner = part.split_once('}').and_then(|(inner, _)| inner.split_once('.'));
            found.push(inner.ok_or_else(|| format!("{text:?} holds a `{OPEN}` that is no ${{task.result}}"))?);
        }
    }
    if let Executor::Process { argv, .. } = executor
        && argv.first().is_some_and(|program| program.contains(OPEN))
    {
        return Err("the program's name is written out, not taken from a result".to_owned());
    }
    if found.len() > REFERENCES_MAX {
        return Err(format!("it speaks of results {} times; at most {REFERENCES_MAX} are allowed", found.len()));
    }
    Ok(found)
}

/// The settings with results in the place of references. Each was checked to be there.
pub fn resolve(executor: &Executor, results: &Results) -> Executor {
    let one = |text: &String| resolve_text(text, results);
    let values = |map: &BTreeMap<String, String>| map.iter().map(|(key, value)| (key.clone(), one(value))).collect();
    match executor {
        Executor::Process { argv, env } => Executor::Process { argv: argv.iter().map(one).collect(), env: values(env) },
        Executor::WorkflowDispatch { workflow, reference, parameters } => Executor::WorkflowDispatch {
            workflow: workflow.clone(),
            reference: reference.clone(),
            parameters: values(parameters),
        },
    }
}

fn resolve_text(text: &str, results: &Results) -> String {
    let mut parts = text.split(OPEN);
    let mut resolved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once('}').unwrap_or((part, ""));
        let (task, result) = inner.split_once('.').unwrap_or((inner, ""));
        resolved.push_str(results.get(task).and_then(|given| given.get(result)).map_or("", String::as_str));
        resolved.push_str(rest);
    }
    resolved
}

fn texts(executor: &Executor) -> Vec<&str> {
    match executor {
        Executor::Process { argv, env } => argv.iter().chain(env.values()).map(String::as_str).collect(),
        Executor::WorkflowDispatch { parameters, .. } => parameters.values().map(String::as_str).collect(),
    }
}
