//! Notifications of OCI registries that speak as Docker's does: Docker Distribution, and Azure's, which sends one event
//! without the list around it.
//!
//! | the registry says | event type |
//! | --- | --- |
//! | `push` of a manifest or an index | `dev.cdevents.artifact.published` |
//! | `pull` of one | `dev.cdevents.artifact.downloaded` |
//! | `delete` of one | `dev.cdevents.artifact.deleted` |
//! | anything of a blob | `com.distribution.blob.<action>` |
//! | what names no valid digest (a tag or a repository that was deleted), or another action | `com.distribution.<action>` |
//!
//! The media type tells a manifest from a blob; where it could be either (`application/octet-stream`, or none), the URL does.
//! What has neither is a deletion, which the registry tells of manifests and blobs alike: it is taken for a manifest's.
//!
//! Data: `artifact` (repository with the registry's host, digest, tag, media type; null where the event does not say), or
//! `blob`, the same of a blob; `payload` (the registry's own event); for CDEvents types `context` and `subject`.
//!
//! - `id`: a hash of the registry's event, which a redelivery repeats. Its own id stays in the payload: registries send
//!   different events under one.
//! - `source`: `oci://<host>/<repository>`. `subject`: the package URL; without a digest, the repository and its tag.
//! - `time`: the registry's. `partitionkey`: the digest; without one, the repository and its tag. `sequence`: the time.
//!
//! Source of the format: the notifications of CNCF Distribution, Azure Container Registry's webhook reference.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::artifact::{Artifact, is_digest, purl};
use super::cdevents::{self, CdEvent};
use super::payload::{Payload, attribute_text, json_bytes, malformed, time_sequence, time_text, type_word, uri_text};
use super::{Rejection, attributes};
use crate::event::{Event, derive_uuid};

/// Events in one body. The registry sends one, or what waited while the receiver was away.
const EVENTS_MAX: usize = 1000;
const SENDER: &str = "distribution";

/// Media types of manifests: images, indexes, and artifacts of other kinds.
const MANIFESTS: [&str; 7] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
];

/// The events that a body becomes, in its order.
pub fn parse(body: &Bytes) -> Result<Vec<Event>, Rejection> {
    let payload = Payload::read(body)?;
    if !payload.value.pointer("/events").is_some_and(Value::is_array) {
        return Ok(vec![event(&payload)]);
    }
    let Events { events } = serde_json::from_str(payload.text.get()).map_err(|error| malformed(&error))?;
    if events.len() > EVENTS_MAX {
        let count = events.len();
        return Err(Rejection::TooLarge(format!("the body has {count} events; send at most {EVENTS_MAX} at a time")));
    }
    events.iter().map(|text| Ok(event(&Payload::read(text.get().as_bytes())?))).collect()
}

/// The events as they were written.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<&'a Artifact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<&'a Artifact>,
    payload: &'a RawValue,
}

fn event(record: &Payload) -> Event {
    let (what, named) = (What::of(record), artifact(record));
    let id = derive_uuid(&[SENDER.as_bytes(), record.text.get().as_bytes()]).to_string();
    let source = named.repository.as_ref().map(|repository| format!("oci://{repository}"));
    let source = source.filter(|source| uri_text(source).is_some()).unwrap_or_else(|| SENDER.to_owned());
    let time = time_text(&record.at("/timestamp"));
    let place = place(&named);
    let (ty, subject, members) = match told(record, what, &named) {
        Some((told, purl)) => {
            let members = told.members(&id, &source, &purl, time.as_deref());
            (told.ty.to_owned(), Some(purl), Some(members))
        }
        None => (sender_type(record, what), place.clone(), None),
    };
    let (context, cd_subject) = members.unzip();
    let (artifact, blob) = match what {
        What::Blob => (None, Some(&named)),
        What::Manifest | What::Other => (Some(&named), None),
    };
    Event {
        id,
        source,
        ty,
        subject: subject.filter(|subject| attribute_text(subject).is_some()),
        extensions: attributes::ordering(named.digest.clone().or(place), time.as_deref().and_then(time_sequence)),
        time,
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(&Data { context, subject: cd_subject, artifact, blob, payload: &record.text })),
        ..Event::default()
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Manifest,
    Blob,
    /// What a media type of another kind is given for, or nothing that this sender's events have.
    Other,
}

impl What {
    fn of(record: &Payload) -> Self {
        let media_type = record.text_at("/target/mediaType").filter(|text| !text.is_empty());
        let essence = media_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        let kind = record.text_at("/target/url").and_then(|url| url.rsplit('/').nth(1));
        match (essence, kind) {
            (Some(media_type), _) if MANIFESTS.contains(&media_type) => What::Manifest,
            (_, Some("manifests")) => What::Manifest,
            (_, Some("blobs" | "blob")) | (Some("application/octet-stream"), _) => What::Blob,
            (None, _) if record.value.pointer("/target").is_some_and(Value::is_object) => What::Manifest,
            _ => What::Other,
        }
    }
}

fn artifact(record: &Payload) -> Artifact {
    let filled = |pointer: &str| record.text_at(pointer).filter(|text| !text.is_empty()).map(str::to_owned);
    let host = record.text_at("/target/url").and_then(host_of).or_else(|| filled("/request/host"));
    let repository = filled("/target/repository").map(|repository| match host {
        Some(host) => format!("{host}/{repository}"),
        None => repository,
    });
    let digest = filled("/target/digest").filter(|digest| is_digest(digest));
    Artifact { repository, digest, tag: filled("/target/tag"), media_type: filled("/target/mediaType") }
}

/// The host of a URL, with its port.
fn host_of(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    let authority = url.authority()?.as_str();
    Some(authority.rsplit('@').next().unwrap_or(authority).to_owned())
}

/// What CDEvents says of an event, and the package URL that it is about.
fn told(record: &Payload, what: What, named: &Artifact) -> Option<(CdEvent, String)> {
    let ty = match (what, record.text_at("/action")?) {
        (What::Manifest, "push") => cdevents::ARTIFACT_PUBLISHED,
        (What::Manifest, "pull") => cdevents::ARTIFACT_DOWNLOADED,
        (What::Manifest, "delete") => cdevents::ARTIFACT_DELETED,
        _ => return None,
    };
    let purl = purl(named.repository.as_deref()?, named.digest.as_deref()?)?;
    let content = match record.text_at("/actor/name").filter(|name| !name.is_empty()) {
        Some(user) => json!({ "user": user }),
        None => json!({}),
    };
    Some((CdEvent { ty, content }, purl))
}

fn sender_type(record: &Payload, what: What) -> String {
    let action = record.text_at("/action").and_then(type_word).unwrap_or("notification");
    match what {
        What::Blob => format!("com.{SENDER}.blob.{action}"),
        What::Manifest | What::Other => format!("com.{SENDER}.{action}"),
    }
}

/// `<repository>[:<tag>]`, or `<repository>@<digest>`.
fn place(named: &Artifact) -> Option<String> {
    let repository = named.repository.as_ref()?;
    Some(match (&named.digest, &named.tag) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None) => repository.clone(),
    })
}

#[cfg(test)]
mod tests;
