//! The stored form of an attempt: one byte of version, then MessagePack with the names of fields.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::clock::Timestamp;
use crate::deployment::{Digest, FunctionId};
use crate::event::Event;
use crate::host::Journal;
use crate::outcome::Failure;

/// Raised whenever the stored form changes; older ones stay readable, which `tests/fixtures/recordings` holds it to.
pub const RECORDING_VERSION: u8 = 1;
/// A larger recording is truncated, marked, and cannot be replayed.
pub const RECORDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One attempt: with its event and component, all that it takes to run it again. It holds no secret of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub component: Digest,
    /// The deployment's number.
    pub deployment: u64,
    pub function: FunctionId,
    /// 1 for the first.
    pub attempt: u32,
    /// 0, and one more for each redrive.
    pub round: u32,
    /// Where the guest's wall clock started.
    pub wall_start: Timestamp,
    pub journal: Journal,
    pub outcome: Recorded,
    pub duration: Duration,
    pub memory_peak_bytes: u64,
    /// Whether effects or events are missing; then it cannot be replayed.
    pub truncated: bool,
}

/// What an attempt came to, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// The emitted events in their stored form (`Event::encode`).
    Completed {
        emitted: Vec<ByteBuf>,
    },
    Failed(Failure),
}

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the recording has version {0}, which this version of tidegate does not know; use a newer one")]
    Version(u8),
    #[error("the recording is empty")]
    Empty,
    #[error("the recording is damaged")]
    Damaged(#[from] rmp_serde::decode::Error),
}

impl Recorded {
    pub(super) fn of(outcome: &Result<Vec<Event>, Failure>) -> Self {
        match outcome {
            Ok(emitted) => {
                Recorded::Completed { emitted: emitted.iter().map(|event| ByteBuf::from(event.encode())).collect() }
            }
            Err(failure) => Recorded::Failed(failure.clone()),
        }
    }
}

impl Recording {
    /// The stored form, at most `RECORDING_BYTES_MAX`: what does not fit is left out, the latest effects first.
    pub fn encode(mut self) -> Bytes {
        loop {
            let bytes = self.encode_whole();
            if bytes.len() <= RECORDING_BYTES_MAX {
                return bytes;
            }
            self.truncated = true;
            match (self.journal.entries().len(), &mut self.outcome) {
                (0, Recorded::Completed { emitted }) if !emitted.is_empty() => emitted.clear(),
                (0, _) => unreachable!("without effects and events, a recording is a few KiB"),
                (entries, _) => self.journal.keep_first(entries / 2),
            }
        }
    }

    fn encode_whole(&self) -> Bytes {
        let mut bytes = vec![RECORDING_VERSION];
        rmp_serde::encode::write_named(&mut bytes, self).expect("every part of a recording has a stored form");
        bytes.into()
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((1..=RECORDING_VERSION, rest)) => Ok(rmp_serde::from_slice(rest)?),
            Some((version, _)) => Err(DecodeError::Version(*version)),
            None => Err(DecodeError::Empty),
        }
    }
}
