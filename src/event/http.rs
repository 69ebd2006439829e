//! The HTTP protocol binding (CloudEvents 1.0.2): structured, batched and binary mode, chosen by content type.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use super::check::EventError;
use super::json::{BatchError, JsonError, batch_from_json, check_version, from_json};
use super::{Event, Extension};

/// Media type of one event.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// Media type of any number of events.
pub const BATCH: &str = "application/cloudevents-batch+json";
const PREFIX: &str = "ce-";

/// Why a request holds no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// 415
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 400
    #[error(transparent)]
    Event(JsonError),
    /// 400; `BatchError::Event` has the index of the bad one.
    #[error(transparent)]
    Batch(BatchError),
}

impl HttpError {
    /// Which event of a batch is the bad one, counted from 0.
    pub fn index(&self) -> Option<usize> {
        match self {
            HttpError::Batch(BatchError::Event { index, .. }) => Some(*index),
            HttpError::Batch(BatchError::Array(_)) | HttpError::Event(_) | HttpError::UnsupportedMediaType(_) => None,
        }
    }
}

/// Reads the events of a request: one, or in batched mode any number.
pub fn from_http(headers: &HeaderMap, body: Bytes) -> Result<Vec<Event>, HttpError> {
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = content_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.as_str() {
        STRUCTURED => from_json(&body).map(|event| vec![event]).map_err(HttpError::Event),
        BATCH => batch_from_json(&body).map_err(HttpError::Batch),
        other if other.starts_with("application/cloudevents") => Err(HttpError::UnsupportedMediaType(format!(
            "content type {other} is not supported; send {STRUCTURED} or {BATCH}"
        ))),
        _ if headers.keys().any(|name| name.as_str().starts_with(PREFIX)) => {
            from_binary(headers, body).map(|event| vec![event]).map_err(|error| HttpError::Event(error.into()))
        }
        _ => Err(HttpError::UnsupportedMediaType(format!(
            "this is no CloudEvent; send {STRUCTURED}, {BATCH}, or the attributes as ce- headers beside the data"
        ))),
    }
}

/// Binary mode: attributes in headers, the body is data. An extension is text: a header has no other type.
fn from_binary(headers: &HeaderMap, body: Bytes) -> Result<Event, EventError> {
    let mut event = Event { data: (!body.is_empty()).then_some(body), ..Event::default() };
    let mut specversion = None;
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = read_header(attribute, headers, name)?;
        match attribute {
            "specversion" => specversion = Some(text),
            "id" => event.id = text,
            "source" => event.source = text,
            "type" => event.ty = text,
            "subject" => event.subject = Some(text),
            "time" => event.time = Some(text),
            "dataschema" => event.dataschema = Some(text),
            "datacontenttype" => {
                return Err(EventError::attribute(attribute, "is the header content-type in binary mode"));
            }
            _ => {
                event.extensions.insert(attribute.to_owned(), Extension::Text(text));
            }
        }
    }
    check_version(specversion.as_deref())?;
    if headers.contains_key(CONTENT_TYPE) {
        event.datacontenttype = Some(single("datacontenttype", headers, &CONTENT_TYPE)?);
    }
    event.check()?;
    Ok(event)
}

/// A header's only value as text, percent-decoded once.
fn read_header(attribute: &str, headers: &HeaderMap, name: &HeaderName) -> Result<String, EventError> {
    let text = unquote(&single(attribute, headers, name)?);
    let decoded = percent_decode(text.as_bytes()).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| EventError::attribute(attribute, "is not UTF-8 after percent-decoding"))
}

fn single(attribute: &str, headers: &HeaderMap, name: &HeaderName) -> Result<String, EventError> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(HeaderValue::as_bytes), values.next()) {
        (Some(value), None) => match std::str::from_utf8(value) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(EventError::attribute(attribute, "is not UTF-8")),
        },
        _ => Err(EventError::attribute(attribute, "is given twice")),
    }
}

/// Older senders quote values with spaces (RFC 7230, quoted-string) instead of escaping them.
fn unquote(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}
