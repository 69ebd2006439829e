//! Emitted events: what the host sets on them, and the limits of a chain.

use super::{Accepted, Event};
use crate::clock::Timestamp;
use crate::deployment::Function;
use crate::outcome::Failure;

pub const HOPS_MAX: u32 = 32;
pub const CHAIN_EVENTS_MAX: u64 = 100_000;
/// Events that one invocation emits.
pub const EMITTED_MAX: usize = 256;
/// Attributes and data of all that one invocation emits.
pub const EMITTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Stamps what `function` returned for `parent`: id, source, time, chain attributes, and the parent's partition key where
/// the event sets none. Fails the whole output, naming the event and the rule, if one event breaks a limit, sets what
/// is the host's, or has a type that was not granted.
pub fn derive(
    _parent: &Accepted,
    _project: &str,
    _function: &Function,
    _returned: Vec<Event>,
    _now: Timestamp,
) -> Result<Vec<Event>, Failure> {
    todo!()
}

/// Hops of what is emitted for `parent`: a hop that waited a second or more is not counted.
pub fn hops_after(_parent: &Accepted, _now: Timestamp) -> u32 {
    todo!()
}
