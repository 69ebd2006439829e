//! Logs, spans and metrics. A log line and its counter come from one function here, so they cannot disagree.
//!
//! Logs go to standard error. Traces go by OTLP (HTTP, protobuf) to where the standard `OTEL_*` variables say, and only
//! if they say so. Metrics are read at `GET /metrics`. None of them ever holds the data of an event or a secret.

mod metrics;
mod setup;
mod span;

pub use metrics::{FunctionGauges, Metrics, Running, StorageGauges};
pub use setup::{Format, Guard, Settings, TelemetryError, init};
pub use span::{door_span, span_for, stamp};

use std::error::Error;
use std::fmt;

/// An error and all that caused it, on one line.
pub struct Causes<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
