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

/// What a verdict says that has not done its work: the state, the rule, what the function does, and what to do.
struct Hang {
    state: WhyState,
    rule: &'static str,
    does: String,
    clear: String,
}

impl Hang {
    fn failed(rule: &'static str, does: String, clear: impl Into<String>) -> Option<Self> {
        Some(Hang { state: WhyState::Failed, rule, does, clear: clear.into() })
    }

    fn waiting(rule: &'static str, does: String, clear: impl Into<String>) -> Option<Self> {
        Some(Hang { state: WhyState::Waiting, rule, does, clear: clear.into() })
    }

    /// `event`: the event by its word and position.
    fn of(run: &TraceRun, word: &Word, event: &str) -> Option<Self> {
        let function = &run.function;
        let waits = |does: String| Hang::waiting("waiting", does, "wait");
        match &run.verdict {
            VerdictView::DeadLettered => Hang::failed(
                "dead-letter",
                format!("{function} gave up on {event}"),
                format!("put right what it names, then `tidegate dlq redrive {}.{function}`", word.position),
            ),
            VerdictView::FilterFailed { clause, reason } => Hang::failed(
                "filter-failed",
                format!("{function} could not filter {event}: {clause}: {reason}"),
                format!("mend the filter of {function} and send the event again"),
            ),
            VerdictView::Dropped { by, .. } => Hang::failed(
                "dropped",
                format!("{by} gave up {event} of {function}"),
                "send the event again if it should count",
            ),
            VerdictView::NotDeployed
            | VerdictView::BeforeStart
            | VerdictView::Filtered { .. }
            | VerdictView::Superseded { .. }
            | VerdictView::Delivered => None,
            // The next attempt may end as the one before.
            VerdictView::Running { .. } | VerdictView::WaitingReady if run.failure.is_some() => {
                Hang::tries_again(function, event)
            }
            VerdictView::Retrying { .. } => Hang::tries_again(function, event),
            VerdictView::Redriven { .. } => {
                Hang::waiting("redriven", format!("{function} is to try {event} again"), "wait")
            }
            VerdictView::Running { .. } => {
                Hang::waiting("running", format!("{function} is at work on {event}"), "wait")
            }
            VerdictView::WaitingBacklog { events_before } => {
                waits(format!("{function} has {events_before} events before {event}"))
            }
            VerdictView::WaitingReady => waits(format!("{function} is about to take {event}")),
            VerdictView::WaitingBehind { position } => Hang::waiting(
                "waiting",
                format!("{function} has to do #{position} before {event}"),
                format!("wait, or see with `tidegate explain '#{position}'` what holds that one"),
            ),
            VerdictView::WaitingRate { .. } => {
                Hang::waiting("rate", format!("{function} is not to take {event} before its rate lets it"), "wait")
            }
            VerdictView::WaitingLimit { key } => {
                waits(format!("{function} has as many events of {key:?} at work as may be, before {event}"))
            }
            VerdictView::WaitingUnreadable { .. } => Hang::waiting(
                "unreadable",
                format!("{function} cannot read the data of {event}"),
                "bring its data back into the blob store; the server's log names the blob",
            ),
        }
    }

    fn tries_again(function: &str, event: &str) -> Option<Self> {
        let clear = "put right what it names; it is tried again by itself";
        Hang::waiting("retrying", format!("{function} failed on {event} and tries again"), clear)
    }
}

/// How a function hangs on an event, if it does, and what to do.
fn hangs(run: &TraceRun, word: &Word) -> Option<Stand> {
    let Hang { state, rule, does, clear } = Hang::of(run, word, &format!("{} #{}", word.name, word.position))?;
    let said = run.failure.as_ref().map(|failure| format!(": {}", failure.reason)).unwrap_or_default();
    let again = run.verdict.goes_on_at().map(|at| at.to_string());
    let cause = WhyCause {
        rule: rule.to_owned(),
        reason: format!("{does}{said}"),
        clear,
        // What was given up is given up since then; what waits has waited since the event came.
        since: run.settledat.filter(|_| state == WhyState::Failed).unwrap_or(word.at),
        event: word.event.clone(),
        function: Some(run.function.clone()),
        environment: None,
        missing: Vec::new(),
        input: None,
        evidence: None,
        again,
        because: None,
    };
    Some((state, Some(cause)))
}
