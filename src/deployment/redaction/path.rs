//! What a path of `[recording] redact` addresses: `data.customer.email`, `subject`, `$.items[*].card`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::attribute;

/// Text of one path.
const PATH_BYTES_MAX: usize = 256;

/// Attributes that the runtime finds, orders and joins events by, or that its formats need.
const KEPT: [&str; 16] = [
    "id",
    "source",
    "type",
    "specversion",
    "time",
    "datacontenttype",
    "dataschema",
    attribute::CAUSATION,
    attribute::CORRELATION,
    attribute::TRACEPARENT,
    attribute::TRACESTATE,
    attribute::PARTITION_KEY,
    attribute::SEQUENCE,
    attribute::SEQUENCE_TYPE,
    attribute::DELIVER_AT,
    attribute::DATA_REF,
];

/// Values by where they stand. Stored as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedactedPath {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// An attribute of events. It has no steps.
    Attribute(String),
    /// The data of events; without steps, the whole of it.
    Data,
    /// Every other JSON that a recording has: bodies, values, log lines. It has at least one step.
    Document,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    AnyMember,
    Item(usize),
    AnyItem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedactedPathError {
    #[error(
        "{0:?} is no path; write data and steps like data.items[*].card, the name of an attribute, or $ and steps like $.token"
    )]
    Syntax(String),
    #[error("$ alone is all of every body, value and line; write what of it, like $.token")]
    Everything,
    #[error("{0} is an attribute that the runtime goes by, so it cannot be redacted")]
    Kept(String),
    #[error("has more than {PATH_BYTES_MAX} bytes")]
    TooLong,
}

impl FromStr for RedactedPath {
    type Err = RedactedPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > PATH_BYTES_MAX {
            return Err(RedactedPathError::TooLong);
        }
        let wrong = || RedactedPathError::Syntax(text.to_owned());
        let (first, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
        let steps = steps(rest).ok_or_else(wrong)?;
        let root = match first {
            "$" if steps.is_empty() => return Err(RedactedPathError::Everything),
            "$" => Root::Document,
            "data" => Root::Data,
            name if KEPT.contains(&name) => return Err(RedactedPathError::Kept(name.to_owned())),
            name if steps.is_empty() && is_attribute(name) => Root::Attribute(name.to_owned()),
            _ => return Err(wrong()),
        };
        Ok(RedactedPath { root, steps })
    }
}

fn is_attribute(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// `.name`, `.*`, `[0]` and `[*]`, one after the other.
fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        if let Some(item) = rest.strip_prefix('[') {
            let (index, after) = item.split_once(']')?;
            (step, rest) = (if index == "*" { Step::AnyItem } else { Step::Item(index.parse().ok()?) }, after);
        } else {
            let name = rest.strip_prefix('.')?;
            let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
            let member = || (!name.is_empty() && !name.contains(['*', ']'])).then(|| Step::Member(name.to_owned()));
            (step, rest) = (if name == "*" { Step::AnyMember } else { member()? }, after);
        }
        steps.push(step);
    }
    Some(steps)
}

impl fmt::Display for RedactedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.root {
            Root::Attribute(name) => name,
            Root::Data => "data",
            Root::Document => "$",
        })?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Member(name) => write!(f, ".{name}"),
            Step::AnyMember => f.write_str(".*"),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::AnyItem => f.write_str("[*]"),
        })
    }
}

impl TryFrom<String> for RedactedPath {
    type Error = RedactedPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RedactedPath> for String {
    fn from(path: RedactedPath) -> String {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_it_is_written() {
        for text in [
            "data",
            "data.a",
            "data[0]",
            "data.items[*].card-number",
            "data.*.x[3][*]",
            "subject",
            "myext1",
            "$.a",
            "$[*]",
        ] {
            let path: RedactedPath = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in [
            "",
            ".",
            "data.",
            "data..a",
            "data.a.",
            "data[",
            "data[x]",
            "data[-1]",
            "data.a*",
            "data.a]",
            "$x",
            "subject.a",
            "Subject",
            "my-ext",
            "customer.email",
        ] {
            assert_eq!(wrong.parse::<RedactedPath>(), Err(RedactedPathError::Syntax(wrong.to_owned())), "{wrong}");
        }
        assert_eq!("$".parse::<RedactedPath>(), Err(RedactedPathError::Everything));
        for kept in KEPT {
            assert_eq!(kept.parse::<RedactedPath>(), Err(RedactedPathError::Kept(kept.to_owned())));
        }
        let long = format!("data{}", ".a".repeat(PATH_BYTES_MAX / 2));
        assert_eq!(long.parse::<RedactedPath>(), Err(RedactedPathError::TooLong));
    }
}
