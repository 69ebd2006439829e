//! The stored form of an attempt.
//!
//! ```text
//! 1 byte   version: 2
//! 4 bytes  CRC-32 of what is compressed, big endian
//! 4 bytes  its length, big endian
//! rest     LZ4 block, with what the attempt began with as its dictionary: MessagePack with the names of fields
//! ```
//!
//! Most of what a function emits, writes and logs stands in its event or its configuration already, and those are kept
//! beside the recording anyway: as the dictionary, each such repetition costs a few bytes. Version 1 was the MessagePack
//! alone.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::redacted::{Place, Redacted};
use crate::clock::Timestamp;
use crate::deployment::{Digest, Function, FunctionId, RECORDING_BYTES_MAX};
use crate::event::{self, Event, Extension};
use crate::host::{Effect, Journal};
use crate::outcome::Failure;

/// Raised whenever the stored form changes; older ones stay readable, which `tests/fixtures/recordings` holds it to.
pub const RECORDING_VERSION: u8 = 2;

/// Version, checksum and length.
const HEAD_BYTES: usize = 9;

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
    /// What its events were stamped with; none in version 1.
    #[serde(default)]
    pub stamped_at: Option<Timestamp>,
    pub journal: Journal,
    pub outcome: Recorded,
    pub duration: Duration,
    /// None in version 1.
    #[serde(default)]
    pub instructions: Option<u64>,
    pub memory_peak_bytes: u64,
    /// Where the journal and the outcome are not as they were; none in version 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Redacted>,
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
    #[error("the recording is damaged, or is not of this event and deployment")]
    Mismatch,
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

    /// The emitted events; none of one that failed.
    pub fn emitted(&self) -> Result<Vec<Event>, event::DecodeError> {
        match self {
            Recorded::Completed { emitted } => {
                emitted.iter().map(|stored| Event::decode(Bytes::copy_from_slice(stored))).collect()
            }
            Recorded::Failed(_) => Ok(Vec::new()),
        }
    }
}

/// What an attempt began with, which its recording does not repeat.
pub struct Ground(Vec<u8>);

impl Ground {
    /// Its texts, one after the other: configuration, then the event's attributes, then its data.
    pub fn new(event: &Event, function: &Function) -> Self {
        let texts = event.extensions.values().filter_map(|value| match value {
            Extension::Text(text) => Some(text),
            Extension::Integer(_) | Extension::Boolean(_) => None,
        });
        let attributes = [&event.ty, &event.source, &event.id].into_iter().chain(&event.subject).chain(texts);
        let config = function.config.values().map(|value| &value.text);
        let mut ground = Vec::with_capacity(1024 + event.data_bytes());
        config.chain(attributes).for_each(|text| ground.extend_from_slice(text.as_bytes()));
        ground.extend_from_slice(event.data.as_deref().unwrap_or_default());
        Ground(ground)
    }
}

impl Recording {
    /// The stored form: of at most `bytes_max` before it is compressed, and what does not fit is left out, the latest effects
    /// first.
    pub fn encode(mut self, ground: &Ground, bytes_max: usize) -> Bytes {
        loop {
            let plain = self.encode_plain();
            if plain.len() <= bytes_max {
                return compress(&plain, ground);
            }
            self.truncated = true;
            match (self.journal.entries().len(), &mut self.outcome) {
                (0, Recorded::Completed { emitted }) if !emitted.is_empty() => emitted.clear(),
                (0, Recorded::Failed(failure)) if !failure.backtrace.is_empty() => failure.backtrace.clear(),
                (0, _) => unreachable!("without effects, events and frames, a recording is a few KiB"),
                (entries, _) => self.journal.keep_first(entries / 2),
            }
            self.redacted.retain(|redacted| redacted.place.is_in(&self.journal, &self.outcome));
        }
    }

    /// Whether the function was told what is not in it any more, so that told otherwise it may do otherwise. Configuration is
    /// told whole again.
    pub(super) fn has_redacted_answer(&self) -> bool {
        let is_told_again = |effect: &Effect| matches!(effect, Effect::ConfigGet { .. } | Effect::ConfigAll);
        self.redacted.iter().any(|redacted| match redacted.place {
            Place::Answer(index) => {
                self.journal.entries().get(index).is_some_and(|entry| !is_told_again(&entry.effect))
            }
            Place::Effect(_) | Place::Event(_) | Place::Failure => false,
        })
    }

    fn encode_plain(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2048);
        rmp_serde::encode::write_named(&mut bytes, self).expect("every part of a recording has a stored form");
        bytes
    }

    /// Reads the stored form; `ground`: of the event and the function that it was recorded of.
    pub fn decode(bytes: &[u8], ground: &Ground) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((1, plain)) => {
                let mut recording: Recording = rmp_serde::from_slice(plain)?;
                recording.journal.say_never();
                Ok(recording)
            }
            Some((2, rest)) => Ok(rmp_serde::from_slice(&decompress(rest, ground)?)?),
            Some((version, _)) => Err(DecodeError::Version(*version)),
            None => Err(DecodeError::Empty),
        }
    }
}

fn compress(plain: &[u8], ground: &Ground) -> Bytes {
    let mut bytes = vec![0; HEAD_BYTES + lz4_flex::block::get_maximum_output_size(plain.len())];
    bytes[0] = RECORDING_VERSION;
    bytes[1..5].copy_from_slice(&crc32fast::hash(plain).to_be_bytes());
    let length = u32::try_from(plain.len()).expect("a recording is limited to far less than 4 GiB");
    bytes[5..HEAD_BYTES].copy_from_slice(&length.to_be_bytes());
    let compressed = lz4_flex::block::compress_into_with_dict(plain, &mut bytes[HEAD_BYTES..], &ground.0)
        .expect("the buffer has room for what does not compress");
    bytes.truncate(HEAD_BYTES + compressed);
    bytes.into()
}

fn decompress(rest: &[u8], ground: &Ground) -> Result<Vec<u8>, DecodeError> {
    let (&[a, b, c, d, e, f, g, h], block) = rest.split_first_chunk::<8>().ok_or(DecodeError::Mismatch)?;
    let (crc, length) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]) as usize);
    if length > RECORDING_BYTES_MAX {
        return Err(DecodeError::Mismatch);
    }
    let plain = lz4_flex::block::decompress_with_dict(block, length, &ground.0).map_err(|_| DecodeError::Mismatch)?;
    if crc32fast::hash(&plain) == crc { Ok(plain) } else { Err(DecodeError::Mismatch) }
}
