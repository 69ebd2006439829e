//! How a function says that it could not do its work.

use std::time::Duration;

use crate::{DataError, config, http, kv, statistics};

/// What a function returns in place of events. Nothing that it wrote is kept.
///
/// Errors of this crate turn into one by `?`: into a retry where another attempt may fare better (HTTP), else into a
/// rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Tried again, as often as the function's retry policy allows, then a dead letter.
    Retry {
        reason: String,
        /// How long from now; none: as the policy says.
        after: Option<Duration>,
    },
    /// Never tried again: the event becomes a dead letter with this reason.
    Reject { reason: String },
}

impl Failure {
    pub fn retry(reason: impl Into<String>) -> Self {
        Failure::Retry { reason: reason.into(), after: None }
    }

    pub fn retry_after(reason: impl Into<String>, after: Duration) -> Self {
        Failure::Retry { reason: reason.into(), after: Some(after) }
    }

    pub fn reject(reason: impl Into<String>) -> Self {
        Failure::Reject { reason: reason.into() }
    }

    pub fn reason(&self) -> &str {
        match self {
            Failure::Retry { reason, .. } | Failure::Reject { reason } => reason,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Failure {}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Failure::reject(error.to_string())
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Failure::reject(error.to_string())
    }
}

impl From<kv::Error> for Failure {
    fn from(error: kv::Error) -> Self {
        Failure::reject(error.to_string())
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Failure::reject(error.to_string())
    }
}

impl From<statistics::Error> for Failure {
    fn from(error: statistics::Error) -> Self {
        Failure::reject(error.to_string())
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Failure::retry(error.to_string())
    }
}
