//! Events as guests see them, and back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::bindings::tidegate::handler::types as wit;
use crate::event::{Accepted, Event, Extension};
use crate::outcome::{Failure, FailureKind};

/// An accepted event, for `handle`.
pub(super) fn to_guest(accepted: &Accepted) -> wit::Event {
    let event = &accepted.event;
    let extensions = event.extensions.iter().map(|(name, value)| {
        let value = match value {
            Extension::Text(text) => wit::Attribute::Text(text.clone()),
            Extension::Integer(number) => wit::Attribute::Integer(*number),
            Extension::Boolean(truth) => wit::Attribute::Boolean(*truth),
        };
        (name.clone(), value)
    });
    wit::Event {
        id: event.id.clone(),
        source: event.source.clone(),
        specversion: "1.0".to_owned(),
        type_: event.ty.clone(),
        subject: event.subject.clone(),
        time: event.time.clone(),
        datacontenttype: event.datacontenttype.clone(),
        dataschema: event.dataschema.clone(),
        extensions: extensions.collect(),
        data: event.data.as_ref().map(|data| data.to_vec()),
        origin: Some(wit::Origin {
            kind: accepted.origin.kind.as_str().to_owned(),
            name: accepted.origin.name.clone(),
            verified: accepted.origin.verified,
        }),
    }
}

/// What a guest returned. Its limits are `event::derive`'s; the engine bounds what can get this far.
pub(super) fn from_guest(returned: Result<Vec<wit::Event>, wit::Failure>) -> Result<Vec<Event>, Failure> {
    returned.map_err(failure)?.into_iter().enumerate().map(|(index, event)| from_guest_event(index, event)).collect()
}

fn from_guest_event(index: usize, event: wit::Event) -> Result<Event, Failure> {
    let bad = |reason: String| Failure::new(FailureKind::BadOutput, format!("event {index}: {reason}"));
    if !["", "1.0"].contains(&event.specversion.as_str()) {
        return Err(bad(format!("specversion is {:?}; it is 1.0, or left empty", event.specversion)));
    }
    let mut extensions = BTreeMap::new();
    for (name, value) in event.extensions {
        let value = match value {
            wit::Attribute::Text(text) => Extension::Text(text),
            wit::Attribute::Integer(number) => Extension::Integer(number),
            wit::Attribute::Boolean(truth) => Extension::Boolean(truth),
        };
        if extensions.insert(name.clone(), value).is_some() {
            return Err(bad(format!("attribute {name:?} is there twice")));
        }
    }
    Ok(Event {
        id: event.id,
        source: event.source,
        ty: event.type_,
        subject: event.subject,
        time: event.time,
        datacontenttype: event.datacontenttype,
        dataschema: event.dataschema,
        extensions,
        data: event.data.map(Bytes::from),
    })
}

fn failure(failure: wit::Failure) -> Failure {
    match failure {
        wit::Failure::Retry(retry) => {
            Failure { after_millis: retry.after_ms, ..Failure::new(FailureKind::Retry, retry.reason) }
        }
        wit::Failure::Reject(reason) => Failure::new(FailureKind::Rejected, reason),
    }
}
