//! Taking out of a run what the project's rules name, and keeping where.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Recorded;
use crate::deployment::Redaction;
use crate::event::Event;
use crate::host::{Effect, Journal};
use crate::outcome::Failure;

/// Where a recording has `[redacted]` in the place of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redacted {
    pub place: Place,
    /// The path, or the header's name.
    pub path: String,
}

/// A part of a recording; places count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// What the function asked.
    Effect(usize),
    /// What it was answered.
    Answer(usize),
    /// An event that it emitted.
    Event(usize),
    /// Why it failed.
    Failure,
}

impl Place {
    /// Whether there is such a part.
    pub(super) fn is_in(self, journal: &Journal, outcome: &Recorded) -> bool {
        match (self, outcome) {
            (Place::Effect(index) | Place::Answer(index), _) => index < journal.entries().len(),
            (Place::Event(index), Recorded::Completed { emitted }) => index < emitted.len(),
            (Place::Failure, Recorded::Failed(_)) => true,
            (Place::Event(_), Recorded::Failed(_)) | (Place::Failure, Recorded::Completed { .. }) => false,
        }
    }
}

impl fmt::Display for Redacted {
    /// Effects count from 1 and events from 0, as everywhere that people read of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.place {
            Place::Effect(index) => write!(f, "effect {}: {path}", index + 1),
            Place::Answer(index) => write!(f, "answer {}: {path}", index + 1),
            Place::Event(index) => write!(f, "event {index}: {path}"),
            Place::Failure => write!(f, "failure: {path}"),
        }
    }
}

/// Redacts the parts of one run. Without rules it looks at none.
pub(super) struct Redacting<'a> {
    rules: &'a Redaction,
    found: Vec<Redacted>,
}

impl<'a> Redacting<'a> {
    pub fn new(rules: &'a Redaction) -> Self {
        Redacting { rules, found: Vec::new() }
    }

    /// What the function returned, before it is stamped and checked: so no reason that quotes it tells more.
    pub fn returned(&mut self, mut returned: Result<Vec<Event>, Failure>) -> Result<Vec<Event>, Failure> {
        if self.rules.is_empty() {
            return returned;
        }
        match &mut returned {
            Ok(events) => {
                for (index, event) in events.iter_mut().enumerate() {
                    let paths = self.rules.event(event);
                    self.note(Place::Event(index), paths);
                }
            }
            Err(failure) => {
                let paths = self.rules.line(&mut failure.reason);
                self.note(Place::Failure, paths);
            }
        }
        returned
    }

    pub fn journal(&mut self, journal: &mut Journal) {
        if self.rules.is_empty() {
            return;
        }
        for (index, entry) in journal.entries_mut().iter_mut().enumerate() {
            let (asked, answered) = (entry.effect.redact(self.rules), entry.answer.redact(self.rules));
            self.note(Place::Effect(index), asked);
            self.note(Place::Answer(index), answered);
        }
    }

    pub fn effect(&self, effect: &mut Effect) {
        effect.redact(self.rules);
    }

    fn note(&mut self, place: Place, paths: Vec<String>) {
        self.found.extend(paths.into_iter().map(|path| Redacted { place, path }));
    }

    /// All that was found in what became the recording: events that were refused are no part of it.
    pub fn found_in(mut self, journal: &Journal, outcome: &Recorded) -> Vec<Redacted> {
        self.found.retain(|redacted| redacted.place.is_in(journal, outcome));
        self.found
    }
}
