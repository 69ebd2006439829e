//! The words of the path from commit to production: the event types that the shipped functions say to one another, what each
//! carries, and what a release is. It decides nothing.
//!
//! ```text
//! push, merge ─> commit ─> change.accepted ─> pipeline ─> task.requested ─> (executor) ─> taskrun.finished ─┐
//!                                                └─────── pipelinerun.finished, artifact.packaged <─────────┘
//! image push ──> image ──> artifact.identified, scan.requested          reports ─> scan ─> scan.completed
//!                     all of these ─> gate (one for each environment) ─> gate.passed | gate.blocked
//! gate.passed ─> placement ─> deploy ─> deployment.requested ─> (reconciler) ─> deployment.activated | refused
//!   ─> deploy ─> service.deployed | upgraded ─> verify ─> release.verified | failed | insufficient ─> rollback, next gate
//! ```
//!
//! All are CDEvents: `data` is `{context, subject: {id, content}, customData}`. Types of CDEvents itself have its content, and
//! what we add stands in `customData`; of our types everything stands in `content`. What joins is the commit or the artifact's
//! digest (`sha256:` and 64 hex digits), which is also the partition key; once a release is placed, `<service>/<environment>`.

mod artifact;
mod change;
mod digest;
mod gate;
mod hear;
mod incident;
mod plan;
pub mod policy;
pub mod record;
mod release;
mod run;
mod scan;
mod time;
pub mod types;

pub use artifact::{Artifact, Identified, Packaged, ScanRequested};
pub use change::{Change, Policy, Verdict, Way};
pub use digest::{digest_of_purl, is_commit, is_digest, is_repository, purl, sha256};
pub use gate::{Blocked, GateAsked, GateVerdict, Spoiled};
pub use hear::{Answer, Route, hear, is_from, is_named, proved_origin};
pub use incident::{Incident, IncidentContent, Reference, ServiceContent};
pub use plan::{Plan, PlanError, Service, Target};
pub use release::{
    Activated, Cleared, DEPLOYMENT_REFUSED, DriftAction, DriftDetected, Placed, Purpose, QUARANTINE, QuarantineLifted,
    Quarantined, Refused, Release, ReleaseRefused, ReleaseRequested, Requested, Running, ServiceChanged, Verification,
};
pub use run::{
    Executor, Outcome, RunDue, RunFinished, RunQueued, RunReference, TaskDue, TaskFinished, TaskPlanned, TaskRequested,
    TaskResult, TaskRunFinished,
};
pub use scan::{Counts, Finding, Kind, Report, ScanCompleted, ScanResult, Severity, Subject, Tool};
pub use time::{Instant, instant, millis_between, now, period, period_millis, rfc3339};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_sdk::cdevents::CdEvent;
use tidegate_sdk::{Event, Failure};

/// Whether an event has the type of `ty`, whatever its version.
pub fn is(event: &Event, ty: &str) -> bool {
    event.ty == ty || unversioned(ty).is_some_and(|stem| unversioned(&event.ty) == Some(stem))
}

/// A type up to its version: three numbers. None: it has none, as those of senders.
fn unversioned(ty: &str) -> Option<&str> {
    let (dot, _) = ty.rmatch_indices('.').nth(2)?;
    let (stem, version) = ty.split_at(dot);
    let number = |part: &str| part.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    version[1..].split('.').all(number).then_some(stem)
}

/// The content of one of our types.
pub fn content<T: DeserializeOwned>(event: &Event) -> Result<T, Failure> {
    Ok(CdEvent::<T>::read(event)?.subject.content)
}

/// What we add to a type of CDEvents.
pub fn custom<T: DeserializeOwned>(event: &Event) -> Result<T, Failure> {
    let read = CdEvent::<serde_json::Value>::read(event)?;
    let custom = read.custom_data.ok_or_else(|| Failure::reject(format!("{} has no customData", event.ty)))?;
    serde_json::from_value(custom)
        .map_err(|error| Failure::reject(format!("customData of {} is not what the function reads: {error}", event.ty)))
}

/// An event of one of our types, ordered by `key`.
pub fn say(ty: &str, subject: &str, key: &str, content: &impl Serialize) -> Result<Event, Failure> {
    Ok(CdEvent::new(ty, subject, content).into_event()?.partition_key(key))
}

/// An event of CDEvents with what we add, ordered by `key`.
pub fn say_cd(
    ty: &str,
    subject: &str,
    key: &str,
    content: &impl Serialize,
    custom: &impl Serialize,
) -> Result<Event, Failure> {
    let event = CdEvent { custom_data: Some(serde_json::to_value(custom)?), ..CdEvent::new(ty, subject, content) };
    Ok(event.into_event()?.partition_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_the_same_in_every_version() {
        assert!(is(&Event::new("dev.cdevents.taskrun.finished.0.2.0"), types::TASKRUN_FINISHED));
        assert!(!is(&Event::new("dev.cdevents.taskrun.started.0.3.0"), types::TASKRUN_FINISHED));
        assert!(!is(&Event::new("dev.cdevents.taskrun.finished"), types::TASKRUN_FINISHED));
        assert!(is(&Event::new("com.github.push"), "com.github.push"));
        assert!(!is(&Event::new("com.github.workflow_run.completed"), "com.github.check_suite.completed"));
    }
}
