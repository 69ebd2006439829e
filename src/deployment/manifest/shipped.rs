//! What shipped functions read of their config, as far as its words are known here: a mistake in it is told before the first
//! event would find it.

use std::collections::BTreeMap;

use delivery::Plan;
use serde::de::DeserializeOwned;

use super::read::{Item, place};
use crate::deployment::ConfigValue;

/// `plan` is the same to every shipped function.
pub(super) fn check(configured: &Item<'_>, config: &BTreeMap<String, ConfigValue>) {
    let check = |key: &str, item: Item<'_>| -> Option<()> {
        let value = config.get(key)?;
        let checked = match key {
            "plan" => {
                read::<Plan>(value).and_then(|plan| plan.check().map_err(|error| told(value, &error.to_string())))
            }
            _ => Ok(()),
        };
        checked.map_err(|problem| item.error(problem)).ok()
    };
    configured.entries(check);
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
