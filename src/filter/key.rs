//! What orders events for a function, or tells which of them belong together.

use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::{FilterError, Subject};

/// A CEL expression whose value says which events belong together; serialised as its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyExpression {
    source: String,
    expression: Expression,
}

impl KeyExpression {
    /// Compiles an expression over `event`, `data` and `origin`. `partitionkey` is short for `event.partitionkey`.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let source = if expression == "partitionkey" { "event.partitionkey" } else { expression };
        let compiled = Expression::compile(source);
        let expression = compiled.map_err(|reason| FilterError { clause: source.to_owned(), reason })?;
        Ok(KeyExpression { source: source.to_owned(), expression })
    }

    /// The value as text. None: the event has no key (an empty one, no scalar, or one that cannot be evaluated).
    pub fn key(&self, subject: &Subject<'_>) -> Option<String> {
        self.expression.text(subject).ok().flatten()
    }

    /// The value in millionths, if it is a number.
    pub fn millionths(&self, subject: &Subject<'_>) -> Option<i128> {
        self.expression.millionths(subject).ok().flatten()
    }

    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PartialEq for KeyExpression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl TryFrom<String> for KeyExpression {
    type Error = FilterError;

    fn try_from(source: String) -> Result<Self, FilterError> {
        KeyExpression::new(&source)
    }
}

impl From<KeyExpression> for String {
    fn from(key: KeyExpression) -> String {
        key.source
    }
}
