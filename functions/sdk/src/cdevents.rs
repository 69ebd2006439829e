//! Data of CDEvents 0.5: `context`, `subject` and its `content`, inside a CloudEvent.
//!
//! By CDEvents' binding, `context.id`, `context.source` and `context.timestamp` are the CloudEvent's `id`, `source` and
//! `time`, which the host sets on what a function emits. So a function leaves them out of what it makes, and what it reads
//! has them filled from the attributes, which are what counts: data that says otherwise is a forgery of itself.
//!
//! ```
//! use tidegate_sdk::cdevents::CdEvent;
//! # use tidegate_sdk::Event;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Published {
//!     user: String,
//! }
//!
//! let purl = "pkg:oci/shop@sha256%3A9d1c";
//! let published = Published { user: "ana".into() };
//! let event = CdEvent::new("dev.cdevents.artifact.published.0.3.0", purl, published).into_event()?;
//! assert_eq!(event.subject.as_deref(), Some(purl));
//!
//! let read = CdEvent::<Published>::read(&event)?;
//! assert_eq!((read.subject.id.as_str(), read.subject.content.user.as_str()), (purl, "ana"));
//! # Ok::<(), tidegate_sdk::Failure>(())
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{DataError, Event};

/// Version of CDEvents that is written; 0.3 to 0.6 can be read.
pub const SPEC_VERSION: &str = "0.5.0";

/// A CDEvent whose subject has content `T`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CdEvent<T> {
    pub context: Context,
    pub subject: Subject<T>,
    /// What the sender adds to the vocabulary.
    #[serde(rename = "customData", default, skip_serializing_if = "Option::is_none")]
    pub custom_data: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Called `version` up to 0.4.
    #[serde(rename = "specversion", alias = "version")]
    pub spec_version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(rename = "type")]
    pub ty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject<T> {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub content: T,
}

impl<T> CdEvent<T> {
    /// Of a full type with its version, about a subject.
    pub fn new(ty: impl Into<String>, subject: impl Into<String>, content: T) -> Self {
        let context = Context { spec_version: SPEC_VERSION.to_owned(), ty: ty.into(), ..Context::default() };
        CdEvent { context, subject: Subject { id: subject.into(), source: None, content }, custom_data: None }
    }
}

impl<T: DeserializeOwned> CdEvent<T> {
    /// Reads an event's data, with `context` as the event's attributes say.
    pub fn read(event: &Event) -> Result<Self, DataError> {
        let mut read: Self = event.data()?;
        read.context.id.clone_from(&event.id);
        read.context.source.clone_from(&event.source);
        read.context.ty.clone_from(&event.ty);
        read.context.timestamp.clone_from(&event.time);
        Ok(read)
    }
}

impl<T: Serialize> CdEvent<T> {
    /// The event to return: its type and subject are the CDEvent's.
    pub fn into_event(mut self) -> Result<Event, serde_json::Error> {
        self.context.id.clear();
        self.context.source.clear();
        self.context.timestamp = None;
        Event::new(&self.context.ty).subject(&self.subject.id).json(&self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn attributes_count_over_what_data_says() {
        let data = json!({
            "context": { "version": "0.4.1", "id": "forged", "source": "forged", "type": "forged", "chainId": "c-1" },
            "subject": { "id": "s-1", "type": "service", "content": { "environment": { "id": "production" } } },
        });
        let event = Event { id: "e-1".into(), source: "s".into(), ..Event::new("dev.cdevents.service.deployed.0.2.0") };
        let read = CdEvent::<Value>::read(&event.json(&data).unwrap()).unwrap();
        assert_eq!((read.context.id.as_str(), read.context.source.as_str()), ("e-1", "s"));
        assert_eq!(read.context.ty, "dev.cdevents.service.deployed.0.2.0");
        assert_eq!((read.context.spec_version.as_str(), read.context.chain_id.as_deref()), ("0.4.1", Some("c-1")));
        assert_eq!(read.subject.content["environment"]["id"], "production");
    }

    #[test]
    fn what_the_host_sets_is_left_out() {
        let event = CdEvent::new("dev.cdeventsx.tidegate-gate.passed.0.1.0", "s-1", json!({})).into_event().unwrap();
        let expected = json!({
            "context": { "specversion": "0.5.0", "type": "dev.cdeventsx.tidegate-gate.passed.0.1.0" },
            "subject": { "id": "s-1", "content": {} },
        });
        assert_eq!(event.data::<Value>().unwrap(), expected);
    }
}
