//! CDEvents 0.5: the types that senders' files use, and the two members that make data a CDEvent.
//!
//! Source of the format: CDEvents 0.5.0, its schemas and its CloudEvents binding: `id`, `source` and `type` are those of the
//! CloudEvent, `subject` is the subject's id, `time` the timestamp. The schemas want a timestamp; where a sender tells
//! none, it is left out, since a parser has no clock to invent it from.

use serde_json::{Value, json};

use crate::event::CDEVENTS_VERSION;

pub const ARTIFACT_DELETED: &str = "dev.cdevents.artifact.deleted.0.2.0";
pub const ARTIFACT_DOWNLOADED: &str = "dev.cdevents.artifact.downloaded.0.2.0";
pub const ARTIFACT_PUBLISHED: &str = "dev.cdevents.artifact.published.0.3.0";
pub const BRANCH_CREATED: &str = "dev.cdevents.branch.created.0.3.0";
pub const BRANCH_DELETED: &str = "dev.cdevents.branch.deleted.0.3.0";
pub const CHANGE_ABANDONED: &str = "dev.cdevents.change.abandoned.0.3.0";
pub const CHANGE_CREATED: &str = "dev.cdevents.change.created.0.4.0";
pub const CHANGE_MERGED: &str = "dev.cdevents.change.merged.0.3.0";
pub const CHANGE_REVIEWED: &str = "dev.cdevents.change.reviewed.0.3.0";
pub const CHANGE_UPDATED: &str = "dev.cdevents.change.updated.0.3.0";
pub const REPOSITORY_CREATED: &str = "dev.cdevents.repository.created.0.3.0";
pub const REPOSITORY_DELETED: &str = "dev.cdevents.repository.deleted.0.3.0";
pub const REPOSITORY_MODIFIED: &str = "dev.cdevents.repository.modified.0.3.0";
pub const TESTSUITERUN_FINISHED: &str = "dev.cdevents.testsuiterun.finished.0.3.0";
pub const TESTSUITERUN_QUEUED: &str = "dev.cdevents.testsuiterun.queued.0.3.0";
pub const TESTSUITERUN_STARTED: &str = "dev.cdevents.testsuiterun.started.0.3.0";

/// What CDEvents says of an event, beyond the attributes that it shares with the CloudEvent.
#[derive(Debug, Clone, PartialEq)]
pub struct CdEvent {
    pub ty: &'static str,
    /// The subject's `content`, after the type's schema.
    pub content: Value,
}

impl CdEvent {
    /// The members `context` and `subject` of the data.
    pub fn members(&self, id: &str, source: &str, subject: &str, time: Option<&str>) -> (Value, Value) {
        let mut context = json!({ "specversion": CDEVENTS_VERSION, "id": id, "source": source, "type": self.ty });
        if let Some(time) = time {
            context["timestamp"] = time.into();
        }
        (context, json!({ "id": subject, "source": source, "content": self.content }))
    }
}
