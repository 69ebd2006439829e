//! Recorded attempts, with all that it takes to run them again: MessagePack, since they are bytes.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::bus::{InvocationId, RecordedAttempt};
use crate::clock::Timestamp;
use crate::deployment::Digest;
use crate::event::{Accepted, DecodeError, Event, Origin};

/// Media type of what holds them.
pub const MESSAGE_PACK: &str = "application/vnd.msgpack";

/// One recorded attempt and its event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedView {
    /// `POSITION.FUNCTION-ID.ROUND.ATTEMPT`.
    pub id: String,
    /// Number of the deployment that ran it.
    pub deployment: u64,
    pub component: Digest,
    pub acceptedat: Timestamp,
    pub hops: u32,
    pub origin: Origin,
    /// The event's stored form.
    pub event: ByteBuf,
    /// The recording's stored form.
    pub recording: ByteBuf,
}

/// `GET /recordings`, and of one attempt `GET /invocations/{id}/recording`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedListing {
    pub items: Vec<RecordedView>,
    /// How many more there were of which no recording was kept.
    pub unrecorded: u64,
    /// What to ask for `after`, to go on; absent: there is no more.
    pub next: Option<String>,
    /// The last position of the log when it was read.
    pub position: u64,
}

impl RecordedView {
    pub fn of(attempt: &RecordedAttempt) -> Self {
        let event = &attempt.event;
        RecordedView {
            id: attempt.invocation.id.to_string(),
            deployment: attempt.invocation.deployment,
            component: attempt.invocation.component,
            acceptedat: event.accepted_at,
            hops: event.hops,
            origin: event.origin.clone(),
            event: ByteBuf::from(event.event.encode()),
            recording: ByteBuf::from(attempt.recording.to_vec()),
        }
    }

    /// The event as it was accepted at the position of `id`.
    pub fn accepted(&self, id: &InvocationId) -> Result<Accepted, DecodeError> {
        Ok(Accepted {
            position: id.position,
            accepted_at: self.acceptedat,
            hops: self.hops,
            origin: self.origin.clone(),
            event: Event::decode(self.event.to_vec().into())?,
        })
    }
}
