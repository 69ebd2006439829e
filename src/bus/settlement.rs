//! What a settlement carries, and what `settle` answers.

use std::time::Duration;

use bytes::Bytes;

use super::{Delivery, RecordingBytes};
use crate::deployment::Digest;
use crate::event::Event;
use crate::outcome::{Decision, Failure};

/// Counts the writes of a key. 0: the key is absent.
pub type Revision = u64;

/// All that is committed in one step for one attempt.
#[derive(Debug, Clone)]
pub struct Settlement {
    pub decision: Decision,
    /// Why it failed; none for `Decision::Ack`.
    pub failure: Option<Failure>,
    /// Stamped and checked. Empty unless the decision is `Ack`.
    pub emitted: Vec<Event>,
    /// What the invocation read; if a revision has moved, nothing is committed.
    pub reads: Vec<KeyRead>,
    /// Empty unless the decision is `Ack`.
    pub writes: Vec<KeyWrite>,
    /// None: this attempt was not sampled, or nobody could record it.
    pub recording: Option<RecordingBytes>,
    pub component: Digest,
    pub duration: Duration,
}

impl Settlement {
    /// Of an attempt of which nothing is committed but its recording and why it failed.
    pub fn dead_letter(
        failure: Failure,
        recording: Option<RecordingBytes>,
        component: Digest,
        duration: Duration,
    ) -> Self {
        Settlement {
            decision: Decision::DeadLetter,
            failure: Some(failure),
            emitted: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            recording,
            component,
            duration,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRead {
    pub space: String,
    pub scope: ReadScope,
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadScope {
    Key(String),
    /// The space's keys were listed: any write in it moves the revision.
    Space,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyWrite {
    pub space: String,
    pub key: String,
    /// None deletes the key.
    pub value: Option<Bytes>,
}

/// A committed value, and the revision that a later settlement is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    pub revision: Revision,
    pub value: Option<Bytes>,
}

/// What became of a settlement.
#[derive(Debug)]
pub enum Settled {
    /// Committed and durable.
    Settled,
    /// Another attempt settled it before; nothing changed.
    AlreadySettled,
    /// A key that the invocation read has moved; nothing changed. Run it again: this was no attempt.
    Conflict(Delivery),
}
