//! Verdicts: where an event stands with each function.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EventRef, EventView, InvocationView, RefusalView};
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::Position;

/// Where an (event, function) stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VerdictView {
    /// No deployment that judged the event had the function.
    NotDeployed,
    /// The function starts to read the log after the event.
    BeforeStart,
    /// The function has not come to the event: how many events of its types stand before it.
    WaitingBacklog {
        events_before: u64,
    },
    /// It waits for a free place.
    WaitingReady,
    /// Held back by an earlier event of the same order key.
    WaitingBehind {
        position: Position,
    },
    /// Held back until `at` by the function's `rate`, or by that of its `limit` for events of `key`.
    WaitingRate {
        key: Option<String>,
        at: Timestamp,
    },
    /// As many events of its key run as the function's `limit` lets.
    WaitingLimit {
        key: String,
    },
    /// Its data cannot be read; it is read again at `at`.
    WaitingUnreadable {
        at: Timestamp,
    },
    /// By which clause, and the value that it saw.
    Filtered {
        clause: String,
        value: String,
    },
    /// The filter could not be evaluated: never taken for "false".
    FilterFailed {
        clause: String,
        reason: String,
    },
    Running {
        attempt: u32,
    },
    /// Attempt `attempt` is due at `at`.
    Retrying {
        attempt: u32,
        at: Timestamp,
    },
    Delivered,
    DeadLettered,
    /// Put back at `at`, and not run since.
    Redriven {
        at: Timestamp,
    },
    /// Not run: event #`by` of the same source and key is newer.
    Superseded {
        by: Position,
        at: Timestamp,
    },
    /// Given up by a person, by the name of the token.
    Dropped {
        by: String,
        at: Timestamp,
    },
}

impl VerdictView {
    /// Whether nothing more will happen by itself.
    pub fn is_final(&self) -> bool {
        match self {
            VerdictView::NotDeployed
            | VerdictView::BeforeStart
            | VerdictView::Filtered { .. }
            | VerdictView::FilterFailed { .. }
            | VerdictView::Delivered
            | VerdictView::DeadLettered
            | VerdictView::Superseded { .. }
            | VerdictView::Dropped { .. } => true,
            VerdictView::WaitingBacklog { .. }
            | VerdictView::WaitingReady
            | VerdictView::WaitingBehind { .. }
            | VerdictView::WaitingRate { .. }
            | VerdictView::WaitingLimit { .. }
            | VerdictView::WaitingUnreadable { .. }
            | VerdictView::Running { .. }
            | VerdictView::Retrying { .. }
            | VerdictView::Redriven { .. } => false,
        }
    }

    /// When something happens by itself, where that is known.
    pub fn goes_on_at(&self) -> Option<Timestamp> {
        match self {
            VerdictView::WaitingRate { at, .. }
            | VerdictView::WaitingUnreadable { at }
            | VerdictView::Retrying { at, .. } => Some(*at),
            VerdictView::NotDeployed
            | VerdictView::BeforeStart
            | VerdictView::WaitingBacklog { .. }
            | VerdictView::WaitingReady
            | VerdictView::WaitingBehind { .. }
            | VerdictView::WaitingLimit { .. }
            | VerdictView::Filtered { .. }
            | VerdictView::FilterFailed { .. }
            | VerdictView::Running { .. }
            | VerdictView::Delivered
            | VerdictView::DeadLettered
            | VerdictView::Redriven { .. }
            | VerdictView::Superseded { .. }
            | VerdictView::Dropped { .. } => None,
        }
    }
}

impl fmt::Display for VerdictView {
    /// The verdict in words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerdictView::NotDeployed => f.write_str("not deployed"),
            VerdictView::BeforeStart => f.write_str("before start"),
            VerdictView::WaitingBacklog { events_before: 1 } => f.write_str("waiting: 1 event before it"),
            VerdictView::WaitingBacklog { events_before } => write!(f, "waiting: {events_before} events before it"),
            VerdictView::WaitingReady => f.write_str("waiting for a free place"),
            VerdictView::WaitingBehind { position } => write!(f, "waiting behind #{position}"),
            VerdictView::WaitingRate { key: None, at } => write!(f, "waiting: its rate lets the next start at {at}"),
            VerdictView::WaitingRate { key: Some(key), at } => {
                write!(f, "waiting: the rate of key {key:?} lets the next start at {at}")
            }
            VerdictView::WaitingLimit { key } => write!(f, "waiting: as many of key {key:?} run as the limit lets"),
            VerdictView::WaitingUnreadable { at } => {
                write!(f, "waiting: its data cannot be read; it is read again at {at}")
            }
            VerdictView::Filtered { clause, value } => write!(f, "filtered by {clause} (saw {value})"),
            VerdictView::FilterFailed { clause, reason } => write!(f, "filter failed at {clause}: {reason}"),
            VerdictView::Running { attempt } => write!(f, "running attempt {attempt}"),
            VerdictView::Retrying { attempt, at } => write!(f, "retrying: attempt {attempt} at {at}"),
            VerdictView::Delivered => f.write_str("delivered"),
            VerdictView::DeadLettered => f.write_str("dead-lettered"),
            VerdictView::Redriven { at } => write!(f, "redriven at {at}"),
            VerdictView::Superseded { by, .. } => write!(f, "superseded by #{by}"),
            VerdictView::Dropped { by, at } => write!(f, "dropped by {by} at {at}"),
        }
    }
}

/// `GET /events/{id}/explain`: the verdict of every function there ever was on one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplanationView {
    pub event: EventView,
    /// Whether every verdict is final.
    pub settled: bool,
    /// Functions of the active deployment first, by name.
    pub functions: Vec<FunctionExplanation>,
    /// What came under its id and was not taken in, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusalView>,
    /// Live replays that say it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replays: Vec<EventRef>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionExplanation {
    pub function: String,
    pub function_id: FunctionId,
    pub verdict: VerdictView,
    /// The deployment that judged the event for the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
    /// Version of the filter language that the deployment was made with, where it is not this binary's: the filter may
    /// have said something else then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_language: Option<u32>,
    /// Whether its filter leaves the event's type to others, also where the function started after the event or is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hears_other_types: bool,
    /// In the order in which they ran.
    pub attempts: Vec<InvocationView>,
    /// Events that it emitted for this one.
    pub emitted: Vec<EmittedView>,
}

/// An event that a function emitted, and where it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmittedView {
    #[serde(flatten)]
    pub event: EventRef,
    /// Until when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliverat: Option<Timestamp>,
    /// The functions that hear its type; absent: it waits, or it is one of many and was not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went: Option<Vec<TakenView>>,
}

/// A function that hears the type of an event, and its verdict on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenView {
    pub function: String,
    pub verdict: VerdictView,
}
