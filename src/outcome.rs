//! What a function did, and what follows from it. `decide` is pure: loops carry out what it says.

mod fingerprint;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{self, Event};

/// What one attempt came to. A failure of ours (disk, network, a bug of the host) is never an outcome but an `Err`.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The function returned; its events are stamped by the host and within every limit and grant.
    Completed {
        emitted: Vec<Event>,
    },
    Failed(Failure),
}

/// Why an attempt failed: the function's fault, or its author's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// Names the thing and, where there is one, the next step.
    pub reason: String,
    /// Frames of the guest, innermost first; empty unless it trapped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The delay that the function asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_millis: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The function returned `retry`.
    Retry,
    /// The function returned `reject`.
    Rejected,
    Trapped,
    TimedOut,
    OutOfMemory,
    /// An emitted event is invalid or past a limit.
    BadOutput,
    /// It emitted a type, wrote a key or called a host that it was not granted.
    NotPermitted,
    /// The chain has too many hops or events.
    ChainTooLong,
    /// The process ended while this ran.
    HostLost,
}

impl FailureKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Retry => "retry",
            FailureKind::Rejected => "rejected",
            FailureKind::Trapped => "trapped",
            FailureKind::TimedOut => "timed-out",
            FailureKind::OutOfMemory => "out-of-memory",
            FailureKind::BadOutput => "bad-output",
            FailureKind::NotPermitted => "not-permitted",
            FailureKind::ChainTooLong => "chain-too-long",
            FailureKind::HostLost => "host-lost",
        }
    }

    /// Whether another attempt could end otherwise. The same code on the same input breaks the same rule again.
    fn may_pass_later(self) -> bool {
        match self {
            FailureKind::Retry
            | FailureKind::Trapped
            | FailureKind::TimedOut
            | FailureKind::OutOfMemory
            | FailureKind::HostLost => true,
            FailureKind::Rejected | FailureKind::BadOutput | FailureKind::NotPermitted | FailureKind::ChainTooLong => {
                false
            }
        }
    }
}

impl Failure {
    /// What a reason quotes of a guest may be as long as its memory: it is cut.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Failure { kind, reason: cut(reason.into()), backtrace: Vec::new(), after_millis: None }
    }

    /// Of an attempt that ran into its function's time limit.
    pub fn timed_out(limit: Duration) -> Self {
        Failure::new(FailureKind::TimedOut, format!("ran longer than its limit of {limit:?} (limits.time)"))
    }

    /// Of an attempt during which the process ended; `lost`: how many that were, with this one.
    pub fn host_lost(lost: u32) -> Self {
        Failure::new(FailureKind::HostLost, format!("the process ended while this ran ({lost} of {LOST_MAX})"))
    }
}

/// Text of a failure, and of a frame; the rest is cut.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The text, cut before the character that would pass the limit.
pub fn cut(mut text: String) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// An event that took this many processes with it goes to the dead letters.
pub const LOST_MAX: u32 = 3;

/// How often, and how long apart, a failed event is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// All attempts, the first included; at least 1.
    pub attempts: u32,
    pub initial: Duration,
    pub factor: f64,
    pub max: Duration,
    /// Spreads delays over the upper half of their length.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            initial: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
            jitter: true,
        }
    }
}

/// What the runtime decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Final: the outcome's events and writes are committed.
    Ack,
    /// Not final: the same event and function again, at this time.
    RetryAt(Timestamp),
    /// Final: kept with its failure until someone redrives or drops it.
    DeadLetter,
}

/// What is known of the attempt that `decide` judges.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// 1 for the first; conflicts and faults of ours do not count.
    pub number: u32,
    /// What the jitter is a hash of: the event's key and the function's id.
    pub seed: (&'a [u8], &'a [u8]),
}

/// Decides what an outcome means. Pure: the jitter is a hash of (event key, function id, attempt).
pub fn decide(outcome: &Outcome, attempt: Attempt<'_>, policy: &RetryPolicy, now: Timestamp) -> Decision {
    let failure = match outcome {
        Outcome::Completed { .. } => return Decision::Ack,
        Outcome::Failed(failure) => failure,
    };
    if !failure.kind.may_pass_later() || attempt.number >= policy.attempts {
        return Decision::DeadLetter;
    }
    let after = failure.after_millis.map_or_else(|| backoff(attempt, policy), Duration::from_millis);
    Decision::RetryAt(now.plus(after))
}

fn backoff(attempt: Attempt<'_>, policy: &RetryPolicy) -> Duration {
    let exponent = i32::try_from(attempt.number - 1).unwrap_or(i32::MAX);
    let full = (policy.initial.as_secs_f64() * policy.factor.powi(exponent)).min(policy.max.as_secs_f64());
    let number = attempt.number.to_be_bytes();
    let share = if policy.jitter { 0.5 + 0.5 * event::share(&[attempt.seed.0, attempt.seed.1, &number]) } else { 1.0 };
    Duration::from_secs_f64(full * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn plain() -> RetryPolicy {
        RetryPolicy { jitter: false, ..RetryPolicy::default() }
    }

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed(Failure::new(kind, "why"))
    }

    fn attempt(number: u32) -> Attempt<'static> {
        Attempt { number, seed: (b"event", b"function") }
    }

    fn delay(attempt: Attempt<'_>, policy: &RetryPolicy) -> Duration {
        match decide(&failed(FailureKind::Retry), attempt, policy, NOW) {
            Decision::RetryAt(at) => at.since(NOW),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_completed_is_acknowledged_whatever_the_attempt() {
        for number in [1, 5, u32::MAX] {
            let decision = decide(&Outcome::Completed { emitted: vec![] }, attempt(number), &plain(), NOW);
            assert_eq!(decision, Decision::Ack);
        }
    }

    #[test]
    fn delays_grow_by_the_factor_up_to_the_longest() {
        let policy = RetryPolicy { attempts: u32::MAX, max: Duration::from_secs(10), ..plain() };
        for (number, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (5000, 10), (u32::MAX - 1, 10)] {
            assert_eq!(delay(attempt(number), &policy), Duration::from_secs(seconds), "attempt {number}");
        }
    }

    #[test]
    fn jitter_keeps_to_the_upper_half_and_depends_on_event_function_and_attempt_alone() {
        let policy = RetryPolicy { attempts: 1000, factor: 1.0, jitter: true, ..RetryPolicy::default() };
        let mut delays = std::collections::BTreeSet::new();
        for number in 1..200 {
            let delay = delay(attempt(number), &policy);
            assert!(delay >= Duration::from_millis(500) && delay <= Duration::from_secs(1), "{delay:?}");
            assert_eq!(delay, self::delay(attempt(number), &policy));
            delays.insert(delay);
        }
        assert!(delays.len() > 190, "attempts spread");
        let other = Attempt { number: 1, seed: (b"other", b"function") };
        assert_ne!(delay(other, &policy), delay(attempt(1), &policy));
    }

    #[test]
    fn a_function_that_asks_for_a_delay_gets_it() {
        let asked = Failure { after_millis: Some(90_000), ..Failure::new(FailureKind::Retry, "later") };
        let decision = decide(&Outcome::Failed(asked), attempt(1), &RetryPolicy::default(), NOW);
        assert_eq!(decision, Decision::RetryAt(NOW.plus(Duration::from_secs(90))));
    }

    #[test]
    fn what_cannot_pass_later_is_a_dead_letter_at_once() {
        use FailureKind::{BadOutput, ChainTooLong, HostLost, NotPermitted, OutOfMemory, Rejected, Retry};
        for (kind, is_final) in [
            (Rejected, true),
            (BadOutput, true),
            (NotPermitted, true),
            (ChainTooLong, true),
            (Retry, false),
            (FailureKind::Trapped, false),
            (FailureKind::TimedOut, false),
            (OutOfMemory, false),
            (HostLost, false),
        ] {
            let decision = decide(&failed(kind), attempt(1), &plain(), NOW);
            assert_eq!(decision == Decision::DeadLetter, is_final, "{}", kind.as_str());
        }
    }

    #[test]
    fn the_last_attempt_that_fails_is_a_dead_letter() {
        let policy = RetryPolicy { attempts: 3, ..plain() };
        for (number, is_last) in [(1, false), (2, false), (3, true), (4, true)] {
            let decision = decide(&failed(FailureKind::Trapped), attempt(number), &policy, NOW);
            assert_eq!(decision == Decision::DeadLetter, is_last, "attempt {number}");
        }
    }
}
