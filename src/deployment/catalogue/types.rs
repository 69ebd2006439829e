//! The entries of the catalogue. Versions are those of CDEvents 0.5; contents are samples of ours.
//!
//! A type that a shipped sender says is its triggers' own.

use super::{Author, EventType};

/// An entry of CDEvents: subject, predicate, version, author, meaning, and the sample's subject and content.
macro_rules! cdevent {
    ($subject:literal, $predicate:literal, $version:literal, $author:ident, $meaning:literal, $id:literal, $content:literal) => {
        EventType {
            name: concat!($subject, ".", $predicate),
            ty: concat!("dev.cdevents.", $subject, ".", $predicate, ".", $version),
            meaning: $meaning,
            author: Author::$author,
            subject: $id,
            content: $content,
        }
    };
}

/// An entry of ours: short name, subject and predicate, and the rest as above.
macro_rules! ours {
    ($name:literal, $type:literal, $author:ident, $meaning:literal, $id:literal, $content:literal) => {
        EventType {
            name: $name,
            ty: concat!("dev.cdeventsx.tidegate-", $type, ".0.1.0"),
            meaning: $meaning,
            author: Author::$author,
            subject: $id,
            content: $content,
        }
    };
}

pub(super) const TYPES: &[EventType] = &[
    cdevent!(
        "repository",
        "created",
        "0.3.0",
        Trigger,
        "a source repository was created",
        "github.com/acme/shop",
        r#"{"name": "shop", "owner": "acme", "uri": "https://github.com/acme/shop"}"#
    ),
    cdevent!(
        "repository",
        "modified",
        "0.3.0",
        Trigger,
        "a source repository was renamed or changed",
        "github.com/acme/shop",
        r#"{"name": "shop", "owner": "acme", "uri": "https://github.com/acme/shop"}"#
    ),
    cdevent!(
        "repository",
        "deleted",
        "0.3.0",
        Trigger,
        "a source repository was deleted",
        "github.com/acme/shop",
        r#"{"name": "shop", "owner": "acme", "uri": "https://github.com/acme/shop"}"#
    ),
    cdevent!(
        "branch",
        "created",
        "0.3.0",
        Trigger,
        "a branch was created",
        "release-2",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "branch",
        "deleted",
        "0.3.0",
        Trigger,
        "a branch was deleted",
        "release-2",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "change",
        "created",
        "0.4.0",
        Trigger,
        "a change was proposed, such as a pull request",
        "acme/shop/pull/12",
        r#"{"description": "Round prices half up", "repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "change",
        "updated",
        "0.3.0",
        Trigger,
        "a proposed change was updated, such as a push to a pull request",
        "acme/shop/pull/12",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "change",
        "reviewed",
        "0.3.0",
        Trigger,
        "a proposed change was reviewed",
        "acme/shop/pull/12",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "change",
        "merged",
        "0.3.0",
        Trigger,
        "a change was merged into its target branch",
        "acme/shop/pull/12",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!(
        "change",
        "abandoned",
        "0.3.0",
        Trigger,
        "a proposed change was closed without a merge",
        "acme/shop/pull/12",
        r#"{"repository": {"id": "github.com/acme/shop"}}"#
    ),
    cdevent!("build", "queued", "0.3.0", Granted, "a build waits to start", "build-311", "{}"),
    cdevent!("build", "started", "0.3.0", Granted, "a build started", "build-311", "{}"),
    cdevent!(
        "build",
        "finished",
        "0.3.0",
        Granted,
        "a build finished, perhaps with an artifact",
        "build-311",
        r#"{"artifactId": "pkg:oci/shop@sha256%3A9d1c"}"#
    ),
    cdevent!(
        "artifact",
        "packaged",
        "0.3.0",
        Granted,
        "an artifact was built from a change",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"change": {"id": "acme/shop/pull/12"}}"#
    ),
    cdevent!(
        "artifact",
        "signed",
        "0.3.0",
        Granted,
        "an artifact was signed",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"signature": "MEUCIQDkq2pFh1"}"#
    ),
    cdevent!(
        "artifact",
        "published",
        "0.3.0",
        Trigger,
        "an artifact can be fetched from a registry",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"user": "release-bot"}"#
    ),
    cdevent!(
        "artifact",
        "downloaded",
        "0.2.0",
        Granted,
        "an artifact was fetched from a registry",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"user": "release-bot"}"#
    ),
    cdevent!(
        "artifact",
        "deleted",
        "0.2.0",
        Granted,
        "an artifact was removed from a registry",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"user": "release-bot"}"#
    ),
    cdevent!(
        "pipelinerun",
        "queued",
        "0.3.0",
        Granted,
        "a pipeline run waits to start",
        "run-88",
        r#"{"pipelineName": "release"}"#
    ),
    cdevent!(
        "pipelinerun",
        "started",
        "0.3.0",
        Granted,
        "a pipeline run started",
        "run-88",
        r#"{"pipelineName": "release", "uri": "https://ci.example.com/runs/88"}"#
    ),
    cdevent!(
        "pipelinerun",
        "finished",
        "0.3.0",
        Granted,
        "a pipeline run finished",
        "run-88",
        r#"{"pipelineName": "release", "outcome": "success"}"#
    ),
    cdevent!(
        "taskrun",
        "started",
        "0.3.0",
        Granted,
        "a task of a pipeline run started",
        "run-88/unit-tests",
        r#"{"taskName": "unit-tests", "pipelineRun": {"id": "run-88"}}"#
    ),
    cdevent!(
        "taskrun",
        "finished",
        "0.3.0",
        Granted,
        "a task of a pipeline run finished",
        "run-88/unit-tests",
        r#"{"taskName": "unit-tests", "pipelineRun": {"id": "run-88"}, "outcome": "success"}"#
    ),
    cdevent!(
        "testcaserun",
        "queued",
        "0.3.0",
        Granted,
        "a test case waits to run",
        "checkout-7",
        r#"{"environment": {"id": "staging"}}"#
    ),
    cdevent!(
        "testcaserun",
        "started",
        "0.3.0",
        Granted,
        "a test case started",
        "checkout-7",
        r#"{"environment": {"id": "staging"}}"#
    ),
    cdevent!(
        "testcaserun",
        "finished",
        "0.3.0",
        Granted,
        "a test case finished",
        "checkout-7",
        r#"{"environment": {"id": "staging"}, "outcome": "success"}"#
    ),
    cdevent!(
        "testcaserun",
        "skipped",
        "0.2.0",
        Granted,
        "a test case was skipped, which is not passed",
        "checkout-7",
        r#"{"reason": "needs a payment account"}"#
    ),
    cdevent!(
        "testsuiterun",
        "queued",
        "0.3.0",
        Trigger,
        "a test suite waits to run",
        "smoke-19",
        r#"{"environment": {"id": "staging"}}"#
    ),
    cdevent!(
        "testsuiterun",
        "started",
        "0.3.0",
        Trigger,
        "a test suite started",
        "smoke-19",
        r#"{"environment": {"id": "staging"}}"#
    ),
    cdevent!(
        "testsuiterun",
        "finished",
        "0.3.0",
        Trigger,
        "a test suite finished",
        "smoke-19",
        r#"{"environment": {"id": "staging"}, "outcome": "failure", "severity": "high", "reason": "2 of 40 failed"}"#
    ),
    cdevent!(
        "testoutput",
        "published",
        "0.3.0",
        Granted,
        "a report, log or picture of a test run can be fetched",
        "smoke-19/report",
        r#"{"outputType": "report", "format": "application/sarif+json", "uri": "https://ci.example.com/reports/19"}"#
    ),
    cdevent!(
        "environment",
        "created",
        "0.3.0",
        Granted,
        "an environment was created",
        "staging",
        r#"{"name": "staging"}"#
    ),
    cdevent!(
        "environment",
        "modified",
        "0.3.0",
        Granted,
        "an environment was changed",
        "staging",
        r#"{"name": "staging"}"#
    ),
    cdevent!(
        "environment",
        "deleted",
        "0.3.0",
        Granted,
        "an environment was deleted",
        "staging",
        r#"{"name": "staging"}"#
    ),
    cdevent!(
        "service",
        "deployed",
        "0.3.0",
        Granted,
        "a service runs in an environment for the first time",
        "shop",
        r#"{"environment": {"id": "production"}, "artifactId": "pkg:oci/shop@sha256%3A9d1c"}"#
    ),
    cdevent!(
        "service",
        "upgraded",
        "0.3.0",
        Granted,
        "a service runs another version of its artifact",
        "shop",
        r#"{"environment": {"id": "production"}, "artifactId": "pkg:oci/shop@sha256%3A9d1c"}"#
    ),
    cdevent!(
        "service",
        "rolledback",
        "0.3.0",
        Granted,
        "a service went back to an earlier version of its artifact",
        "shop",
        r#"{"environment": {"id": "production"}, "artifactId": "pkg:oci/shop@sha256%3A9d1c"}"#
    ),
    cdevent!(
        "service",
        "removed",
        "0.3.0",
        Granted,
        "a service no longer runs in an environment",
        "shop",
        r#"{"environment": {"id": "production"}}"#
    ),
    cdevent!(
        "service",
        "published",
        "0.3.0",
        Granted,
        "a service can be reached",
        "shop",
        r#"{"environment": {"id": "production"}}"#
    ),
    cdevent!(
        "incident",
        "detected",
        "0.3.0",
        Granted,
        "something is wrong in an environment",
        "incident-1204",
        r#"{"environment": {"id": "production"}, "service": {"id": "shop"}, "description": "5 % of checkouts fail"}"#
    ),
    cdevent!(
        "incident",
        "reported",
        "0.3.0",
        Granted,
        "an incident has a ticket",
        "incident-1204",
        r#"{"environment": {"id": "production"}, "ticketURI": "https://tickets.example.com/1204"}"#
    ),
    cdevent!(
        "incident",
        "resolved",
        "0.3.0",
        Granted,
        "an incident is over",
        "incident-1204",
        r#"{"environment": {"id": "production"}, "service": {"id": "shop"}}"#
    ),
    cdevent!(
        "ticket",
        "created",
        "0.2.0",
        Granted,
        "a ticket was opened",
        "1204",
        r#"{"summary": "Checkout is slow", "creator": "ana", "uri": "https://tickets.example.com/1204"}"#
    ),
    cdevent!(
        "ticket",
        "updated",
        "0.2.0",
        Granted,
        "a ticket was changed",
        "1204",
        r#"{"summary": "Checkout is slow", "updatedBy": "ana", "uri": "https://tickets.example.com/1204"}"#
    ),
    cdevent!(
        "ticket",
        "closed",
        "0.2.0",
        Granted,
        "a ticket was closed",
        "1204",
        r#"{"resolution": "completed", "uri": "https://tickets.example.com/1204"}"#
    ),
    ours!(
        "scan.requested",
        "scan.requested",
        Function,
        "a digest needs a scan",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"tool": "image"}"#
    ),
    ours!(
        "scan.completed",
        "scan.completed",
        Function,
        "a scan of a digest ended: clean, with findings, or failed, which is not clean",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"tool": "image", "result": "clean", "findings": []}"#
    ),
    ours!(
        "gate.passed",
        "gate.passed",
        Function,
        "a release may go on to an environment, and the evidence that says so",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"environment": "staging", "evidence": ["5b1c2f0e-7d7a-4f43-9d0a-0c8f7a3e2b11"]}"#
    ),
    ours!(
        "gate.blocked",
        "gate.blocked",
        Function,
        "a release may not go on: the rule, and how to clear it",
        "pkg:oci/shop@sha256%3A9d1c?repository_url=registry.example.com/acme/shop",
        r#"{"environment": "production", "rule": "image-scan", "clear": "scan this digest"}"#
    ),
    ours!(
        "tidegate-change.accepted",
        "change.accepted",
        Function,
        "a change was judged fit to be built",
        "acme/shop/pull/12",
        r#"{"commit": "b9c4e1a7"}"#
    ),
    ours!(
        "tidegate-change.refused",
        "change.refused",
        Function,
        "a change was judged unfit: the rule that it broke",
        "acme/shop/pull/12",
        r#"{"commit": "b9c4e1a7", "rule": "review"}"#
    ),
    ours!(
        "deployment.requested",
        "deployment.requested",
        Function,
        "a function asks the reconciler for a deployment",
        "shop",
        r#"{"function": "shop", "component": "sha256:9d1c"}"#
    ),
    ours!(
        "deployment.activated",
        "deployment.activated",
        Runtime,
        "a numbered deployment is in force",
        "7",
        r#"{"number": 7}"#
    ),
    ours!(
        "deployment.refused",
        "deployment.refused",
        Runtime,
        "a deployment that was asked for is not possible: every problem",
        "shop",
        r#"{"problems": ["component sha256:9d1c is not in the store"]}"#
    ),
    ours!(
        "drift.checked",
        "drift.checked",
        Trigger,
        "it is time to compare what runs with what should run",
        "storefront",
        "{}"
    ),
];
