//! Triggers, as the project file declares them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Schedule, Secret};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    Webhook(WebhookTrigger),
    Schedule(ScheduleTrigger),
    Bucket(BucketTrigger),
    Queue(QueueTrigger),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookTrigger {
    /// Starts with `/`; no two triggers share one.
    pub path: String,
    pub sender: Sender,
    pub proof: Proof,
}

/// Who sends to a webhook; each has one file in `trigger/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    Github,
    /// S3 event notifications: AWS, MinIO, RustFS, Ceph.
    S3,
    Cloudevents,
    /// Docker Distribution, and registries that notify as it does.
    Distribution,
    Trivy,
    Sarif,
    /// A scanner's report, whichever of those known it is.
    Report,
}

impl Sender {
    pub const ALL: [Sender; 7] = [
        Sender::Github,
        Sender::S3,
        Sender::Cloudevents,
        Sender::Distribution,
        Sender::Trivy,
        Sender::Sarif,
        Sender::Report,
    ];

    /// As the project file writes it.
    pub fn name(self) -> &'static str {
        match self {
            Sender::Github => "github",
            Sender::S3 => "s3",
            Sender::Cloudevents => "cloudevents",
            Sender::Distribution => "distribution",
            Sender::Trivy => "trivy",
            Sender::Sarif => "sarif",
            Sender::Report => "report",
        }
    }
}

/// Forms of scanners' reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    Trivy,
    Sarif,
    /// Whichever of these it is.
    #[serde(rename = "report")]
    Any,
}

/// How a sender proves that it is the one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Signs the raw body with any of these; two during a rotation.
    Secret(Vec<Secret>),
    /// Sends one of these as `Authorization: Bearer` (or bare).
    Token(Vec<Secret>),
    /// Nobody proves anything: what comes in is unverified for ever.
    Unsigned,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTrigger {
    #[serde(flatten)]
    pub schedule: Schedule,
    pub missed: MissedTicks,
    /// Full type of the events.
    pub ty: String,
    pub subject: Option<String>,
    /// JSON text.
    pub data: Option<String>,
}

impl ScheduleTrigger {
    /// How many of the last events of its type are looked through for its last tick. The log keeps so many.
    pub const LOOKED_BACK_MAX: usize = 200;
}

/// What happens to instants that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedTicks {
    #[default]
    One,
    All,
    None,
}

/// Watches a bucket by listing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BucketTrigger {
    #[serde(flatten)]
    pub store: ObjectStore,
    pub poll: Duration,
    /// What new objects are read as; none: they are told of, and not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReportFormat>,
}

impl BucketTrigger {
    /// How the names of these triggers begin, which their events have as their origin.
    pub const NAME_PREFIX: &str = "bucket/";

    pub fn name(&self) -> String {
        format!("{}{}/{}", Self::NAME_PREFIX, self.store.bucket, self.store.prefix)
    }
}

/// A bucket, or what begins with a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectStore {
    /// Any S3 endpoint; none: AWS.
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    /// Beginning of the keys.
    pub prefix: String,
    /// None: from the standard `AWS_*` variables; without these, unsigned requests.
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
}

impl ObjectStore {
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.access_key.iter().chain(&self.secret_key)
    }
}

/// Takes messages off a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueTrigger {
    pub kind: QueueKind,
    pub url: Secret,
    pub stream: String,
    pub subject: String,
    /// Full type of the events of messages that are no CloudEvents.
    pub ty: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// A NATS JetStream stream.
    Nats,
}
