//! The entries of the catalogue. Versions are those of CDEvents 0.5.
//!
//! A type that a shipped sender says is its triggers' own.

use super::{Author, EventType};

/// An entry of CDEvents: author, subject, predicate and version; what it says.
macro_rules! cdevent {
    ($author:ident $subject:literal $predicate:literal $version:literal => $meaning:literal) => {
        EventType {
            name: concat!($subject, ".", $predicate),
            ty: concat!("dev.cdevents.", $subject, ".", $predicate, ".", $version),
            meaning: $meaning,
            author: Author::$author,
        }
    };
}

/// An entry of ours: author, short name, subject and predicate; the rest as above.
macro_rules! ours {
    ($author:ident $name:literal $type:literal => $meaning:literal) => {
        EventType {
            name: $name,
            ty: concat!("dev.cdeventsx.tidegate-", $type, ".0.1.0"),
            meaning: $meaning,
            author: Author::$author,
        }
    };
}

pub(super) const TYPES: &[EventType] = &[
    cdevent!(Trigger "repository" "created" "0.3.0" => "a source repository was created"),
    cdevent!(Trigger "repository" "modified" "0.3.0" => "a source repository was renamed or changed"),
    cdevent!(Trigger "repository" "deleted" "0.3.0" => "a source repository was deleted"),
    cdevent!(Trigger "branch" "created" "0.3.0" => "a branch was created"),
    cdevent!(Trigger "branch" "deleted" "0.3.0" => "a branch was deleted"),
    cdevent!(Trigger "change" "created" "0.4.0" => "a change was proposed, such as a pull request"),
    cdevent!(Trigger "change" "updated" "0.3.0" => "a proposed change was updated, such as a push to a pull request"),
    cdevent!(Trigger "change" "reviewed" "0.3.0" => "a proposed change was reviewed"),
    cdevent!(Trigger "change" "merged" "0.3.0" => "a change was merged into its target branch"),
    cdevent!(Trigger "change" "abandoned" "0.3.0" => "a proposed change was closed without a merge"),
    cdevent!(Granted "build" "queued" "0.3.0" => "a build waits to start"),
    cdevent!(Granted "build" "started" "0.3.0" => "a build started"),
    cdevent!(Granted "build" "finished" "0.3.0" => "a build finished, perhaps with an artifact"),
    cdevent!(Granted "artifact" "packaged" "0.3.0" => "an artifact was built from a change"),
    cdevent!(Granted "artifact" "signed" "0.3.0" => "an artifact was signed"),
    cdevent!(Trigger "artifact" "published" "0.3.0" => "an artifact can be fetched from a registry"),
    cdevent!(Trigger "artifact" "downloaded" "0.2.0" => "an artifact was fetched from a registry"),
    cdevent!(Trigger "artifact" "deleted" "0.2.0" => "an artifact was removed from a registry"),
    cdevent!(Granted "pipelinerun" "queued" "0.3.0" => "a pipeline run waits to start"),
    cdevent!(Granted "pipelinerun" "started" "0.3.0" => "a pipeline run started"),
    cdevent!(Granted "pipelinerun" "finished" "0.3.0" => "a pipeline run finished"),
    cdevent!(Granted "taskrun" "started" "0.3.0" => "a task of a pipeline run started"),
    cdevent!(Granted "taskrun" "finished" "0.3.0" => "a task of a pipeline run finished"),
    cdevent!(Granted "testcaserun" "queued" "0.3.0" => "a test case waits to run"),
    cdevent!(Granted "testcaserun" "started" "0.3.0" => "a test case started"),
    cdevent!(Granted "testcaserun" "finished" "0.3.0" => "a test case finished"),
    cdevent!(Granted "testcaserun" "skipped" "0.2.0" => "a test case was skipped, which is not passed"),
    cdevent!(Trigger "testsuiterun" "queued" "0.3.0" => "a test suite waits to run"),
    cdevent!(Trigger "testsuiterun" "started" "0.3.0" => "a test suite started"),
    cdevent!(Trigger "testsuiterun" "finished" "0.3.0" => "a test suite finished"),
    cdevent!(Granted "testoutput" "published" "0.3.0" => "a report, log or picture of a test run can be fetched"),
    cdevent!(Granted "environment" "created" "0.3.0" => "an environment was created"),
    cdevent!(Granted "environment" "modified" "0.3.0" => "an environment was changed"),
    cdevent!(Granted "environment" "deleted" "0.3.0" => "an environment was deleted"),
    cdevent!(Granted "service" "deployed" "0.3.0" => "a service runs in an environment for the first time"),
    cdevent!(Granted "service" "upgraded" "0.3.0" => "a service runs another version of its artifact"),
    cdevent!(Granted "service" "rolledback" "0.3.0" => "a service went back to an earlier version of its artifact"),
    cdevent!(Granted "service" "removed" "0.3.0" => "a service no longer runs in an environment"),
    cdevent!(Granted "service" "published" "0.3.0" => "a service can be reached"),
    cdevent!(Granted "incident" "detected" "0.3.0" => "something is wrong in an environment"),
    cdevent!(Granted "incident" "reported" "0.3.0" => "an incident has a ticket"),
    cdevent!(Granted "incident" "resolved" "0.3.0" => "an incident is over"),
    cdevent!(Granted "ticket" "created" "0.2.0" => "a ticket was opened"),
    cdevent!(Granted "ticket" "updated" "0.2.0" => "a ticket was changed"),
    cdevent!(Granted "ticket" "closed" "0.2.0" => "a ticket was closed"),
    ours!(Function "task.requested" "task.requested" => "a task of a pipeline run is ready for its executor"),
    ours!(Function "task.due" "task.due" => "an executor reminds itself that a task's time is over"),
    ours!(Function "run.due" "run.due" => "a pipeline run reminds itself that its time is over"),
    ours!(Function "artifact.identified" "artifact.identified" => "an artifact of a service is known by its digest"),
    ours!(Function "scan.requested" "scan.requested" => "a digest needs a scan"),
    ours!(Function "scan.completed" "scan.completed" => "a scan of a digest or a commit ended: clean, with findings, or failed, which is not clean"),
    ours!(Function "gate.passed" "gate.passed" => "a release may go on to an environment, and the evidence that says so"),
    ours!(Function "gate.blocked" "gate.blocked" => "a release may not go on: the rule, the input, and how to clear it"),
    ours!(Function "gate.asked" "gate.asked" => "a gate reminds itself to judge again"),
    ours!(Function "tidegate-change.accepted" "change.accepted" => "a change was judged fit to be built"),
    ours!(Function "tidegate-change.refused" "change.refused" => "a change was judged unfit: the rule that it broke"),
    ours!(Function "placement.decided" "placement.decided" => "where a release goes in an environment, and why there"),
    ours!(Function "release.refused" "release.refused" => "a release goes no further in an environment: the rule, and how to clear it"),
    ours!(Granted "release.requested" "release.requested" => "a person asks for a release of the record again"),
    ours!(Function "release.verified" "release.verified" => "a release did what it should, by what it really did"),
    ours!(Function "release.failed" "release.failed" => "a release failed by what it really did"),
    ours!(Function "release.insufficient" "release.insufficient" => "a release was used too little to say what it is worth"),
    ours!(Function "verification.due" "verification.due" => "a verification reminds itself to look"),
    ours!(Function "digest.quarantined" "digest.quarantined" => "no automation promotes this digest until it is cleared"),
    ours!(Function "digest.cleared" "digest.cleared" => "a digest is out of quarantine: who lifted it, and why"),
    ours!(Granted "quarantine.lifted" "quarantine.lifted" => "a person lifts the quarantine of a digest, and says why"),
    ours!(Function "deployment.requested" "deployment.requested" => "a function asks the reconciler for a deployment"),
    ours!(Runtime "deployment.activated" "deployment.activated" => "a numbered deployment is in force: what runs, and what made it so"),
    ours!(Runtime "deployment.refused" "deployment.refused" => "a deployment that was asked for is not possible: every problem"),
    ours!(Runtime "deployment.reported" "deployment.reported" => "what really runs, told when somebody asks"),
    ours!(Trigger "drift.checked" "drift.checked" => "it is time to compare what runs with what should run"),
    ours!(Function "drift.detected" "drift.detected" => "what runs is not what should run"),
    ours!(Function "drift.resolved" "drift.resolved" => "what runs is what should run again"),
];
