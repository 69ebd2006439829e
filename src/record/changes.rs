//! What a replay is given otherwise than was recorded: code, configuration, input.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;

use super::Case;
use crate::event::{self, Event};
use crate::invoke::Compiled;

/// Nothing set: the same code on the same input.
#[derive(Clone, Default)]
pub struct Changes {
    /// Runs instead of the recorded component.
    pub component: Option<Compiled>,
    /// Values of the function's configuration, by key, in the place of its own or beside them.
    pub config: BTreeMap<String, String>,
    /// Stands in the place of the recorded event.
    pub input: Option<Event>,
    /// Made to the event, in this order.
    pub edits: Vec<Edit>,
}

/// Sets one value of an event: `data.order.total = 12`, `subject = "x"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    path: Vec<Step>,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Place(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("{text:?} is no edit; write PATH = VALUE, like data.order.total = 12")]
    Syntax { text: String },
    #[error("cannot set {path}: {reason}")]
    Path { path: String, reason: String },
    #[error("function {function} has no configuration key {key:?}; it has {known}")]
    Config { function: String, key: String, known: String },
    #[error("the edited event is not valid: {reason}")]
    Event { reason: String },
}

impl Changes {
    /// Whether the recorded run must come out of it again: nothing differs, or only what is the same anyway.
    pub fn is_none(&self, case: &Case) -> bool {
        let same_code = self.component.as_ref().is_none_or(|compiled| compiled.digest == case.recording.component);
        let config = &case.function.config;
        let same_config =
            self.config.iter().all(|(key, text)| config.get(key).is_some_and(|value| value.text == *text));
        same_code && same_config && self.input.is_none() && self.edits.is_empty()
    }

    /// The case as it is to be run.
    pub fn apply(&self, case: &Case) -> Result<Case, EditError> {
        let config = &case.function.config;
        if let Some(key) = self.config.keys().find(|key| !config.contains_key(*key)) {
            let known = if config.is_empty() {
                "none".to_owned()
            } else {
                config.keys().cloned().collect::<Vec<_>>().join(", ")
            };
            return Err(EditError::Config { function: case.function.name.to_string(), key: key.clone(), known });
        }
        let mut changed = case.clone();
        if !self.config.is_empty() {
            changed = changed.with_config(&self.config);
        }
        if let Some(input) = &self.input {
            changed.event.event = input.clone();
        }
        if !self.edits.is_empty() {
            changed.event.event = edited(&changed.event.event, &self.edits)?;
        }
        Ok(changed)
    }
}

fn edited(event: &Event, edits: &[Edit]) -> Result<Event, EditError> {
    let mut value: Value = serde_json::from_slice(&event::to_json(event)).expect("an event is written as JSON");
    edits.iter().try_for_each(|edit| edit.set(&mut value))?;
    let json = serde_json::to_vec(&value).expect("a JSON value has text keys");
    event::from_json(&json).map_err(|error| EditError::Event { reason: error.to_string() })
}

impl Edit {
    fn set(&self, event: &mut Value) -> Result<(), EditError> {
        let mut place = event;
        for (depth, step) in self.path.iter().enumerate() {
            let error = |reason: &str| EditError::Path { path: shown(&self.path[..=depth]), reason: reason.to_owned() };
            place = match step {
                Step::Name(name) => {
                    if place.is_null() {
                        *place = Value::Object(serde_json::Map::new());
                    }
                    let members = place.as_object_mut().ok_or_else(|| error("what holds it is no object"))?;
                    members.entry(name.as_str()).or_insert(Value::Null)
                }
                Step::Place(index) => {
                    let items = place.as_array_mut().ok_or_else(|| error("what holds it is no list"))?;
                    let length = items.len();
                    items.get_mut(*index).ok_or_else(|| error(&format!("the list has {length} items")))?
                }
            };
        }
        *place = self.value.clone();
        Ok(())
    }
}

/// A path as it is written.
fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text += &format!(".{name}"),
            Step::Place(index) => text += &format!("[{index}]"),
        }
    }
    text
}

impl FromStr for Edit {
    type Err = EditError;

    /// `PATH = VALUE`. The value is JSON; what is none is text.
    fn from_str(text: &str) -> Result<Self, EditError> {
        let wrong = || EditError::Syntax { text: text.to_owned() };
        let (path, value) = text.split_once('=').ok_or_else(wrong)?;
        let value = value.trim();
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Edit { path: steps(path.trim()).ok_or_else(wrong)?, value })
    }
}

/// `data.items[0].price`
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut places) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Name(name.to_owned()));
        while !places.is_empty() {
            let (index, rest) = places.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Place(index.parse().ok()?));
            places = rest;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        let json =
            br#"{"specversion": "1.0", "id": "1", "source": "/a", "type": "shop.order.placed", "subject": "order/1",
            "data": {"total": 5, "items": [{"sku": "a"}]}}"#;
        event::from_json(json).unwrap()
    }

    fn edit(texts: &[&str]) -> Result<Value, EditError> {
        let edits = texts.iter().map(|text| text.parse()).collect::<Result<Vec<Edit>, _>>()?;
        let event = edited(&event(), &edits)?;
        Ok(serde_json::from_slice(&event::to_json(&event)).unwrap())
    }

    #[test]
    fn an_edit_sets_one_value_and_leaves_the_rest() {
        let edited =
            edit(&["data.total = 7", "data.items[0].sku = b=c", "subject = \"order/2\"", "data.new.deep = [1]"]);
        let edited = edited.unwrap();
        assert_eq!(edited["data"]["total"], 7);
        assert_eq!(edited["data"]["items"][0]["sku"], "b=c", "what is no JSON is text");
        assert_eq!(edited["data"]["new"]["deep"][0], 1);
        assert_eq!((&edited["subject"], &edited["id"]), (&"order/2".into(), &"1".into()));
    }

    #[test]
    fn an_edit_that_cannot_be_made_says_where() {
        let check = |text: &str, names: &str| {
            let error = edit(&[text]).unwrap_err().to_string();
            assert!(error.contains(names), "{text}: {error}");
        };
        check("data.total", "PATH = VALUE");
        check(".x = 1", "PATH = VALUE");
        check("data.items[x] = 1", "PATH = VALUE");
        check("data.total.deep = 1", "data.total.deep: what holds it is no object");
        check("data.items[3] = 1", "data.items[3]: the list has 1 items");
        check("id = 5", "the edited event is not valid");
    }
}
