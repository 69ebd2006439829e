//! How quickly a function is given events: all together, and those of one key.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Succession;
use crate::filter::KeyExpression;

/// Starts over time, as a bucket of tokens: it holds `burst`, and a token comes back every `1 / per_second` seconds.
///
/// Invariant: both are within their bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct Rate {
    per_second: f64,
    burst: u32,
}

/// About one in three hours at the least.
pub const PER_SECOND: RangeInclusive<f64> = 0.0001..=10_000.0;
pub const BURST: RangeInclusive<u32> = 1..=10_000;

#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "{per_second} a second with {burst} at once is no rate; write {} to {} a second, and {} to {} at once",
    PER_SECOND.start(), PER_SECOND.end(), BURST.start(), BURST.end()
)]
pub struct RateError {
    per_second: f64,
    burst: u32,
}

impl Rate {
    pub fn new(per_second: f64, burst: u32) -> Result<Self, RateError> {
        match PER_SECOND.contains(&per_second) && BURST.contains(&burst) {
            true => Ok(Rate { per_second, burst }),
            false => Err(RateError { per_second, burst }),
        }
    }

    /// In the long run.
    pub fn per_second(&self) -> f64 {
        self.per_second
    }

    /// Starts at once after a rest.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Between two tokens.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

/// A rate as it is stored.
#[derive(Serialize, Deserialize)]
struct Numbers {
    per_second: f64,
    burst: u32,
}

impl From<Rate> for Numbers {
    fn from(Rate { per_second, burst }: Rate) -> Self {
        Numbers { per_second, burst }
    }
}

impl TryFrom<Numbers> for Rate {
    type Error = RateError;

    fn try_from(Numbers { per_second, burst }: Numbers) -> Result<Self, RateError> {
        Rate::new(per_second, burst)
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
