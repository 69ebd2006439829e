//! What a replay did otherwise than was recorded. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use serde_bytes::ByteBuf;
use serde_json::Value;

use super::{Ending, Recorded, Recording, Replayed};
use crate::event::{self, Event};
use crate::host::{Answer, Effect, Entry, Journal, Unanswered};
use crate::outcome::{Failure, FailureKind};

/// Differences of a replay, in the order in which they matter; none: it did the same.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff {
    pub changes: Vec<Change>,
}

/// One difference: `before` was recorded, `after` is of the replay.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It ended otherwise: none where it completed.
    Outcome { before: Option<Failure>, after: Option<Failure> },
    /// It asked what the recording has no answer to, and went no further.
    Unanswered(Box<Unanswered>),
    /// The event at this place among those that it emits.
    Event { index: usize, change: EventChange },
    /// What it leaves under a key. `values`: where both are JSON, what in it.
    Write { space: String, key: String, before: Option<Write>, after: Option<Write>, values: Vec<ValueChange> },
    /// An effect that it makes now.
    Made(Effect),
    /// An effect that it no longer makes.
    NotMade(Effect),
    /// The same effects in another order, from this one on.
    Order { from: usize },
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventChange {
    Added(Box<Event>),
    Removed(Box<Event>),
    Changed(Vec<ValueChange>),
}

/// A value inside an event that differs: where, like `data.decision`.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueChange {
    pub path: String,
    /// None: it was not there.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Set(Vec<u8>),
    Deleted,
}

/// All that differs.
pub fn diff(recording: &Recording, replayed: &Replayed) -> Diff {
    let (before, emitted_before) = match &recording.outcome {
        Recorded::Completed { emitted } => (None, emitted.as_slice()),
        Recorded::Failed(failure) => (Some(failure), [].as_slice()),
    };
    let (after, emitted_after) = match &replayed.ending {
        Ending::Completed(emitted) => (None, emitted.as_slice()),
        Ending::Failed(failure) => (Some(failure), [].as_slice()),
        // What it made until then is all that can be compared: the rest it would have done, nobody knows.
        Ending::Unanswered(unanswered) => return Diff { changes: vec![Change::Unanswered(unanswered.clone())] },
    };
    let mut changes = Vec::new();
    if !same_failure(before, after) {
        changes.push(Change::Outcome { before: before.cloned(), after: after.cloned() });
    }
    changes.extend(compare_events(emitted_before, emitted_after));
    // What a failed attempt wrote is dropped with it.
    let written = |completed: bool, journal| if completed { writes(journal) } else { BTreeMap::new() };
    let (writes_before, writes_after) =
        (written(before.is_none(), &recording.journal), written(after.is_none(), &replayed.journal));
    changes.extend(compare_writes(&writes_before, &writes_after));
    changes.extend(compare_effects(recording.journal.entries(), replayed.journal.entries()));
    Diff { changes }
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What kind of difference it is, without the values: replays that differ alike have the same. What it asked otherwise
    /// counts only where nothing came of it.
    pub fn kind(&self) -> String {
        let shows = self.changes.iter().any(|change| !change.is_inside());
        let mut kinds: Vec<String> = Vec::new();
        for kind in self.changes.iter().filter(|change| !shows || !change.is_inside()).flat_map(Change::kinds) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join("; ")
    }
}

/// `before`: in their stored form, which decides; only those that differ are read.
fn compare_events(before: &[ByteBuf], after: &[Event]) -> Vec<Change> {
    // What was stored was checked then: one that cannot be read any more differs as an empty one does.
    let read = |stored: &ByteBuf| Event::decode(Bytes::copy_from_slice(stored)).unwrap_or_default();
    let change = |index: usize| {
        let change = match (before.get(index), after.get(index)) {
            (Some(before), Some(after)) if after.encode() == before.as_slice() => return None,
            (Some(before), Some(after)) => EventChange::Changed(values(&whole(&read(before)), &whole(after))),
            (Some(before), None) => EventChange::Removed(Box::new(read(before))),
            (None, Some(after)) => EventChange::Added(Box::new(after.clone())),
            (None, None) => return None,
        };
        Some(Change::Event { index, change })
    };
    (0..before.len().max(after.len())).filter_map(change).collect()
}

/// A run that was cut off by time stops somewhere: where, says nothing.
fn same_failure(before: Option<&Failure>, after: Option<&Failure>) -> bool {
    match (before, after) {
        (Some(a), Some(b)) if a.kind == FailureKind::TimedOut => a.kind == b.kind,
        // Its frames say how the code is built.
        (Some(a), Some(b)) => (a.kind, &a.reason, a.after_millis) == (b.kind, &b.reason, b.after_millis),
        (before, after) => before == after,
    }
}

/// Under each key what an invocation leaves there, if it completes.
fn writes(journal: &Journal) -> BTreeMap<(&str, &str), Write> {
    let written = journal.entries().iter().filter_map(|entry| match (&entry.effect, &entry.answer) {
        (Effect::KeySet { space, key, value }, Answer::Done) => Some((space, key, Write::Set(value.clone()))),
        (Effect::KeyDelete { space, key }, Answer::Done) => Some((space, key, Write::Deleted)),
        (Effect::KeyIncrement { space, key, .. }, Answer::Number(sum)) => {
            Some((space, key, Write::Set(sum.to_string().into_bytes())))
        }
        _ => None,
    });
    written.map(|(space, key, write)| ((space.as_str(), key.as_str()), write)).collect()
}

fn compare_writes(before: &BTreeMap<(&str, &str), Write>, after: &BTreeMap<(&str, &str), Write>) -> Vec<Change> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(key) != after.get(key));
    let change = |key: &(&str, &str)| Change::Write {
        space: key.0.to_owned(),
        key: key.1.to_owned(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
        values: before.get(key).zip(after.get(key)).map_or_else(Vec::new, |(before, after)| inside(before, after)),
    };
    differs.map(change).collect()
}

/// Where two values of a key differ that are JSON objects or lists.
fn inside(before: &Write, after: &Write) -> Vec<ValueChange> {
    let json = |write: &Write| match write {
        Write::Set(value) => {
            serde_json::from_slice::<Value>(value).ok().filter(|value| value.is_object() || value.is_array())
        }
        Write::Deleted => None,
    };
    json(before).zip(json(after)).map_or_else(Vec::new, |(before, after)| values(&before, &after))
}

/// Effects that one side alone makes; where both make the same, their order. How they were answered says nothing more: it
/// follows from the recording, and from what was changed.
fn compare_effects(before: &[Entry], after: &[Entry]) -> Vec<Change> {
    // Most runs are alike for long, and comparing each with each takes its time.
    let alike = before.iter().zip(after).take_while(|(a, b)| agree(a, b)).count();
    let (before, after) = (&before[alike..], &after[alike..]);
    let mut missing: VecDeque<&Entry> = before.iter().collect();
    let mut changes = Vec::new();
    for entry in after {
        match missing.iter().position(|recorded| agree(recorded, entry)) {
            None => changes.push(Change::Made(entry.effect.clone())),
            Some(found) => {
                missing.remove(found);
            }
        }
    }
    changes.extend(missing.into_iter().map(|entry| Change::NotMade(entry.effect.clone())));
    if changes.is_empty() {
        let differs = before.iter().zip(after).position(|(a, b)| !agree(a, b));
        changes.extend(differs.map(|from| Change::Order { from: alike + from }));
    }
    changes
}

/// Whether two entries are the same effect. Of a request that the function did not wait for, how far it came by the end is
/// chance.
fn agree(a: &Entry, b: &Entry) -> bool {
    match (&a.effect, &b.effect) {
        (Effect::Http(one), Effect::Http(other)) if is_unfinished(a) || is_unfinished(b) => one.has_head_of(other),
        (one, other) => one == other,
    }
}

fn is_unfinished(entry: &Entry) -> bool {
    entry.answer == Answer::Never
}

/// An event as one JSON object: attributes, and data where it is JSON.
fn whole(event: &Event) -> Value {
    serde_json::from_slice(&event::to_json(event)).expect("an event is written as JSON")
}

/// Where two values differ, by path.
fn values(before: &Value, after: &Value) -> Vec<ValueChange> {
    let mut changes = Vec::new();
    compare_values("", Some(before), Some(after), &mut changes);
    changes
}

fn compare_values(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<ValueChange>) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().for_each(|name| compare_values(&inner(name), a.get(name), b.get(name), changes));
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                compare_values(&format!("{path}[{index}]"), a.get(index), b.get(index), changes);
            }
        }
        (before, after) => {
            changes.push(ValueChange { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }
}

impl Change {
    /// Whether it shows only in what the function asked its host.
    fn is_inside(&self) -> bool {
        match self {
            Change::Made(_) | Change::NotMade(_) | Change::Order { .. } => true,
            Change::Outcome { .. } | Change::Unanswered(_) | Change::Event { .. } | Change::Write { .. } => false,
        }
    }

    /// What kinds of difference it is, without its values.
    fn kinds(&self) -> Vec<String> {
        let outcome = |failure: &Option<Failure>| match failure {
            None => "completes".to_owned(),
            Some(failure) => failure.kind.as_str().to_owned(),
        };
        match self {
            Change::Outcome { before, after } if before.is_some() && after.is_some() => {
                vec![format!("fails otherwise ({} instead of {})", outcome(after), outcome(before))]
            }
            Change::Outcome { before: None, after } => vec![format!("fails now ({})", outcome(after))],
            Change::Outcome { .. } => vec!["completes now".to_owned()],
            Change::Unanswered(unanswered) => vec![format!("asks what was not recorded ({})", unanswered.asked.name())],
            Change::Event { change: EventChange::Added(event), .. } => vec![format!("emits {} more", event.ty)],
            Change::Event { change: EventChange::Removed(event), .. } => vec![format!("emits {} no longer", event.ty)],
            // An event of another type differs in much that belongs to the type.
            Change::Event { change: EventChange::Changed(changes), .. } => match type_change(changes) {
                Some(other_type) => vec![other_type],
                None => changes.iter().map(|change| format!("{} differs", without_places(&change.path))).collect(),
            },
            Change::Write { space, .. } => vec![format!("writes to {space} differ")],
            Change::Made(effect) => vec![format!("makes {} anew", effect.name())],
            Change::NotMade(effect) => vec![format!("makes {} no longer", effect.name())],
            Change::Order { .. } => vec!["makes its effects in another order".to_owned()],
        }
    }
}

/// That an event has another type; none: it has the same.
fn type_change(changes: &[ValueChange]) -> Option<String> {
    let ty = changes.iter().find(|change| change.path == "type")?;
    let (before, after) = (ty.before.as_ref()?.as_str()?, ty.after.as_ref()?.as_str()?);
    Some(format!("emits {after} instead of {before}"))
}

/// A path without the places in lists, which differ from one event to the next.
fn without_places(path: &str) -> String {
    let mut kept = String::new();
    let mut in_place = false;
    for character in path.chars() {
        match character {
            '[' => in_place = true,
            ']' => {
                in_place = false;
                kept.push_str("[]");
            }
            _ if in_place => {}
            _ => kept.push(character),
        }
    }
    kept
}
