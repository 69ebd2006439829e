//! Without an API: config alone holds, and nothing is asked or posted.

use super::*;

fn judged(policy: &str, event: &Event) -> Result<Vec<Event>, Failure> {
    let host = Host::new().config("policy", policy).config("api", "false");
    let said = handle(event.clone());
    assert!(host.requests().is_empty());
    said
}

/// The verdict in a word, or the reason of a rejection.
#[track_caller]
fn check(policy: &str, event: Event, expected: &str) {
    let verdict = judged(policy, &event).map_or_else(|failure| failure.reason().to_owned(), |said| word(&said));
    assert!(verdict.contains(expected), "{policy:?}: {verdict}, not {expected}");
}

#[test]
fn a_push_to_a_protected_branch_is_held_against_the_rules() {
    check("", push(&[]), "no-direct-push");
    check("direct_push = true", push(&[]), "accepted");
    check("direct_push = true", push(&[("forced", json!(true))]), "no-force-push");
    check("direct_push = true\nforce_push = true", push(&[("forced", json!(true))]), "accepted");
    check("direct_push = true", push(&[("change", json!("created")), ("before", json!("0".repeat(40)))]), "accepted");
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
    check("", event(types::CHANGE_UPDATED, change(&[("state", json!("closed"))])), "nothing");
}

#[test]
fn config_names_what_is_protected() {
    let policy = r#"protected = ["main", "release/*"]"#;
    check(policy, push(&[("ref_name", json!("release/1.2"))]), "no-direct-push");
    check(policy, push(&[("ref_name", json!("releases"))]), "nothing");
    check(r#"{"protected": ["trunk"]}"#, push(&[]), "nothing");
    check(r#"protect = ["main"]"#, push(&[]), "unknown field `protect`");
}

#[test]
fn what_nobody_can_be_asked_for_is_not_promised() {
    check("reviews = 1", push(&[]), "nobody can be asked for them");
    check("checks = [\"build\"]", push(&[]), "nobody can be asked for them");
    check("", check_run("build", Some("topic")), "nothing");
}

#[test]
fn what_names_no_commit_is_rejected() {
    check("", push(&[("head_commit", json!("HEAD"))]), "is no commit");
    check("", push(&[("head_commit", json!(null)), ("after", json!(null))]), "data.git.head_commit is missing");
    check("", push(&[("repo", json!("acme/../shop"))]), "is no repository's name");
    check("", event("com.github.star.created", json!({})), "bring no commit");
}

#[test]
fn an_unproved_sender_is_refused_and_nothing_is_asked_in_its_name() {
    let forged =
        |event: Event| Event { origin: event.origin.map(|origin| Origin { verified: false, ..origin }), ..event };
    let hub = Hub::new("direct_push = true").config("policy", "direct_push = true");
    assert_eq!(word(&hub.hear(&forged(push(&[]))).unwrap()), "verified-sender");
    assert_eq!(word(&hub.hear(&forged(proposal())).unwrap()), "verified-sender");
    assert_eq!(word(&hub.hear(&Event { origin: None, ..merge(&[]) }).unwrap()), "verified-sender");
    assert_eq!(word(&hub.hear(&forged(check_run("build", Some("topic")))).unwrap()), "nothing");
    assert!(hub.requests().is_empty());
}

#[test]
fn a_verdict_is_about_one_commit_and_says_what_broke() {
    let accepted = judged("", &merge(&[])).unwrap().remove(0);
    assert_eq!(accepted.subject.as_deref(), Some("acme/shop/pull/12"));
    assert_eq!(accepted.text("partitionkey"), Some(COMMIT));
    let policy = json!({ "digest": delivery::sha256(b"") });
    assert_eq!(
        accepted.data::<Value>().unwrap()["subject"]["content"],
        json!({ "commit": COMMIT, "repository": "acme/shop", "branch": "main", "way": "merge", "change": 12, "actor": "ana",
            "order": TIME, "policy": policy })
    );
    let refused = judged("", &push(&[])).unwrap().remove(0);
    assert_eq!(refused.subject, Some(format!("acme/shop/commit/{COMMIT}")));
    let refused = content(&refused);
    assert_eq!((refused.order.as_deref(), refused.commit.as_str()), (Some(TIME), COMMIT));
    assert!(!refused.refused.unwrap().clear.is_empty());
}
