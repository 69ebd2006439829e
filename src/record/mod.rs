//! Running a function on an event, and what is kept of it: `run` here, and later `replay` beside it.

mod recording;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use recording::{DecodeError, RECORDING_BYTES_MAX, RECORDING_VERSION, Recorded, Recording};

use crate::bus::{Delivery, KeyRead, KeyWrite};
use crate::clock::Timestamp;
use crate::event::{derive, hops_after};
use crate::host::{Host, HostFault, World};
use crate::invoke::{Compiled, Engine};
use crate::outcome::Outcome;

/// One attempt, run.
pub struct Ran {
    pub outcome: Outcome,
    /// Hops of the emitted events.
    pub hops: u32,
    /// Empty unless it completed: a failed attempt commits nothing that could be stale.
    pub reads: Vec<KeyRead>,
    /// Empty unless it completed: what a failed attempt wrote never shows.
    pub writes: Vec<KeyWrite>,
    /// The encoded recording: version, component, deployment, journal, outcome, time, memory.
    pub recording: Bytes,
    pub duration: Duration,
    pub cold: bool,
}

/// Runs the delivery's function on its event with a live host, and records it.
pub async fn run(
    engine: &Engine,
    compiled: &Compiled,
    world: Arc<World>,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Ran, HostFault> {
    let function = &delivery.function;
    let parent = &*delivery.event;
    let invoked = engine.invoke(compiled, function, parent, Host::live(world, delivery)).await?;
    let stamped =
        invoked.result.and_then(|returned| derive(parent, &function.deployment().project, function, returned, now));

    let truncated = invoked.trail.journal.is_truncated();
    let recording = Recording {
        component: compiled.digest,
        deployment: function.deployment().number,
        function: function.id,
        attempt: delivery.attempt,
        round: delivery.round,
        wall_start: delivery.first_attempt_at,
        journal: invoked.trail.journal,
        outcome: Recorded::of(&stamped),
        duration: invoked.duration,
        memory_peak_bytes: invoked.memory_peak_bytes,
        truncated,
    };
    let (reads, writes) = match &stamped {
        Ok(_) => (invoked.trail.reads, invoked.trail.writes),
        Err(_) => Default::default(),
    };
    Ok(Ran {
        outcome: match stamped {
            Ok(emitted) => Outcome::Completed { emitted },
            Err(failure) => Outcome::Failed(failure),
        },
        hops: hops_after(parent, now),
        reads,
        writes,
        recording: recording.encode(),
        duration: invoked.duration,
        cold: invoked.cold,
    })
}

#[cfg(test)]
mod tests;
