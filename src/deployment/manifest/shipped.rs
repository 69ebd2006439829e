//! What shipped functions read of their config, as far as its words are known here: a mistake in it is told before the first
//! event would find it.

use std::collections::BTreeMap;

use delivery::Plan;
use delivery::policy::{gate, verify};
use serde::de::DeserializeOwned;

use super::read::{Item, place};
use crate::deployment::ConfigValue;

/// `plan` is the same to every shipped function, `policy` each one's own.
pub(super) fn check(configured: &Item<'_>, name: &str, config: &BTreeMap<String, ConfigValue>) {
    let plan = config.get("plan").map(plan);
    configured.entries(|key, item| -> Option<()> {
        let value = config.get(key)?;
        let checked = match (name, key) {
            (_, "plan") => plan.clone()?.map(drop),
            ("gate", "policy") => gate(value, plan.as_ref().and_then(|plan| plan.as_ref().ok())),
            ("verify", "policy") => read::<verify::Written>(value).and_then(|written| {
                let checked = written.checked();
                checked.map(drop).map_err(|problems| told(value, &problems.join("; ")))
            }),
            _ => Ok(()),
        };
        checked.map_err(|problem| item.error(problem)).ok()
    });
}

fn plan(value: &ConfigValue) -> Result<Plan, String> {
    let plan: Plan = read(value)?;
    plan.check().map_err(|error| told(value, &error.to_string()))?;
    Ok(plan)
}

/// A policy names environments of its plan; without one it is only read.
fn gate(value: &ConfigValue, plan: Option<&Plan>) -> Result<(), String> {
    let written: gate::Written = read(value)?;
    let Some(plan) = plan else { return Ok(()) };
    let checked = written.checked(plan, String::new());
    checked.map(drop).map_err(|problems| told(value, &problems.join("; ")))
}

/// A value as a function of ours reads it: JSON, else TOML.
fn read<T: DeserializeOwned>(value: &ConfigValue) -> Result<T, String> {
    let json = serde_json::from_str(&value.text);
    json.or_else(|error| match error.is_data() {
        true => Err(told(value, &error.to_string())),
        false => toml::from_str(&value.text).map_err(|error| {
            let (line, column) = place(&value.text, error.span().map_or(0, |span| span.start));
            told(value, &format!("line {line}, column {column}: {}", error.message()))
        }),
    })
}

/// A problem where it is found: in the project file, or in one that it names.
fn told(value: &ConfigValue, problem: &str) -> String {
    match &value.file {
        Some(file) => format!("{file}: {problem}"),
        None => problem.to_owned(),
    }
}
