//! Live replays: which events one would say again, and what became of each.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::Position;

/// `GET /replays`: events that would be said again, in log order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayListing {
    /// The last position of the log when it was read.
    pub position: Position,
    pub items: Vec<ReplayCandidate>,
    /// How many were passed over: they are live replays, or followed from one.
    pub of_replays: u64,
    /// What to ask for `after`, to go on; absent: there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
    /// The first event that the log still has, if the events before it were asked for too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_starts: Option<Position>,
}

/// An event that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayCandidate {
    pub position: Position,
    pub id: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub acceptedat: Timestamp,
    /// Functions that would get it, as they are deployed now.
    pub functions: Vec<String>,
    /// Whether it was said again under this label before.
    pub replayed: bool,
    /// Why it cannot be said again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedReplay>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReplay {
    /// The same for all that are refused for it.
    pub reason: String,
    /// What decided of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
}

/// `POST /replays`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaysRequest {
    /// In any order: they are said again in log order.
    pub positions: Vec<Position>,
    /// The one function that is to get them; absent: all that take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Tells one replay of the same events from another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// What `POST /replays` answers: what was said again is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaysView {
    /// In log order.
    pub items: Vec<ReplayedView>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayedView {
    /// Of the original.
    pub position: Position,
    /// Of the event that says it again; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Position>,
    /// Whether it was there before.
    pub replayed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedReplay>,
}
