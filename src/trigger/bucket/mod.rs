//! Buckets that are watched by listing them, where the store cannot notify.
//!
//! Each pass lists the whole prefix. An object that was not in the last pass as it is now is one event,
//! `com.s3.ObjectCreated.Poll`, with data in the form of S3's notifications. The id is derived from bucket, key, entity tag and
//! time of change, so the bus takes each state of an object once; what is remembered here only spares it the repetition.
//! After a start everything that is there is handed in; what the bus had is no news to it while it remembers ids.
//!
//! Deletions are not seen. `partitionkey` is bucket and key, `sequence` the time of change.

use std::collections::HashSet;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::types::Object;
use serde_json::{Value, json};
use tracing::warn;
use uuid::Uuid;

use super::attributes;
use super::intake::{Intake, Taken, TriggerError, backoff};
use super::payload::{attribute_text, json_bytes, time_sequence, uri_text};
use crate::clock::Timestamp;
use crate::deployment::BucketTrigger;
use crate::event::{Event, derive_uuid};
use crate::s3::client;

/// Objects whose state is remembered from one pass to the next: 16 B each.
const REMEMBERED_MAX: usize = 1_000_000;

/// Lists the bucket every `poll` and publishes what is new, until it is told to stop.
pub async fn run(trigger: BucketTrigger, intake: Intake) -> Result<(), TriggerError> {
    let name = format!("bucket/{}/{}", trigger.store.bucket, trigger.store.prefix);
    let client = client(&trigger.store, intake.env.as_ref());
    let client = client.map_err(|source| TriggerError::Secret { trigger: name.clone(), source })?;
    let mut known = HashSet::new();
    let mut failures = 0;
    loop {
        // Dropping a pass that was told to stop loses nothing: its events are handed in again by the next one.
        let pass = intake.stop.run_until_cancelled(pass(&name, &trigger, &client, &intake, &known));
        let wait = match pass.await {
            None | Some(Ok(Pass::Stopped)) => return Ok(()),
            Some(Ok(Pass::Whole(listed))) => {
                (known, failures) = (listed, 0);
                trigger.poll
            }
            Some(Ok(Pass::Failed(error))) => {
                warn!(trigger = name, error, "cannot list the bucket; trying again");
                failures += 1;
                backoff(failures)
            }
            Some(Err(error)) => return Err(error),
        };
        if intake.stopped_within(wait).await {
            return Ok(());
        }
    }
}

/// What came of listing a bucket once.
enum Pass {
    /// The states that are there, at most `REMEMBERED_MAX` of them.
    Whole(HashSet<Uuid>),
    Failed(String),
    Stopped,
}

async fn pass(
    name: &str,
    trigger: &BucketTrigger,
    client: &Client,
    intake: &Intake,
    known: &HashSet<Uuid>,
) -> Result<Pass, TriggerError> {
    let mut listed = HashSet::new();
    let mut pages =
        client.list_objects_v2().bucket(&trigger.store.bucket).prefix(&trigger.store.prefix).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) => return Ok(Pass::Failed(DisplayErrorContext(error).to_string())),
        };
        let states = page.contents().iter().filter_map(|object| Some((state_id(trigger, object)?, object)));
        let states: Vec<(Uuid, &Object)> = states.collect();
        let new = states.iter().filter(|(id, _)| !known.contains(id)).map(|(id, object)| event(trigger, *id, object));
        if intake.publish(name, new.collect()).await? == Taken::Stopped {
            return Ok(Pass::Stopped);
        }
        let room = REMEMBERED_MAX - listed.len();
        listed.extend(states.iter().map(|(id, _)| *id).take(room));
    }
    Ok(Pass::Whole(listed))
}

/// The id of an object as it is now; none for an entry without a key.
fn state_id(trigger: &BucketTrigger, object: &Object) -> Option<Uuid> {
    let endpoint = trigger.store.endpoint.as_deref().unwrap_or_default();
    let changed = changed(object).unwrap_or_default();
    let texts = ["bucket", endpoint, &trigger.store.bucket, object.key()?, object.e_tag().unwrap_or_default()];
    let size = object.size().unwrap_or_default().to_be_bytes();
    let changed = changed.as_micros().to_be_bytes();
    Some(derive_uuid(&[&texts.map(str::as_bytes)[..], &[&size, &changed]].concat()))
}

fn changed(object: &Object) -> Option<Timestamp> {
    let nanos = object.last_modified()?.as_nanos();
    i64::try_from(nanos / 1000).ok().map(Timestamp::from_micros)
}

fn event(trigger: &BucketTrigger, id: Uuid, object: &Object) -> Event {
    let key = object.key().unwrap_or_default();
    let time = changed(object).map(|time| time.to_string());
    let etag = object.e_tag().map(|etag| etag.trim_matches('"'));
    let payload = json!({
        "Key": key, "ETag": object.e_tag(), "Size": object.size(), "LastModified": time,
        "StorageClass": object.storage_class().map(|class| class.as_str()),
    });
    let facts = json!({
        "event_name": "ObjectCreated:Poll", "kind": "created", "source": "tidegate:bucket", "bucket": trigger.store.bucket,
        "key_raw": key, "key": key, "size": object.size(), "etag": etag, "version_id": Value::Null, "sequencer": Value::Null,
        "time": time, "region": trigger.store.region,
    });
    let source = format!("s3://{}", trigger.store.bucket);
    Event {
        id: id.to_string(),
        source: uri_text(&source).unwrap_or("s3").to_owned(),
        ty: "com.s3.ObjectCreated.Poll".to_owned(),
        subject: attribute_text(key).map(str::to_owned),
        extensions: attributes::ordering(
            Some(format!("{}/{key}", trigger.store.bucket)),
            time.as_deref().and_then(time_sequence),
        ),
        time,
        datacontenttype: Some("application/json".to_owned()),
        data: Some(json_bytes(&json!({ "object": facts, "payload": payload }))),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests;
