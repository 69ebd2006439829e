//! S3 event notifications: AWS, MinIO, RustFS and Ceph by webhook, and the form of them that EventBridge sends.
//!
//! One event for each record: `com.s3.<event name>` as it was sent, without the prefix `s3:` and with dots for colons
//! (`com.s3.ObjectCreated.Put`, `com.s3.ObjectRemoved.Delete`). EventBridge's `Object Created` and `Object Deleted` with a reason are
//! named alike (`com.s3.ObjectCreated.PutObject`). `s3:TestEvent` is acknowledged and becomes nothing; any other JSON is one
//! `com.s3.notification`. A notification that went through SNS or SQS, or both, is the text in their envelopes; they are left
//! out, so that it is the same event by whichever way it comes.
//!
//! Data: `object` (the facts; null where the record does not carry one), `envelope` (MinIO's, where there is one), `payload` (the
//! record whole).
//!
//! - `id`: a hash of bucket, key, version, sequencer and event name; without these, of the record.
//! - `source`: `s3://<bucket>`. `subject`: the object's key. `time`: the record's, where it is RFC 3339.
//! - `partitionkey`: bucket and key. `sequence`: the sequencer in lower case, filled up with zeroes on the right to 32 digits, as
//!   AWS says to compare them. It orders the events of one key only.
//!
//! Keys in records are form-encoded, EventBridge's are not. Source of the format: Amazon S3 User Guide (event message
//! structure, EventBridge mapping), Amazon SNS and SQS Developer Guides, MinIO's and Ceph's documentation of bucket
//! notifications.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::payload::{Payload, attribute_text, json_bytes, malformed, time_text, type_word, uri_text};
use super::{Rejection, attributes};
use crate::event::{Event, derive_uuid};

/// Records in one body. AWS sends one, MinIO one or a small batch.
const RECORDS_MAX: usize = 1000;
/// Envelopes around a notification: SQS around SNS.
const ENVELOPES_MAX: usize = 2;
const SEQUENCER_DIGITS_MAX: usize = 32;
const SENDER: &str = "s3";

/// The events that a body becomes, by record.
pub fn parse(body: &Bytes) -> Result<Vec<Event>, Rejection> {
    events(&Payload::read(body)?, ENVELOPES_MAX)
}

/// `envelopes`: how many may yet be opened.
fn events(payload: &Payload, envelopes: usize) -> Result<Vec<Event>, Rejection> {
    if let Some(inner) = carried(payload, envelopes) {
        return events(&inner, envelopes - 1);
    }
    if payload.text_at("/Event") == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if payload.value.pointer("/Records").is_some_and(Value::is_array) {
        return records(payload, envelopes);
    }
    let facts = if payload.value.pointer("/detail-type").is_some() { bridge_facts(payload) } else { unknown_facts() };
    Ok(vec![event(&facts, None, payload)])
}

/// What an envelope carries as text: `Message` of SNS, `body` of a record of SQS. None if this is no envelope, or what is in
/// it is no JSON object.
fn carried(payload: &Payload, envelopes: usize) -> Option<Payload> {
    let of_sns = || payload.text_at("/Message").filter(|_| payload.text_at("/Type") == Some("Notification"));
    let of_sqs = || payload.text_at("/body").filter(|_| payload.text_at("/eventSource") == Some("aws:sqs"));
    let text = (envelopes > 0).then(|| of_sns().or_else(of_sqs)).flatten()?;
    Payload::read(text.as_bytes()).ok().filter(|inner| inner.value.is_object())
}

/// Bucket and key of the object that came, where an event of `parse` says that one did.
pub fn created(event: &Event) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Data {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        kind: Option<String>,
        bucket: Option<String>,
        key: Option<String>,
    }
    let Data { object } = serde_json::from_slice(event.data.as_ref()?).ok()?;
    object.kind.filter(|kind| kind == "created").and(object.bucket.zip(object.key))
}

type Facts = Map<String, Value>;

/// The records as they were written.
#[derive(Deserialize)]
struct Records<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Data<'a> {
    object: &'a Facts,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<&'a Value>,
    payload: &'a RawValue,
}

fn records(payload: &Payload, envelopes: usize) -> Result<Vec<Event>, Rejection> {
    let Records { records } = serde_json::from_str(payload.text.get()).map_err(|error| malformed(&error))?;
    let envelope = envelope(payload);
    let mut found = Vec::new();
    for text in records {
        let record = Payload::read(text.get().as_bytes())?;
        match carried(&record, envelopes) {
            Some(inner) => found.extend(events(&inner, envelopes - 1)?),
            None => found.push(event(&record_facts(&record), envelope.as_ref(), &record)),
        }
        if found.len() > RECORDS_MAX {
            let told = format!("the body has more than {RECORDS_MAX} records; send at most so many at a time");
            return Err(Rejection::TooLarge(told));
        }
    }
    Ok(found)
}

/// MinIO repeats event and decoded `bucket/key` around the records; old versions call the first `EventType`.
fn envelope(payload: &Payload) -> Option<Value> {
    let event = payload.text_at("/EventName").or(payload.text_at("/EventType"));
    let key = payload.text_at("/Key");
    (event.is_some() || key.is_some()).then(|| json!({ "event": event, "key": key }))
}

fn record_facts(record: &Payload) -> Facts {
    let name = record.text_at("/eventName");
    let key = record.text_at("/s3/object/key");
    [
        ("event_name", record.at("/eventName")),
        ("kind", name.map(kind).into()),
        ("source", record.at("/eventSource")),
        ("bucket", record.at("/s3/bucket/name")),
        ("key_raw", record.at("/s3/object/key")),
        ("key", key.and_then(form_decoded).into()),
        ("size", size(record, "/s3/object/size")),
        ("etag", filled(record, "/s3/object/eTag")),
        ("version_id", filled(record, "/s3/object/versionId")),
        ("sequencer", filled(record, "/s3/object/sequencer")),
        ("time", record.at("/eventTime")),
        ("region", filled(record, "/awsRegion")),
    ]
    .map(|(fact, value)| (fact.to_owned(), value))
    .into_iter()
    .collect()
}

fn bridge_facts(payload: &Payload) -> Facts {
    let name = payload.text_at("/detail-type").map(|detail| match detail {
        "Object Created" => "ObjectCreated".to_owned(),
        "Object Deleted" => "ObjectRemoved".to_owned(),
        other => other.replace(' ', ""),
    });
    let reason = payload.text_at("/detail/reason");
    let event_name = name.as_deref().zip(reason).map(|(name, reason)| format!("{name}:{reason}")).or(name.clone());
    [
        ("detail_type", payload.at("/detail-type")),
        ("event_name", event_name.into()),
        ("kind", name.as_deref().map(kind).into()),
        ("source", payload.at("/source")),
        ("id", payload.at("/id")),
        ("bucket", payload.at("/detail/bucket/name")),
        ("key_raw", payload.at("/detail/object/key")),
        ("key", payload.at("/detail/object/key")),
        ("size", size(payload, "/detail/object/size")),
        ("etag", filled(payload, "/detail/object/etag")),
        ("version_id", filled(payload, "/detail/object/version-id")),
        ("sequencer", filled(payload, "/detail/object/sequencer")),
        ("reason", payload.at("/detail/reason")),
        ("deletion_type", payload.at("/detail/deletion-type")),
        ("time", payload.at("/time")),
        ("region", filled(payload, "/region")),
    ]
    .map(|(fact, value)| (fact.to_owned(), value))
    .into_iter()
    .collect()
}

fn unknown_facts() -> Facts {
    [("event_name".to_owned(), Value::Null)].into_iter().collect()
}

fn event(facts: &Facts, envelope: Option<&Value>, record: &Payload) -> Event {
    let text = |fact: &str| facts.get(fact).and_then(Value::as_str);
    let key = text("key").or(text("key_raw"));
    let data = Data { object: facts, envelope, payload: &record.text };
    Event {
        id: id(facts, record),
        source: text("bucket")
            .map(|name| format!("s3://{name}"))
            .filter(|s| uri_text(s).is_some())
            .unwrap_or(SENDER.into()),
        ty: event_type(text("event_name")),
        subject: key.and_then(attribute_text).map(str::to_owned),
        time: facts.get("time").and_then(time_text),
        extensions: attributes::ordering(
            text("bucket").zip(key).map(|(bucket, key)| format!("{bucket}/{key}")),
            text("sequencer").and_then(comparable),
        ),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(&data)),
        ..Event::default()
    }
}

/// The sender's own id where it has one (EventBridge's deliveries repeat it).
fn id(facts: &Facts, record: &Payload) -> String {
    let text = |fact: &str| facts.get(fact).and_then(Value::as_str);
    if let Some(id) = text("id").and_then(attribute_text) {
        return id.to_owned();
    }
    let known = [text("bucket"), text("key_raw"), text("sequencer"), text("event_name")];
    match known {
        [Some(bucket), Some(key), Some(sequencer), Some(name)] => {
            let version = text("version_id").unwrap_or_default();
            derive_uuid(&[SENDER, bucket, key, version, sequencer, name].map(str::as_bytes)).to_string()
        }
        _ => derive_uuid(&[SENDER.as_bytes(), record.text.get().as_bytes()]).to_string(),
    }
}

fn event_type(name: Option<&str>) -> String {
    let words = name.map(|name| name.strip_prefix("s3:").unwrap_or(name).split(':').map(type_word));
    let words = words.and_then(|words| words.collect::<Option<Vec<_>>>());
    words.map_or_else(|| "com.s3.notification".to_owned(), |words| format!("com.s3.{}", words.join(".")))
}

fn kind(name: &str) -> &'static str {
    match name.strip_prefix("s3:").unwrap_or(name) {
        name if name.starts_with("ObjectCreated") => "created",
        name if name.starts_with("ObjectRemoved") => "removed",
        _ => "other",
    }
}

/// `application/x-www-form-urlencoded`: a plus is a space. None if the bytes are not UTF-8.
fn form_decoded(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(|key| key.into_owned())
}

/// Ceph writes sizes as text.
fn size(payload: &Payload, pointer: &str) -> Value {
    match payload.value.pointer(pointer) {
        Some(Value::String(text)) => text.parse::<u64>().ok().into(),
        Some(Value::Number(number)) => number.as_u64().into(),
        _ => Value::Null,
    }
}

/// A text that is not empty: MinIO and Ceph write what they do not know as "".
fn filled(payload: &Payload, pointer: &str) -> Value {
    payload.text_at(pointer).filter(|text| !text.is_empty()).into()
}

fn comparable(sequencer: &str) -> Option<String> {
    let hex = sequencer.len() <= SEQUENCER_DIGITS_MAX && sequencer.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| format!("{:0<SEQUENCER_DIGITS_MAX$}", sequencer.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
