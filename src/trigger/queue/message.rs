//! What a message of a queue becomes. Pure.
//!
//! - A CloudEvent (binary mode by `ce-` headers, structured or batched by content type, or JSON that is one) is itself.
//! - Any other payload is the data of one event of the trigger's type: `id` is `Nats-Msg-Id`, else derived from stream, sequence and
//!   time; `source` is `nats:<stream>`, `subject` and `partitionkey` the message's subject, `sequence` the stream's, padded.
//! - What claims to be a CloudEvent and is none that is valid becomes `com.nats.malformed`, with the payload as it is.
//!
//! Source of the format: CloudEvents NATS binding 1.0.2.

use async_nats::HeaderMap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::event::{Event, derive_uuid, from_http, from_json};
use crate::trigger::attributes;
use crate::trigger::payload::{attribute_text, uri_text};

const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A message, and what its server says of it.
pub struct Given<'a> {
    pub stream: &'a str,
    pub subject: &'a str,
    pub sequence: Option<u64>,
    pub published_nanos: Option<i128>,
    pub headers: Option<&'a HeaderMap>,
    pub payload: &'a Bytes,
}

/// What claimed to be a CloudEvent, and the event that keeps it.
pub struct Malformed {
    pub event: Event,
    pub reason: String,
}

/// The events of a message; those of a batch that is not valid as a whole are one malformed event.
pub fn events(given: &Given<'_>, ty: &str, now: Timestamp) -> Result<Vec<Event>, Box<Malformed>> {
    let headers = http_headers(given.headers);
    let content_type = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let claimed = content_type.starts_with(b"application/cloudevents")
        || headers.keys().any(|name| name.as_str().starts_with("ce-"));
    if !claimed {
        return Ok(match from_json(given.payload) {
            Ok(event) if event.validate(now).is_ok() => vec![event],
            _ => vec![wrapped(given, ty, &headers)],
        });
    }
    let read = from_http(&headers, given.payload.clone()).map_err(|error| error.to_string());
    let valid = read.and_then(|events| {
        let checked = events.iter().try_for_each(|event| event.validate(now));
        checked.map(|()| events).map_err(|error| error.to_string())
    });
    valid.map_err(|reason| {
        let event = Event {
            datacontenttype: Some("application/octet-stream".to_owned()),
            ..wrapped(given, "com.nats.malformed", &headers)
        };
        Box::new(Malformed { event, reason })
    })
}

/// Headers whose name or value HTTP does not have are left out; NATS tells upper from lower case, HTTP does not.
fn http_headers(headers: Option<&HeaderMap>) -> http::HeaderMap {
    let all = headers.into_iter().flat_map(HeaderMap::iter);
    all.flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(AsRef::<[u8]>::as_ref(name)).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_str().as_bytes()).ok()?))
        })
        .fold(http::HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
}

fn wrapped(given: &Given<'_>, ty: &str, headers: &http::HeaderMap) -> Event {
    let message_id =
        given.headers.and_then(|headers| headers.get(MESSAGE_ID)).and_then(|id| attribute_text(id.as_str()));
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let source = format!("nats:{}", given.stream);
    let micros = given.published_nanos.and_then(|nanos| i64::try_from(nanos / 1000).ok());
    Event {
        id: message_id.map_or_else(|| derived_id(given), str::to_owned),
        source: uri_text(&source).unwrap_or("nats").to_owned(),
        ty: ty.to_owned(),
        subject: attribute_text(given.subject).map(str::to_owned),
        time: micros.map(|micros| Timestamp::from_micros(micros).to_string()),
        extensions: attributes::ordering(
            Some(given.subject.to_owned()),
            given.sequence.map(|sequence| format!("{sequence:020}")),
        ),
        datacontenttype: Some(content_type.and_then(attribute_text).unwrap_or_else(|| guess(given.payload)).to_owned()),
        data: (!given.payload.is_empty()).then(|| given.payload.clone()),
        ..Event::default()
    }
}

/// A stream that was made anew starts its sequence again, so the time tells its messages from the old ones.
fn derived_id(given: &Given<'_>) -> String {
    let sequence = given.sequence.unwrap_or_default().to_be_bytes();
    let published = given.published_nanos.unwrap_or_default().to_be_bytes();
    let payload = if given.sequence.is_none() { given.payload } else { &Bytes::new() };
    derive_uuid(&[b"queue", given.stream.as_bytes(), &sequence, &published, payload]).to_string()
}

fn guess(payload: &[u8]) -> &'static str {
    if serde_json::from_slice::<&RawValue>(payload).is_ok() {
        "application/json"
    } else if std::str::from_utf8(payload).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Extension;

    fn told(pairs: &[(&str, &str)], payload: &str) -> Result<Vec<Event>, Box<Malformed>> {
        let headers = pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(*name, *value);
            headers
        });
        let given = Given {
            stream: "ORDERS",
            subject: "orders.paid",
            sequence: Some(7),
            published_nanos: Some(1_557_933_657_000_000_000),
            headers: Some(&headers),
            payload: &Bytes::copy_from_slice(payload.as_bytes()),
        };
        events(&given, "shop.order", Timestamp::EPOCH)
    }

    fn one(pairs: &[(&str, &str)], payload: &str) -> Event {
        let mut events = told(pairs, payload).unwrap_or_else(|malformed| panic!("{}", malformed.reason));
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    #[test]
    fn a_plain_payload_is_the_data_of_the_triggers_type() {
        let event = one(&[], r#"{"total": 3}"#);
        assert_eq!((event.ty.as_str(), event.source.as_str()), ("shop.order", "nats:ORDERS"));
        assert_eq!(event.subject.as_deref(), Some("orders.paid"));
        assert_eq!(event.time.as_deref(), Some("2019-05-15T15:20:57.000000Z"));
        assert_eq!(event.extensions["partitionkey"], Extension::Text("orders.paid".into()));
        assert_eq!(event.extensions["sequence"], Extension::Text("00000000000000000007".into()));
        assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
        assert_eq!(one(&[], "hello").datacontenttype.as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(one(&[("Content-Type", "text/csv")], "a,b").datacontenttype.as_deref(), Some("text/csv"));
    }

    #[test]
    fn the_senders_message_id_is_the_id_and_else_it_is_derived() {
        assert_eq!(one(&[("Nats-Msg-Id", "order-7")], "{}").id, "order-7");
        assert_eq!(one(&[], "{}").id, one(&[], "{}").id);
    }

    #[test]
    fn a_cloudevent_is_itself_in_every_mode() {
        let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop"), ("ce-type", "shop.paid")];
        let structured = r#"{"specversion":"1.0","id":"1","source":"/shop","type":"shop.paid","data":{}}"#;
        let json = [("content-type", "application/cloudevents+json")];
        for event in [one(&binary, "{}"), one(&json, structured), one(&[], structured)] {
            assert_eq!((event.id.as_str(), event.source.as_str(), event.ty.as_str()), ("1", "/shop", "shop.paid"));
        }
    }

    #[test]
    fn what_claims_to_be_a_cloudevent_and_is_none_is_kept_as_it_is() {
        let broken = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/shop")];
        let Err(malformed) = told(&broken, "raw") else { panic!("taken as valid") };
        assert_eq!(malformed.event.ty, "com.nats.malformed");
        assert_eq!(malformed.event.data.as_deref(), Some(&b"raw"[..]));
        assert!(malformed.reason.contains("type"), "{}", malformed.reason);
        malformed.event.validate(Timestamp::EPOCH).unwrap();
    }
}
