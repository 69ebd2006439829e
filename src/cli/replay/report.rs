//! What replays came to, as people and programs read it. Keys are stable.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::decisions::DecisionView;
use crate::api::effects::{of_bytes, of_effect};
use crate::bus::InvocationId;
use crate::event;
use crate::host::Effect;
use crate::invoke::Used;
use crate::outcome::Failure;
use crate::record::{
    Case, Change, Class, Diff, Ending, EventChange, Judged, Recording, Summary, Total, ValueChange, Write,
};

/// One attempt that was run again.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayView {
    /// `POSITION.FUNCTION-NAME.ROUND.ATTEMPT`.
    pub invocation: String,
    /// `same`, `determinism-fault`, `redacted`, `newly-failing`, `newly-passing`, `changed`, `unanswered`.
    pub class: &'static str,
    /// Where the recording is not as it was, like `answer 2: $.token`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    pub outcome: OutcomeView,
    pub emitted: u64,
    pub effects: u64,
    pub changes: Vec<ChangeView>,
    pub before: UsedView,
    pub after: UsedView,
}

/// How it ended now: `completed`, or why it failed or went no further.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OutcomeView {
    Completed,
    Failed { failure: Failure },
    Stopped,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct UsedView {
    pub duration_micros: u64,
    /// Absent: not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    pub memory_peak_bytes: u64,
}

/// One difference; `before` was recorded. What is absent was not there.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum ChangeView {
    Outcome {
        before: Option<Failure>,
        after: Option<Failure>,
    },
    /// The run ended at this effect. `recorded`: what was recorded in its place, or comes nearest.
    Unanswered {
        effects_before: usize,
        asked: EffectView,
        recorded: Option<EffectView>,
    },
    EventAdded {
        index: usize,
        event: Value,
    },
    EventRemoved {
        index: usize,
        event: Value,
    },
    EventValue {
        index: usize,
        path: String,
        before: Option<Value>,
        after: Option<Value>,
    },
    Write {
        space: String,
        key: String,
        before: Option<Value>,
        after: Option<Value>,
        values: Vec<ValueView>,
    },
    EffectMade {
        effect: EffectView,
    },
    EffectNotMade {
        effect: EffectView,
    },
    EffectOrder {
        from: usize,
    },
}

/// What differs inside of a value that is JSON, like `told.storefront.passed`.
#[derive(Debug, Clone, Serialize)]
pub struct ValueView {
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Serialize)]
pub struct EffectView {
    /// Like `http github`.
    pub name: String,
    pub arguments: Value,
}

impl ChangeView {
    /// Whether it shows only in what the function asked its host.
    pub fn is_effect(&self) -> bool {
        matches!(
            self,
            ChangeView::EffectMade { .. } | ChangeView::EffectNotMade { .. } | ChangeView::EffectOrder { .. }
        )
    }
}

impl ReplayView {
    pub fn of(case: &Case, judged: &Judged) -> Self {
        let replayed = &judged.replayed;
        let (outcome, emitted) = match &replayed.ending {
            Ending::Completed(emitted) => (OutcomeView::Completed, emitted.len() as u64),
            Ending::Failed(failure) => (OutcomeView::Failed { failure: failure.clone() }, 0),
            Ending::Unanswered(_) => (OutcomeView::Stopped, 0),
        };
        ReplayView {
            invocation: name(case),
            class: judged.class.as_str(),
            redacted: case.recording.redacted.iter().map(ToString::to_string).collect(),
            outcome,
            emitted,
            effects: replayed.journal.entries().len() as u64,
            changes: changes(&judged.diff),
            before: UsedView::recorded(&case.recording),
            after: UsedView::of(replayed.used),
        }
    }
}

/// By the name that the function had then.
pub fn name(case: &Case) -> String {
    attempt(case.id, case.function.name.as_str())
}

fn attempt(id: InvocationId, function: &str) -> String {
    format!("{}.{function}.{}.{}", id.position, id.round, id.attempt)
}

impl UsedView {
    fn of(used: Used) -> Self {
        UsedView {
            duration_micros: micros(used.duration),
            instructions: Some(used.instructions),
            memory_peak_bytes: used.memory_peak_bytes,
        }
    }

    fn recorded(recording: &Recording) -> Self {
        UsedView {
            duration_micros: micros(recording.duration),
            instructions: recording.instructions,
            memory_peak_bytes: recording.memory_peak_bytes,
        }
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub fn changes(diff: &Diff) -> Vec<ChangeView> {
    diff.changes.iter().flat_map(change).collect()
}

fn change(change: &Change) -> Vec<ChangeView> {
    let one = match change.clone() {
        Change::Outcome { before, after } => ChangeView::Outcome { before, after },
        Change::Unanswered(unanswered) => ChangeView::Unanswered {
            effects_before: unanswered.after,
            asked: effect(&unanswered.asked),
            recorded: unanswered.recorded.as_ref().map(effect),
        },
        Change::Event { index, change: EventChange::Added(event) } => {
            ChangeView::EventAdded { index, event: whole(&event) }
        }
        Change::Event { index, change: EventChange::Removed(event) } => {
            ChangeView::EventRemoved { index, event: whole(&event) }
        }
        Change::Event { index, change: EventChange::Changed(values) } => {
            let value = |ValueView { path, before, after }| ChangeView::EventValue { index, path, before, after };
            return values.into_iter().map(inner).map(value).collect();
        }
        Change::Write { space, key, before, after, values } => ChangeView::Write {
            space,
            key,
            before: before.as_ref().map(write),
            after: after.as_ref().map(write),
            values: values.into_iter().map(inner).collect(),
        },
        Change::Made(made) => ChangeView::EffectMade { effect: effect(&made) },
        Change::NotMade(made) => ChangeView::EffectNotMade { effect: effect(&made) },
        Change::Order { from } => ChangeView::EffectOrder { from },
    };
    vec![one]
}

fn inner(ValueChange { path, before, after }: ValueChange) -> ValueView {
    ValueView { path, before, after }
}

fn effect(effect: &Effect) -> EffectView {
    EffectView { name: effect.name(), arguments: of_effect(effect).1 }
}

fn whole(event: &event::Event) -> Value {
    serde_json::from_slice(&event::to_json(event)).expect("an event is written as JSON")
}

fn write(write: &Write) -> Value {
    match write {
        Write::Set(value) => of_bytes(value),
        Write::Deleted => json!({ "deleted": true }),
    }
}

/// What many replays came to.
#[derive(Debug, Clone, Serialize)]
pub struct BacktestView {
    /// None: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    pub cases: u64,
    pub same: u64,
    pub changed: u64,
    pub newly_failing: u64,
    pub newly_passing: u64,
    pub unanswered: u64,
    pub determinism_faults: u64,
    /// Differ where nobody can tell why: their recordings are redacted.
    pub redacted: u64,
    pub kinds: Vec<KindView>,
    /// Of gates: releases that would have fared otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionView>,
    pub not_replayed: Vec<NotReplayedView>,
    pub seconds: f64,
    pub before: UsedView,
    pub after: UsedView,
    /// Whether no more differ than `--max-changed` lets, and all could be run.
    pub passed: bool,
}

/// Attempts that differ alike, and one of them.
#[derive(Debug, Clone, Serialize)]
pub struct KindView {
    pub class: &'static str,
    pub kind: String,
    pub cases: u64,
    /// The first of them, at most 100, as `tidegate replay` takes them.
    pub attempts: Vec<String>,
    /// Of the very first.
    pub changes: Vec<ChangeView>,
}

#[derive(Debug, Clone, Serialize)]
pub struct NotReplayedView {
    pub cases: u64,
    pub reason: String,
}

impl KindView {
    /// One that differs so.
    pub fn example(&self) -> &str {
        self.attempts.first().map_or("", String::as_str)
    }
}

impl BacktestView {
    pub fn of(
        summary: &Summary,
        decisions: Vec<DecisionView>,
        function: Option<&str>,
        seconds: f64,
        max_changed: Option<u64>,
    ) -> Self {
        let kinds = summary.kinds.iter().map(|((class, kind), found)| KindView {
            class: class.as_str(),
            kind: kind.clone(),
            cases: found.cases,
            attempts: found.first.iter().map(|(id, function)| attempt(*id, function)).collect(),
            changes: changes(&found.diff),
        });
        let mut kinds: Vec<KindView> = kinds.collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.cases));
        let not_replayed = summary
            .not_replayed
            .iter()
            .map(|(reason, cases)| NotReplayedView { cases: *cases, reason: reason.clone() });
        BacktestView {
            function: function.map(str::to_owned),
            cases: summary.cases,
            same: summary.count(Class::Same),
            changed: summary.count(Class::Changed),
            newly_failing: summary.count(Class::NewlyFailing),
            newly_passing: summary.count(Class::NewlyPassing),
            unanswered: summary.count(Class::Unanswered),
            determinism_faults: summary.count(Class::Fault),
            redacted: summary.count(Class::Redacted),
            kinds,
            decisions,
            not_replayed: not_replayed.collect(),
            seconds,
            before: total(&summary.before),
            after: total(&summary.after),
            passed: summary.changed() <= max_changed.unwrap_or(u64::MAX)
                && summary.count(Class::Fault) == 0
                && (max_changed.is_none() || summary.not_replayed.is_empty()),
        }
    }
}

fn total(total: &Total) -> UsedView {
    UsedView {
        duration_micros: micros(total.duration),
        instructions: Some(total.instructions),
        memory_peak_bytes: total.memory_peak_bytes_max,
    }
}

/// A bundle that was written.
#[derive(Debug, Clone, Serialize)]
pub struct BundleView {
    pub file: PathBuf,
    pub invocation: String,
    pub bytes: u64,
}

/// What was seen inside of an attempt, in a file.
#[derive(Debug, Clone, Serialize)]
pub struct WrittenView {
    pub file: PathBuf,
    pub bytes: u64,
    /// What to do with it.
    pub next: &'static str,
}
