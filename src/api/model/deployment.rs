//! Functions and deployments, and what is wrong with a project.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId, Grants, KeyLimit, Rate, Supersede};
use crate::event::Position;
use crate::outcome::RetryPolicy;

/// `GET /functions`, `/functions/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionView {
    pub name: String,
    pub id: FunctionId,
    /// Whether the active deployment has it. If not, the rest tells of the last one that had it.
    pub deployed: bool,
    pub deployment: u64,
    /// What runs.
    pub component: ComponentView,
    /// What was released to it; absent: it runs what the project file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinView>,
    /// Full types, each perhaps with a trailing `*`; none: every type.
    pub on: Vec<String>,
    /// Attribute to a pattern of its text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    pub grants: Grants,
    pub concurrency: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<KeyLimit>,
    /// CEL whose text orders events; absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    pub retry: RetryPolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<Supersede>,
    /// At or below it and not pending means settled or filtered.
    pub cursor: Position,
    /// Events of its types past its cursor.
    pub lag: u64,
    /// Events at or below its cursor that are not settled.
    pub pending: u64,
    /// Invocations in flight in the process that answers.
    pub running: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Timestamp>,
    pub delivered: u64,
    pub failed_attempts: u64,
    pub dead_letters: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentView {
    /// `builtin:NAME`, `native:NAME`, `oci:HOST/NAME@DIGEST` or a path.
    pub reference: String,
    pub digest: Digest,
}

/// What an event asked to be released to a function, and what of the project file it stands in place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinView {
    /// The event's place in the log.
    pub request: Position,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Keys of the configuration that it set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    pub file: ComponentView,
}

/// `GET /deployments`, `/deployments/{n}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentView {
    pub number: u64,
    pub active: bool,
    pub at: Timestamp,
    /// Its record in the log.
    pub position: Position,
    pub cause: CauseView,
    /// False: a person deployed a folder, and no event of the path asked for it.
    pub verified: bool,
    pub digest: Digest,
    /// Name to component.
    pub functions: BTreeMap<String, ComponentView>,
    /// Functions that came, went or differ from those of the deployment before.
    pub changed: Vec<String>,
    /// One line each, like `webhook /hooks/github`.
    pub triggers: Vec<String>,
}

/// Who or what activated a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum CauseView {
    /// `up` read the project file.
    ProjectFile,
    /// A person deployed a project's folder, by the token's name.
    Operator { name: String },
    /// A person activated deployment `to` again.
    Rollback { to: u64, by: String },
    /// An event asked for it.
    Event { position: Position },
}

impl fmt::Display for CauseView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CauseView::ProjectFile => f.write_str("project file"),
            CauseView::Operator { name } => write!(f, "operator {name}, unverified"),
            CauseView::Rollback { to, by } => write!(f, "rollback to {to} by {by}"),
            CauseView::Event { position } => write!(f, "event #{position}"),
        }
    }
}

/// Body of `POST /deployments`: a project's folder. Paths are relative with `/`, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectUpload {
    /// Path to the file's bytes in base64 (standard alphabet, padded). `tidegate.toml` must be among them.
    pub files: BTreeMap<String, String>,
}

/// What `POST /deployments` and `POST /deployments/{n}/rollback` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedView {
    /// The active deployment.
    pub number: u64,
    /// False: the running one already had this digest, and nothing was appended.
    pub changed: bool,
    /// Warnings.
    pub problems: Vec<ProblemView>,
}

/// What is wrong with a project file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    pub severity: SeverityView,
    /// Like `function[0].when`.
    pub key: String,
    /// From 1; absent where the problem has no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeverityView {
    Warning,
    Error,
}

impl From<crate::deployment::Problem> for ProblemView {
    fn from(problem: crate::deployment::Problem) -> Self {
        ProblemView {
            severity: match problem.severity {
                crate::deployment::Severity::Warning => SeverityView::Warning,
                crate::deployment::Severity::Error => SeverityView::Error,
            },
            key: problem.key,
            line: (problem.line > 0).then_some(problem.line),
            message: problem.message,
        }
    }
}
