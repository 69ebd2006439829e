//! A listed object as an event. Pure.

use aws_sdk_s3::types::Object;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::deployment::{ObjectStore, ReportFormat};
use crate::event::{Event, derive_uuid};
use crate::trigger::attributes;
use crate::trigger::payload::{attribute_text, json_bytes, time_sequence, uri_text};

/// The id of an object as it is now, for a trigger that reads it so; none for an entry without a key.
pub fn state(store: &ObjectStore, read: Option<ReportFormat>, object: &Object) -> Option<Uuid> {
    let told = match read {
        None => "bucket",
        Some(ReportFormat::Any) => "bucket-report",
        Some(ReportFormat::Trivy) => "bucket-trivy",
        Some(ReportFormat::Sarif) => "bucket-sarif",
    };
    let endpoint = store.endpoint.as_deref().unwrap_or_default();
    let changed = changed(object).unwrap_or_default();
    let texts = [told, endpoint, &store.bucket, object.key()?, object.e_tag().unwrap_or_default()];
    let size = object.size().unwrap_or_default().to_be_bytes();
    let changed = changed.as_micros().to_be_bytes();
    Some(derive_uuid(&[&texts.map(str::as_bytes)[..], &[&size, &changed]].concat()))
}

fn changed(object: &Object) -> Option<Timestamp> {
    let nanos = object.last_modified()?.as_nanos();
    i64::try_from(nanos / 1000).ok().map(Timestamp::from_micros)
}

/// The source of all events of a bucket.
pub fn source(store: &ObjectStore) -> String {
    let source = format!("s3://{}", store.bucket);
    uri_text(&source).unwrap_or("s3").to_owned()
}

/// What is known of an object, in the form of S3's notifications.
pub fn facts(store: &ObjectStore, object: &Object) -> Value {
    let key = object.key().unwrap_or_default();
    json!({
        "event_name": "ObjectCreated:Poll", "kind": "created", "source": "tidegate:bucket", "bucket": store.bucket,
        "key_raw": key, "key": key, "size": object.size(), "etag": object.e_tag().map(|etag| etag.trim_matches('"')),
        "version_id": Value::Null, "sequencer": Value::Null, "time": changed(object).map(|time| time.to_string()),
        "region": store.region,
    })
}

/// That an object is there.
pub fn created(store: &ObjectStore, id: Uuid, object: &Object) -> Event {
    let payload = json!({
        "Key": object.key(), "ETag": object.e_tag(), "Size": object.size(),
        "LastModified": changed(object).map(|time| time.to_string()),
        "StorageClass": object.storage_class().map(|class| class.as_str()),
    });
    let data = json!({ "object": facts(store, object), "payload": payload });
    event(store, id, object, "com.s3.ObjectCreated.Poll", &data)
}

/// That an object is there which cannot be read, and why.
pub fn unread(store: &ObjectStore, id: Uuid, object: &Object, reason: &str) -> Event {
    event(store, id, object, "com.s3.ObjectUnread", &json!({ "object": facts(store, object), "reason": reason }))
}

fn event(store: &ObjectStore, id: Uuid, object: &Object, ty: &str, data: &Value) -> Event {
    let key = object.key().unwrap_or_default();
    let time = changed(object).map(|time| time.to_string());
    Event {
        id: id.to_string(),
        source: source(store),
        ty: ty.to_owned(),
        subject: attribute_text(key).map(str::to_owned),
        extensions: attributes::ordering(
            Some(format!("{}/{key}", store.bucket)),
            time.as_deref().and_then(time_sequence),
        ),
        time,
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(data)),
        ..Event::default()
    }
}
