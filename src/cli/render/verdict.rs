//! Verdicts in words, with times as people read them.

use std::time::Duration;

use super::time::{ago, duration};
use super::{Colour, Look, place};
use crate::api::model::{OutcomeView, VerdictView};
use crate::outcome::{Failure, FailureKind};

/// What a verdict says, short of why: `delivered`, `retrying, attempt 2 in 3 s`.
pub fn words(verdict: &VerdictView, look: &Look) -> String {
    match verdict {
        VerdictView::Retrying { attempt, at } => format!("retrying, attempt {attempt} {}", ago(*at, look.now)),
        VerdictView::Redriven { at } => format!("redriven {}", ago(*at, look.now)),
        VerdictView::Dropped { by, at } => format!("dropped by {by} {}", ago(*at, look.now)),
        VerdictView::Superseded { by, .. } => format!("superseded by {}", place(Some(*by))),
        VerdictView::WaitingBehind { position } => format!("waiting behind {}", place(Some(*position))),
        VerdictView::WaitingRate { key: None, at } => {
            format!("waiting: its rate lets the next start {}", ago(*at, look.now))
        }
        VerdictView::WaitingRate { key: Some(key), at } => {
            format!("waiting: the rate of key {key:?} lets the next start {}", ago(*at, look.now))
        }
        VerdictView::WaitingUnreadable { at } => {
            format!("waiting: its data cannot be read; it is read again {}", ago(*at, look.now))
        }
        VerdictView::Filtered { .. } => "filtered".to_owned(),
        VerdictView::FilterFailed { .. } => "filter failed".to_owned(),
        VerdictView::NotDeployed
        | VerdictView::BeforeStart
        | VerdictView::WaitingBacklog { .. }
        | VerdictView::WaitingReady
        | VerdictView::WaitingLimit { .. }
        | VerdictView::Running { .. }
        | VerdictView::Delivered
        | VerdictView::DeadLettered => verdict.to_string(),
    }
}

/// What of a filter decided: by which clause, and what that saw.
pub fn clause(verdict: &VerdictView) -> Option<String> {
    match verdict {
        VerdictView::Filtered { clause, value } => Some(format!("by {clause}, which saw {value}")),
        VerdictView::FilterFailed { clause, reason } => Some(format!("at {clause}: {reason}")),
        VerdictView::NotDeployed
        | VerdictView::BeforeStart
        | VerdictView::WaitingBacklog { .. }
        | VerdictView::WaitingReady
        | VerdictView::WaitingBehind { .. }
        | VerdictView::WaitingRate { .. }
        | VerdictView::WaitingLimit { .. }
        | VerdictView::WaitingUnreadable { .. }
        | VerdictView::Running { .. }
        | VerdictView::Retrying { .. }
        | VerdictView::Delivered
        | VerdictView::DeadLettered
        | VerdictView::Redriven { .. }
        | VerdictView::Superseded { .. }
        | VerdictView::Dropped { .. } => None,
    }
}

/// Whether that is good, bad, or not yet known.
pub fn colour(verdict: &VerdictView) -> Colour {
    match verdict {
        VerdictView::Delivered => Colour::Good,
        VerdictView::DeadLettered | VerdictView::FilterFailed { .. } => Colour::Bad,
        VerdictView::WaitingBacklog { .. }
        | VerdictView::WaitingReady
        | VerdictView::WaitingBehind { .. }
        | VerdictView::WaitingRate { .. }
        | VerdictView::WaitingLimit { .. }
        | VerdictView::WaitingUnreadable { .. }
        | VerdictView::Running { .. }
        | VerdictView::Retrying { .. }
        | VerdictView::Redriven { .. } => Colour::Waiting,
        VerdictView::NotDeployed
        | VerdictView::BeforeStart
        | VerdictView::Filtered { .. }
        | VerdictView::Superseded { .. }
        | VerdictView::Dropped { .. } => Colour::Faint,
    }
}

/// What was settled for an attempt, and whether that is good.
pub fn outcome(outcome: &OutcomeView, look: &Look) -> (Colour, String) {
    match outcome {
        OutcomeView::Delivered => (Colour::Good, "delivered".to_owned()),
        OutcomeView::Retried { at } if *at > look.now => {
            (Colour::Waiting, format!("failed, again {}", ago(*at, look.now)))
        }
        OutcomeView::Retried { .. } => (Colour::Waiting, "failed, tried again".to_owned()),
        OutcomeView::DeadLettered => (Colour::Bad, "dead-lettered".to_owned()),
    }
}

/// How long something ran that ended with this failure, if with one. Of what was lost with its process nobody knows.
pub fn ran(micros: u64, failure: Option<&Failure>) -> String {
    match failure.is_some_and(|failure| failure.kind == FailureKind::HostLost) {
        true => "unknown time".to_owned(),
        false => duration(Duration::from_micros(micros)),
    }
}

/// `timed-out: ran longer than 2 s`.
pub fn failure(failure: &Failure) -> String {
    format!("{}: {}", failure.kind.as_str(), failure.reason)
}
