//! What a release has to do after it was deployed.

use serde::Deserialize;
use tidegate_sdk::{Failure, config};

use crate::period_millis;

/// How far ahead an event can be delivered.
const AHEAD_MILLIS_MAX: u64 = 400 * 24 * 60 * 60 * 1_000;

/// Invariant: there is at least one look, at least one sample is asked for, the rate is one, and every look can be waited
/// for.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub delay_millis: u64,
    pub interval_millis: u64,
    pub looks_max: u32,
    pub samples_min: u64,
    pub failure_rate_max: f64,
    pub p99_millis_max: Option<u64>,
    pub insufficient: Insufficient,
}

/// What too little after the last look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Insufficient {
    #[default]
    Wait,
    Pass,
    Fail,
}

/// The text, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    delay: String,
    interval: String,
    looks_max: u32,
    samples_min: u64,
    failure_rate_max: f64,
    p99_max: Option<String>,
    #[serde(default)]
    insufficient: Insufficient,
}

impl Policy {
    /// Reads and checks config `policy`; every problem is told.
    pub fn read() -> Result<Self, Failure> {
        let written: Written = config::get("policy")?;
        written.checked().map_err(|problems| Failure::reject(format!("config policy: {}", problems.join("; "))))
    }

    /// From what came before it, the activation or another look, to a look, counted from 1.
    pub fn wait_millis(&self, look: u32) -> u64 {
        if look == 1 { self.delay_millis } else { self.interval_millis }
    }

    /// From the activation to the last look: a fault is found no later while the runtime runs.
    pub fn detection_millis_max(&self) -> u64 {
        let intervals = u64::from(self.looks_max.saturating_sub(1));
        self.delay_millis.saturating_add(self.interval_millis.saturating_mul(intervals))
    }
}

impl Written {
    /// The policy that is written, or every problem of it.
    pub fn checked(self) -> Result<Policy, Vec<String>> {
        let mut problems = Vec::new();
        let mut millis = |key: &str, text: &str| {
            period_millis(text).unwrap_or_else(|| {
                problems.push(format!("{key}: {text:?} is no length of time; write 500ms, 30s, 5m, 2h or 1d"));
                0
            })
        };
        let policy = Policy {
            delay_millis: millis("delay", &self.delay),
            interval_millis: millis("interval", &self.interval),
            p99_millis_max: self.p99_max.map(|p99_max| millis("p99_max", &p99_max)),
            looks_max: self.looks_max,
            samples_min: self.samples_min,
            failure_rate_max: self.failure_rate_max,
            insufficient: self.insufficient,
        };
        if policy.looks_max == 0 {
            problems.push("looks_max: 0 looks see nothing; write 1 or more".to_owned());
        }
        if policy.samples_min == 0 {
            problems.push("samples_min: nothing seen is no success; write 1 or more".to_owned());
        }
        if !(0.0..=1.0).contains(&policy.failure_rate_max) {
            problems.push(format!("failure_rate_max: {} is no rate; write 0.0 to 1.0", policy.failure_rate_max));
        }
        if policy.delay_millis.max(policy.interval_millis) > AHEAD_MILLIS_MAX {
            problems.push("delay and interval are at most 400 days: no event can wait for longer".to_owned());
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }
}
