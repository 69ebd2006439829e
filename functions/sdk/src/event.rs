//! The event that a function gets and those that it returns.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A CloudEvent 1.0.
///
/// Of what a function returns, the host sets `id`, `source`, `time`, the chain's attributes (`causationid`,
/// `correlationid`, `traceparent`) and, where the function sets none, `partitionkey`. It refuses an event in which they
/// are set already.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    pub id: String,
    pub source: String,
    /// The `type` attribute.
    pub ty: String,
    pub subject: Option<String>,
    /// RFC 3339, as the sender wrote it: told, not checked against anything.
    pub time: Option<String>,
    pub datacontenttype: Option<String>,
    pub dataschema: Option<String>,
    /// Extension attributes by name.
    pub extensions: BTreeMap<String, Attribute>,
    /// The data's bytes: JSON text where the content type is JSON or absent.
    pub data: Option<Vec<u8>>,
    /// Who brought the event in; none on one that the function made.
    pub origin: Option<Origin>,
}

/// The value of an extension attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    Text(String),
    Integer(i32),
    Boolean(bool),
}

/// Who brought an event in. The host sets it; no sender can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `trigger`, `function`, `api` or `runtime`.
    pub kind: String,
    /// The trigger's path or name, the function's name, or the token's name.
    pub name: String,
    /// Whether a signature or a token proved the sender.
    pub verified: bool,
}

/// Why an event's data could not be read. As a [`crate::Failure`] it is a rejection: another attempt reads the same.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("the event of type {ty} has no data")]
    Missing { ty: String },
    #[error("the data of the event of type {ty} is {content_type}, not JSON; read its bytes")]
    NotJson { ty: String, content_type: String },
    #[error("the data of the event of type {ty} is not what the function reads: {source}")]
    Json { ty: String, source: serde_json::Error },
}

impl Event {
    /// An event to return, of a type that the function was granted, by its full name.
    pub fn new(ty: impl Into<String>) -> Self {
        Event { ty: ty.into(), ..Event::default() }
    }

    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Event { subject: Some(subject.into()), ..self }
    }

    /// Data as JSON. Fails where the value has no such form (a map whose keys are no text).
    pub fn json(self, data: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(self.bytes("application/json", serde_json::to_vec(data)?))
    }

    /// Data of any content type.
    #[must_use]
    pub fn bytes(self, content_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Event { datacontenttype: Some(content_type.into()), data: Some(data.into()), ..self }
    }

    /// An extension attribute: a name of lower-case letters and digits.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<Attribute>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// What orders the event; without it, what orders its cause does.
    #[must_use]
    pub fn partition_key(self, key: impl Into<String>) -> Self {
        self.extension("partitionkey", key.into())
    }

    /// When it is delivered, in RFC 3339: it is kept at once and handed out then, at most 400 days ahead.
    #[must_use]
    pub fn deliver_at(self, time: impl Into<String>) -> Self {
        self.extension("deliverat", time.into())
    }

    /// The data, read as JSON.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        let ty = || self.ty.clone();
        let bytes = self.data.as_deref().ok_or_else(|| DataError::Missing { ty: ty() })?;
        if let Some(content_type) = self.datacontenttype.as_deref().filter(|content_type| !is_json(content_type)) {
            return Err(DataError::NotJson { ty: ty(), content_type: content_type.to_owned() });
        }
        serde_json::from_slice(bytes).map_err(|source| DataError::Json { ty: ty(), source })
    }

    /// An extension attribute that is text, such as `partitionkey`, `causationid` or `correlationid`.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.extensions.get(name)? {
            Attribute::Text(text) => Some(text),
            Attribute::Integer(_) | Attribute::Boolean(_) => None,
        }
    }
}

/// `application/json`, `text/json` and `+json`, with or without parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Attribute::Text(text)
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Attribute::Text(text.to_owned())
    }
}

impl From<i32> for Attribute {
    fn from(number: i32) -> Self {
        Attribute::Integer(number)
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Attribute::Boolean(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(content_type: Option<&str>, data: Option<&str>, expected: Result<Value, &str>) {
        let mut event = Event::new("shop.order.paid");
        event.datacontenttype = content_type.map(str::to_owned);
        event.data = data.map(|data| data.as_bytes().to_vec());
        match (event.data::<Value>(), expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn data_is_read_as_json_where_it_is_json_or_nothing_is_said() {
        check(None, Some("[1]"), Ok(json!([1])));
        check(Some("application/json; charset=utf-8"), Some("[1]"), Ok(json!([1])));
        check(Some("application/cloudevents+JSON"), Some("[1]"), Ok(json!([1])));
        check(Some("text/plain"), Some("[1]"), Err("text/plain, not JSON"));
        check(None, None, Err("has no data"));
        check(None, Some("{"), Err("is not what the function reads: EOF"));
    }

    #[test]
    fn what_is_made_can_be_read() {
        let event = Event::new("shop.order.paid")
            .subject("order/7")
            .partition_key("ana")
            .deliver_at("2026-11-23T12:00:00Z")
            .extension("attempts", 3)
            .json(&json!({ "cents": 1250 }))
            .unwrap();
        assert_eq!((event.ty.as_str(), event.subject.as_deref()), ("shop.order.paid", Some("order/7")));
        assert_eq!(event.text("partitionkey"), Some("ana"));
        assert_eq!(event.text("deliverat"), Some("2026-11-23T12:00:00Z"));
        assert_eq!(event.extensions.get("attempts"), Some(&Attribute::Integer(3)));
        assert_eq!(event.data::<Value>().unwrap(), json!({ "cents": 1250 }));
    }
}
