//! The event: a CloudEvent 1.0, and what the runtime knows of it beside its attributes.
//!
//! `Event` is what was said; `Accepted` is an event in the log, with its place, its origin and its hops. Nothing here
//! reads a clock or does IO. Source of the format: CloudEvents 1.0.2 (specification, JSON format, HTTP binding).

mod accept;
mod aliases;
mod cdevents;
mod chain;
mod check;
mod http;
mod id;
mod json;
mod origin;
mod replay;
mod stored;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use accept::{accept, same_content};
pub use aliases::{ALIASES_MAX, aliases};
pub use cdevents::{CDEVENTS_VERSION, cdevent, cdevent_content};
pub use chain::{
    CHAIN_EVENTS_MAX, EMITTED_BYTES_MAX, EMITTED_MAX, HOPS_MAX, check_hops, derive, follow, hops_after, is_source_of,
    runtime_source,
};
pub use check::{DELIVER_AHEAD_MAX, EventError};
pub use http::{BATCH, HttpError, STRUCTURED, from_http};
pub use id::{EventKey, derive as derive_uuid, derived_id, share};
pub use json::{BatchError, JsonError, batch_from_json, from_json, to_json};
pub use origin::{Origin, OriginKind};
pub use replay::{REPLAY_ATTRIBUTES, Replay, ReplayError, replay_id};
pub use stored::DecodeError;
pub use trace::Parent as TraceParent;

use crate::clock::Timestamp;

/// Names of the extension attributes that the runtime reads or sets.
pub mod attribute {
    /// The id of the event that led to this one.
    pub const CAUSATION: &str = "causationid";
    /// The id of the first event of the chain.
    pub const CORRELATION: &str = "correlationid";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    pub const TRACESTATE: &str = "tracestate";
    /// CloudEvents partitioning extension: what orders events.
    pub const PARTITION_KEY: &str = "partitionkey";
    /// CloudEvents sequence extension.
    pub const SEQUENCE: &str = "sequence";
    pub const SEQUENCE_TYPE: &str = "sequencetype";
    /// RFC 3339: stored now, delivered then.
    pub const DELIVER_AT: &str = "deliverat";
    /// The id of the event that this one says again: a live replay.
    pub const REPLAY_OF: &str = "replayof";
    /// The id of the one function that a live replay is for.
    pub const REPLAY_TO: &str = "replayto";
    /// The id of the live replay that this event follows from.
    pub const AFTER_REPLAY: &str = "afterreplay";
    /// Where data above `DATA_INLINE_BYTES_MAX` lies (CloudEvents dataref extension).
    pub const DATA_REF: &str = "dataref";

    /// Those that are text if they are present.
    pub(super) const TEXTS: [&str; 10] = [
        CAUSATION,
        CORRELATION,
        TRACEPARENT,
        TRACESTATE,
        PARTITION_KEY,
        DELIVER_AT,
        REPLAY_OF,
        REPLAY_TO,
        AFTER_REPLAY,
        DATA_REF,
    ];
}

/// Attributes of one event together: names and values.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// Data above this is kept in the blob store and named by `dataref`.
pub const DATA_INLINE_BYTES_MAX: usize = 64 * 1024;
pub const DATA_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A CloudEvent 1.0.
///
/// Invariant (kept by `from_json`, `from_http` and `derive`; checked by `Event::validate`): `id`, `source`
/// and `ty` are not empty, `time` is RFC 3339, extension names are `[a-z0-9]+` and no core attribute's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    pub id: String,
    pub source: String,
    /// The `type` attribute.
    pub ty: String,
    pub subject: Option<String>,
    /// As the sender wrote it: its offset is a fact too.
    pub time: Option<String>,
    pub datacontenttype: Option<String>,
    pub dataschema: Option<String>,
    pub extensions: BTreeMap<String, Extension>,
    /// The data's bytes as they are on the wire in HTTP binary mode: JSON text when `datacontenttype` is JSON or absent.
    pub data: Option<Bytes>,
}

/// The value of an extension attribute. CloudEvents has no decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Extension {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

impl fmt::Display for Extension {
    /// The value's canonical text (CloudEvents type system): what stands in an HTTP header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extension::Text(text) => f.write_str(text),
            Extension::Integer(number) => number.fmt(f),
            Extension::Boolean(flag) => flag.fmt(f),
        }
    }
}

impl Event {
    pub fn key(&self) -> EventKey {
        EventKey::of(self)
    }

    /// An extension attribute that is text; none if it is absent or of another type.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.extensions.get(name) {
            Some(Extension::Text(text)) => Some(text),
            Some(Extension::Integer(_) | Extension::Boolean(_)) | None => None,
        }
    }

    /// The id of the event that led to this one; none for the first of a chain.
    pub fn causation(&self) -> Option<&str> {
        self.text(attribute::CAUSATION)
    }

    /// The id of the first event of the chain. Every accepted event has one.
    pub fn correlation(&self) -> Option<&str> {
        self.text(attribute::CORRELATION)
    }

    /// What orders events: those with the same key are delivered one at a time where a function asks for it.
    pub fn partition_key(&self) -> Option<&str> {
        self.text(attribute::PARTITION_KEY)
    }

    /// W3C trace context. Every accepted event has one.
    pub fn traceparent(&self) -> Option<&str> {
        self.text(attribute::TRACEPARENT)
    }

    /// When it is to be delivered; none: at once.
    pub fn deliver_at(&self) -> Option<Timestamp> {
        self.text(attribute::DELIVER_AT)?.parse().ok()
    }

    /// When it gets its place in the log, if it is said at `now`.
    pub fn due(&self, now: Timestamp) -> Timestamp {
        self.deliver_at().map_or(now, |at| at.max(now))
    }

    /// Whether data is declared to be JSON: `datacontenttype` is absent, or its subtype is `json` or ends in `+json`.
    pub fn is_json(&self) -> bool {
        self.datacontenttype.as_deref().is_none_or(is_json_type)
    }
}

fn is_json_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// A place in the log: 1 is the first.
pub type Position = u64;

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub position: Position,
    /// Never falls from one position to the next.
    pub accepted_at: Timestamp,
    pub origin: Origin,
    /// How many functions stand between the first event of the chain and this one; a hop that waited a second or more,
    /// for its function or for its own `deliverat`, is not counted.
    pub hops: u32,
    pub event: Event,
}
