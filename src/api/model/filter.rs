//! Types of the catalogue, and what a filter says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::filter::Clause;

/// `GET /types`: an event type of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeView {
    /// Short name, like `scan.completed`.
    pub name: String,
    /// Full type.
    #[serde(rename = "type")]
    pub ty: String,
    pub about: String,
    /// A whole event in CloudEvents JSON.
    pub sample: Value,
    /// What a filter can read of it, like `data.subject.id`, with the sample's value.
    pub paths: BTreeMap<String, Value>,
}

/// `tidegate filter`: every clause with the value that it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterReport {
    pub verdict: FilterVerdictView,
    pub clauses: Vec<ClauseView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FilterVerdictView {
    Pass,
    Filtered { clause: String, value: String },
    FilterFailed { clause: String, reason: String },
}

impl From<crate::filter::Verdict> for FilterVerdictView {
    fn from(verdict: crate::filter::Verdict) -> Self {
        match verdict {
            crate::filter::Verdict::Pass => FilterVerdictView::Pass,
            crate::filter::Verdict::Filtered { clause, saw } => FilterVerdictView::Filtered { clause, value: saw },
            crate::filter::Verdict::Failed { clause, reason } => FilterVerdictView::FilterFailed { clause, reason },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseView {
    pub clause: String,
    pub value: String,
    /// Absent: not evaluated, or it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<Clause> for ClauseView {
    fn from(clause: Clause) -> Self {
        ClauseView { clause: clause.clause, value: clause.saw, holds: clause.holds, error: clause.error }
    }
}
