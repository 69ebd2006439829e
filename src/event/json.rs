//! The JSON event format, version 1.0 (CloudEvents 1.0.2, JSON event format; batches included).
//!
//! Data that is JSON is kept as the exact text that the sender wrote: number literals, order and spaces of members are
//! facts that a parser would lose.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine as _, alphabet};
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::check::EventError;
use super::{Event, Extension};

/// Why a text is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Lines and columns count from 1; a column counts bytes.
    #[error("line {line}, column {column}: {reason}")]
    Syntax { line: usize, column: usize, reason: String },
    #[error(transparent)]
    Invalid(#[from] EventError),
}

/// Why a text is no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The text around the events is not a JSON array.
    #[error(transparent)]
    Array(JsonError),
    /// Counted from 0.
    #[error("event {index}: {error}")]
    Event { index: usize, error: JsonError },
}

/// Reads one event.
pub fn from_json(text: &[u8]) -> Result<Event, JsonError> {
    let members: Members = serde_json::from_slice(text).map_err(syntax)?;
    checked(members)
}

/// Reads a batch: a JSON array of events, perhaps empty. All or none.
pub fn batch_from_json(text: &[u8]) -> Result<Vec<Event>, BatchError> {
    let begun = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let batch = Batch { begun: &begun }.deserialize(&mut deserializer);
    let batch = batch.and_then(|batch| deserializer.end().map(|()| batch)).map_err(|error| match begun.get() {
        0 => BatchError::Array(syntax(error)),
        count => BatchError::Event { index: count - 1, error: syntax(error) },
    })?;
    let events = batch.into_iter().enumerate();
    events.map(|(index, members)| checked(members).map_err(|error| BatchError::Event { index, error })).collect()
}

/// Writes one event, on one line.
pub fn to_json(event: &Event) -> Vec<u8> {
    let mut text = serde_json::to_vec(event).expect("an event has text keys, and data is checked to be JSON");
    // Line breaks can only stand between the tokens of the data's own text, where a space means the same.
    text.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    text
}

fn syntax(error: serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned();
    JsonError::Syntax { line, column, reason }
}

fn checked(members: Members) -> Result<Event, JsonError> {
    members.check_unique()?;
    let event = members.into_event()?;
    event.check()?;
    Ok(event)
}

/// The members of a JSON object in their order, not yet judged.
pub(super) struct Members(Vec<(String, Member)>);

enum Member {
    Null,
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// The exact text of `data`.
    Data(Box<RawValue>),
    /// What no attribute can be: named for the message.
    Other(&'static str),
}

impl Members {
    /// JSON lets a name stand twice, and readers differ in which one counts.
    fn check_unique(&self) -> Result<(), EventError> {
        let mut seen = HashSet::with_capacity(self.0.len());
        match self.0.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            Some((name, _)) => Err(EventError::attribute(name, "is given twice")),
            None => Ok(()),
        }
    }

    /// Builds the event; what it must hold beyond types is left to `Event::check`.
    pub fn into_event(self) -> Result<Event, EventError> {
        let mut event = Event::default();
        let mut specversion = None;
        let (mut data, mut base64) = (None, None);
        for (name, member) in self.0 {
            match (name.as_str(), member) {
                (_, Member::Null) => {}
                ("specversion", member) => specversion = Some(member.text(&name)?),
                ("id", member) => event.id = member.text(&name)?,
                ("source", member) => event.source = member.text(&name)?,
                ("type", member) => event.ty = member.text(&name)?,
                ("subject", member) => event.subject = Some(member.text(&name)?),
                ("time", member) => event.time = Some(member.text(&name)?),
                ("datacontenttype", member) => event.datacontenttype = Some(member.text(&name)?),
                ("dataschema", member) => event.dataschema = Some(member.text(&name)?),
                ("data_base64", member) => base64 = Some(member.text(&name)?),
                (_, Member::Data(raw)) => data = Some(raw),
                (_, member) => {
                    let value = member.extension(&name)?;
                    event.extensions.insert(name, value);
                }
            }
        }
        check_version(specversion.as_deref())?;
        event.data = read_data(&event, data, base64)?;
        Ok(event)
    }
}

pub(super) fn check_version(specversion: Option<&str>) -> Result<(), EventError> {
    match specversion {
        Some("1.0") => Ok(()),
        Some(other) => Err(EventError::attribute(
            "specversion",
            format!("{other:?} is not supported; send the event as CloudEvents 1.0"),
        )),
        None => Err(EventError::attribute("specversion", "is required; it is \"1.0\"")),
    }
}

fn read_data(event: &Event, data: Option<Box<RawValue>>, base64: Option<String>) -> Result<Option<Bytes>, EventError> {
    match (data, base64) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(EventError::attribute("data_base64", "stands beside data; send one of them")),
        (None, Some(base64)) => match decode_base64(base64) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(EventError::attribute("data_base64", format!("is no base64 ({error})"))),
        },
        (Some(raw), None) if !event.is_json() && raw.get().starts_with('"') => {
            match serde_json::from_str::<String>(raw.get()) {
                Ok(text) => Ok(Some(text.into())),
                Err(error) => Err(EventError::attribute("data", format!("is no text ({error})"))),
            }
        }
        (Some(raw), None) => Ok(Some(String::from(Box::<str>::from(raw)).into())),
    }
}

/// Decodes as MIME does (RFC 2045): characters outside the alphabet are passed over, and padding may lack. Senders wrap
/// lines, and the specification's own samples are no strict base64.
fn decode_base64(mut text: String) -> Result<Vec<u8>, base64::DecodeError> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    text.retain(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'));
    LENIENT.decode(text)
}

impl Member {
    fn text(self, name: &str) -> Result<String, EventError> {
        match self {
            Member::Text(text) => Ok(text),
            Member::Integer(_) => Err(EventError::attribute(name, "must be text, and is a number")),
            Member::Boolean(_) => Err(EventError::attribute(name, "must be text, and is a boolean")),
            Member::Other(kind) => Err(EventError::attribute(name, format!("must be text, and is {kind}"))),
            Member::Null | Member::Data(_) => Err(EventError::attribute(name, "must be text")),
        }
    }

    fn extension(self, name: &str) -> Result<Extension, EventError> {
        let reason = match self {
            Member::Text(text) => return Ok(Extension::Text(text)),
            Member::Boolean(flag) => return Ok(Extension::Boolean(flag)),
            Member::Integer(number) => match i32::try_from(number) {
                Ok(number) => return Ok(Extension::Integer(number)),
                Err(_) => format!("{number} does not fit 32 bits; send it as text"),
            },
            Member::Other(kind) => format!("is {kind}; an extension is text, a 32-bit integer or a boolean"),
            Member::Null | Member::Data(_) => "has no value".to_owned(),
        };
        Err(EventError::attribute(name, reason))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, which is a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(name) = map.next_key::<String>()? {
                    let member = match name.as_str() {
                        "data" => match map.next_value::<Box<RawValue>>()? {
                            raw if raw.get() == "null" => Member::Null,
                            raw => Member::Data(raw),
                        },
                        _ => map.next_value()?,
                    };
                    members.push((name, member));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl<'de> Visitor<'de> for Scalar {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute's value")
            }

            fn visit_unit<E>(self) -> Result<Member, E> {
                Ok(Member::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<Member, E> {
                Ok(Member::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Member, E> {
                Ok(Member::Text(text))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Member, E> {
                Ok(Member::Boolean(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Member, E> {
                Ok(Member::Integer(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Member, E> {
                Ok(i64::try_from(number).map_or(Member::Other("a number above 64 bits"), Member::Integer))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Member, E> {
                Ok(Member::Other("a decimal number"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Member::Other("an array"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
                while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
                Ok(Member::Other("an object"))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// Reads an array of objects, and counts those that it began, so that an error can name the one it stands in.
struct Batch<'a> {
    begun: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Members>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Members>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Members>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch, which is a JSON array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Members>, A::Error> {
        let mut batch = Vec::new();
        loop {
            self.begun.set(batch.len() + 1);
            match seq.next_element::<Members>()? {
                Some(members) => batch.push(members),
                None => break,
            }
        }
        self.begun.set(0);
        Ok(batch)
    }
}

/// The attributes of an event as members of a JSON object.
pub(super) fn write_attributes<M: SerializeMap>(event: &Event, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry("specversion", "1.0")?;
    map.serialize_entry("id", &event.id)?;
    map.serialize_entry("source", &event.source)?;
    map.serialize_entry("type", &event.ty)?;
    let optional = [
        ("subject", &event.subject),
        ("time", &event.time),
        ("datacontenttype", &event.datacontenttype),
        ("dataschema", &event.dataschema),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            map.serialize_entry(name, value)?;
        }
    }
    event.extensions.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
}

impl Serialize for Event {
    /// In JSON the event in the JSON event format; in binary formats the bytes of `Event::encode`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.encode());
        }
        let mut map = serializer.serialize_map(None)?;
        write_attributes(self, &mut map)?;
        if let Some(data) = &self.data {
            match json_data(self, data) {
                Some(JsonData::Value(raw)) => map.serialize_entry("data", raw)?,
                Some(JsonData::Text(text)) => map.serialize_entry("data", text)?,
                None => map.serialize_entry("data_base64", &STANDARD.encode(data))?,
            }
        }
        map.end()
    }
}

enum JsonData<'a> {
    Value(&'a RawValue),
    Text(&'a str),
}

/// Data as the member `data`; none: it must be written as base64, since it would not read back as it is.
fn json_data<'a>(event: &Event, data: &'a Bytes) -> Option<JsonData<'a>> {
    let text = std::str::from_utf8(data).ok()?;
    if !event.is_json() {
        return Some(JsonData::Text(text));
    }
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    (raw.get() != "null" && raw.get().len() == text.len()).then_some(JsonData::Value(raw))
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if !deserializer.is_human_readable() {
            let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
            return Event::decode(bytes.into_vec().into()).map_err(D::Error::custom);
        }
        Members::deserialize(deserializer)?.into_event().map_err(D::Error::custom)
    }
}
