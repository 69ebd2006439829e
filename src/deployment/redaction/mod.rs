//! What is taken out of events and recordings before they are written. Pure.
//!
//! A value goes as a whole, and `[redacted]` stands in its place, so that what is redacted twice is redacted once. What
//! begins like JSON and is none cannot be looked into, so it goes as a whole too.

mod json;
mod path;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use path::{RedactedPath, RedactedPathError};

use crate::event::{Event, Extension};
use json::REDACTED_JSON;
use path::{Root, Step};

/// What stands in the place of a value.
pub const REDACTED: &str = "[redacted]";

/// Rules of what is redacted; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<RedactedPath>,
    /// Names of headers, in lower case.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub headers: BTreeSet<String>,
}

/// How what cannot be read must begin to be taken for broken JSON.
#[derive(Clone, Copy)]
enum Broken {
    /// It is to be JSON.
    ObjectOrList,
    /// It may be any text, and `[` begins many.
    Object,
}

impl Redaction {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.headers.is_empty()
    }

    /// Redacts attributes and data. Answers the paths at which something stood.
    pub fn event(&self, event: &mut Event) -> Vec<String> {
        let mut found = Vec::new();
        for path in &self.paths {
            let Root::Attribute(name) = &path.root else { continue };
            let stands = match name.as_str() {
                "subject" => event.subject.as_mut().map(|subject| REDACTED.clone_into(subject)),
                name => event.extensions.get_mut(name).map(|value| *value = Extension::Text(REDACTED.to_owned())),
            };
            found.extend(stands.map(|()| path.to_string()));
        }
        let Some(data) = &event.data else { return found };
        let redacted = match self.paths.iter().find(|path| path.root == Root::Data && path.steps.is_empty()) {
            Some(whole) if event.is_json() => Some((REDACTED_JSON.to_vec(), vec![whole.to_string()])),
            Some(whole) => Some((REDACTED.as_bytes().to_vec(), vec![whole.to_string()])),
            None if event.is_json() => self.json(data, Root::Data, Broken::ObjectOrList),
            None => self.json(data, Root::Data, Broken::Object),
        };
        if let Some((data, paths)) = redacted {
            event.data = Some(Bytes::from(data));
            found.extend(paths);
        }
        found
    }

    /// Redacts a body or a value. Answers the paths at which something stood.
    pub fn document(&self, document: &mut Vec<u8>) -> Vec<String> {
        let redacted = self.json(document, Root::Document, Broken::ObjectOrList);
        let Some((redacted, paths)) = redacted else { return Vec::new() };
        *document = redacted;
        paths
    }

    /// Redacts a text that may be JSON. Answers the paths at which something stood.
    pub fn line(&self, line: &mut String) -> Vec<String> {
        let redacted = self.json(line.as_bytes(), Root::Document, Broken::Object);
        let Some((redacted, paths)) = redacted else { return Vec::new() };
        *line = String::from_utf8(redacted).expect("whole values of a text were taken out");
        paths
    }

    /// Redacts values of headers. Answers the names of those that were there.
    pub fn headers(&self, headers: &mut [(String, String)]) -> Vec<String> {
        let mut found = BTreeSet::new();
        for (name, value) in headers.iter_mut().filter(|(name, _)| self.headers.contains(&name.to_ascii_lowercase())) {
            REDACTED.clone_into(value);
            found.insert(name.to_ascii_lowercase());
        }
        found.into_iter().collect()
    }

    /// What is left of a JSON text and the paths at which something stood; none: it stays as it is.
    fn json(&self, text: &[u8], root: Root, broken: Broken) -> Option<(Vec<u8>, Vec<String>)> {
        let paths: Vec<&RedactedPath> = self.paths.iter().filter(|path| path.root == root).collect();
        if paths.is_empty() {
            return None;
        }
        let steps: Vec<&[Step]> = paths.iter().map(|path| path.steps.as_slice()).collect();
        match json::redact(text, &steps) {
            Ok(left) => {
                let left = left?;
                Some((left.json, left.named.into_iter().map(|index| paths[index].to_string()).collect()))
            }
            Err(_) if broken.begins(text) => {
                let all = RedactedPath { root, steps: Vec::new() };
                Some((REDACTED_JSON.to_vec(), vec![all.to_string()]))
            }
            Err(_) => None,
        }
    }
}

impl Broken {
    fn begins(self, text: &[u8]) -> bool {
        match text.trim_ascii_start().first() {
            Some(b'{') => true,
            Some(b'[') => matches!(self, Broken::ObjectOrList),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(paths: &[&str], headers: &[&str]) -> Redaction {
        Redaction {
            paths: paths.iter().map(|path| path.parse().unwrap()).collect(),
            headers: headers.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn event(data: &'static str) -> Event {
        let card = ("card".to_owned(), Extension::Integer(7));
        let (id, subject) = ("1".to_owned(), Some("ana@example.com".to_owned()));
        Event {
            id,
            subject,
            extensions: [card].into(),
            data: Some(Bytes::from_static(data.as_bytes())),
            ..Event::default()
        }
    }

    fn data(event: &Event) -> &str {
        std::str::from_utf8(event.data.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn an_event_loses_attributes_and_values_of_its_data() {
        let mut redacted = event(r#"{"email":"ana@example.com","n":1}"#);
        let found =
            rules(&["data.email", "subject", "card", "absent", "data.absent", "$.n"], &["n"]).event(&mut redacted);
        assert_eq!(found, ["subject", "card", "data.email"]);
        assert_eq!(data(&redacted), r#"{"email":"[redacted]","n":1}"#);
        assert_eq!(redacted.subject.as_deref(), Some(REDACTED));
        assert_eq!(redacted.extensions["card"], Extension::Text(REDACTED.to_owned()));
        assert_eq!(redacted.id, "1");
    }

    #[test]
    fn data_goes_whole_where_that_is_said_or_it_cannot_be_read() {
        let check = |paths: &[&str], datacontenttype: Option<&str>, before: &'static str, after: &str| {
            let mut redacted = Event { datacontenttype: datacontenttype.map(str::to_owned), ..event(before) };
            rules(paths, &[]).event(&mut redacted);
            assert_eq!(data(&redacted), after, "{before}");
        };
        check(&["data"], None, r#"{"a":1}"#, r#""[redacted]""#);
        check(&["data"], Some("text/plain"), "secret", "[redacted]");
        check(&["data.a"], None, r#"{"a":1"#, r#""[redacted]""#);
        check(&["data.a"], None, r#" [{"a":1}"#, r#""[redacted]""#);
        check(&["data.a"], Some("text/plain"), r#"{"a":1"#, r#""[redacted]""#);
        check(&["data.a"], Some("text/plain"), r#"{"a":1}"#, r#"{"a":"[redacted]"}"#);
        check(&["data.a"], Some("text/plain"), "[note] a", "[note] a");
        check(&["data.a"], None, "plain", "plain");
        check(&["subject"], None, r#"{"a":1"#, r#"{"a":1"#);
    }

    #[test]
    fn a_body_a_line_and_headers_lose_what_is_theirs() {
        let rules = rules(&["$.token", "data.n"], &["authorization"]);
        let mut body = br#"{"token":"x","n":1}"#.to_vec();
        assert_eq!(rules.document(&mut body), ["$.token"]);
        assert_eq!(body, br#"{"token":"[redacted]","n":1}"#);
        let mut cut_off = br#"[{"token":"x"#.to_vec();
        assert_eq!(rules.document(&mut cut_off), ["$"]);
        assert_eq!(cut_off, REDACTED_JSON);
        let line = |text: &str| {
            let mut line = text.to_owned();
            let found = rules.line(&mut line);
            (line, found.concat())
        };
        assert_eq!(line(r#"{"token":5}"#), (r#"{"token":"[redacted]"}"#.to_owned(), "$.token".to_owned()));
        assert_eq!(line(r#"{"token":5"#).0, r#""[redacted]""#);
        assert_eq!(line("[info] token"), ("[info] token".to_owned(), String::new()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = [pair("Authorization", "x"), pair("accept", "y"), pair("authorization", "z")];
        assert_eq!(rules.headers(&mut headers), ["authorization"]);
        assert_eq!(headers, [pair("Authorization", REDACTED), pair("accept", "y"), pair("authorization", REDACTED)]);
    }

    #[test]
    fn rules_are_stored_as_they_are_written() {
        let rules = rules(&["data.items[*].card"], &["x-api-key"]);
        let stored = serde_json::to_string(&rules).unwrap();
        assert_eq!(stored, r#"{"paths":["data.items[*].card"],"headers":["x-api-key"]}"#);
        assert_eq!(serde_json::from_str::<Redaction>(&stored).unwrap(), rules);
    }
}
