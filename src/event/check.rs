//! What makes an event valid.

use std::time::Duration;

use super::{ATTRIBUTES_BYTES_MAX, DATA_BYTES_MAX, Event, Extension, attribute, trace};
use crate::clock::Timestamp;

/// How far ahead `deliverat` may lie.
pub const DELIVER_AHEAD_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Members of the JSON format that are no extensions.
const RESERVED: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"];

/// Why an event is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("attribute {name}: {reason}")]
    Attribute { name: String, reason: String },
    #[error("attributes have {bytes} B in all, at most {ATTRIBUTES_BYTES_MAX} B are allowed; move some into data")]
    AttributesTooLarge { bytes: usize },
    #[error("data has {bytes} B, at most {DATA_BYTES_MAX} B are allowed; store it elsewhere and name it by dataref")]
    DataTooLarge { bytes: usize },
}

impl EventError {
    pub(super) fn attribute(name: &str, reason: impl Into<String>) -> Self {
        EventError::Attribute { name: name.to_owned(), reason: reason.into() }
    }
}

impl Event {
    /// Checks all that an event must hold at time `now`: its shape, its limits and how far ahead `deliverat` lies.
    pub fn validate(&self, now: Timestamp) -> Result<(), EventError> {
        self.check()?;
        match self.deliver_at() {
            Some(at) if at > now.plus(DELIVER_AHEAD_MAX) => Err(EventError::attribute(
                attribute::DELIVER_AT,
                format!("{at} is more than {} days ahead", DELIVER_AHEAD_MAX.as_secs() / 86_400),
            )),
            _ => Ok(()),
        }
    }

    /// Checks all that does not depend on the time.
    pub(super) fn check(&self) -> Result<(), EventError> {
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.ty)] {
            if value.is_empty() {
                return Err(EventError::attribute(name, "is required and must not be empty"));
            }
        }
        for (name, value) in self.texts() {
            if value.chars().any(char::is_control) {
                return Err(EventError::attribute(name, "contains a control character"));
            }
        }
        for (name, value) in self.optional_texts() {
            if value.is_some_and(str::is_empty) {
                return Err(EventError::attribute(name, "is empty; leave it out instead"));
            }
        }
        if let Some(time) = &self.time {
            check_time("time", time)?;
        }
        self.extensions.iter().try_for_each(|(name, value)| check_extension(name, value))?;
        self.check_size()
    }

    fn check_size(&self) -> Result<(), EventError> {
        let attributes = self.attributes_bytes();
        if attributes > ATTRIBUTES_BYTES_MAX {
            return Err(EventError::AttributesTooLarge { bytes: attributes });
        }
        let data = self.data_bytes();
        if data > DATA_BYTES_MAX { Err(EventError::DataTooLarge { bytes: data }) } else { Ok(()) }
    }

    /// Bytes of all attributes, names and values, as `ATTRIBUTES_BYTES_MAX` counts them.
    pub fn attributes_bytes(&self) -> usize {
        let texts: usize = self.texts().map(|(name, value)| name.len() + value.len()).sum();
        let others = self.extensions.iter().map(|(name, value)| match value {
            Extension::Text(_) => 0,
            Extension::Integer(_) | Extension::Boolean(_) => name.len() + size_of::<i32>(),
        });
        texts + others.sum::<usize>()
    }

    /// Bytes of data; 0 without data.
    pub fn data_bytes(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.len())
    }

    /// Every attribute whose value is text.
    fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let required = [("id", &self.id), ("source", &self.source), ("type", &self.ty)];
        let extensions = self.extensions.iter().filter_map(|(name, value)| match value {
            Extension::Text(text) => Some((name.as_str(), text.as_str())),
            Extension::Integer(_) | Extension::Boolean(_) => None,
        });
        required
            .into_iter()
            .map(|(name, value)| (name, value.as_str()))
            .chain(self.optional_texts().into_iter().filter_map(|(name, value)| Some((name, value?))))
            .chain(extensions)
    }

    fn optional_texts(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("subject", self.subject.as_deref()),
            ("time", self.time.as_deref()),
            ("datacontenttype", self.datacontenttype.as_deref()),
            ("dataschema", self.dataschema.as_deref()),
        ]
    }
}

fn check_time(name: &str, text: &str) -> Result<(), EventError> {
    text.parse::<Timestamp>().map(|_| ()).map_err(|error| EventError::attribute(name, error.to_string()))
}

fn check_extension(name: &str, value: &Extension) -> Result<(), EventError> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(EventError::attribute(name, "is no attribute name; use lower-case letters and digits"));
    }
    if RESERVED.contains(&name) {
        return Err(EventError::attribute(name, "is a core attribute and cannot be an extension"));
    }
    if !attribute::TEXTS.contains(&name) {
        return Ok(());
    }
    let Extension::Text(text) = value else {
        return Err(EventError::attribute(name, "must be text"));
    };
    match name {
        attribute::DELIVER_AT => check_time(name, text),
        attribute::TRACEPARENT if trace::Parent::parse(text).is_none() => Err(EventError::attribute(
            name,
            "is no W3C trace context; write 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, or leave it out",
        )),
        _ => Ok(()),
    }
}
