//! What makes data a CDEvent, where Tidegate itself speaks: version 0.5 in CloudEvents.

use bytes::Bytes;
use serde_json::{Value, json};

use super::Event;

/// The version of CDEvents that is written.
pub const CDEVENTS_VERSION: &str = "0.5.0";

/// An event of a type about a subject. By CDEvents' binding the context's id, source and timestamp are the event's own
/// attributes, so they are left out here.
pub fn cdevent(ty: &str, subject: &str, content: &Value) -> Event {
    let data = json!({
        "context": { "specversion": CDEVENTS_VERSION, "type": ty },
        "subject": { "id": subject, "content": content },
    });
    Event {
        ty: ty.to_owned(),
        subject: Some(subject.to_owned()),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(Bytes::from(data.to_string())),
        ..Event::default()
    }
}

/// The content of a CDEvent's subject.
pub fn cdevent_content(event: &Event) -> Option<Value> {
    let mut data: Value = serde_json::from_slice(event.data.as_deref()?).ok()?;
    data.pointer_mut("/subject/content").map(Value::take)
}
