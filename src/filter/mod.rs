//! Filters: a type pattern (the index), attribute tests, and a CEL expression over `event`, `data` and `origin`.
//!
//! A filter is compiled once and judges without time, chance or IO, so a verdict can be computed again at any time for
//! the deployment that gave it. A filter that cannot be evaluated is a verdict of its own, never "false".

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::event::Accepted;

/// Raised whenever the meaning of an expression changes, so that `explain` can say that an old verdict was another's.
pub const LANGUAGE_VERSION: u32 = 1;

/// A compiled filter; serialised as its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filter {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{clause}: {reason}")]
pub struct FilterError {
    pub clause: String,
    pub reason: String,
}

/// What a filter says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// By which clause, and the value that it saw.
    Filtered {
        clause: String,
        saw: String,
    },
    /// It could not be evaluated: its own verdict, never "false".
    Failed {
        clause: String,
        reason: String,
    },
}

/// Every clause of a filter with the value that it saw, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clause {
    pub clause: String,
    pub saw: String,
    /// None: not evaluated, or it could not be.
    pub holds: Option<bool>,
    pub error: Option<String>,
}

impl Filter {
    /// `on`: patterns of full types; `attributes`: attribute name to a pattern of its text; `when`: CEL.
    pub fn new(
        _on: Vec<TypePattern>,
        _attributes: BTreeMap<String, String>,
        _when: Option<&str>,
    ) -> Result<Filter, FilterError> {
        todo!()
    }

    pub fn types(&self) -> &[TypePattern] {
        todo!()
    }

    pub fn judge(&self, _subject: &Subject) -> Verdict {
        todo!()
    }

    pub fn explain(&self, _subject: &Subject) -> Vec<Clause> {
        todo!()
    }
}

/// An event as filters see it. Its data is parsed once, and only when a filter reads it.
pub struct Subject {}

impl Subject {
    pub fn new(_event: &Accepted) -> Self {
        todo!()
    }
}

/// A full type, perhaps with a trailing `*` that matches any rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypePattern(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no type pattern; write a full type, perhaps with one * at its end")]
pub struct PatternError {
    pattern: String,
}

impl TypePattern {
    pub fn matches(&self, _ty: &str) -> bool {
        todo!()
    }
}

impl FromStr for TypePattern {
    type Err = PatternError;

    fn from_str(_pattern: &str) -> Result<Self, PatternError> {
        todo!()
    }
}

impl TryFrom<String> for TypePattern {
    type Error = PatternError;

    fn try_from(pattern: String) -> Result<Self, PatternError> {
        pattern.parse()
    }
}

impl From<TypePattern> for String {
    fn from(pattern: TypePattern) -> String {
        pattern.0
    }
}

/// A CEL expression whose value, as text, orders events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyExpression {}

impl KeyExpression {
    pub fn new(_expression: &str) -> Result<Self, FilterError> {
        todo!()
    }

    /// None: the event is not ordered (no key, an empty one, or one that cannot be evaluated).
    pub fn key(&self, _subject: &Subject) -> Option<String> {
        todo!()
    }
}
