//! Effects of other code, or on another input, answered by name and arguments.
//!
//! What follows from the event, the function and its own writes is answered as it would be live: configuration, chance, own
//! keys. What came from the world is answered where the recording has it. Time goes as recorded, and then stands still.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::remembered::Remembered;
use super::{Answer, Call, Effect, Ended, Journal, Missing, Unanswered, lock};
use crate::bus::Versioned;
use crate::host::chance::Chance;
use crate::host::keys::{self, Committed, Keys, Page, Wanted};
use crate::host::{Entry, HostFault, HttpRequest, http};

pub(super) struct Matched {
    journal: Arc<Journal>,
    missing: Option<Arc<dyn Missing>>,
    chance: Mutex<Chance>,
    keys: Mutex<Keys>,
    committed: Remembered,
    wall_clock: Mutex<Clock>,
    monotonic_clock: Mutex<Clock>,
    /// Whether each entry has answered a request: one that changes something is answered once.
    used: Mutex<Vec<bool>>,
}

impl Matched {
    pub(super) fn new(journal: Arc<Journal>, missing: Option<Arc<dyn Missing>>, call: &Call) -> Self {
        let start = Duration::from_micros(u64::try_from(call.wall_start.as_micros()).unwrap_or(0));
        let start = u64::try_from(start.as_nanos()).unwrap_or(u64::MAX);
        Matched {
            missing,
            chance: Mutex::new(Chance::new(call.event_key, call.function.id)),
            keys: Mutex::default(),
            committed: Remembered::of(&journal),
            wall_clock: Mutex::new(Clock::recorded(&journal, &Effect::WallClock, start)),
            monotonic_clock: Mutex::new(Clock::recorded(&journal, &Effect::MonotonicClock, 0)),
            used: Mutex::new(vec![false; journal.entries().len()]),
            journal,
        }
    }

    pub(super) async fn answer(&self, call: &Call, index: usize, effect: &Effect) -> Result<Answer, Ended> {
        let known = match effect {
            Effect::WallClock => Some(lock(&self.wall_clock).next()),
            Effect::MonotonicClock => Some(lock(&self.monotonic_clock).next()),
            Effect::Random { bytes } => Some(lock(&self.chance).random(*bytes)),
            Effect::InsecureRandom { bytes } => Some(lock(&self.chance).insecure_random(*bytes)),
            Effect::InsecureSeed => Some(lock(&self.chance).insecure_seed()),
            Effect::Sleep { .. } | Effect::Log { .. } => Some(Answer::Done),
            Effect::Poll { .. } | Effect::IsReady => {
                unreachable!("the guest's own instance knows what has ended in it")
            }
            Effect::ConfigGet { key } => Some(call.config_value(key)),
            Effect::ConfigAll => Some(call.config_all()),
            Effect::KeyGet { .. }
            | Effect::KeySet { .. }
            | Effect::KeyDelete { .. }
            | Effect::KeyExists { .. }
            | Effect::KeyList { .. }
            | Effect::KeyIncrement { .. } => self.key(call, index, effect).await,
            Effect::Http(request) => match http::check_granted(&call.function, &request.connection) {
                Err(error) => Some(Answer::Failed(error)),
                Ok(()) => self.take(&effect.redacted(call.redaction())),
            },
            Effect::Statistics { .. } => self.find(effect).map(|(_, entry)| entry.answer.clone()),
        };
        match known {
            Some(answer) => Ok(answer),
            None => self.ask_elsewhere(index, effect, &effect.redacted(call.redaction())).await,
        }
    }

    async fn key(&self, call: &Call, index: usize, effect: &Effect) -> Option<Answer> {
        let (remembered, missing) = (&self.committed, self.missing.as_deref());
        let committed = Known { remembered, own: &self.keys, missing, index };
        // What is known of committed keys has no other fault than that something is not.
        keys::answer(&committed, &call.function, &self.keys, effect).await.ok()
    }

    /// The first entry with this very effect that has not answered yet.
    fn take(&self, effect: &Effect) -> Option<Answer> {
        let mut used = lock(&self.used);
        let free = |(index, entry): &(usize, &Entry)| entry.effect == *effect && !used[*index];
        let (index, entry) = self.journal.entries().iter().enumerate().find(free)?;
        used[index] = true;
        Some(entry.answer.clone())
    }

    fn find(&self, effect: &Effect) -> Option<(usize, &Entry)> {
        self.journal.entries().iter().enumerate().find(|(_, entry)| entry.effect == *effect)
    }

    /// `told`: the effect as a recording has it.
    async fn ask_elsewhere(&self, index: usize, effect: &Effect, told: &Effect) -> Result<Answer, Ended> {
        let unanswered = Unanswered { after: index, asked: effect.clone(), recorded: self.nearest(told) };
        let answer = match &self.missing {
            // Of a key, whoever answers was asked for what is committed under it.
            Some(missing) if !effect.is_of_keys() => missing.answer(&unanswered).await,
            Some(_) | None => None,
        };
        answer.ok_or_else(|| Ended::Unanswered(Box::new(unanswered)))
    }

    /// The recorded effect of the same kind that has most in common with one.
    fn nearest(&self, effect: &Effect) -> Option<Effect> {
        let mut best: Option<(usize, &Effect)> = None;
        for entry in self.journal.entries() {
            let Some(alike) = alike(effect, &entry.effect) else { continue };
            if best.is_none_or(|(most, _)| alike > most) {
                best = Some((alike, &entry.effect));
            }
        }
        best.map(|(_, effect)| effect.clone())
    }
}

/// Committed keys as the recording tells of them, and where it does not, as somebody does who is asked.
struct Known<'a> {
    remembered: &'a Remembered,
    /// What this run has written.
    own: &'a Mutex<Keys>,
    missing: Option<&'a dyn Missing>,
    /// Effects before the one that asks.
    index: usize,
}

impl Known<'_> {
    async fn ask(&self, asked: Effect) -> Result<Answer, HostFault> {
        let unanswered = Unanswered { after: self.index, asked, recorded: None };
        let missing = self.missing.ok_or(HostFault::ReplayEnded)?;
        missing.answer(&unanswered).await.ok_or(HostFault::ReplayEnded)
    }
}

#[async_trait]
impl Committed for Known<'_> {
    async fn value(&self, space: &str, key: &str, wanted: Wanted) -> Result<Versioned, HostFault> {
        if let Some(known) = self.remembered.value(space, key, wanted) {
            return Ok(known);
        }
        match self.ask(Effect::KeyGet { space: space.to_owned(), key: key.to_owned() }).await? {
            Answer::Value(value) => Ok(Versioned { revision: 0, value: value.map(Bytes::from) }),
            _ => Err(HostFault::ReplayEnded),
        }
    }

    async fn page(&self, space: &str, after: Option<&str>) -> Result<Page, HostFault> {
        let has_written = |key: &str| lock(self.own).has_written(space, key);
        if let Some(known) = self.remembered.page(space, after, has_written) {
            return Ok(known);
        }
        match self.ask(Effect::KeyList { space: space.to_owned(), after: after.map(str::to_owned) }).await? {
            Answer::Keys { keys, next } => Ok(Page { revision: 0, keys, next }),
            _ => Err(HostFault::ReplayEnded),
        }
    }
}

/// Times as they were told, and after the last one that time.
struct Clock {
    times: VecDeque<u64>,
    last: u64,
}

impl Clock {
    fn recorded(journal: &Journal, clock: &Effect, start: u64) -> Self {
        let told = journal.entries().iter().filter(|entry| entry.effect == *clock);
        let times = told.filter_map(|entry| match entry.answer {
            Answer::Nanoseconds(time) => Some(time),
            _ => None,
        });
        Clock { times: times.collect(), last: start }
    }

    fn next(&mut self) -> Answer {
        self.last = self.times.pop_front().unwrap_or(self.last);
        Answer::Nanoseconds(self.last)
    }
}

/// In how many arguments two effects agree; none: they are of different kinds.
fn alike(asked: &Effect, recorded: &Effect) -> Option<usize> {
    let agree = |pairs: &[bool]| Some(pairs.iter().filter(|agrees| **agrees).count());
    match (asked, recorded) {
        (Effect::Http(a), Effect::Http(b)) => requests_alike(a, b),
        (
            Effect::Statistics { function: f, component: c, from: a, to: z },
            Effect::Statistics { function, component, from, to },
        ) => agree(&[f == function, c == component, a == from, z == to]),
        (
            Effect::KeyGet { space: a, key: b }
            | Effect::KeyExists { space: a, key: b }
            | Effect::KeyIncrement { space: a, key: b, .. },
            Effect::KeyGet { space, key } | Effect::KeyExists { space, key } | Effect::KeyIncrement { space, key, .. },
        ) => agree(&[a == space, b == key]),
        (Effect::KeyList { space: a, after: b }, Effect::KeyList { space, after }) => agree(&[a == space, b == after]),
        _ => None,
    }
}

fn requests_alike(a: &HttpRequest, b: &HttpRequest) -> Option<usize> {
    let same = [a.connection == b.connection, a.method == b.method, a.path == b.path, a.body == b.body];
    let headers = a.headers.iter().filter(|header| b.headers.contains(header)).count();
    // One header less is nearer than another path.
    Some(100 * same.iter().filter(|agrees| **agrees).count() + headers)
}
