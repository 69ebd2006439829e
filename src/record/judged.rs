//! What became of one case that was run again, and of many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Case, Changes, Diff, EditError, Ending, Recorded, Recording, Replayed, diff, replay};
use crate::bus::InvocationId;
use crate::host::{HostFault, Missing};
use crate::invoke::{Compiled, Engine, Used};

/// Kinds of difference that are told apart in a summary; what comes after counts with the last.
pub const KINDS_MAX: usize = 200;

/// Cases of one kind that are named.
pub const NAMED_MAX: usize = 100;

/// One case, run again.
#[derive(Debug, Clone)]
pub struct Judged {
    pub class: Class,
    pub diff: Diff,
    pub replayed: Replayed,
}

/// How a replay stands to what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Same,
    /// The same code on the same input did otherwise: it depends on what is not recorded, or the host has a fault.
    Fault,
    /// The same code on the same input did otherwise, and was not told all that it was told then: it says nothing.
    Redacted,
    NewlyFailing,
    NewlyPassing,
    /// It did otherwise, and ended as before.
    Changed,
    /// It asked what was not recorded.
    Unanswered,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Same => "same",
            Class::Fault => "determinism-fault",
            Class::Redacted => "redacted",
            Class::NewlyFailing => "newly-failing",
            Class::NewlyPassing => "newly-passing",
            Class::Changed => "changed",
            Class::Unanswered => "unanswered",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error(transparent)]
    Host(#[from] HostFault),
}

/// Runs a case again as `changes` say and holds it against what was recorded. `compiled`: the recorded component.
pub async fn judge(
    engine: &Engine,
    compiled: &Compiled,
    case: &Case,
    changes: &Changes,
    missing: Option<Arc<dyn Missing>>,
) -> Result<Judged, JudgeError> {
    let exact = changes.is_none(case);
    let replayed = if exact {
        replay(engine, compiled, case, case.exact()).await?
    } else {
        let changed = changes.apply(case)?;
        let compiled = changes.component.as_ref().unwrap_or(compiled);
        replay(engine, compiled, &changed, changed.matched(missing)).await?
    };
    let diff = diff(&case.recording, &replayed);
    let class = class(&case.recording, &replayed.ending, &diff, exact);
    Ok(Judged { class, diff, replayed })
}

fn class(recording: &Recording, ending: &Ending, diff: &Diff, exact: bool) -> Class {
    match (&recording.outcome, ending) {
        _ if diff.is_empty() => Class::Same,
        _ if exact && recording.has_redacted_answer() => Class::Redacted,
        _ if exact => Class::Fault,
        (_, Ending::Unanswered(_)) => Class::Unanswered,
        (Recorded::Completed { .. }, Ending::Failed(_)) => Class::NewlyFailing,
        (Recorded::Failed(_), Ending::Completed(_)) => Class::NewlyPassing,
        (Recorded::Completed { .. }, Ending::Completed(_)) | (Recorded::Failed(_), Ending::Failed(_)) => Class::Changed,
    }
}

/// Many cases, counted. It grows with the kinds of difference, not with the cases.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    pub cases: u64,
    pub classes: BTreeMap<Class, u64>,
    /// By class and kind of difference.
    pub kinds: BTreeMap<(Class, String), Kind>,
    /// Why cases could not be run again, and how many.
    pub not_replayed: BTreeMap<String, u64>,
    /// Of all cases that ended, as recorded and now.
    pub before: Total,
    pub after: Total,
}

/// Cases that differ alike.
#[derive(Debug, Clone)]
pub struct Kind {
    pub cases: u64,
    /// The first of them in log order, at most `NAMED_MAX`, each with its function's name.
    pub first: BTreeMap<InvocationId, String>,
    /// Of the very first.
    pub diff: Diff,
}

impl Kind {
    fn merge(&mut self, other: Kind) {
        self.cases += other.cases;
        if other.first.keys().next() < self.first.keys().next() {
            self.diff = other.diff;
        }
        self.first.extend(other.first);
        while self.first.len() > NAMED_MAX {
            self.first.pop_last();
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Total {
    pub duration: Duration,
    pub instructions: u64,
    pub memory_peak_bytes_max: u64,
}

impl Total {
    fn add(&mut self, used: Used) {
        self.duration += used.duration;
        self.instructions += used.instructions;
        self.memory_peak_bytes_max = self.memory_peak_bytes_max.max(used.memory_peak_bytes);
    }
}

impl Summary {
    pub fn add(&mut self, case: &Case, judged: Judged) {
        self.cases += 1;
        *self.classes.entry(judged.class).or_default() += 1;
        let recording = &case.recording;
        self.before.add(Used {
            duration: recording.duration,
            instructions: recording.instructions.unwrap_or(0),
            memory_peak_bytes: recording.memory_peak_bytes,
        });
        self.after.add(judged.replayed.used);
        if judged.class != Class::Same {
            self.add_kind(case, judged);
        }
    }

    pub fn add_not_replayed(&mut self, reason: String, cases: u64) {
        self.cases += cases;
        let room = self.not_replayed.len() < KINDS_MAX || self.not_replayed.contains_key(&reason);
        let reason = if room { reason } else { "for other reasons".to_owned() };
        *self.not_replayed.entry(reason).or_default() += cases;
    }

    fn add_kind(&mut self, case: &Case, judged: Judged) {
        let kind = judged.diff.kind();
        let key = (judged.class, kind);
        let key = match self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&key) {
            true => key,
            false => (judged.class, "in other ways".to_owned()),
        };
        let kind = Kind { cases: 1, first: [(case.id, case.function.name.to_string())].into(), diff: judged.diff };
        self.kinds.entry(key).and_modify(|known| known.merge(kind.clone())).or_insert(kind);
    }

    pub fn count(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or(0)
    }

    /// Cases that did not come out the same, of those that say something.
    pub fn changed(&self) -> u64 {
        let says_nothing = |class: &Class| [Class::Same, Class::Redacted].contains(class);
        self.classes.iter().filter(|(class, _)| !says_nothing(class)).map(|(_, count)| count).sum()
    }

    /// Both together.
    pub fn merge(&mut self, other: Summary) {
        self.cases += other.cases;
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        for (reason, count) in other.not_replayed {
            *self.not_replayed.entry(reason).or_default() += count;
        }
        for (key, kind) in other.kinds {
            self.kinds.entry(key).and_modify(|known| known.merge(kind.clone())).or_insert(kind);
        }
        for (total, more) in [(&mut self.before, other.before), (&mut self.after, other.after)] {
            total.duration += more.duration;
            total.instructions += more.instructions;
            total.memory_peak_bytes_max = total.memory_peak_bytes_max.max(more.memory_peak_bytes_max);
        }
    }
}
