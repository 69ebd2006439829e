//! The deployment: a checked, numbered set of functions, filters, triggers and connections, as a value.
//!
//! `manifest` makes one out of the project file, with every problem at once; `plan` gives functions the ids that they
//! keep. Nothing here does IO: files and components are read by the caller, and imports are checked as a list of names.
//! A deployment stores names of secrets, never their values.

mod catalogue;
mod check;
mod function;
mod functions;
mod manifest;
mod native;
mod pace;
mod pin;
mod plan;
mod problem;
mod process;
mod recording;
mod redaction;
mod registry;
mod retention;
mod routes;
mod schedule;
mod secret;
mod succession;
#[cfg(test)]
pub(crate) mod testing;
mod trigger;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use catalogue::{Author, EventType, UnknownType, catalogue, event_type, full_type, type_pattern};
pub use check::check_imports;
pub use function::{
    Component, ComponentRef, ConfigValue, Digest, DigestError, Function, FunctionId, FunctionName, FunctionPattern,
    Grants, Limits, NameError, Order, Start,
};
pub use functions::{DeployedFunction, Functions};
pub use manifest::{BlobSettings, BusSettings, Listen, Manifest, ProjectLimits, Scope, Sources, Token};
pub use native::{NativeKind, UnknownNative};
pub use pace::{BURST, KeyLimit, Keys, PER_SECOND, Rate, RateError};
pub use pin::{Filed, Pin, Release};
pub use plan::{PlanError, plan};
pub use problem::{PROJECT_FILE, Problem, Severity};
pub use process::{ProcessSettings, ProcessSettingsError};
pub use recording::{RECORDING_BYTES_MAX, RecordingSettings};
pub use redaction::{REDACTED, RedactedPath, RedactedPathError, Redaction};
pub use registry::{OciReference, OciReferenceError, Registry};
pub use retention::{Retention, Rule};
pub use routes::{Judgement, Routes};
pub use schedule::{Schedule, ScheduleError, time_zone};
pub use secret::{Env, Secret, SecretError};
pub use succession::{Rank, Succession, Supersede};
pub use trigger::{
    BucketTrigger, MissedTicks, ObjectStore, Proof, QueueKind, QueueTrigger, ReportFormat, ScheduleTrigger, Sender,
    Trigger, WebhookTrigger,
};

/// A set of functions and triggers that is, was or may become active. Numbered from 1, append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// 0 until it is appended.
    pub number: u64,
    pub project: String,
    pub environments: Vec<String>,
    pub functions: Functions,
    pub triggers: Vec<Trigger>,
    pub connections: BTreeMap<String, Connection>,
    /// Registries that components may be pulled from, by host.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registries: BTreeMap<String, Registry>,
    #[serde(default, skip_serializing_if = "Unverified::is_accepted")]
    pub unverified: Unverified,
    #[serde(default, skip_serializing_if = "RecordingSettings::is_default")]
    pub recording: RecordingSettings,
    /// Version of the filter language that judged under this deployment.
    pub filter_language: u32,
    /// Digest of all above but the number: two deployments with the same digest do the same.
    pub digest: Digest,
}

/// What becomes of a folder that a person deploys while this one runs: no event of the path asked for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unverified {
    #[default]
    Accept,
    Refuse,
}

impl Unverified {
    fn is_accepted(&self) -> bool {
        *self == Unverified::Accept
    }
}

/// Where granted functions may send HTTP requests. The guest knows the name only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// `http` or `https`, host, port and a base path that no request leaves.
    pub url: String,
    /// Added by the host, last; a guest may not set them. Names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// Whether loopback, private, link-local and metadata addresses may be dialled.
    #[serde(default)]
    pub private: bool,
}

impl Deployment {
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name.as_str() == name)
    }

    pub fn function_by_id(&self, id: FunctionId) -> Option<&Function> {
        self.functions.by_id(id)
    }
}
