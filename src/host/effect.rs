//! Effects and their answers, as values that can be stored, compared and answered again.

use serde::{Deserialize, Serialize};

use crate::bus::Statistics;
use crate::deployment::Digest;
use crate::event::Position;

/// What a function asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nanoseconds since 1970; starts at the first attempt's time.
    WallClock,
    /// Nanoseconds since the invocation started.
    MonotonicClock,
    /// This many random bytes, seeded by (event key, function id).
    Random {
        bytes: u64,
    },
    InsecureRandom {
        bytes: u64,
    },
    /// What seeds a guest's hash maps.
    InsecureSeed,
    /// Begins to wait so long; a poll waits for the end of it.
    Sleep {
        nanoseconds: u64,
    },
    /// Asks which of so many things that were begun have ended; waits for one if need be. When something ends hangs on the
    /// world, so what a guest saw of it is kept.
    Poll {
        pollables: u32,
    },
    /// Asks whether one thing that was begun has ended, and does not wait.
    IsReady,
    KeyGet {
        space: String,
        key: String,
    },
    KeySet {
        space: String,
        key: String,
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    KeyDelete {
        space: String,
        key: String,
    },
    KeyExists {
        space: String,
        key: String,
    },
    /// Keys after `after`, in order.
    KeyList {
        space: String,
        after: Option<String>,
    },
    KeyIncrement {
        space: String,
        key: String,
        delta: i64,
    },
    ConfigGet {
        key: String,
    },
    ConfigAll,
    Log {
        level: LogLevel,
        context: String,
        message: String,
    },
    Http(HttpRequest),
    /// How events at the positions from `from` to `to` ended with a function's component; `to` belongs to them, none: to
    /// the end of the log.
    Statistics {
        function: String,
        component: Digest,
        from: Position,
        to: Option<Position>,
    },
}

impl Effect {
    /// Whether it asks for keys, or changes them.
    pub fn is_of_keys(&self) -> bool {
        match self {
            Effect::KeyGet { .. }
            | Effect::KeySet { .. }
            | Effect::KeyDelete { .. }
            | Effect::KeyExists { .. }
            | Effect::KeyList { .. }
            | Effect::KeyIncrement { .. } => true,
            Effect::WallClock
            | Effect::MonotonicClock
            | Effect::Random { .. }
            | Effect::InsecureRandom { .. }
            | Effect::InsecureSeed
            | Effect::Sleep { .. }
            | Effect::Poll { .. }
            | Effect::IsReady
            | Effect::ConfigGet { .. }
            | Effect::ConfigAll
            | Effect::Log { .. }
            | Effect::Http(_)
            | Effect::Statistics { .. } => false,
        }
    }

    /// What it is, and of what the function was granted: `key-get gates`, `http github`.
    pub fn name(&self) -> String {
        let (name, of) = match self {
            Effect::WallClock => ("wall-clock", None),
            Effect::MonotonicClock => ("monotonic-clock", None),
            Effect::Random { .. } => ("random", None),
            Effect::InsecureRandom { .. } => ("insecure-random", None),
            Effect::InsecureSeed => ("insecure-seed", None),
            Effect::Sleep { .. } => ("sleep", None),
            Effect::Poll { .. } => ("poll", None),
            Effect::IsReady => ("is-ready", None),
            Effect::KeyGet { space, .. } => ("key-get", Some(space)),
            Effect::KeySet { space, .. } => ("key-set", Some(space)),
            Effect::KeyDelete { space, .. } => ("key-delete", Some(space)),
            Effect::KeyExists { space, .. } => ("key-exists", Some(space)),
            Effect::KeyList { space, .. } => ("key-list", Some(space)),
            Effect::KeyIncrement { space, .. } => ("key-increment", Some(space)),
            Effect::ConfigGet { key } => ("config-get", Some(key)),
            Effect::ConfigAll => ("config-all", None),
            Effect::Log { context, .. } => ("log", Some(context)),
            Effect::Http(request) => ("http", Some(&request.connection)),
            Effect::Statistics { function, .. } => ("statistics", Some(function)),
        };
        of.map_or_else(|| name.to_owned(), |of| format!("{name} {of}"))
    }
}

/// What the host answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Done,
    Nanoseconds(u64),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    Seed(u64, u64),
    Value(#[serde(with = "serde_bytes")] Option<Vec<u8>>),
    Exists(bool),
    /// `next`: list on after this key; none: these were the last.
    Keys {
        keys: Vec<String>,
        next: Option<String>,
    },
    Number(i64),
    Text(Option<String>),
    Pairs(Vec<(String, String)>),
    Http(HttpResponse),
    Statistics(Statistics),
    /// Which of a poll's things had ended, by their place.
    Ready(Vec<u32>),
    Failed(EffectError),
    /// The function ended before the answer came.
    Never,
}

/// A request to a connection, as the guest made it: no secret of the host is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    pub method: String,
    pub connection: String,
    /// Path and query, normalised.
    pub path: String,
    /// The guest's headers and the `Idempotency-Key`; names in lower case.
    pub headers: Vec<(String, String)>,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    pub timeout_millis: Option<u64>,
}

impl HttpRequest {
    /// Whether all but the body is the same.
    pub fn has_head_of(&self, other: &HttpRequest) -> bool {
        let head = |request: &HttpRequest| HttpRequest { body: Vec::new(), ..request.clone() };
        head(self) == head(other)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Why an effect could not be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum EffectError {
    /// Ends the invocation: the function asked for what it was not granted.
    #[error("{0}")]
    NotPermitted(String),
    /// The guest is told and may go on: a limit, or what a peer did.
    #[error("{0}")]
    Refused(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}
