//! The stored form of an event: what a bus keeps as one body.
//!
//! ```text
//! 1 byte   version: 1
//! 1 byte   whether there is data
//! 4 bytes  length of the attributes, big endian
//! n bytes  the attributes: a JSON object as in the JSON event format, without data
//! rest     data, as it is
//! ```
//!
//! Data is neither escaped, parsed nor copied on the way back, so the cost of an event does not grow with what is in it.

use bytes::{BufMut, Bytes, BytesMut};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Event;
use super::json::{Members, write_attributes};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 6;

/// Why stored bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the event is stored in form {0}, which this version of tidegate does not know; use a newer one")]
    Version(u8),
    #[error("the stored event is damaged: {0}")]
    Damaged(String),
}

impl Event {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let attributes =
            serde_json::to_vec(&Attributes(self)).expect("attributes have text keys and no value that can fail");
        let length = u32::try_from(attributes.len()).expect("attributes are limited to far less than 4 GiB");
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + attributes.len() + self.data_bytes());
        bytes.put_u8(VERSION);
        bytes.put_u8(u8::from(self.data.is_some()));
        bytes.put_u32(length);
        bytes.put_slice(&attributes);
        bytes.put_slice(self.data.as_deref().unwrap_or_default());
        bytes.freeze()
    }

    /// Reads the stored form. Data shares the memory of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Event, DecodeError> {
        let damaged = |reason: &str| DecodeError::Damaged(reason.to_owned());
        let (&version, rest) = bytes.split_first().ok_or_else(|| damaged("it is empty"))?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let (&[has_data, a, b, c, d], rest) = rest.split_first_chunk::<5>().ok_or_else(|| damaged("it is cut off"))?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let attributes = rest.get(..length).ok_or_else(|| damaged("its attributes are cut off"))?;
        let members: Members =
            serde_json::from_slice(attributes).map_err(|error| DecodeError::Damaged(error.to_string()))?;
        let mut event = members.into_event().map_err(|error| DecodeError::Damaged(error.to_string()))?;
        event.data = (has_data == 1).then(|| bytes.slice(HEAD_BYTES + length..));
        Ok(event)
    }
}

struct Attributes<'a>(&'a Event);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        write_attributes(self.0, &mut map)?;
        map.end()
    }
}
