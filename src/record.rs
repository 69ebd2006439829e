//! Running a function on an event, and what is kept of it: `run` here, and later `replay` beside it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bus::{Delivery, KeyRead, KeyWrite};
use crate::clock::Timestamp;
use crate::host::{HostFault, World};
use crate::invoke::{Compiled, Engine};
use crate::outcome::Outcome;

/// Raised whenever the stored form changes; older ones stay readable.
pub const RECORDING_VERSION: u32 = 1;
/// A larger recording is truncated, marked, and cannot be replayed.
pub const RECORDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One attempt, run.
pub struct Ran {
    pub outcome: Outcome,
    /// Hops of the emitted events.
    pub hops: u32,
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
    _engine: &Engine,
    _compiled: &Compiled,
    _world: Arc<World>,
    _delivery: &Delivery,
    _now: Timestamp,
) -> Result<Ran, HostFault> {
    todo!()
}
