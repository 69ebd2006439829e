//! How large the log is, how much of it is left, and what holds what its rules would remove.

use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::Position;

/// The log as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Of events and attempts, without what lies in the blob store.
    pub event_bytes: u64,
    /// Of recordings, without what lies in the blob store.
    pub recording_bytes: u64,
    /// Of the events of dead letters that were put back or dropped; part of `event_bytes`.
    pub letter_bytes: u64,
    /// What the log takes up on disk beside its write-ahead log and what is free in it.
    pub used_bytes: u64,
    /// Free in the log's file, to be filled again.
    pub free_bytes: u64,
    pub write_ahead_bytes: u64,
    /// At so many used bytes nothing new is accepted; none: as long as the disk has room.
    pub disk_bytes_max: Option<u64>,
    /// Of the events up to here only those are left that something needs; 0: all are there.
    pub removed_to: Position,
    /// The first event after that, and when it was accepted.
    pub first: Option<(Position, Timestamp)>,
    /// Recordings of the attempts up to this `Invocation::sequence` are removed.
    pub recordings_removed_to: u64,
    /// Events up to `removed_to` that are left; more than `HELD_COUNTED_MAX` are not counted.
    pub events_held: u64,
    pub held: Vec<HeldBack>,
}

/// Events that a rule would have removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    pub by: HeldBy,
    /// The first of them.
    pub position: Position,
    pub since: Timestamp,
    /// How many, if that is known.
    pub events: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// The function has not handled them.
    Lag(FunctionId),
    /// The function tries them again.
    Retry(FunctionId),
    /// They are open dead letters of the function.
    DeadLetter(FunctionId),
    /// They are too young: should they come again, they must be known, until this time.
    Dedupe { until: Timestamp },
    /// No rule removes events, and the log has as many bytes as it may have.
    NoRule,
}

/// Events that are left of those removed, and looked at to say what holds them.
pub const HELD_COUNTED_MAX: usize = 1_000;

impl Storage {
    /// Whether nothing new is accepted.
    pub fn is_at_max(&self) -> bool {
        self.disk_bytes_max.is_some_and(|max| self.used_bytes >= max)
    }
}
