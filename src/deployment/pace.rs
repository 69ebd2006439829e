//! How quickly a function is given events: all together, and those of one key.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Succession;
use crate::filter::KeyExpression;

/// Starts over time, as a bucket of tokens: it holds `burst`, and a token comes back every `1 / per_second` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// More than 0.
    pub per_second: f64,
    /// Starts at once after a rest; at least 1.
    pub burst: u32,
}

impl Rate {
    /// Between two tokens.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

/// What holds events of one key back beside what holds all of a function's: other keys go on. An event without a key is not held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyLimit {
    pub key: KeyExpression,
    /// Of one key in flight at once; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Of one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// The keys that an event has for a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// Events that share it are delivered one at a time. None: not ordered.
    pub order: Option<Arc<str>>,
    /// Events that share it share a `KeyLimit`. None: not limited beside the others.
    pub limit: Option<Arc<str>>,
    /// Which events it supersedes, and is superseded by. None: neither.
    pub succession: Option<Succession>,
}
