//! Full event types, with the version that is written. The runtime's catalogue has the same, with meanings and samples.

// Said by triggers.
pub const CHANGE_CREATED: &str = "dev.cdevents.change.created.0.4.0";
pub const CHANGE_UPDATED: &str = "dev.cdevents.change.updated.0.3.0";
pub const CHANGE_REVIEWED: &str = "dev.cdevents.change.reviewed.0.3.0";
pub const CHANGE_MERGED: &str = "dev.cdevents.change.merged.0.3.0";
pub const TESTSUITERUN_FINISHED: &str = "dev.cdevents.testsuiterun.finished.0.3.0";
pub const ARTIFACT_PUBLISHED: &str = "dev.cdevents.artifact.published.0.3.0";
pub const DRIFT_CHECKED: &str = "dev.cdeventsx.tidegate-drift.checked.0.1.0";

// `commit`
pub const CHANGE_ACCEPTED: &str = "dev.cdeventsx.tidegate-change.accepted.0.1.0";
pub const CHANGE_REFUSED: &str = "dev.cdeventsx.tidegate-change.refused.0.1.0";

// `pipeline`, and executors
/// A run's own reminder that its time is over.
pub const RUN_DUE: &str = "dev.cdeventsx.tidegate-run.due.0.1.0";
/// An executor's own reminder that a task's time is over.
pub const TASK_DUE: &str = "dev.cdeventsx.tidegate-task.due.0.1.0";
pub const PIPELINERUN_QUEUED: &str = "dev.cdevents.pipelinerun.queued.0.3.0";
pub const PIPELINERUN_FINISHED: &str = "dev.cdevents.pipelinerun.finished.0.3.0";
pub const TASK_REQUESTED: &str = "dev.cdeventsx.tidegate-task.requested.0.1.0";
pub const TASKRUN_FINISHED: &str = "dev.cdevents.taskrun.finished.0.3.0";
pub const ARTIFACT_PACKAGED: &str = "dev.cdevents.artifact.packaged.0.3.0";

// `image`
pub const ARTIFACT_IDENTIFIED: &str = "dev.cdeventsx.tidegate-artifact.identified.0.1.0";
pub const SCAN_REQUESTED: &str = "dev.cdeventsx.tidegate-scan.requested.0.1.0";

// `scan`
pub const SCAN_COMPLETED: &str = "dev.cdeventsx.tidegate-scan.completed.0.1.0";

// `gate`
pub const GATE_PASSED: &str = "dev.cdeventsx.tidegate-gate.passed.0.1.0";
pub const GATE_BLOCKED: &str = "dev.cdeventsx.tidegate-gate.blocked.0.1.0";
/// A gate's own reminder to judge again.
pub const GATE_ASKED: &str = "dev.cdeventsx.tidegate-gate.asked.0.1.0";

// `placement`
pub const PLACEMENT_DECIDED: &str = "dev.cdeventsx.tidegate-placement.decided.0.1.0";

// `deploy`; `PLACEMENT_DECIDED` and whatever else leads to a release that cannot go on is answered with a refusal
pub const RELEASE_REFUSED: &str = "dev.cdeventsx.tidegate-release.refused.0.1.0";
pub const DEPLOYMENT_REQUESTED: &str = "dev.cdeventsx.tidegate-deployment.requested.0.1.0";
pub const SERVICE_DEPLOYED: &str = "dev.cdevents.service.deployed.0.3.0";
pub const SERVICE_UPGRADED: &str = "dev.cdevents.service.upgraded.0.3.0";
pub const SERVICE_ROLLEDBACK: &str = "dev.cdevents.service.rolledback.0.3.0";

// The runtime's reconciler
pub const DEPLOYMENT_ACTIVATED: &str = "dev.cdeventsx.tidegate-deployment.activated.0.1.0";
pub const DEPLOYMENT_REFUSED: &str = "dev.cdeventsx.tidegate-deployment.refused.0.1.0";
/// What really runs, told whenever `DRIFT_CHECKED` asks.
pub const DEPLOYMENT_REPORTED: &str = "dev.cdeventsx.tidegate-deployment.reported.0.1.0";

// `verify`
/// A verification's own reminder to look.
pub const VERIFICATION_DUE: &str = "dev.cdeventsx.tidegate-verification.due.0.1.0";
pub const RELEASE_VERIFIED: &str = "dev.cdeventsx.tidegate-release.verified.0.1.0";
pub const RELEASE_FAILED: &str = "dev.cdeventsx.tidegate-release.failed.0.1.0";
pub const RELEASE_INSUFFICIENT: &str = "dev.cdeventsx.tidegate-release.insufficient.0.1.0";

// `rollback`
pub const DIGEST_QUARANTINED: &str = "dev.cdeventsx.tidegate-digest.quarantined.0.1.0";
/// A lift that counts, and the digest is out.
pub const DIGEST_CLEARED: &str = "dev.cdeventsx.tidegate-digest.cleared.0.1.0";
pub const INCIDENT_DETECTED: &str = "dev.cdevents.incident.detected.0.3.0";
pub const INCIDENT_RESOLVED: &str = "dev.cdevents.incident.resolved.0.3.0";

// `drift`
pub const DRIFT_DETECTED: &str = "dev.cdeventsx.tidegate-drift.detected.0.1.0";
pub const DRIFT_RESOLVED: &str = "dev.cdeventsx.tidegate-drift.resolved.0.1.0";

// A person, by a token that grants them
pub const QUARANTINE_LIFTED: &str = "dev.cdeventsx.tidegate-quarantine.lifted.0.1.0";
pub const RELEASE_REQUESTED: &str = "dev.cdeventsx.tidegate-release.requested.0.1.0";
