//! What was measured of a server from outside, as one value.

use std::time::Duration;

use serde::Serialize;

use super::report::{FlatFlows, Flows};
use super::sample::RUNS;

/// Figures of a server. Its JSON is one flat object; the keys are those of a `Report`, as far as it has them.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Flat")]
pub struct OutsideReport {
    pub url: String,
    /// How long each run lasted.
    pub period: Duration,
    pub flows: Flows,
}

#[derive(Serialize)]
struct Flat {
    url: String,
    runs: usize,
    run_seconds: f64,
    #[serde(flatten)]
    flows: FlatFlows,
}

impl From<OutsideReport> for Flat {
    fn from(OutsideReport { url, period, flows }: OutsideReport) -> Self {
        Flat { url, runs: RUNS, run_seconds: period.as_secs_f64(), flows: flows.into() }
    }
}
