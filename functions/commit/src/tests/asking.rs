//! What the host is asked and told, and what its failures lead to.

use std::time::{Duration, SystemTime};

use super::*;

fn pull(changes: &[(&str, Value)]) -> Value {
    let pull = json!({
        "number": 12, "state": "open", "user": { "login": "ana" }, "merged_at": null, "merge_commit_sha": null,
        "head": { "ref": "topic", "sha": HEAD }, "base": { "ref": "main", "sha": BASE },
    });
    with(pull, changes)
}

fn merged() -> Value {
    pull(&[("state", json!("closed")), ("merged_at", json!(TIME)), ("merge_commit_sha", json!(COMMIT))])
}

#[test]
fn a_push_that_a_merge_made_is_told_by_the_merge_alone() {
    let hub = Hub::new("").pulls_of(COMMIT, json!([pull(&[]), merged()]));
    assert_eq!(word(&hub.hear(&push(&[])).unwrap()), "nothing");
    assert!(hub.posted().is_empty());
    // The test merge of a change that is open, and a change that the commit only belongs to, brought nothing.
    for other in [pull(&[("merge_commit_sha", json!(COMMIT))]), with(merged(), &[("merge_commit_sha", json!(HEAD))])] {
        let hub = Hub::new("").pulls_of(COMMIT, json!([other])).takes_status(COMMIT);
        assert_eq!(word(&hub.hear(&push(&[])).unwrap()), "no-direct-push");
        let description =
            "no-direct-push: the commit was pushed to main and no change (pull request) brought it".to_owned();
        assert_eq!(hub.posted(), [(COMMIT.to_owned(), "failure".to_owned(), description)]);
    }
}

#[test]
fn a_merge_is_held_against_the_reviews_and_checks_of_its_head() {
    let rules = "reviews = 1\nchecks = [\"build\"]";
    let approved = |by: &str| json!([{ "user": { "login": by }, "state": "APPROVED", "commit_id": HEAD, "author_association": "OWNER" }]);
    let build = json!([{ "name": "build", "status": "completed", "conclusion": "success", "app": null }]);
    for (by, expected) in [("bo", "accepted"), ("ana", "reviews")] {
        let hub = Hub::new(rules).reviews(approved(by)).checks(HEAD, build.clone(), json!([])).takes_status(COMMIT);
        let said = hub.hear(&merge(&[])).unwrap();
        assert_eq!(word(&said), expected);
        assert_eq!((content(&said[0]).commit.as_str(), content(&said[0]).order.as_deref()), (COMMIT, Some(TIME)));
        assert_eq!(hub.posted()[0].0, COMMIT);
    }
}

#[test]
fn a_merge_queue_s_head_is_judged_by_its_checks_and_the_change_s_reviews() {
    let queue = |head_ref: &str| {
        let git = json!({
            "event": "merge_group", "action": "checks_requested", "repo": "acme/shop", "default_branch": "main", "head_sha": COMMIT,
            "head_ref": head_ref, "base_sha": BASE, "base_ref": "refs/heads/main", "reason": null,
        });
        event("com.github.merge_group.checks_requested", git)
    };
    let named = queue(&format!("refs/heads/gh-readonly-queue/main/pr-12-{BASE}"));
    let approved =
        json!([{ "user": { "login": "bo" }, "state": "APPROVED", "commit_id": HEAD, "author_association": "OWNER" }]);
    let hub = |runs: Value| {
        let hub = Hub::new("reviews = 1\nchecks = [\"build\"]").json("/pulls/12", &pull(&[])).reviews(approved.clone());
        hub.checks(COMMIT, runs, json!([])).takes_status(COMMIT)
    };
    let waits = hub(json!([]));
    let said = waits.hear(&named).unwrap();
    assert_eq!((word(&said).as_str(), content(&said[0]).way), ("checks", delivery::Way::Queue));
    assert_eq!((waits.posted()[0].0.as_str(), waits.posted()[0].1.as_str()), (COMMIT, "pending"));
    let built = json!([{ "name": "build", "status": "completed", "conclusion": "success", "app": null }]);
    assert_eq!(word(&hub(built).hear(&named).unwrap()), "accepted");
    let unnamed = hub(json!([]));
    assert_eq!(word(&unnamed.hear(&queue("refs/heads/gh-readonly-queue/main/other")).unwrap()), "reviews");
    assert_eq!(unnamed.posted()[0].1, "failure");
}

#[test]
fn a_check_that_ends_has_what_waits_for_it_judged_again() {
    let rules = "checks = [\"build\"]";
    let built = json!([{ "name": "build", "status": "completed", "conclusion": "success", "app": null }]);
    let hub =
        |pulls: Value| Hub::new(rules).pulls_of(HEAD, pulls).checks(HEAD, built.clone(), json!([])).takes_status(HEAD);
    let said = hub(json!([pull(&[])])).hear(&check_run("build", Some("topic"))).unwrap();
    assert_eq!(
        (word(&said).as_str(), content(&said[0]).change, content(&said[0]).commit),
        ("accepted", Some(12), HEAD.to_owned())
    );
    assert_eq!(word(&hub(json!([pull(&[])])).hear(&check_run("docs", Some("topic"))).unwrap()), "nothing");
    assert_eq!(word(&hub(json!([])).hear(&check_run("build", Some("topic"))).unwrap()), "nothing");
    let stacked = pull(&[("head", json!({ "ref": "other", "sha": COMMIT }))]);
    assert_eq!(word(&hub(json!([stacked])).hear(&check_run("build", Some("topic"))).unwrap()), "nothing");
    // A fork's head is found among the open changes.
    let forks = hub(json!([])).json("/pulls?state=open&per_page=100&page=1", &json!([pull(&[])]));
    assert_eq!(word(&forks.hear(&check_run("build", None)).unwrap()), "accepted");
}

#[test]
fn a_queue_s_check_is_known_by_its_branch() {
    let built = json!([{ "name": "build", "status": "completed", "conclusion": "success", "app": null }]);
    let hub = Hub::new("checks = [\"build\"]")
        .json("/pulls/12", &pull(&[]))
        .checks(HEAD, built, json!([]))
        .takes_status(HEAD);
    let branch = format!("gh-readonly-queue/main/pr-12-{BASE}");
    let said = hub.hear(&check_run("build", Some(&branch))).unwrap();
    assert_eq!((word(&said).as_str(), content(&said[0]).way), ("accepted", delivery::Way::Queue));
}

#[test]
fn a_merge_that_waited_for_a_check_is_accepted_when_it_ends_and_one_that_was_accepted_stays_so() {
    let built = json!([{ "name": "build", "status": "completed", "conclusion": "success", "app": null }]);
    let judged = |own: Value| {
        let combined = json!({ "state": "pending", "statuses": own });
        let hub =
            Hub::new("checks = [\"build\"]").pulls_of(HEAD, json!([merged()])).checks(HEAD, built.clone(), json!([]));
        let hub = hub.json(&format!("/commits/{COMMIT}/status?per_page=100&page=1"), &combined).takes_status(COMMIT);
        let said = hub.hear(&check_run("build", Some("topic"))).unwrap();
        if let Some(event) = said.first() {
            assert_eq!(content(event).order.as_deref(), Some(TIME));
        }
        word(&said)
    };
    let own = |state: &str| json!([{ "context": "tidegate/admission", "state": state, "description": "" }]);
    assert_eq!(judged(own("pending")), "accepted");
    assert_eq!(judged(own("success")), "nothing");
    assert_eq!(judged(json!([])), "nothing");
}

#[test]
fn its_own_status_is_no_news_to_it() {
    let status = |context: &str| {
        let git = json!({ "event": "status", "repo": "acme/shop", "default_branch": "main", "sha": HEAD, "state": "success",
            "context": context, "branches": ["topic"] });
        event("com.github.status", git)
    };
    let hub = Hub::new("");
    assert_eq!(word(&hub.hear(&status("tidegate/admission")).unwrap()), "nothing");
    assert!(hub.requests().is_empty());
    let built = json!([{ "context": "ci", "state": "success", "description": null }]);
    let hub = Hub::new("checks = [\"ci\"]")
        .pulls_of(HEAD, json!([pull(&[])]))
        .checks(HEAD, json!([]), built)
        .takes_status(HEAD);
    assert_eq!(word(&hub.hear(&status("ci")).unwrap()), "accepted");
}

#[test]
fn a_status_that_stands_is_not_posted_again() {
    let stands = |state: &str| {
        let own = json!([{ "context": "tidegate/admission", "state": state, "description": "checks: check build has not reported" }]);
        let hub = Hub::new("checks = [\"build\"]").checks(HEAD, json!([]), own).takes_status(HEAD);
        assert_eq!(word(&hub.hear(&proposal()).unwrap()), "checks");
        hub.posted().len()
    };
    assert_eq!((stands("pending"), stands("failure")), (0, 1));
}

#[test]
fn a_status_that_the_host_refuses_leaves_the_verdict() {
    let body = r#"{"message":"Resource not accessible by personal access token","status":"403"}"#;
    let hub = Hub::new("").answer("POST", &format!("/statuses/{HEAD}"), 403, body.as_bytes());
    assert_eq!(word(&hub.hear(&proposal()).unwrap()), "accepted");
}

/// What an answer to the first request leads to.
#[track_caller]
fn check_failure(status: u16, headers: &[(&str, &str)], body: &str, expected: Result<Option<u64>, &str>) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let url = format!("{API}/contents/.tidegate/admission.toml?ref={BASE}");
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let response = Response { status, headers, body: body.as_bytes().to_vec() };
    let host = Host::new().config("policy", "").at(now).answer_with("GET", &url, response);
    let gone = r#"{"message":"Not Found","status":"404"}"#;
    let _host = host.answer("GET", API, 404, gone.as_bytes());
    match (handle(proposal()).unwrap_err(), expected) {
        (Failure::Retry { after, .. }, Ok(seconds)) => assert_eq!(after.map(|after| after.as_secs()), seconds),
        (Failure::Reject { reason }, Err(problem)) => assert!(reason.contains(problem), "{reason}"),
        (failure, expected) => panic!("{failure:?} is not {expected:?}"),
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_does_not_is_a_dead_letter_that_says_why() {
    check_failure(500, &[], "", Ok(None));
    check_failure(502, &[], "<html>", Ok(None));
    check_failure(429, &[("retry-after", "30")], "", Ok(Some(30)));
    let limit = r#"{"message":"You have exceeded a secondary rate limit."}"#;
    check_failure(403, &[("retry-after", "90")], limit, Ok(Some(90)));
    check_failure(403, &[], limit, Ok(Some(60)));
    let exhausted = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000120")];
    check_failure(403, &exhausted, r#"{"message":"API rate limit exceeded"}"#, Ok(Some(120)));
    check_failure(
        403,
        &[("x-ratelimit-remaining", "4000")],
        r#"{"message":"Must have admin rights"}"#,
        Err("Must have admin rights"),
    );
    check_failure(401, &[], r#"{"message":"Bad credentials"}"#, Err("Bad credentials; give the connection a token"));
    check_failure(404, &[], r#"{"message":"Not Found"}"#, Err("see that the repository is there"));
}

#[test]
fn no_answer_is_tried_again() {
    let _host = Host::new().config("policy", "").config("connection", "forge");
    let failure = handle(proposal()).unwrap_err();
    assert!(
        matches!(&failure, Failure::Retry { reason, .. } if reason.contains("http://forge/repos/acme/shop")),
        "{failure:?}"
    );
}
