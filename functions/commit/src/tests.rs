use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const MERGED: &str = "dev.cdevents.change.merged.0.3.0";

fn push(changes: &[(&str, Value)]) -> (&'static str, Value) {
    let mut git = json!({
        "event": "push", "repo": "acme/shop", "actor": "ana", "default_branch": "main", "ref": "refs/heads/main",
        "ref_kind": "branch", "ref_name": "main", "change": "updated", "before": "0".repeat(40), "after": COMMIT,
        "head_commit": COMMIT, "forced": false,
    });
    for (name, value) in changes {
        git[*name] = value.clone();
    }
    ("com.github.push", git)
}

fn merge(changes: &[(&str, Value)]) -> (&'static str, Value) {
    let mut git = json!({
        "event": "pull_request", "action": "closed", "repo": "acme/shop", "actor": "ana", "default_branch": "main",
        "number": 12, "base_ref": "main", "merged": true, "merge_commit": COMMIT, "head_sha": "a".repeat(40),
    });
    for (name, value) in changes {
        git[*name] = value.clone();
    }
    (MERGED, git)
}

fn judged(policy: &str, (ty, git): (&str, Value), verified: bool) -> Result<Vec<Event>, Failure> {
    let _host = Host::new().config("policy", policy);
    let origin = Origin { kind: "trigger".into(), name: "/hooks/github".into(), verified };
    handle(Event { origin: Some(origin), ..Event::new(ty).json(&json!({ "git": git, "payload": {} })).unwrap() })
}

/// The verdict as `accepted`, a broken rule, `nothing`, or the reason of a rejection.
#[track_caller]
fn check(policy: &str, event: (&str, Value), expected: &str) {
    let text = event.1.to_string();
    let verdict = match judged(policy, event, true) {
        Ok(events) => match events.as_slice() {
            [] => "nothing".to_owned(),
            [event] if event.ty == ACCEPTED => "accepted".to_owned(),
            [event] => event.data::<Value>().unwrap()["subject"]["content"]["rule"].as_str().unwrap().to_owned(),
            more => panic!("{more:?}"),
        },
        Err(failure) => failure.reason().to_owned(),
    };
    assert!(verdict.contains(expected), "{policy:?} on {text}: {verdict}, not {expected}");
}

#[test]
fn a_push_to_a_protected_branch_is_held_against_the_rules() {
    check("", push(&[]), "no-direct-push");
    check("direct_push = true", push(&[]), "accepted");
    check("direct_push = true", push(&[("forced", json!(true))]), "no-force-push");
    check("direct_push = true\nforce_push = true", push(&[("forced", json!(true))]), "accepted");
    check("direct_push = true", push(&[("change", json!("created"))]), "accepted");
}

#[test]
fn a_merge_to_a_protected_branch_is_accepted() {
    check("", merge(&[]), "accepted");
    check("", merge(&[("base_ref", json!("feature"))]), "nothing");
    check("", merge(&[("merged", json!(false))]), "merged is not true");
    check("", merge(&[("merge_commit", json!(null))]), "data.git.merge_commit is missing");
}

#[test]
fn other_branches_tags_and_deletions_are_not_judged() {
    check("", push(&[("ref_name", json!("feature/x"))]), "nothing");
    check("", push(&[("ref_kind", json!("tag")), ("ref_name", json!("v1"))]), "nothing");
    check("", push(&[("change", json!("deleted")), ("head_commit", json!(null))]), "nothing");
    check("", push(&[("default_branch", json!(null))]), "nothing");
}

#[test]
fn the_policy_names_what_is_protected() {
    let policy = r#"protected = ["main", "release/*"]"#;
    check(policy, push(&[("ref_name", json!("release/1.2"))]), "no-direct-push");
    check(policy, push(&[("ref_name", json!("releases"))]), "nothing");
    check(r#"{"protected": ["trunk"]}"#, push(&[]), "nothing");
    check(r#"protect = ["main"]"#, push(&[]), "unknown field `protect`");
}

#[test]
fn what_names_no_commit_is_rejected() {
    check("", push(&[("head_commit", json!("HEAD"))]), "is no commit");
    check("", push(&[("head_commit", json!(null)), ("after", json!(null))]), "data.git.head_commit is missing");
    check("", ("com.github.star.created", json!({})), "bring no commit");
}

#[test]
fn an_unproved_sender_is_refused() {
    let refused = judged("direct_push = true", push(&[]), false).unwrap().remove(0);
    assert_eq!(refused.ty, REFUSED);
    assert_eq!(refused.data::<Value>().unwrap()["subject"]["content"]["rule"], "verified-sender");
}

#[test]
fn a_verdict_is_about_one_commit_and_says_what_broke() {
    let accepted = judged("", merge(&[]), true).unwrap().remove(0);
    assert_eq!(accepted.subject.as_deref(), Some("acme/shop/pull/12"));
    assert_eq!(accepted.text("partitionkey"), Some(COMMIT));
    assert_eq!(
        accepted.data::<Value>().unwrap()["subject"]["content"],
        json!({ "commit": COMMIT, "repository": "acme/shop", "branch": "main", "change": 12, "actor": "ana" })
    );
    let refused = judged("", push(&[]), true).unwrap().remove(0);
    assert_eq!(refused.subject, Some(format!("acme/shop/commit/{COMMIT}")));
    let content = &refused.data::<Value>().unwrap()["subject"]["content"];
    assert_eq!((&content["rule"], &content["commit"]), (&json!("no-direct-push"), &json!(COMMIT)));
    assert!(content["clear"].is_string());
}
