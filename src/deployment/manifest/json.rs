//! TOML values as JSON: the data of a schedule's events, and what a function is told.

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::read::Item;

/// A table or array as JSON text; text is taken as JSON already.
pub(super) fn text(item: &Item<'_>) -> Option<String> {
    let value = match item.value() {
        DeValue::String(_) => {
            return item.checked(|text| match serde_json::from_str::<Value>(text) {
                Ok(value) => Ok(value.to_string()),
                Err(error) => Err(format!("is no JSON: {error}; write JSON text or a table")),
            });
        }
        value => json(value),
    };
    if value.is_none() {
        item.error("holds what JSON does not have, such as a number that is not finite");
    }
    value.map(|value| value.to_string())
}

fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Number(Number::from_f64(number.as_str().parse().ok()?)?),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(array) => Value::Array(array.iter().map(|item| json(item.get_ref())).collect::<Option<_>>()?),
        DeValue::Table(table) => {
            let entry = |(name, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                Some((name.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<Map<_, _>>>()?)
        }
    })
}
