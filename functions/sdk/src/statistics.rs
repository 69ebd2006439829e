//! How events ended with other functions: what a release is judged by. Needs the grant `statistics`.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_sdk::statistics::{self, Statistics};
//! use tidegate_sdk::testing::Host;
//!
//! const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
//! let ended = Statistics::default()
//!     .ended("delivered", 98, Duration::from_millis(12))
//!     .ended("timed-out", 2, Duration::from_secs(2));
//! let _host = Host::new().statistics("shop", DIGEST, 41, None, ended);
//!
//! let since = statistics::read("shop", DIGEST, 41, None)?;
//! assert_eq!((since.total(), since.failed()), (100, 2));
//! assert_eq!((since.quantile(0.95), since.quantile(0.99)), (Some(12.0), Some(2000.0)));
//! # Ok::<(), tidegate_sdk::Failure>(())
//! ```

use std::collections::BTreeMap;

use crate::host;

/// What became of the events of a window: each counts when its last attempt is over, and once more if it was put back and
/// ended again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Events by how they ended: `delivered`, or why they are dead letters, such as `rejected`, `trapped` or `timed-out`.
    pub outcomes: BTreeMap<String, u64>,
    /// How long the last attempts ran, by bucket, shortest first. Those that were lost with their process have no length and
    /// are in none.
    pub latency: Vec<Bucket>,
    /// The last position of the log when this was counted.
    pub position: u64,
}

/// Attempts that ran about equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// None of them ran longer; they ran longer than those of the bucket before.
    pub up_to_micros: u64,
    pub count: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("outcomes of function {function} cannot be counted: {reason}")]
    Refused { function: String, reason: String },
}

/// The outcome that is no failure.
const DELIVERED: &str = "delivered";

/// Counts the events at the positions from `from` to `to`, both included, that ended with this component of a function.
/// Without `to`, to the end of the log. `component` is its digest, `sha256:` and 64 lower-case hex digits.
///
/// Asking for a function that was not granted ends the invocation.
pub fn read(function: &str, component: &str, from: u64, to: Option<u64>) -> Result<Statistics, Error> {
    host::statistics(function, component, from, to)
        .map_err(|reason| Error::Refused { function: function.to_owned(), reason })
}

impl Statistics {
    /// All events that have ended.
    pub fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    pub fn delivered(&self) -> u64 {
        self.outcomes.get(DELIVERED).copied().unwrap_or(0)
    }

    /// Events that are dead letters, or were before they were put back.
    pub fn failed(&self) -> u64 {
        self.total() - self.delivered()
    }

    /// Milliseconds that a share `q` of the last attempts did not pass: `0.95` for the 95th percentile. It is the bound of a
    /// bucket, so at most a quarter above the true one and never below. None: nothing ran.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let ran: u64 = self.latency.iter().map(|bucket| bucket.count).sum();
        // The nearest rank; a share outside 0 to 1 is the shortest or the longest.
        let rank = ((q * ran as f64).ceil() as u64).clamp(1, ran.max(1));
        let mut passed = 0;
        let bucket = self.latency.iter().find(|bucket| {
            passed += bucket.count;
            passed >= rank
        });
        bucket.map(|bucket| bucket.up_to_micros as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Failure;
    use crate::testing::Host;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn everything_that_was_not_delivered_has_failed() {
        let statistics = Statistics::default().ended("delivered", 7, millis(1)).ended("trapped", 2, millis(1)).ended(
            "new-kind",
            1,
            millis(1),
        );
        assert_eq!((statistics.total(), statistics.delivered(), statistics.failed()), (10, 7, 3));
        assert_eq!(statistics.outcomes["trapped"], 2);
    }

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_that_its_rank_is_in() {
        let statistics = Statistics::default()
            .ended("trapped", 1, millis(900))
            .ended("delivered", 90, millis(5))
            .ended("delivered", 9, millis(40));
        for (q, expected) in [
            (-1.0, 5.0),
            (0.0, 5.0),
            (0.5, 5.0),
            (0.9, 5.0),
            (0.901, 40.0),
            (0.99, 40.0),
            (0.991, 900.0),
            (1.0, 900.0),
            (7.0, 900.0),
        ] {
            assert_eq!(statistics.quantile(q), Some(expected), "{q}");
        }
        assert_eq!(Statistics::default().quantile(0.5), None);
        let one = Statistics::default().ended("delivered", 1, Duration::from_micros(250));
        assert_eq!(one.quantile(0.01), Some(0.25));
    }

    #[test]
    fn a_reading_has_the_answer_of_its_window_and_no_other() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let ended = Statistics { position: 90, ..Statistics::default().ended("delivered", 3, millis(1)) };
        let _host = Host::new().statistics("shop", &digest, 41, Some(80), ended.clone());
        assert_eq!(read("shop", &digest, 41, Some(80)).unwrap(), ended);
        for (function, from, to) in [("cart", 41, Some(80)), ("shop", 40, Some(80)), ("shop", 41, None)] {
            let error = read(function, &digest, from, to).unwrap_err();
            assert!(error.to_string().contains("give them with `Host::statistics`"), "{error}");
            assert!(matches!(Failure::from(error), Failure::Reject { .. }));
        }
        let error = read("shop", "sha256:1", 41, Some(80)).unwrap_err();
        assert!(error.to_string().contains("no digest"), "{error}");
    }
}
