//! GitHub's webhooks.
//!
//! | GitHub says | event type |
//! | --- | --- |
//! | `pull_request` `opened` | `dev.cdevents.change.created` |
//! | `pull_request` `synchronize`, `edited`, `reopened`, `ready_for_review`, `converted_to_draft` | `dev.cdevents.change.updated` |
//! | `pull_request` `closed` | `dev.cdevents.change.merged` or `.abandoned` |
//! | `pull_request_review` `submitted` | `dev.cdevents.change.reviewed` |
//! | `create`, `delete` of a branch | `dev.cdevents.branch.created`, `.deleted` |
//! | `repository` `created`, `deleted`, `renamed`, `edited` ... | `dev.cdevents.repository.created`, `.deleted`, `.modified` |
//! | `check_run` `created`, `completed` | `dev.cdevents.testsuiterun.queued`, `.started`, `.finished` |
//! | `package` `published` of a container | `dev.cdevents.artifact.published` |
//! | anything else | `com.github.<event>[.<action>]` |
//!
//! Some facts are told twice. A new branch is a `push` and a `create`: branches come from `create` and `delete`, and **every**
//! push (of a new branch, to a branch, of a tag, a deletion) is `com.github.push`, so that whoever follows commits follows
//! one type. A package is a `package` and a `registry_package`: the artifact comes from the first. A check run and its
//! suite: the run is the test suite's run, the suite stays `com.github.check_suite.*`.
//!
//! Data: `git` (the facts, in the vocabulary of all git hosts), `payload` (what GitHub sent, whole), and for CDEvents types
//! `context` and `subject`.
//!
//! - `id`: `X-GitHub-Delivery`, which a redelivery repeats; without one, a hash of kind and body.
//! - `source`: the repository's address; without one, the organisation's name or `github`.
//! - `time`: the instant of what is told (a change's, a check's), and of a push the repository's `pushed_at`.
//! - `partitionkey`: the repository, with `#number` for a change, `:ref` for pushes, branches, tags and releases, `@commit` for
//!   checks and statuses, `/environment` for deployments.
//! - `sequence`: `pushed_at` for pushes, `updated_at` for changes and workflow runs. Nothing orders the rest.
//!
//! Source of the format: GitHub's webhook documentation and its published payload schemas.

mod cd;
mod facts;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::facts::Facts;
use super::payload::{Payload, attribute_text, time_sequence, time_text, type_word, uri_text};
use super::{Rejection, attributes, git, payload};
use crate::event::{Event, derive_uuid};

const SENDER: &str = "github";

/// The event that a delivery becomes: always one.
pub fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Rejection> {
    let name = event_name(headers)?;
    let payload = Payload::read(body)?;
    let facts = facts::of(name, &payload);
    Ok(vec![event(name, headers, body, &payload, &facts)])
}

fn event_name(headers: &HeaderMap) -> Result<&str, Rejection> {
    let name = headers.get("x-github-event").and_then(|value| value.to_str().ok()).and_then(type_word);
    name.ok_or_else(|| {
        Rejection::Malformed(
            "header x-github-event is missing or no event's name; point a GitHub webhook at this path".to_owned(),
        )
    })
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Value>,
    git: &'a Facts,
    payload: &'a RawValue,
}

fn event(name: &str, headers: &HeaderMap, body: &Bytes, payload: &Payload, facts: &Facts) -> Event {
    let action = payload.text_at("/action").and_then(type_word);
    let delivery = headers.get("x-github-delivery").and_then(|value| value.to_str().ok()).and_then(attribute_text);
    let id =
        delivery.map_or_else(|| derive_uuid(&[SENDER.as_bytes(), name.as_bytes(), body]).to_string(), str::to_owned);
    let source = source(payload);
    let time = times(name, action).iter().find_map(|pointer| time_text(&payload.at(pointer)));
    let (subject, key) = place(name, facts, payload);
    let subject = subject.filter(|subject| attribute_text(subject).is_some());
    let told = subject.as_deref().and_then(|subject| cd::told(name, action, facts, subject));
    let (ty, subject, members) = match told {
        Some((told, subject)) => {
            let members = told.members(&id, &source, &subject, time.as_deref());
            (told.ty.to_owned(), Some(subject), Some(members))
        }
        None => (sender_type(name, action), subject, None),
    };
    let (context, cd_subject) = members.unzip();
    let data = Data { context, subject: cd_subject, git: facts, payload: &payload.text };
    Event {
        id,
        source,
        ty,
        subject,
        time,
        extensions: attributes::ordering(key, sequence(name, payload)),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(payload::json_bytes(&data)),
        ..Event::default()
    }
}

fn sender_type(name: &str, action: Option<&str>) -> String {
    match action {
        Some(action) => format!("com.github.{name}.{action}"),
        None => format!("com.github.{name}"),
    }
}

fn source(payload: &Payload) -> String {
    let known = ["/repository/html_url", "/repository/url", "/organization/login"];
    known.iter().find_map(|pointer| payload.text_at(pointer).and_then(uri_text)).unwrap_or(SENDER).to_owned()
}

/// Where the instant of an event may stand, the best first.
fn times(name: &str, action: Option<&str>) -> &'static [&'static str] {
    match (name, action) {
        ("push" | "create" | "delete", _) => &["/repository/pushed_at"],
        ("pull_request", Some("opened")) => &["/pull_request/created_at"],
        ("pull_request", Some("closed")) => &["/pull_request/closed_at", "/pull_request/updated_at"],
        ("pull_request", _) => &["/pull_request/updated_at"],
        ("pull_request_review", Some("submitted")) => &["/review/submitted_at", "/pull_request/updated_at"],
        ("pull_request_review", _) => &["/review/updated_at", "/pull_request/updated_at"],
        ("check_run", Some("completed")) => &["/check_run/completed_at"],
        ("check_run", _) => &["/check_run/started_at"],
        ("check_suite", _) => &["/check_suite/updated_at"],
        ("status", _) => &["/updated_at", "/created_at"],
        ("workflow_run", _) => &["/workflow_run/updated_at"],
        ("workflow_job", _) => &["/workflow_job/completed_at", "/workflow_job/started_at", "/workflow_job/created_at"],
        ("release", _) => &["/release/published_at", "/release/created_at"],
        ("package", _) => &["/package/updated_at", "/package/created_at"],
        ("registry_package", _) => &["/registry_package/updated_at", "/registry_package/created_at"],
        ("deployment", _) => &["/deployment/updated_at", "/deployment/created_at"],
        ("deployment_status", _) => &["/deployment_status/updated_at", "/deployment_status/created_at"],
        ("code_scanning_alert", _) => {
            &["/alert/updated_at", "/alert/fixed_at", "/alert/dismissed_at", "/alert/created_at"]
        }
        ("repository", _) => &["/repository/updated_at"],
        _ => &[],
    }
}

fn sequence(name: &str, payload: &Payload) -> Option<String> {
    let pointer = match name {
        "push" => "/repository/pushed_at",
        "pull_request" | "pull_request_review" => "/pull_request/updated_at",
        "workflow_run" => "/workflow_run/updated_at",
        _ => return None,
    };
    time_text(&payload.at(pointer)).and_then(|time| time_sequence(&time))
}

/// What an event is about (a ref, a change, a check), and the partition key: what orders it with others.
fn place(name: &str, facts: &Facts, payload: &Payload) -> (Option<String>, Option<String>) {
    let text = |fact: &str| facts.get(fact).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id_at = |pointer: &str| payload.value.pointer(pointer).and_then(Value::as_u64);
    let repo = text("repo");
    let keyed = |mark: &str, rest: Option<&str>| match (repo, rest) {
        (Some(repo), Some(rest)) => Some(format!("{repo}{mark}{rest}")),
        (repo, _) => repo.map(str::to_owned),
    };
    let by_commit = |subject: Option<String>| (subject, keyed("@", text("head_sha").or(text("sha"))));
    if let Some(number) = facts.get("number").and_then(Value::as_u64).map(|number| number.to_string()) {
        return (keyed("/pull/", Some(&number)), keyed("#", Some(&number)));
    }
    match name {
        "push" => (text("ref").map(str::to_owned), keyed(":", text("ref"))),
        "create" | "delete" => {
            let full = text("ref_kind").zip(text("ref_name")).and_then(|(kind, name)| git::full_ref(kind, name));
            let key = keyed(":", full.as_deref());
            (full, key)
        }
        "check_run" => by_commit(id_at("/check_run/id").map(|id| format!("check-runs/{id}"))),
        "check_suite" => by_commit(id_at("/check_suite/id").map(|id| format!("check-suites/{id}"))),
        "workflow_run" => by_commit(id_at("/workflow_run/id").map(|id| format!("runs/{id}"))),
        "workflow_job" => by_commit(id_at("/workflow_job/id").map(|id| format!("jobs/{id}"))),
        "status" => by_commit(text("sha").map(str::to_owned)),
        "merge_group" => by_commit(text("head_ref").map(str::to_owned)),
        "release" => {
            let full = text("tag").and_then(|tag| git::full_ref("tag", tag));
            let key = keyed(":", full.as_deref());
            (full, key)
        }
        "deployment" | "deployment_status" => {
            (id_at("/deployment/id").map(|id| format!("deployments/{id}")), keyed("/", text("environment")))
        }
        "code_scanning_alert" => {
            let subject = id_at("/alert/number").map(|number| format!("code-scanning/{number}"));
            let key = keyed("/", subject.as_deref());
            (subject, key)
        }
        "package" | "registry_package" => (text("package").map(str::to_owned), keyed("/", text("package"))),
        _ => (repo.map(str::to_owned), keyed("", None)),
    }
}

#[cfg(test)]
mod tests;
