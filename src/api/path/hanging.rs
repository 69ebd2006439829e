//! The function that hangs on an event, or gave it up.

use super::decide::{Case, Stand};
use super::word::Word;
use crate::api::model::{TraceRun, VerdictView, WhyCause, WhyState};

impl Case<'_> {
    /// The last of some events at which a function of the path hangs.
    pub fn hanging(self, which: impl Fn(&Word) -> bool) -> Option<Stand> {
        self.own().rev().filter(|word| which(word)).find_map(|word| self.hanging_at(word, |_| true))
    }

    /// The functions of the path that hang on one event, as far as they work for this environment.
    pub fn hanging_at(self, word: &Word, which: impl Fn(&TraceRun) -> bool) -> Option<Stand> {
        let runs = self.known.runs.get(&word.position)?;
        let works_here = |run: &&TraceRun| {
            let place = self.known.places.get(&run.function);
            self.known.path.contains(&run.function) && place.is_none_or(|place| place == self.environment)
        };
        runs.iter().filter(works_here).filter(|run| which(run)).find_map(|run| hangs(run, word))
    }
}

/// How a function hangs on an event, if it does, and what to do.
fn hangs(run: &TraceRun, word: &Word) -> Option<Stand> {
    let (function, event) = (&run.function, format!("{} #{}", word.name, word.position));
    let wait = || "wait".to_owned();
    let tries_again = || {
        let clear = "put right what it names; it is tried again by itself".to_owned();
        (WhyState::Waiting, "retrying", format!("{function} failed on {event} and tries again"), clear)
    };
    let (state, rule, does, clear) = match &run.verdict {
        VerdictView::DeadLettered => {
            let clear = format!("put right what it names, then `tidegate dlq redrive {}.{function}`", word.position);
            (WhyState::Failed, "dead-letter", format!("{function} gave up on {event}"), clear)
        }
        VerdictView::FilterFailed { clause, reason } => {
            let clear = format!("mend the filter of {function} and send the event again");
            (
                WhyState::Failed,
                "filter-failed",
                format!("{function} could not filter {event}: {clause}: {reason}"),
                clear,
            )
        }
        VerdictView::Dropped { by, .. } => {
            let clear = "send the event again if it should count".to_owned();
            (WhyState::Failed, "dropped", format!("{by} gave up {event} of {function}"), clear)
        }
        VerdictView::Retrying { .. } => tries_again(),
        // The next attempt may end as the one before.
        VerdictView::Running { .. } | VerdictView::WaitingReady if run.failure.is_some() => tries_again(),
        VerdictView::Redriven { .. } => {
            (WhyState::Waiting, "redriven", format!("{function} is to try {event} again"), wait())
        }
        VerdictView::Running { .. } => {
            (WhyState::Waiting, "running", format!("{function} is at work on {event}"), wait())
        }
        VerdictView::WaitingBacklog { events_before } => {
            (WhyState::Waiting, "waiting", format!("{function} has {events_before} events before {event}"), wait())
        }
        VerdictView::WaitingReady => {
            (WhyState::Waiting, "waiting", format!("{function} is about to take {event}"), wait())
        }
        VerdictView::WaitingBehind { position } => {
            let clear = format!("wait, or see with `tidegate explain #{position}` what holds that one");
            (WhyState::Waiting, "waiting", format!("{function} has to do #{position} before {event}"), clear)
        }
        VerdictView::WaitingRate { .. } => {
            (WhyState::Waiting, "rate", format!("{function} is not to take {event} before its rate lets it"), wait())
        }
        VerdictView::WaitingLimit { key } => {
            let does = format!("{function} has as many events of {key:?} at work as may be, before {event}");
            (WhyState::Waiting, "limit", does, wait())
        }
        VerdictView::WaitingUnreadable { .. } => {
            let clear = "bring its data back into the blob store; the server's log names the blob".to_owned();
            (WhyState::Waiting, "unreadable", format!("{function} cannot read the data of {event}"), clear)
        }
        VerdictView::NotDeployed
        | VerdictView::BeforeStart
        | VerdictView::Filtered { .. }
        | VerdictView::Superseded { .. }
        | VerdictView::Delivered => {
            return None;
        }
    };
    let said = run.failure.as_ref().map(|failure| format!(": {}", failure.reason)).unwrap_or_default();
    let again = match &run.verdict {
        VerdictView::Retrying { at, .. }
        | VerdictView::WaitingRate { at, .. }
        | VerdictView::WaitingUnreadable { at } => Some(at.to_string()),
        _ => None,
    };
    let cause = WhyCause {
        rule: rule.to_owned(),
        reason: format!("{does}{said}"),
        clear,
        // What was given up is given up since then; what waits has waited since the event came.
        since: run.settledat.filter(|_| state == WhyState::Failed).unwrap_or(word.at),
        event: word.event.clone(),
        function: Some(function.clone()),
        environment: None,
        missing: Vec::new(),
        input: None,
        evidence: None,
        again,
    };
    Some((state, Some(cause)))
}
