//! Effects as people read them: names, arguments and answers as JSON, bytes as text where they are text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::model::EffectView;
use crate::host::{Answer, Effect, Entry, Journal};

/// Every effect of a journal.
pub(super) fn of_journal(journal: &Journal) -> Vec<EffectView> {
    journal.entries().iter().map(effect_view).collect()
}

/// An effect and its answer, taken apart by their stored form, so that a new one needs nothing here.
pub fn effect_view(entry: &Entry) -> EffectView {
    let (effect, arguments) = of_effect(&entry.effect);
    EffectView { effect, arguments, answer: of_answer(&entry.answer) }
}

/// An effect's name and its arguments.
pub fn of_effect(effect: &Effect) -> (String, Value) {
    named(readable(effect))
}

pub fn of_answer(answer: &Answer) -> Value {
    match named(readable(answer)) {
        (name, Value::Null) => Value::String(name),
        (name, inner) => json!({ name: inner }),
    }
}

/// Bytes as text where they are text.
pub fn of_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// A variant by its name and what it holds; `null` where it holds nothing.
fn named(value: Value) -> (String, Value) {
    match value {
        Value::String(name) => (name, Value::Null),
        Value::Object(members) if members.len() == 1 => members.into_iter().next().expect("it has one member"),
        other => ("effect".to_owned(), other),
    }
}

/// Through the stored form, where bytes are told from lists.
fn readable(value: &impl serde::Serialize) -> Value {
    let stored = rmp_serde::to_vec_named(value).ok();
    let read = stored.and_then(|bytes| rmp_serde::from_slice::<Readable>(&bytes).ok());
    read.map_or(Value::Null, |Readable(value)| value)
}

/// Any stored value as JSON.
struct Readable(Value);

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadableVisitor).map(Readable)
    }
}

struct ReadableVisitor;

impl<'de> Visitor<'de> for ReadableVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(of_bytes(bytes))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ReadableVisitor)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ReadableVisitor)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Readable(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Readable(value))) = members.next_entry::<String, Readable>()? {
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{EffectError, HttpRequest};

    #[track_caller]
    fn check(effect: Effect, answer: Answer, expected: Value) {
        let mut journal = Journal::default();
        journal.push(effect, answer);
        assert_eq!(serde_json::to_value(of_journal(&journal)).unwrap(), json!([expected]));
    }

    fn set(value: &[u8]) -> Effect {
        Effect::KeySet { space: "gates".to_owned(), key: "a".to_owned(), value: value.to_vec() }
    }

    #[test]
    fn an_effect_is_shown_with_its_name_its_arguments_and_its_answer() {
        check(
            Effect::WallClock,
            Answer::Nanoseconds(7),
            json!({"effect": "wall-clock", "arguments": null, "answer": {"nanoseconds": 7}}),
        );
        check(
            Effect::KeyGet { space: "gates".to_owned(), key: "a".to_owned() },
            Answer::Value(None),
            json!({"effect": "key-get", "arguments": {"space": "gates", "key": "a"}, "answer": "value"}),
        );
        check(
            Effect::KeyGet { space: "gates".to_owned(), key: "a".to_owned() },
            Answer::Failed(EffectError::Refused("too many keys".to_owned())),
            json!({"effect": "key-get", "arguments": {"space": "gates", "key": "a"},
                "answer": {"failed": {"refused": "too many keys"}}}),
        );
    }

    #[test]
    fn bytes_are_shown_as_text_where_they_are_text() {
        check(
            set(b"{\"n\":1}"),
            Answer::Done,
            json!({"effect": "key-set", "arguments": {"space": "gates", "key": "a", "value": "{\"n\":1}"},
                "answer": "done"}),
        );
        check(
            set(&[0xff, 0]),
            Answer::Done,
            json!({"effect": "key-set", "arguments": {"space": "gates", "key": "a", "value": {"base64": "/wA="}},
                "answer": "done"}),
        );
    }

    #[test]
    fn a_request_is_shown_with_its_headers() {
        let request = HttpRequest {
            method: "GET".to_owned(),
            connection: "github".to_owned(),
            path: "/a".to_owned(),
            headers: vec![("accept".to_owned(), "text/plain".to_owned())],
            body: Vec::new(),
            timeout_millis: None,
        };
        check(
            Effect::Http(request),
            Answer::Done,
            json!({"effect": "http", "arguments": {"method": "GET", "connection": "github", "path": "/a",
                "headers": [["accept", "text/plain"]], "body": "", "timeout_millis": null}, "answer": "done"}),
        );
    }
}
