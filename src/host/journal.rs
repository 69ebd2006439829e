//! The journal: each effect of an invocation with its answer, in the order in which the guest made them.

use serde::{Deserialize, Serialize};

use super::{Answer, Effect};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub effect: Effect,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Journal(Vec<Entry>);

impl Journal {
    pub fn push(&mut self, effect: Effect, answer: Answer) {
        self.0.push(Entry { effect, answer });
    }

    pub fn entries(&self) -> &[Entry] {
        &self.0
    }
}
