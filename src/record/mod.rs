//! Running a function on an event, and what is kept of it; running it again from that, and what differs.
//!
//! `run` and `replay` stand side by side: the same engine, the same stamps, another host.

mod recording;
mod redacted;

mod changes;
mod diff;
mod replay;

mod backtest;
mod bundle;
mod judged;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

pub use backtest::{Cases, Feed, Stored, Told, backtest};
pub use bundle::{BUNDLE_BYTES_MAX, BUNDLE_VERSION, Bundle, BundleError, COMPONENT_BYTES_MAX};
pub use changes::{Changes, Edit, EditError};
pub use diff::{Change, Diff, EventChange, ValueChange, Write, diff};
pub use judged::{Class, JudgeError, Judged, Kind, Summary, Total, judge};
pub use recording::{DecodeError, Ground, RECORDING_VERSION, Recorded, Recording};
pub use redacted::{Place, Redacted};
pub use replay::{Case, Ending, NotReplayable, Replayed, replay};

use crate::bus::{Delivery, KeyRead, KeyWrite};
use crate::clock::Timestamp;
use crate::components::Components;
use crate::deployment::{DeployedFunction, Digest};
use crate::event::{Accepted, Event, derive};
use crate::host::{Host, HostFault, Trail, World};
use crate::invoke::{Compiled, Engine, Invoked, Used};
use crate::native::{Fault, Native, Natives};
use crate::outcome::{Failure, Outcome};
use redacted::Redacting;

/// One attempt, run.
pub struct Ran {
    pub outcome: Outcome,
    /// Empty unless it completed: a failed attempt commits nothing that could be stale.
    pub reads: Vec<KeyRead>,
    /// Empty unless it completed: what a failed attempt wrote never shows.
    pub writes: Vec<KeyWrite>,
    /// The encoded recording: version, component, deployment, journal, outcome, time, memory.
    pub recording: Bytes,
    /// Whether the recording is kept if it completes; that of a failed attempt is kept always, and settling may make it one.
    pub sampled: bool,
    pub duration: Duration,
    pub cold: bool,
}

/// What runs functions of a kind.
#[async_trait]
pub trait Invoke: Send + Sync {
    /// So many run at once; more would only stand in line, before the events of other functions. None: any number.
    fn at_once_max(&self) -> Option<usize>;

    /// Runs the delivery's function on its event, once, and records it. A failure of the function is an outcome, an error is
    /// a fault of ours.
    async fn invoke(&self, delivery: &Delivery, now: Timestamp) -> Result<Ran, Fault>;
}

/// Runs components in the engine.
pub struct Guests {
    pub components: Components,
    pub world: Arc<World>,
}

#[async_trait]
impl Invoke for Guests {
    fn at_once_max(&self) -> Option<usize> {
        Some(self.components.engine().invocations_max())
    }

    async fn invoke(&self, delivery: &Delivery, now: Timestamp) -> Result<Ran, Fault> {
        let component = self.components.get(delivery.function.component.digest).await?;
        Ok(run(self.components.engine(), &component, self.world.clone(), delivery, now).await?)
    }
}

#[async_trait]
impl Invoke for Natives {
    fn at_once_max(&self) -> Option<usize> {
        None
    }

    async fn invoke(&self, delivery: &Delivery, now: Timestamp) -> Result<Ran, Fault> {
        let kind = delivery.function.component.native().expect("the path takes nothing else here");
        run_native(self.get(kind), delivery, now).await
    }
}

/// Runs the delivery's function on its event with a live host, and records it.
pub async fn run(
    engine: &Engine,
    compiled: &Compiled,
    world: Arc<World>,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Ran, HostFault> {
    let invoked = engine.invoke(compiled, &delivery.event, Host::live(world, delivery)).await?;
    Ok(record(delivery, compiled.digest, invoked, now))
}

/// Has a function of the runtime's own handle the delivery, and records it: there is no effect that a replay could answer,
/// so the journal is empty. What it emits says when it ended, since a native may take hours.
async fn run_native(native: &dyn Native, delivery: &Delivery, now: Timestamp) -> Result<Ran, Fault> {
    let function = &delivery.function;
    let started = Instant::now();
    let handled = tokio::time::timeout(function.limits.time_max, native.handle(delivery)).await;
    let duration = started.elapsed();
    let result = handled.unwrap_or_else(|_| Ok(Err(Failure::timed_out(function.limits.time_max))))?;
    let used = Used { duration, ..Used::default() };
    let invoked = Invoked { result, trail: Trail::default(), used, cold: false };
    Ok(record(delivery, function.component.digest, invoked, now.plus(duration)))
}

/// Stamps what an invocation returned, and makes its recording, both without what the rules take out of them.
fn record(delivery: &Delivery, component: Digest, invoked: Invoked, now: Timestamp) -> Ran {
    let function = &delivery.function;
    let settings = &function.deployment().recording;
    let mut redacting = Redacting::new(&settings.redact);
    let stamped = stamp(&delivery.event, function, redacting.returned(invoked.result), now);
    let (used, Trail { mut journal, reads, writes }) = (invoked.used, invoked.trail);
    redacting.journal(&mut journal);
    let outcome = Recorded::of(&stamped);
    let recording = Recording {
        component,
        deployment: function.deployment().number,
        function: function.id,
        attempt: delivery.attempt,
        round: delivery.round,
        wall_start: delivery.first_attempt_at,
        stamped_at: Some(now),
        truncated: journal.is_truncated(),
        redacted: redacting.found_in(&journal, &outcome),
        journal,
        outcome,
        duration: used.duration,
        instructions: Some(used.instructions),
        memory_peak_bytes: used.memory_peak_bytes,
    };
    let (reads, writes) = match &stamped {
        Ok(_) => (reads, writes),
        Err(_) => Default::default(),
    };
    Ran {
        outcome: match stamped {
            Ok(emitted) => Outcome::Completed { emitted },
            Err(failure) => Outcome::Failed(failure),
        },
        reads,
        writes,
        recording: recording.encode(&Ground::new(&delivery.event.event, function), settings.bytes_max),
        sampled: settings.samples(&delivery.event.event, function.id),
        duration: used.duration,
        cold: invoked.cold,
    }
}

/// The events that leave an attempt: what it returned, with all that the host sets, and held against its grants.
fn stamp(
    parent: &Accepted,
    function: &DeployedFunction,
    returned: Result<Vec<Event>, Failure>,
    now: Timestamp,
) -> Result<Vec<Event>, Failure> {
    returned.and_then(|returned| derive(parent, &function.deployment().project, function, returned, now))
}

#[cfg(test)]
mod tests;
