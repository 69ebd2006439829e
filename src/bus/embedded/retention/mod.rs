//! What is removed from the log: by age and by size, oldest first, and never what something needs.
//!
//! ```text
//! look (a read, now and then) -> plan -> the writer plans again in its transaction, and removes -> a pause -> look
//! ```
//!
//! `removed_to` goes through the log once: of the events up to there only those are left that something holds, and these
//! are looked at again and again until nothing does. So what is kept is not read to find what may go.
//!
//! Invariants: an event goes with all that was settled on it, in one transaction. The last event stays, so that positions
//! and times go on from it.

mod holds;
mod plan;
mod remove;
mod status;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use self::plan::Plan;
use self::remove::Remove;
use super::shared::Shared;
use crate::event::Position;

pub(super) use self::status::storage;

/// Looks are so many polls apart while there is nothing to do.
const LOOK_POLLS: u32 = 3;

/// Looks for what may go and has the writer remove it, step by step, until the bus closes.
pub(super) fn run(shared: &Arc<Shared>, poll: Duration) {
    let look_every = LOOK_POLLS * poll;
    let (mut pause, mut kept_after, mut goes_on) = (look_every, 0, false);
    while shared.housekeeping.wait(pause) {
        pause = look_every;
        if !goes_on {
            let now = shared.clock.now();
            match shared.log.read("look for what may be removed", |db| Plan::make(db, shared, now, kept_after)) {
                Ok(plan) if plan.is_empty() => {
                    kept_after = plan.kept_after;
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "nothing is removed from the log meanwhile");
                    continue;
                }
            }
        }
        let step = remove(shared, kept_after);
        goes_on = step.as_ref().is_some_and(|step| step.more);
        if let Some(step) = step {
            kept_after = step.kept_after;
            pause = match (step.more, step.behind) {
                (false, _) => look_every,
                // The writer has as much time for others as for this, unless the log outgrows its size: then each group
                // removes.
                (true, false) => step.took,
                (true, true) => Duration::ZERO,
            };
        }
    }
}

/// What one step was.
struct Step {
    kept_after: Position,
    took: Duration,
    /// It was full: there may be more to do at once.
    more: bool,
    /// The events are larger than their rule says, by more than a little.
    behind: bool,
}

/// None: the writer did not do it; it has told why.
fn remove(shared: &Arc<Shared>, kept_after: Position) -> Option<Step> {
    let (answer, answered) = mpsc::channel();
    shared.inbox.submit(Box::new(Remove::new(kept_after, answer))).ok()?;
    answered.recv().ok()
}

/// Whether nothing may be removed as things stand.
#[cfg(test)]
pub(super) fn at_rest(shared: &Shared) -> bool {
    let mut kept_after = 0;
    loop {
        let plan = shared.log.read("look", |db| Plan::make(db, shared, shared.clock.now(), kept_after)).unwrap();
        kept_after = plan.kept_after;
        if !plan.is_empty() || kept_after == 0 {
            return plan.is_empty();
        }
    }
}
