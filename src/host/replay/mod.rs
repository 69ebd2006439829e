//! Answers from a recording: nothing here reaches the world.
//!
//! The same code on the same input asks the same in the same order, so `Exact` holds each effect against the one that was
//! recorded in its place. Other code, or another input, asks otherwise: `Matched` answers by name and arguments.

mod exact;
mod matched;
mod remembered;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Answer, Call, Effect, HostFault, Journal, lock};
use exact::Exact;
use matched::Matched;

/// How a replay answers.
#[derive(Clone)]
pub enum Script {
    /// The same code on the same input.
    Exact {
        journal: Arc<Journal>,
        /// Where the run ends instead of at its time limit, which no two runs reach at the same instruction; none: that was
        /// not recorded, so the time limit holds.
        instructions_max: Option<u64>,
    },
    /// Other code, another input or another configuration.
    Matched { journal: Arc<Journal>, missing: Option<Arc<dyn Missing>> },
}

/// Answers an effect that a recording cannot: a person who is asked, or the world where that was allowed.
#[async_trait]
pub trait Missing: Send + Sync {
    /// None: there is no answer, and the run ends here.
    async fn answer(&self, unanswered: &Unanswered) -> Option<Answer>;
}

/// An effect that the recording has no answer to.
#[derive(Debug, Clone, PartialEq)]
pub struct Unanswered {
    /// So many effects were made before it.
    pub after: usize,
    pub asked: Effect,
    /// What was recorded in its place, or comes nearest to it.
    pub recorded: Option<Effect>,
}

/// Why a replay went no further.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Unanswered(Box<Unanswered>),
    /// The recorded run waited here until its time was up.
    Waited,
}

pub(super) struct Replay {
    how: How,
    instructions_max: Option<u64>,
    ended: Mutex<Option<Ended>>,
}

enum How {
    Exact(Exact),
    Matched(Box<Matched>),
}

impl Replay {
    pub(super) fn new(script: Script, call: &Call) -> Self {
        let (how, instructions_max) = match script {
            Script::Exact { journal, instructions_max } => (How::Exact(Exact::new(journal)), instructions_max),
            Script::Matched { journal, missing } => {
                // Whoever is asked takes their time, which is not the function's.
                let instructions_max = missing.is_some().then_some(u64::MAX);
                (How::Matched(Box::new(Matched::new(journal, missing, call))), instructions_max)
            }
        };
        Replay { how, instructions_max, ended: Mutex::default() }
    }

    /// `index`: how many effects were asked before it.
    pub(super) async fn answer(&self, call: &Call, index: usize, effect: &Effect) -> Result<Answer, HostFault> {
        self.go_on()?;
        let answer = match &self.how {
            How::Exact(exact) => exact.answer(index, &effect.redacted(call.redaction())).map(|recorded| match effect {
                // The deployment has it whole, where the recording may have it redacted.
                Effect::ConfigGet { key } => call.config_value(key),
                Effect::ConfigAll => call.config_all(),
                _ => recorded,
            }),
            How::Matched(matched) => matched.answer(call, index, effect).await,
        };
        match answer.map_err(|ended| self.end(ended))? {
            // A guest that waits for it ends at its poll, which has no answer either; one that does not never knew.
            Answer::Never => std::future::pending().await,
            answer => Ok(answer),
        }
    }

    /// What a guest saw of what it had begun; none: nothing was recorded of code that waits otherwise, so it is to look itself.
    pub(super) fn seen(&self, index: usize, effect: &Effect) -> Result<Option<Vec<u32>>, HostFault> {
        self.go_on()?;
        match &self.how {
            How::Exact(exact) => exact.seen(index, effect).map(Some).map_err(|ended| self.end(ended)),
            How::Matched(_) => Ok(None),
        }
    }

    pub(super) fn instructions_max(&self) -> Option<u64> {
        self.instructions_max
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        lock(&self.ended).clone()
    }

    fn go_on(&self) -> Result<(), HostFault> {
        if lock(&self.ended).is_some() { Err(HostFault::ReplayEnded) } else { Ok(()) }
    }

    fn end(&self, ended: Ended) -> HostFault {
        // The first one counts: what follows from it says nothing.
        lock(&self.ended).get_or_insert(ended);
        HostFault::ReplayEnded
    }
}
