//! The catalogue: event types that have short names, each with a meaning and a sample.
//!
//! Delivery types are those of CDEvents 0.5; where CDEvents has no word there is one of ours,
//! `dev.cdeventsx.tidegate-SUBJECT.PREDICATE.VERSION`. A short name is the type without its namespace and version. Where
//! CDEvents uses our subject too, ours keeps its `tidegate-` prefix, so that a short name never has two meanings.

#[cfg(test)]
mod samples;
mod types;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::problem::nearest;
use crate::event::CDEVENTS_VERSION;
use crate::filter::TypePattern;

/// A type that has a short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// The short name, like `artifact.published`.
    pub name: &'static str,
    /// The full type with the version that this runtime writes, like `dev.cdevents.artifact.published.0.3.0`.
    pub ty: &'static str,
    /// What it says, in one line.
    pub meaning: &'static str,
    pub author: Author,
}

/// By short name, the data of a sample as far as it is its own: the subject with its content, and what stands beside it:
/// `customData` of ours, or what a trigger says in its own words. All of them tell of one service and one release of it.
static SAMPLES: LazyLock<BTreeMap<String, Map<String, Value>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("samples.json")).expect("a test reads every sample"));

/// Who may say a type. No type has both a trigger and a function as origin, so that evidence can be told from a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Triggers: what a sender said.
    Trigger,
    /// Functions: what was decided. Where CDEvents has the word and no sender says it, it stands as `Granted`.
    Function,
    /// Tidegate itself.
    Runtime,
    /// Whoever is granted it: a sender where there is one, else a function that did the work.
    Granted,
}

/// A name that is neither in the catalogue nor a full type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no short name of the catalogue{}; `tidegate types` lists them, and a type of your own has three \
     parts or more, like com.example.order.paid",
    hint(.nearest)
)]
pub struct UnknownType {
    pub name: String,
    pub nearest: Option<&'static str>,
}

fn hint(nearest: &Option<&str>) -> String {
    nearest.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default()
}

/// Every type of the catalogue: those of CDEvents, then ours.
pub fn catalogue() -> &'static [EventType] {
    types::TYPES
}

/// The entry of a short name, or of a full type of any version.
pub fn event_type(name: &str) -> Option<&'static EventType> {
    catalogue().iter().find(|entry| entry.name == name || name.strip_prefix(entry.stem()).is_some_and(is_version))
}

/// The pattern that a name in `on` or `emits` stands for: any version of a short name's type, or a full type as it is
/// written, which has three parts or more or ends with `*`.
pub fn type_pattern(name: &str) -> Result<TypePattern, String> {
    let text = match expand(name).map_err(|error| error.to_string())? {
        Named::Short(entry) => format!("{}*", entry.stem()),
        Named::Full => name.to_owned(),
    };
    text.parse().map_err(|error: crate::filter::PatternError| error.to_string())
}

/// The one type that a name stands for, where a pattern would not do: what a trigger makes.
pub fn full_type(name: &str) -> Result<String, String> {
    if name.contains('*') {
        return Err(format!("{name:?} is a pattern; write one type"));
    }
    match expand(name).map_err(|error| error.to_string())? {
        Named::Short(entry) => Ok(entry.ty.to_owned()),
        Named::Full => Ok(name.to_owned()),
    }
}

enum Named {
    Short(&'static EventType),
    Full,
}

fn expand(name: &str) -> Result<Named, UnknownType> {
    if let Some(entry) = catalogue().iter().find(|entry| entry.name == name) {
        return Ok(Named::Short(entry));
    }
    if name.contains('*') || (name.split('.').count() >= 3 && name.split('.').all(|part| !part.is_empty())) {
        return Ok(Named::Full);
    }
    Err(UnknownType { name: name.to_owned(), nearest: nearest(name, catalogue().iter().map(|entry| entry.name)) })
}

fn is_version(text: &str) -> bool {
    text.split('.').count() == 3 && text.split('.').all(|part| part.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

impl EventType {
    /// The type up to its version, with the dot: `dev.cdevents.artifact.published.`.
    pub fn stem(&self) -> &'static str {
        let version = self.ty.rmatch_indices('.').nth(2).map_or(self.ty.len(), |(dot, _)| dot + 1);
        &self.ty[..version]
    }

    /// A sample event as structured JSON: a CDEvent in a CloudEvent, by the binding of CDEvents 0.5.
    pub fn sample(&self) -> Value {
        let (id, source, time) = ("5b1c2f0e-7d7a-4f43-9d0a-0c8f7a3e2b11", "/samples", "2026-11-23T04:45:00Z");
        let context = json!({
            "specversion": CDEVENTS_VERSION, "id": id, "source": source, "type": self.ty, "timestamp": time,
        });
        let mut data = json!({ "context": context });
        for (name, value) in SAMPLES.get(self.name).into_iter().flatten() {
            data[name] = value.clone();
        }
        data["subject"]["source"] = source.into();
        json!({
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": self.ty,
            "subject": data["subject"]["id"],
            "time": time,
            "datacontenttype": "application/json",
            "data": data,
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_type_has_a_sample_which_is_an_event_with_content() {
        assert_eq!(SAMPLES.len(), catalogue().len());
        for entry in catalogue() {
            let sample = entry.sample();
            assert_eq!(sample["type"], entry.ty);
            assert!(sample["data"]["subject"]["content"].is_object(), "{}: {sample}", entry.name);
            assert!(!entry.meaning.is_empty() && !entry.meaning.ends_with('.'), "{}", entry.name);
            crate::event::from_json(sample.to_string().as_bytes()).unwrap();
        }
    }

    #[test]
    fn every_name_is_had_once_and_leads_to_its_type() {
        for (index, entry) in catalogue().iter().enumerate() {
            assert!(catalogue()[..index].iter().all(|other| other.name != entry.name), "{}", entry.name);
            assert!(type_pattern(entry.name).unwrap().matches(entry.ty), "{}", entry.name);
            assert_eq!(event_type(entry.name), Some(entry));
            assert_eq!(event_type(entry.ty), Some(entry));
            assert_eq!(full_type(entry.name).unwrap(), entry.ty);
        }
    }

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let answer = type_pattern(name).map_or_else(|problem| problem, String::from);
        assert!(answer.starts_with(expected), "{name}: {answer}");
    }

    #[test]
    fn a_short_name_stands_for_any_version_and_a_full_type_for_itself() {
        check("artifact.published", "dev.cdevents.artifact.published.*");
        check("gate.passed", "dev.cdeventsx.tidegate-gate.passed.*");
        check("change.merged", "dev.cdevents.change.merged.*");
        check("tidegate-change.accepted", "dev.cdeventsx.tidegate-change.accepted.*");
        check("com.github.push", "com.github.push");
        check("com.github.*", "com.github.*");
        check("*", "*");
    }

    #[test]
    fn a_name_that_is_not_known_is_told_its_neighbour() {
        check(
            "artifact.publish",
            "\"artifact.publish\" is no short name of the catalogue (did you mean \"artifact.published\"?);",
        );
        check("push", "\"push\" is no short name of the catalogue; `tidegate types`");
        check("a..b", "\"a..b\" is no short name");
        check("", "\"\" is no short name");
    }

    #[test]
    fn a_sample_shows_the_binding() {
        let text = serde_json::to_string_pretty(&event_type("artifact.published").unwrap().sample()).unwrap();
        expect![[r#"
            {
              "data": {
                "artifact": {
                  "digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                  "media_type": "application/vnd.oci.image.manifest.v1+json",
                  "repository": "registry.example.com/acme/shop",
                  "tag": "2.4.0"
                },
                "context": {
                  "id": "5b1c2f0e-7d7a-4f43-9d0a-0c8f7a3e2b11",
                  "source": "/samples",
                  "specversion": "0.5.0",
                  "timestamp": "2026-11-23T04:45:00Z",
                  "type": "dev.cdevents.artifact.published.0.3.0"
                },
                "subject": {
                  "content": {
                    "user": "release-bot"
                  },
                  "id": "pkg:oci/shop@sha256%3A2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae?repository_url=registry.example.com/acme/shop",
                  "source": "/samples"
                }
              },
              "datacontenttype": "application/json",
              "id": "5b1c2f0e-7d7a-4f43-9d0a-0c8f7a3e2b11",
              "source": "/samples",
              "specversion": "1.0",
              "subject": "pkg:oci/shop@sha256%3A2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae?repository_url=registry.example.com/acme/shop",
              "time": "2026-11-23T04:45:00Z",
              "type": "dev.cdevents.artifact.published.0.3.0"
            }"#]]
        .assert_eq(&text);
    }
}
