//! The journal: each effect of an invocation with its answer, in the order in which the guest made them.

use serde::{Deserialize, Serialize};

use super::{Answer, Effect, EffectError};

/// Effects and answers together, about; what comes after is not kept, and the journal says so.
pub const JOURNAL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an entry costs beside its texts and bytes, about.
const ENTRY_BYTES: usize = 48;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub effect: Effect,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Journal {
    entries: Vec<Entry>,
    #[serde(skip)]
    bytes: usize,
    #[serde(skip)]
    truncated: bool,
    /// The function asked for what it was not granted. How far it comes before it is stopped is chance, so nothing more is
    /// kept of it.
    #[serde(skip)]
    closed: Option<EffectError>,
}

/// A place kept for an effect that the guest does not wait for.
#[derive(Debug)]
pub struct Place {
    index: usize,
    /// Whether the journal had room for it.
    kept: bool,
}

impl Place {
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Journal {
    pub fn push(&mut self, effect: Effect, answer: Answer) {
        if self.admits(effect.bytes() + answer.bytes()) {
            if let Answer::Failed(denied @ EffectError::NotPermitted(_)) = &answer {
                self.closed = Some(denied.clone());
            }
            self.entries.push(Entry { effect, answer });
        }
    }

    /// Why nothing more is kept, nor answered.
    pub fn closed(&self) -> Option<EffectError> {
        self.closed.clone()
    }

    /// Keeps the next place. If nobody fills it, the entry says that the function ended first.
    pub fn begin(&mut self, begun: Effect) -> Place {
        let index = self.entries.len();
        let kept = self.closed.is_none() && self.admits(begun.bytes());
        if kept {
            self.entries.push(Entry { effect: begun, answer: Answer::Never });
        }
        Place { index, kept }
    }

    pub fn fill(&mut self, place: Place, effect: Effect, answer: Answer) {
        let fits = self.admits(effect.bytes() + answer.bytes());
        // After `into_trail` there is no such entry any more.
        let entry = self.entries.get_mut(place.index).filter(|_| place.kept && fits);
        if let Some(entry) = entry {
            *entry = Entry { effect, answer };
        }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What they say may change, how many they are may not.
    pub fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// Says of answers that never came what version 1 of recordings said otherwise.
    pub fn say_never(&mut self) {
        let old = Answer::Failed(EffectError::Refused("the function ended before the answer came".to_owned()));
        self.entries.iter_mut().filter(|entry| entry.answer == old).for_each(|entry| entry.answer = Answer::Never);
    }

    /// Lets go of all but the first entries.
    pub fn keep_first(&mut self, entries: usize) {
        self.entries.truncate(entries);
        self.truncated = true;
    }

    /// Whether more happened than is kept.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// From the first effect that does not fit on, nothing more is kept: a gap would be worse than an end.
    fn admits(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes + ENTRY_BYTES);
        self.truncated |= self.bytes > JOURNAL_BYTES_MAX;
        !self.truncated
    }
}

impl Effect {
    /// The size of its texts and bytes.
    fn bytes(&self) -> usize {
        match self {
            Effect::WallClock
            | Effect::MonotonicClock
            | Effect::Random { .. }
            | Effect::InsecureRandom { .. }
            | Effect::InsecureSeed
            | Effect::Sleep { .. }
            | Effect::Poll { .. }
            | Effect::IsReady
            | Effect::ConfigAll => 0,
            Effect::KeySet { space, key, value } => space.len() + key.len() + value.len(),
            Effect::KeyGet { space, key }
            | Effect::KeyDelete { space, key }
            | Effect::KeyExists { space, key }
            | Effect::KeyIncrement { space, key, .. } => space.len() + key.len(),
            Effect::KeyList { space, after } => space.len() + after.as_ref().map_or(0, String::len),
            Effect::ConfigGet { key } => key.len(),
            Effect::Log { context, message, .. } => context.len() + message.len(),
            Effect::Http(request) => {
                request.method.len()
                    + request.connection.len()
                    + request.path.len()
                    + pairs_bytes(&request.headers)
                    + request.body.len()
            }
            Effect::Statistics { function, .. } => function.len() + 96,
        }
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Answer::Done | Answer::Nanoseconds(_) | Answer::Seed(..) | Answer::Exists(_) | Answer::Number(_) => 8,
            Answer::Never => 0,
            Answer::Ready(ready) => 4 * ready.len(),
            Answer::Bytes(bytes) => bytes.len(),
            Answer::Value(value) => value.as_ref().map_or(0, Vec::len),
            Answer::Keys { keys, .. } => keys.iter().map(|key| key.len() + 1).sum(),
            Answer::Text(text) => text.as_ref().map_or(0, String::len),
            Answer::Pairs(pairs) => pairs_bytes(pairs),
            Answer::Http(response) => pairs_bytes(&response.headers) + response.body.len(),
            Answer::Statistics(statistics) => 32 * (2 + statistics.dead_lettered.len() + statistics.latency.len()),
            Answer::Failed(error) => match error {
                EffectError::NotPermitted(reason) | EffectError::Refused(reason) => reason.len(),
            },
        }
    }
}

fn pairs_bytes(pairs: &[(String, String)]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
}
