//! Filters: a type pattern (the index), attribute tests, and a CEL expression over `event`, `data` and `origin`.
//!
//! A filter is compiled once and judges without time, chance or IO, so a verdict can be computed again at any time for
//! the deployment that gave it. A filter that cannot be evaluated is a verdict of its own, never "false".
//!
//! The language is CEL with these differences, all of which make it total and quick:
//! - numbers of any kind can be added, compared and looked up among each other, and a number of JSON is an int if it is
//!   whole, whatever its literal (`subject`, `functions`);
//! - comprehensions do not nest, the pattern of `matches` is a literal, and an evaluation has a budget (`rewrite`);
//! - `+` of texts and lists, `timestamp` and `duration` are there; what tells the time of day or calls the world is not.

mod conjunction;
mod expression;
mod functions;
mod key;
mod pattern;
mod rewrite;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use key::KeyExpression;
pub use pattern::{PatternError, TypeIndex, TypePattern, overlap};
pub use subject::Subject;

use expression::Expression;

/// Raised whenever the meaning of an expression changes, so that `explain` can say that an old verdict was another's.
pub const LANGUAGE_VERSION: u32 = 1;

/// Length of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;
/// Data that expressions read.
pub const DATA_READ_BYTES_MAX: usize = 1024 * 1024;
/// Items of a list that a comprehension or `in` goes through.
pub const LIST_ITEMS_MAX: usize = 10_000;
/// Text given to `matches`.
pub const MATCHED_BYTES_MAX: usize = 1024 * 1024;
/// What one evaluation may cost: values touched in loops or put together, 16 bytes of text counting as one.
pub const COST_MAX: u64 = 2 * 1024 * 1024;

/// A compiled filter; serialised as its source. Cheap to clone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "FilterSource", into = "FilterSource")]
pub struct Filter {
    on: Vec<TypePattern>,
    attributes: BTreeMap<String, String>,
    when: Option<String>,
    /// The parts of `when` that all must hold, in order.
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    source: String,
    expression: Expression,
}

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
    /// `on`: patterns of full types, any of which lets an event pass, none for every type; `attributes`: attribute name to
    /// its text, perhaps with a trailing `*`; `when`: CEL.
    pub fn new(
        on: Vec<TypePattern>,
        attributes: BTreeMap<String, String>,
        when: Option<&str>,
    ) -> Result<Filter, FilterError> {
        for (name, pattern) in &attributes {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                let reason = "is no attribute name; use lower-case letters and digits".to_owned();
                return Err(FilterError { clause: name.clone(), reason });
            }
            if !pattern::is_valid(pattern) {
                let reason = format!("{pattern:?} is no pattern; write a text, perhaps with one * at its end");
                return Err(FilterError { clause: name.clone(), reason });
            }
        }
        let parts = when.map_or(Ok(Vec::new()), compile)?;
        Ok(Filter { on, attributes, when: when.map(str::to_owned), parts })
    }

    /// The type patterns; none: every type.
    pub fn types(&self) -> &[TypePattern] {
        &self.on
    }

    /// Whether events of a type pass, as far as the type says.
    pub fn hears(&self, ty: &str) -> bool {
        self.on.is_empty() || self.on.iter().any(|pattern| pattern.matches(ty))
    }

    /// Attribute name to its text, perhaps with a trailing `*`.
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// The CEL expression, as it was written.
    pub fn when(&self) -> Option<&str> {
        self.when.as_deref()
    }

    /// Why no event ever passes, where `when` says so by itself: `1 + 1` is no condition.
    pub fn never_holds(&self) -> Option<String> {
        self.parts.iter().find_map(|part| Some(format!("{} {}", part.source, part.expression.never_holds()?)))
    }

    /// Judges an event. The first clause that does not hold decides; a part of `when` that cannot be evaluated decides
    /// only if no other part is false, as CEL has it.
    pub fn judge(&self, subject: &Subject<'_>) -> Verdict {
        if !self.type_holds(subject) {
            return Verdict::Filtered { clause: self.type_clause(), saw: saw_type(subject) };
        }
        for (name, pattern) in &self.attributes {
            let value = subject.attribute(name);
            if !attribute_holds(pattern, value.as_deref()) {
                return Verdict::Filtered {
                    clause: attribute_clause(name, pattern),
                    saw: saw_attribute(name, value.as_deref()),
                };
            }
        }
        let mut failed = None;
        for part in &self.parts {
            match part.expression.holds(subject) {
                Ok(true) => {}
                Ok(false) => {
                    return Verdict::Filtered { clause: part.source.clone(), saw: part.expression.saw(subject) };
                }
                Err(reason) => {
                    failed.get_or_insert_with(|| Verdict::Failed { clause: part.source.clone(), reason });
                }
            }
        }
        failed.unwrap_or(Verdict::Pass)
    }

    /// Every clause with what it saw, whether or not an earlier one decided.
    pub fn explain(&self, subject: &Subject<'_>) -> Vec<Clause> {
        let ty = Clause {
            clause: self.type_clause(),
            saw: saw_type(subject),
            holds: Some(self.type_holds(subject)),
            error: None,
        };
        let attributes = self.attributes.iter().map(|(name, pattern)| {
            let value = subject.attribute(name);
            Clause {
                clause: attribute_clause(name, pattern),
                saw: saw_attribute(name, value.as_deref()),
                holds: Some(attribute_holds(pattern, value.as_deref())),
                error: None,
            }
        });
        let parts = self.parts.iter().map(|part| {
            let holds = part.expression.holds(subject);
            Clause {
                clause: part.source.clone(),
                saw: part.expression.saw(subject),
                holds: holds.as_ref().ok().copied(),
                error: holds.err(),
            }
        });
        std::iter::once(ty).chain(attributes).chain(parts).collect()
    }

    fn type_holds(&self, subject: &Subject<'_>) -> bool {
        self.hears(subject.ty())
    }

    fn type_clause(&self) -> String {
        let patterns: Vec<&str> = self.on.iter().map(TypePattern::as_str).collect();
        if patterns.is_empty() { "type is any".to_owned() } else { format!("type is {}", patterns.join(" or ")) }
    }
}

fn compile(when: &str) -> Result<Vec<Part>, FilterError> {
    let refused = |reason| FilterError { clause: when.to_owned(), reason };
    // The whole first: its columns are those that the author sees.
    let whole = Expression::compile(when).map_err(refused)?;
    let sources = conjunction::split(when);
    if sources.len() == 1 {
        return Ok(vec![Part { source: when.trim().to_owned(), expression: whole }]);
    }
    let parts = sources.into_iter().map(|source| {
        let expression = Expression::compile(source).map_err(refused)?;
        Ok(Part { source: source.to_owned(), expression })
    });
    parts.collect()
}

fn saw_type(subject: &Subject<'_>) -> String {
    format!("type = {:?}", subject.ty())
}

fn attribute_holds(pattern: &str, value: Option<&str>) -> bool {
    value.is_some_and(|value| pattern::matches(pattern, value))
}

fn attribute_clause(name: &str, pattern: &str) -> String {
    format!("{name} is {pattern:?}")
}

fn saw_attribute(name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| format!("{name} is absent"), |value| format!("{name} = {value:?}"))
}

fn too_large(reason: impl fmt::Display) -> String {
    format!("too large: {reason}")
}

/// A filter as it is stored.
#[derive(Serialize, Deserialize)]
struct FilterSource {
    on: Vec<TypePattern>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    when: Option<String>,
}

impl TryFrom<FilterSource> for Filter {
    type Error = FilterError;

    fn try_from(source: FilterSource) -> Result<Self, FilterError> {
        Filter::new(source.on, source.attributes, source.when.as_deref())
    }
}

impl From<Filter> for FilterSource {
    fn from(filter: Filter) -> Self {
        FilterSource { on: filter.on, attributes: filter.attributes, when: filter.when }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        (&self.on, &self.attributes, &self.when) == (&other.on, &other.attributes, &other.when)
    }
}
