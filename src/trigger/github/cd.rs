//! Which of GitHub's events CDEvents has a word for, and what it says then.

use serde_json::{Value, json};

use super::facts::Facts;
use crate::trigger::artifact::{is_digest, purl};
use crate::trigger::cdevents::{self, CdEvent};

/// What CDEvents says of an event, and its subject's id; none where CDEvents has no word for it.
/// `subject` is what the event is about in GitHub's words.
pub fn told(name: &str, action: Option<&str>, facts: &Facts, subject: &str) -> Option<(CdEvent, String)> {
    let text = |fact: &str| facts.get(fact).and_then(Value::as_str).filter(|text| !text.is_empty());
    let ty = match (name, action) {
        ("pull_request", Some(action)) => change_type(action, facts)?,
        ("pull_request_review", Some("submitted")) => cdevents::CHANGE_REVIEWED,
        ("create", _) if text("ref_kind") == Some("branch") => cdevents::BRANCH_CREATED,
        ("delete", _) if text("ref_kind") == Some("branch") => cdevents::BRANCH_DELETED,
        ("repository", Some(action)) => return repository(action, facts),
        ("check_run", Some(action)) => return test_suite_run(action, facts).map(|told| (told, subject.to_owned())),
        ("package", Some("published")) => return artifact(facts),
        _ => return None,
    };
    let subject = if matches!(name, "create" | "delete") { text("ref_name")? } else { subject };
    Some((CdEvent { ty, content: json!({ "repository": { "id": text("repo")? } }) }, subject.to_owned()))
}

/// A change that was closed without saying whether it was merged is neither merged nor abandoned.
fn change_type(action: &str, facts: &Facts) -> Option<&'static str> {
    match action {
        "opened" => Some(cdevents::CHANGE_CREATED),
        "synchronize" | "edited" | "reopened" | "ready_for_review" | "converted_to_draft" => {
            Some(cdevents::CHANGE_UPDATED)
        }
        "closed" => match facts.get("merged")?.as_bool()? {
            true => Some(cdevents::CHANGE_MERGED),
            false => Some(cdevents::CHANGE_ABANDONED),
        },
        _ => None,
    }
}

fn repository(action: &str, facts: &Facts) -> Option<(CdEvent, String)> {
    let ty = match action {
        "created" => cdevents::REPOSITORY_CREATED,
        "deleted" => cdevents::REPOSITORY_DELETED,
        "renamed" | "edited" | "transferred" | "archived" | "unarchived" | "publicized" | "privatized" => {
            cdevents::REPOSITORY_MODIFIED
        }
        _ => return None,
    };
    let repo = facts["repo"].as_str()?;
    let name = repo.rsplit('/').next()?;
    let content = json!({ "name": name, "owner": facts["owner"].as_str()?, "uri": facts["repo_url"].as_str()? });
    Some((CdEvent { ty, content }, repo.to_owned()))
}

/// The check's app stands for the environment, which the schemas want: GitHub tells no other.
fn test_suite_run(action: &str, facts: &Facts) -> Option<CdEvent> {
    let mut content = json!({
        "environment": { "id": facts["app"].as_str()? },
        "testSuite": { "id": facts["name"].as_str()?, "name": facts["name"] },
    });
    let ty = match (action, facts["status"].as_str()?) {
        ("completed", _) => {
            content["outcome"] = outcome(facts["conclusion"].as_str()?)?.into();
            cdevents::TESTSUITERUN_FINISHED
        }
        ("created", "queued") => cdevents::TESTSUITERUN_QUEUED,
        ("created", "in_progress") => cdevents::TESTSUITERUN_STARTED,
        _ => return None,
    };
    Some(CdEvent { ty, content })
}

/// What did not run to its end is no success.
fn outcome(conclusion: &str) -> Option<&'static str> {
    match conclusion {
        "success" | "neutral" => Some("success"),
        "failure" | "action_required" => Some("failure"),
        "timed_out" | "startup_failure" => Some("error"),
        "cancelled" | "skipped" | "stale" => Some("cancel"),
        _ => None,
    }
}

/// A container's version is its digest; its package URL names the repository that the purl points to.
fn artifact(facts: &Facts) -> Option<(CdEvent, String)> {
    let digest = facts["version"].as_str().filter(|version| is_digest(version))?;
    let address = facts["package_url"].as_str().unwrap_or_default();
    let repository = address.rsplit_once(':').map_or(address, |(repository, _)| repository).to_ascii_lowercase();
    Some((CdEvent { ty: cdevents::ARTIFACT_PUBLISHED, content: json!({}) }, purl(&repository, digest)?))
}
