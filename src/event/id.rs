//! Ids: what makes two events the same one, and what an emitted event is called.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Event;
use crate::deployment::FunctionId;

/// The namespace of every UUIDv5 that Tidegate derives.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d0f_9b3c_52f7_4c39_9a4e_7b1d_e2c8_51a6);

/// What an event is deduplicated by: UUIDv5 of its length-prefixed (source, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventKey(Uuid);

impl EventKey {
    pub fn of(event: &Event) -> Self {
        EventKey(derive(&[event.source.as_bytes(), event.id.as_bytes()]))
    }

    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of the event that `function` emits at `index` when it handles the event `parent`. It is the same on every
/// attempt, so a second settlement makes no second event.
pub fn derived_id(parent: EventKey, function: FunctionId, index: u32) -> Uuid {
    derive(&[parent.0.as_bytes(), function.uuid().as_bytes(), &index.to_be_bytes()])
}

/// UUIDv5 over parts, each prefixed with its length, so that ("ab", "c") and ("a", "bc") differ.
pub fn derive(parts: &[&[u8]]) -> Uuid {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

/// A number in [0, 1) that depends on the parts alone.
pub fn share(parts: &[&[u8]]) -> f64 {
    (derive(parts).as_u128() >> 75) as f64 / (1u64 << 53) as f64
}
