//! `config`: what a function is told, as literals and files that the host reads. A table or an array is told as JSON. A file
//! whose name says that it is TOML or JSON has to be: the function would find out only when its first event comes.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use toml::de::{DeTable, DeValue};

use super::json;
use super::read::{Item, place};
use crate::deployment::ConfigValue;

/// Bytes of one value.
const CONFIG_VALUE_BYTES_MAX: usize = 256 * 1024;

pub(super) fn config(item: Item<'_>) -> Option<BTreeMap<String, ConfigValue>> {
    let read = |key: &str, item: Item<'_>| {
        let value = config_value(&item)?;
        if value.text.len() > CONFIG_VALUE_BYTES_MAX {
            item.error(format!("has {} bytes; at most {CONFIG_VALUE_BYTES_MAX} are allowed", value.text.len()));
        }
        Some((key.to_owned(), value))
    };
    Some(item.entries(read)?.into_iter().collect())
}

fn config_value(item: &Item<'_>) -> Option<ConfigValue> {
    let literal = |text: String| Some(ConfigValue { text, file: None });
    match item.value() {
        DeValue::String(_) => literal(item.text()?.to_owned()),
        DeValue::Boolean(value) => literal(value.to_string()),
        DeValue::Float(number) => literal(number.as_str().to_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => literal(number.to_string()),
            Err(_) => {
                item.error(format!("{number} does not fit in 64 bits; write it as text"));
                None
            }
        },
        DeValue::Table(table) if table.contains_key("file") => {
            item.table(|table| table.need("file", |item| config_file(&item))).flatten()
        }
        DeValue::Table(_) | DeValue::Array(_) => {
            let inert = without_variables(item);
            json::text(item).filter(|_| inert).and_then(literal)
        }
        DeValue::Datetime(time) => literal(time.to_string()),
    }
}

/// Whether no text inside names a variable, which nobody would put in its place; each that does is a problem.
fn without_variables(item: &Item<'_>) -> bool {
    let mut inert = true;
    let mut check = |item: Item<'_>| -> Option<()> {
        inert &= without_variables(&item);
        None
    };
    match item.value() {
        DeValue::String(_) => return item.text().is_some(),
        DeValue::Array(_) => drop(item.list(check)),
        DeValue::Table(_) => drop(item.entries(|_, item| check(item))),
        DeValue::Boolean(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {}
    }
    inert
}

fn config_file(item: &Item<'_>) -> Option<ConfigValue> {
    let path = item.filled()?;
    let text = match item.sources().file(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()),
        Err(error) => Err(error),
    };
    let read = text.map_err(|error| format!("cannot read {path}: {error}")).and_then(|text| {
        well_formed(path, &text)?;
        Ok(text)
    });
    match read {
        Ok(text) => Some(ConfigValue { text, file: Some(path.to_owned()) }),
        Err(problem) => {
            item.error(problem);
            None
        }
    }
}

/// Whether a text is what its file's name says.
fn well_formed(path: &str, text: &str) -> Result<(), String> {
    let broken = |format: &str, (line, column): (usize, usize), reason: &str| {
        format!("{path} is no {format}: line {line}, column {column}: {reason}")
    };
    match path.rsplit_once('.') {
        Some((_, "toml")) => DeTable::parse(text).map(drop).map_err(|error| {
            let offset = error.span().map_or(text.len(), |span| span.start);
            broken("TOML", place(text, offset), error.message())
        }),
        Some((_, "json")) => serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
            let reason = error.to_string();
            // It names its place itself, at the end.
            let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
            broken("JSON", (error.line(), error.column()), reason)
        }),
        _ => Ok(()),
    }
}
