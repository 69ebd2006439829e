//! The log as bytes, and what holds what should be gone.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::Position;

/// `GET /storage`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageView {
    /// The last position.
    pub position: Position,
    /// Of events and attempts, without what lies in the blob store.
    pub events_bytes: u64,
    /// Of recordings, without what lies in the blob store.
    pub recordings_bytes: u64,
    /// Of the events of dead letters that were put back or dropped; part of `events_bytes`.
    pub dead_letters_bytes: u64,
    /// Of the log's file, without what is free in it.
    pub used_bytes: u64,
    pub free_bytes: u64,
    pub write_ahead_bytes: u64,
    /// `bus.disk_max`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The log has as many bytes as it may have, and nothing new is accepted.
    pub full: bool,
    /// Of the events up to here only those are left that something needs; 0: none was removed.
    pub removed_to: Position,
    /// How many of these are left; 1000 stands for so many or more.
    pub events_held: u64,
    /// The first event from which on all are there; absent: the log is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstView>,
    pub held: Vec<HeldView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstView {
    pub position: Position,
    pub acceptedat: Timestamp,
}

/// Events that a rule would have removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    #[serde(flatten)]
    pub by: HeldByView,
    /// The first of them.
    pub position: Position,
    /// When that was accepted.
    pub since: Timestamp,
    /// How many; absent: all from the first on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum HeldByView {
    /// The function has not handled them.
    Lag { function: String },
    /// The function tries them again.
    Retry { function: String },
    /// They are open dead letters of the function.
    DeadLetter { function: String },
    /// They must be known if they come again, until this time.
    Dedupe { until: Timestamp },
    /// No rule removes events.
    NoRule,
}
