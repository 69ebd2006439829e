//! Why a chain of events has no event of a type.

use serde::{Deserialize, Serialize};

use super::{EventRef, InvocationView, VerdictView};
use crate::clock::Timestamp;
use crate::host::LogLevel;

/// `GET /events/{id}/why-not?type=TYPE`: where what followed from an event stopped short of an event of a type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyNotView {
    /// The pattern of full types that was asked for.
    pub wanted: String,
    pub after: EventRef,
    #[serde(flatten)]
    pub answer: WhyNotAnswer,
    /// Functions that are granted to emit it, as the last deployment that had them has them.
    pub emitters: Vec<EmitterView>,
    /// Events of the type that came since and followed from something else, the newest: perhaps what was waited for took another
    /// way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<EventRef>,
    /// Whether nothing that followed waits, runs or is tried again: what is not there by now does not come by itself.
    pub settled: bool,
    /// Whether the chain has more events than were looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum WhyNotAnswer {
    /// There is one: the events from what followed first to it.
    Happened { path: Vec<EventRef> },
    /// There is one, which waits for its time.
    Waits { path: Vec<EventRef>, until: Timestamp },
    /// The deepest place first: where the fewest functions are left to the type.
    Stopped { stops: Vec<StopView> },
    /// No function through which there is a way to the type hears any of the events.
    Unheard,
    /// No function is granted to emit it. `said_by`: who says such a type instead, by the catalogue.
    Nobody {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said_by: Option<SaidBy>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SaidBy {
    Triggers,
    Runtime,
}

/// An event at a function from which nothing led on to the type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StopView {
    pub event: EventRef,
    /// The events between the one that it followed from and this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<EventRef>,
    pub function: String,
    pub verdict: VerdictView,
    /// The deployment that judged the event for the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<u64>,
    /// How many functions stand between this one and the type at least; 0: it may emit the type itself.
    pub before: u32,
    /// The last attempt; with its effects left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<InvocationView>,
    /// What it emitted instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emitted: Vec<EventRef>,
    /// What it logged last in its last attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<LogLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub level: LogLevel,
    pub message: String,
}

/// A function that may emit the type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmitterView {
    pub function: String,
    /// Types that it hears and that did not follow from the event.
    pub missing: Vec<MissingView>,
}

/// A type that did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingView {
    #[serde(rename = "type")]
    pub ty: String,
    /// Functions that may emit it; none: it has to come from outside.
    pub emitters: Vec<String>,
}
