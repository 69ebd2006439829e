//! Why a command could not do its work.

use std::path::PathBuf;

use crate::api::model::{ErrorDetail, RefusalView, SeverityView};
use crate::project::ProjectError;

use super::render::{clean, near_refusal};

/// Each says what was tried, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments cannot be carried out as they are.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    #[error("cannot reach {url}; {next}")]
    Unreachable {
        url: String,
        next: &'static str,
        #[source]
        source: reqwest::Error,
    },
    /// The project's API said no.
    #[error("{}", refusal(.0))]
    Refused(Box<ErrorDetail>),
    #[error("{url} does not answer as Tidegate does ({saw}); check --url and TIDEGATE_URL")]
    Stranger { url: String, saw: String },
    #[error("{what} broke off; {next}")]
    BrokenOff {
        what: &'static str,
        next: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error("cannot read {path}")]
    Input {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// What was read is not what the command takes.
    #[error("{path}: {reason}")]
    Malformed { path: String, reason: String },
    #[error("cannot print")]
    Output(#[source] std::io::Error),
    #[error("{what}")]
    Failed {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CliError {
    /// Whether the arguments are to blame (exit status 2).
    pub fn is_usage(&self) -> bool {
        matches!(self, CliError::Usage(_))
    }

    /// Whether whoever read the output has gone, as `head` does: no failure.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, CliError::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

fn refusal(detail: &ErrorDetail) -> String {
    let mut text = clean(&detail.message).into_owned();
    if detail.code == "unauthorized" {
        text += "\n  a command takes its token from TIDEGATE_TOKEN or --token-file";
    }
    for candidate in &detail.candidates {
        let position = candidate.position.map_or_else(String::new, |position| format!("#{position}"));
        let subject = candidate.subject.as_deref().unwrap_or_default();
        let line = format!("{position:>6}  {}  {}  {subject}", candidate.id, candidate.ty);
        text += &format!("\n  {}", clean(line.trim_end()));
    }
    // What the message tells of itself is not told twice.
    let untold = |view: &&RefusalView| !detail.message.contains(&view.refusal.at.to_string());
    for refused in detail.refusals.iter().filter(untold) {
        text += &format!("\n  {}", near_refusal(refused));
    }
    for problem in &detail.problems {
        let severity = match problem.severity {
            SeverityView::Error => "error",
            SeverityView::Warning => "warning",
        };
        let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
        let message = format!("{severity}: {}: {}", problem.key, problem.message);
        text += &format!("\n  {}{line}: {}", crate::deployment::PROJECT_FILE, clean(&message));
    }
    text
}
