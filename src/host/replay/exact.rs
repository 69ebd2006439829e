//! Each effect is held against the one that was recorded in its place.

use std::sync::Arc;

use super::{Answer, Effect, Ended, Journal, Unanswered};
use crate::host::Entry;

pub(super) struct Exact {
    journal: Arc<Journal>,
}

impl Exact {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Exact { journal }
    }

    /// `effect`: as a recording has it.
    pub(super) fn answer(&self, index: usize, effect: &Effect) -> Result<Answer, Ended> {
        match self.journal.entries().get(index) {
            Some(entry) if entry.effect == *effect || is_left(entry, effect) => Ok(entry.answer.clone()),
            recorded => {
                let recorded = recorded.map(|entry| entry.effect.clone());
                Err(Ended::Unanswered(Box::new(Unanswered { after: index, asked: effect.clone(), recorded })))
            }
        }
    }

    pub(super) fn seen(&self, index: usize, effect: &Effect) -> Result<Vec<u32>, Ended> {
        match self.answer(index, effect)? {
            Answer::Ready(ready) => Ok(ready),
            // A recording that says something else of a poll is damaged: nothing was ready, and the run ends.
            _ => Err(Ended::Waited),
        }
    }
}

/// Whether an effect is a request that the recorded run did not wait for: how much of its body had been read by then is
/// chance.
fn is_left(entry: &Entry, effect: &Effect) -> bool {
    match (&entry.effect, effect) {
        (Effect::Http(recorded), Effect::Http(asked)) => entry.answer == Answer::Never && asked.has_head_of(recorded),
        _ => false,
    }
}
