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
    let (mut pause, mut kept_after) = (look_every, 0);
    while shared.housekeeping.wait(pause) {
        pause = look_every;
        let now = shared.clock.now();
        match shared.log.read("look for what may be removed", |db| Plan::make(db, shared, now, kept_after)) {
            Ok(plan) if plan.is_empty() => kept_after = plan.kept_after,
            Ok(_) => {
                let Some(step) = remove(shared, kept_after) else { continue };
                kept_after = step.kept_after;
                // The writer has as much time for others as for this.
                pause = step.took;
            }
            Err(error) => tracing::warn!(%error, "nothing is removed from the log meanwhile"),
        }
    }
}

/// What one step was.
struct Step {
    kept_after: Position,
    took: Duration,
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
    let plan = shared.log.read("look", |db| Plan::make(db, shared, shared.clock.now(), 0)).unwrap();
    plan.is_empty() && plan.kept_after == 0
}
