//! What a GitHub payload says, in the vocabulary that all git hosts share. A fact that the payload does not carry is null:
//! a filter can compare it, and nothing is invented.

use serde_json::{Map, Value};

use crate::trigger::artifact::is_digest;
use crate::trigger::git;
use crate::trigger::payload::Payload;

pub type Facts = Map<String, Value>;

/// The facts of an event of the kind `name` (`X-GitHub-Event`).
pub fn of(name: &str, payload: &Payload) -> Facts {
    let mut facts = Facts::new();
    facts.insert("event".into(), name.into());
    take(
        &mut facts,
        payload,
        &[
            ("action", "/action"),
            ("repo", "/repository/full_name"),
            ("repo_url", "/repository/html_url"),
            ("actor", "/sender/login"),
            ("default_branch", "/repository/default_branch"),
        ],
    );
    match name {
        "push" => push(&mut facts, payload),
        "create" | "delete" => ref_change(&mut facts, payload, name),
        "status" => status(&mut facts, payload),
        "package" => package(&mut facts, payload, "/package"),
        "registry_package" => package(&mut facts, payload, "/registry_package"),
        _ => take(&mut facts, payload, table(name)),
    }
    if payload.value.pointer("/pull_request").is_some_and(Value::is_object) {
        pull_request(&mut facts, payload);
    }
    if name.starts_with("deployment") && facts.get("environment").is_some_and(Value::is_null) {
        // A deployment itself, and a status from before statuses named the environment.
        facts.insert("environment".into(), payload.at("/deployment/environment"));
    }
    if name == "workflow_run" {
        let fork = git::from_fork(&facts["head_repo"], &facts["repo"]);
        facts.insert("from_fork".into(), fork.into());
    }
    facts
}

/// Kinds whose facts lie in the payload as they are: fact, JSON pointer.
fn table(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "pull_request_review" => &[
            ("review_state", "/review/state"),
            ("reviewed_commit", "/review/commit_id"),
            ("reviewer", "/review/user/login"),
        ],
        "merge_group" => &[
            ("head_sha", "/merge_group/head_sha"),
            ("head_ref", "/merge_group/head_ref"),
            ("base_sha", "/merge_group/base_sha"),
            ("base_ref", "/merge_group/base_ref"),
            ("reason", "/reason"),
        ],
        "release" => &[
            ("tag", "/release/tag_name"),
            ("name", "/release/name"),
            ("draft", "/release/draft"),
            ("prerelease", "/release/prerelease"),
            ("target_commitish", "/release/target_commitish"),
        ],
        "deployment" | "deployment_status" => &[
            ("environment", "/deployment_status/environment"),
            ("sha", "/deployment/sha"),
            ("ref", "/deployment/ref"),
            ("state", "/deployment_status/state"),
        ],
        "code_scanning_alert" => &[
            ("alert_number", "/alert/number"),
            ("alert_state", "/alert/state"),
            ("rule", "/alert/rule/id"),
            ("rule_severity", "/alert/rule/severity"),
            ("security_severity_level", "/alert/rule/security_severity_level"),
            ("tool", "/alert/tool/name"),
            ("ref", "/ref"),
            ("commit", "/commit_oid"),
        ],
        "repository" => &[("owner", "/repository/owner/login")],
        "ping" => &[("hook_id", "/hook_id"), ("zen", "/zen")],
        _ => table_of_runs(name),
    }
}

/// As `table`, of checks and workflows.
fn table_of_runs(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "check_run" => &[
            ("head_sha", "/check_run/head_sha"),
            ("head_branch", "/check_run/check_suite/head_branch"),
            ("name", "/check_run/name"),
            ("status", "/check_run/status"),
            ("conclusion", "/check_run/conclusion"),
            ("app", "/check_run/app/slug"),
        ],
        "check_suite" => &[
            ("head_sha", "/check_suite/head_sha"),
            ("head_branch", "/check_suite/head_branch"),
            ("before", "/check_suite/before"),
            ("after", "/check_suite/after"),
            ("status", "/check_suite/status"),
            ("conclusion", "/check_suite/conclusion"),
            ("app", "/check_suite/app/slug"),
        ],
        "workflow_run" => &[
            ("run_id", "/workflow_run/id"),
            ("run_number", "/workflow_run/run_number"),
            ("run_attempt", "/workflow_run/run_attempt"),
            ("name", "/workflow_run/name"),
            ("workflow", "/workflow/name"),
            ("head_branch", "/workflow_run/head_branch"),
            ("head_sha", "/workflow_run/head_sha"),
            ("head_repo", "/workflow_run/head_repository/full_name"),
            ("status", "/workflow_run/status"),
            ("conclusion", "/workflow_run/conclusion"),
            ("trigger", "/workflow_run/event"),
        ],
        "workflow_job" => &[
            ("run_id", "/workflow_job/run_id"),
            ("run_attempt", "/workflow_job/run_attempt"),
            ("name", "/workflow_job/name"),
            ("workflow", "/workflow_job/workflow_name"),
            ("head_branch", "/workflow_job/head_branch"),
            ("head_sha", "/workflow_job/head_sha"),
            ("status", "/workflow_job/status"),
            ("conclusion", "/workflow_job/conclusion"),
        ],
        _ => &[],
    }
}

fn take(facts: &mut Facts, payload: &Payload, table: &[(&str, &str)]) {
    for (fact, pointer) in table {
        facts.insert((*fact).to_owned(), payload.at(pointer));
    }
}

fn push(facts: &mut Facts, payload: &Payload) {
    take(
        facts,
        payload,
        &[
            ("ref", "/ref"),
            ("before", "/before"),
            ("after", "/after"),
            ("forced", "/forced"),
            ("head_commit", "/head_commit/id"),
            ("pusher", "/pusher/name"),
        ],
    );
    let (kind, name) = payload.text_at("/ref").map(git::split_ref).unzip();
    facts.insert("ref_kind".into(), kind.flatten().into());
    facts.insert("ref_name".into(), name.into());
    facts.insert("change".into(), git::change(&facts["before"], &facts["after"]).into());
    let commits = payload.value.pointer("/commits").and_then(Value::as_array);
    facts.insert("commits".into(), commits.map(Vec::len).into());
}

/// `create` and `delete` name a ref without `refs/`, and no commit.
fn ref_change(facts: &mut Facts, payload: &Payload, name: &str) {
    take(facts, payload, &[("ref_kind", "/ref_type"), ("commit", "/sha")]);
    facts.insert("ref_name".into(), payload.text_at("/ref").map(|name| git::split_ref(name).1).into());
    facts.insert("change".into(), if name == "create" { "created" } else { "deleted" }.into());
}

fn status(facts: &mut Facts, payload: &Payload) {
    take(facts, payload, &[("sha", "/sha"), ("state", "/state"), ("context", "/context")]);
    let branches = payload.value.pointer("/branches").and_then(Value::as_array);
    let names = |all: &Vec<Value>| all.iter().filter_map(|branch| branch.pointer("/name").cloned()).collect::<Value>();
    facts.insert("branches".into(), branches.map(names).into());
}

/// Also in the payloads of reviews and their comments. There `merged` is missing, and `merge_commit_sha` of a change that is
/// not merged names the test merge: neither is interpreted here.
fn pull_request(facts: &mut Facts, payload: &Payload) {
    take(
        facts,
        payload,
        &[
            ("number", "/pull_request/number"),
            ("title", "/pull_request/title"),
            ("author", "/pull_request/user/login"),
            ("draft", "/pull_request/draft"),
            ("state", "/pull_request/state"),
            ("merged", "/pull_request/merged"),
            ("merge_commit", "/pull_request/merge_commit_sha"),
            ("head_ref", "/pull_request/head/ref"),
            ("head_sha", "/pull_request/head/sha"),
            ("base_ref", "/pull_request/base/ref"),
            ("base_sha", "/pull_request/base/sha"),
            ("head_repo", "/pull_request/head/repo/full_name"),
            ("base_repo", "/pull_request/base/repo/full_name"),
            ("before", "/before"),
            ("after", "/after"),
        ],
    );
    let fork = git::from_fork(&facts["head_repo"], &facts["base_repo"]);
    facts.insert("from_fork".into(), fork.into());
}

/// `ecosystem` decides what kind of package it is; `version` of a container is its digest, `tag_digest` need not be one.
fn package(facts: &mut Facts, payload: &Payload, root: &str) {
    for (fact, pointer) in [
        ("package", "/name"),
        ("namespace", "/namespace"),
        ("owner", "/owner/login"),
        ("ecosystem", "/ecosystem"),
        ("package_type", "/package_type"),
        ("version", "/package_version/version"),
        ("version_name", "/package_version/name"),
        ("target_oid", "/package_version/target_oid"),
        ("package_url", "/package_version/package_url"),
        ("tag", "/package_version/container_metadata/tag/name"),
        ("tag_digest", "/package_version/container_metadata/tag/digest"),
    ] {
        facts.insert(fact.to_owned(), payload.at(&format!("{root}{pointer}")));
    }
    let valid = facts["tag_digest"].as_str().map(is_digest);
    facts.insert("tag_digest_valid".into(), valid.into());
}
