use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::event::Extension;

fn headers(event: &str) -> HeaderMap {
    let pairs = [("x-github-event", event), ("x-github-delivery", "d-1"), ("content-type", "application/json")];
    pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn parsed(event: &str, body: Value) -> Event {
    parse(&headers(event), &Bytes::from(body.to_string())).unwrap().remove(0)
}

fn with_repository(mut body: Value) -> Value {
    body["repository"] = json!({
        "full_name": "acme/app", "html_url": "https://github.com/acme/app", "owner": { "login": "acme" },
        "pushed_at": 1557933657, "updated_at": "2019-05-15T15:20:41Z",
    });
    body
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(event.data.as_ref().unwrap()).unwrap()
}

fn key(event: &Event) -> &str {
    match &event.extensions["partitionkey"] {
        Extension::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(event: &str, body: Value, ty: &str, subject: &str, partition_key: &str) {
    let event = parsed(event, with_repository(body));
    assert_eq!((event.ty.as_str(), event.subject.as_deref(), key(&event)), (ty, Some(subject), partition_key));
    assert_eq!((event.id.as_str(), event.source.as_str()), ("d-1", "https://github.com/acme/app"));
}

#[test]
fn every_push_has_one_type() {
    for before in ["0".repeat(40), "a".repeat(40)] {
        let body = json!({ "ref": "refs/heads/main", "before": before, "after": "b".repeat(40) });
        check("push", body, "com.github.push", "refs/heads/main", "acme/app:refs/heads/main");
    }
    let body = json!({ "ref": "refs/tags/v1", "before": "a", "after": "0" });
    check("push", body, "com.github.push", "refs/tags/v1", "acme/app:refs/tags/v1");
}

#[test]
fn branches_come_from_create_and_delete_and_share_the_key_of_their_pushes() {
    let branch = || json!({ "ref": "topic/x", "ref_type": "branch" });
    check("create", branch(), "dev.cdevents.branch.created.0.3.0", "topic/x", "acme/app:refs/heads/topic/x");
    check("delete", branch(), "dev.cdevents.branch.deleted.0.3.0", "topic/x", "acme/app:refs/heads/topic/x");
    let tag = json!({ "ref": "v1", "ref_type": "tag" });
    check("create", tag, "com.github.create", "refs/tags/v1", "acme/app:refs/tags/v1");
}

#[test]
fn changes_have_the_words_of_cdevents() {
    let change =
        |action: &str, merged: Value| json!({ "action": action, "pull_request": { "number": 2, "merged": merged } });
    let check = |action: &str, merged: Value, ty: &str| {
        check("pull_request", change(action, merged), ty, "acme/app/pull/2", "acme/app#2");
    };
    check("opened", json!(false), "dev.cdevents.change.created.0.4.0");
    check("synchronize", json!(false), "dev.cdevents.change.updated.0.3.0");
    check("edited", json!(false), "dev.cdevents.change.updated.0.3.0");
    check("closed", json!(true), "dev.cdevents.change.merged.0.3.0");
    check("closed", json!(false), "dev.cdevents.change.abandoned.0.3.0");
    check("closed", json!(null), "com.github.pull_request.closed");
    check("labeled", json!(false), "com.github.pull_request.labeled");
}

#[test]
fn a_submitted_review_is_a_reviewed_change() {
    let review =
        |action: &str| json!({ "action": action, "pull_request": { "number": 2 }, "review": { "state": "approved" } });
    let ty = |action: &str| parsed("pull_request_review", with_repository(review(action))).ty;
    assert_eq!(ty("submitted"), "dev.cdevents.change.reviewed.0.3.0");
    assert_eq!(ty("dismissed"), "com.github.pull_request_review.dismissed");
}

#[test]
fn a_check_is_a_test_suite_run_with_its_outcome() {
    let check = |action: &str, status: &str, conclusion: Value, ty: &str, outcome: Value| {
        let run = json!({ "id": 7, "name": "lint", "head_sha": "abc", "status": status, "conclusion": conclusion,
            "app": { "slug": "actions" } });
        let event = parsed("check_run", with_repository(json!({ "action": action, "check_run": run })));
        assert_eq!((event.ty.as_str(), key(&event)), (ty, "acme/app@abc"));
        assert_eq!(data(&event)["subject"]["content"]["outcome"], outcome);
    };
    let finished = "dev.cdevents.testsuiterun.finished.0.3.0";
    check("completed", "completed", json!("success"), finished, json!("success"));
    check("completed", "completed", json!("timed_out"), finished, json!("error"));
    check("completed", "completed", json!("skipped"), finished, json!("cancel"));
    check("completed", "completed", json!("something new"), "com.github.check_run.completed", json!(null));
    check("created", "queued", json!(null), "dev.cdevents.testsuiterun.queued.0.3.0", json!(null));
    check("rerequested", "queued", json!(null), "com.github.check_run.rerequested", json!(null));
}

#[test]
fn repositories_come_and_go() {
    let ty = |action: &str| parsed("repository", with_repository(json!({ "action": action }))).ty;
    assert_eq!(ty("created"), "dev.cdevents.repository.created.0.3.0");
    assert_eq!(ty("renamed"), "dev.cdevents.repository.modified.0.3.0");
    assert_eq!(ty("deleted"), "dev.cdevents.repository.deleted.0.3.0");
}

#[test]
fn a_published_container_is_an_artifact_by_its_digest() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let package = |version: &str| json!({ "name": "app", "package_version": { "version": version, "package_url": "ghcr.io/Acme/app:v1" } });
    let event = parsed("package", json!({ "action": "published", "package": package(&digest) }));
    assert_eq!(event.ty, "dev.cdevents.artifact.published.0.3.0");
    let purl = format!("pkg:oci/app@sha256%3A{}?repository_url=ghcr.io/acme/app", "ab".repeat(32));
    assert_eq!(event.subject.as_deref(), Some(purl.as_str()));
    let event = parsed("package", json!({ "action": "published", "package": package("1.0.0") }));
    assert_eq!(event.ty, "com.github.package.published");
    let event = parsed("registry_package", json!({ "action": "published", "registry_package": package(&digest) }));
    assert_eq!(event.ty, "com.github.registry_package.published");
}

#[test]
fn cdevents_data_repeats_the_attributes_as_the_binding_says() {
    let body = json!({ "action": "opened", "pull_request": { "number": 2, "created_at": "2019-05-15T15:20:33Z" } });
    let event = parsed("pull_request", with_repository(body.clone()));
    let data = data(&event);
    let context = json!({ "specversion": "0.5.0", "id": "d-1", "source": event.source, "type": event.ty,
        "timestamp": "2019-05-15T15:20:33Z" });
    assert_eq!(data["context"], context);
    let content = json!({ "repository": { "id": "acme/app" } });
    assert_eq!(data["subject"], json!({ "id": "acme/app/pull/2", "source": event.source, "content": content }));
    assert_eq!(data["payload"], with_repository(body));
    assert_eq!(event.time.as_deref(), Some("2019-05-15T15:20:33Z"));
}

#[test]
fn an_unknown_kind_is_accepted_as_itself() {
    check("sponsorship", json!({ "action": "created" }), "com.github.sponsorship.created", "acme/app", "acme/app");
    check("page_build", json!({}), "com.github.page_build", "acme/app", "acme/app");
    assert_eq!(parsed("ping", json!({ "zen": "x" })).ty, "com.github.ping");
    assert_eq!(parsed("ping", json!([])).source, "github");
}

#[test]
fn a_push_tells_when_it_was_and_is_ordered_by_that() {
    let event = parsed("push", with_repository(json!({ "ref": "refs/heads/main" })));
    assert_eq!(event.time.as_deref(), Some("2019-05-15T15:20:57Z"));
    assert_eq!(event.extensions["sequence"], Extension::Text("2019-05-15T15:20:57.000000Z".into()));
}

#[test]
fn without_a_delivery_id_the_body_makes_the_id() {
    let id = |body: &str| {
        let mut headers = headers("push");
        headers.remove("x-github-delivery");
        parse(&headers, &Bytes::from(body.to_owned())).unwrap().remove(0).id
    };
    assert_eq!(id("{}"), id("{}"));
    assert_ne!(id("{}"), id("[]"));
}

#[test]
fn a_request_without_the_events_header_is_malformed() {
    let told = parse(&HeaderMap::new(), &Bytes::from_static(b"{}")).unwrap_err();
    assert!(matches!(&told, Rejection::Malformed(reason) if reason.contains("x-github-event")), "{told:?}");
}

/// What a payload says is told, and what it does not say is null.
#[track_caller]
fn check_facts(event: &str, body: Value, facts: Value) {
    let told = data(&parsed(event, with_repository(body)));
    for (fact, expected) in facts.as_object().unwrap() {
        assert_eq!(told["git"].get(fact), Some(expected), "{event}: {fact}");
    }
}

#[test]
fn a_deleted_ref_has_no_commit() {
    let push = |reference: &str| {
        json!({ "ref": reference, "before": "a".repeat(40), "after": "0".repeat(40), "deleted": true,
            "head_commit": null, "commits": [] })
    };
    let gone = |kind: &str, name: &str| json!({ "change": "deleted", "head_commit": null, "commits": 0, "ref_kind": kind, "ref_name": name });
    check_facts("push", push("refs/heads/topic/x"), gone("branch", "topic/x"));
    check_facts("push", push("refs/tags/v1"), gone("tag", "v1"));
    let deleted = json!({ "change": "deleted", "ref_kind": "tag", "ref_name": "v1", "commit": null });
    check_facts("delete", json!({ "ref": "v1", "ref_type": "tag" }), deleted);
    let created = json!({ "change": "created", "ref_kind": "branch", "ref_name": "release/1.0", "commit": null });
    check_facts("create", json!({ "ref": "release/1.0", "ref_type": "branch" }), created);
}

#[test]
fn a_change_is_merged_only_where_that_is_said() {
    let change = |merged: Value| {
        json!({ "number": 2, "state": "closed", "merged": merged, "merge_commit_sha": "c".repeat(40),
            "head": { "sha": "a", "repo": null }, "base": { "sha": "b", "repo": { "full_name": "acme/app" } } })
    };
    let test_merge = json!({ "merged": false, "merge_commit": "c".repeat(40), "head_repo": null, "from_fork": null });
    check_facts("pull_request", json!({ "action": "closed", "pull_request": change(json!(false)) }), test_merge);
    // A review does not say whether its change is merged.
    let mut reviewed = change(json!(null));
    reviewed.as_object_mut().unwrap().remove("merged");
    let review = json!({ "action": "submitted", "pull_request": reviewed,
        "review": { "state": "approved", "commit_id": "a", "user": { "login": "ana" } } });
    let facts = json!({ "merged": null, "review_state": "approved", "reviewed_commit": "a", "reviewer": "ana" });
    check_facts("pull_request_review", review, facts);
}

#[test]
fn a_merge_queue_is_about_its_own_commit() {
    let head_ref = "refs/heads/gh-readonly-queue/main/pr-2-b";
    let group = json!({ "head_sha": "queued", "head_ref": head_ref, "base_sha": "b", "base_ref": "refs/heads/main" });
    let body = json!({ "action": "checks_requested", "merge_group": group });
    check("merge_group", body.clone(), "com.github.merge_group.checks_requested", head_ref, "acme/app@queued");
    check_facts("merge_group", body, json!({ "head_sha": "queued", "base_sha": "b", "base_ref": "refs/heads/main" }));
}

#[test]
fn a_run_that_goes_on_has_no_conclusion() {
    let run = json!({ "id": 7, "head_sha": "a", "status": "in_progress", "conclusion": null, "event": "pull_request",
        "head_repository": { "full_name": "eve/app" }, "updated_at": "2019-05-15T15:20:33Z" });
    let body = json!({ "action": "in_progress", "workflow_run": run });
    check("workflow_run", body.clone(), "com.github.workflow_run.in_progress", "runs/7", "acme/app@a");
    let facts = json!({ "conclusion": null, "status": "in_progress", "from_fork": true, "trigger": "pull_request" });
    check_facts("workflow_run", body, facts);
    let job = json!({ "id": 8, "run_id": 7, "head_sha": "a", "status": "completed", "conclusion": "skipped" });
    let body = json!({ "action": "completed", "workflow_job": job });
    check_facts("workflow_job", body, json!({ "conclusion": "skipped", "run_id": 7 }));
}

#[test]
fn a_status_from_before_actions_is_named_without_one_and_has_its_deployments_environment() {
    let body = json!({ "deployment_status": { "state": "success" },
        "deployment": { "id": 9, "sha": "a", "ref": "main", "environment": "production" } });
    check("deployment_status", body.clone(), "com.github.deployment_status", "deployments/9", "acme/app/production");
    check_facts("deployment_status", body, json!({ "action": null, "environment": "production", "state": "success" }));
}

#[test]
fn an_alert_may_name_neither_ref_nor_commit() {
    let body = json!({ "action": "closed_by_user", "ref": "", "commit_oid": "", "alert": { "number": 10 } });
    let (ty, subject) = ("com.github.code_scanning_alert.closed_by_user", "code-scanning/10");
    check("code_scanning_alert", body.clone(), ty, subject, "acme/app/code-scanning/10");
    check_facts("code_scanning_alert", body, json!({ "ref": "", "commit": "", "alert_number": 10, "tool": null }));
}
