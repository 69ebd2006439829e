//! Who approved, and what succeeded.

use super::*;

fn review(who: &str, state: &str) -> Value {
    json!({ "id": 80, "user": { "login": who }, "state": state, "commit_id": HEAD, "author_association": "MEMBER",
        "submitted_at": TIME })
}

fn run(name: &str, status: &str, conclusion: Value) -> Value {
    json!({ "id": 4, "name": name, "head_sha": HEAD, "status": status, "conclusion": conclusion, "app": { "slug": "github-actions" } })
}

/// The rule that breaks, with the state that is posted.
fn judged(rules: &str, reviews: Value, runs: Value, statuses: Value) -> (String, String) {
    let hub = Hub::new(rules).reviews(reviews).checks(HEAD, runs, statuses).takes_status(HEAD);
    let verdict = word(&hub.hear(&proposal()).unwrap());
    let [(commit, state, description)] = hub.posted().try_into().unwrap();
    assert_eq!(commit, HEAD);
    assert!(description.chars().count() <= 140, "{description}");
    assert!(verdict == "accepted" || description.starts_with(&verdict), "{description}");
    (verdict, state)
}

#[track_caller]
fn check_reviews(reviews: &[Value], expected: (&str, &str)) {
    let (verdict, state) = judged("reviews = 2", json!(reviews), json!([]), json!([]));
    assert_eq!((verdict.as_str(), state.as_str()), expected, "{reviews:?}");
}

const ACCEPTED: (&str, &str) = ("accepted", "success");
const WAITS: (&str, &str) = ("reviews", "pending");
const AGAINST: (&str, &str) = ("changes-requested", "failure");

#[test]
fn enough_people_who_are_not_the_author_approve_the_head() {
    let (bo, cy) = (review("bo", "APPROVED"), review("cy", "APPROVED"));
    check_reviews(&[bo.clone(), cy.clone()], ACCEPTED);
    check_reviews(&[], WAITS);
    check_reviews(std::slice::from_ref(&bo), WAITS);
    check_reviews(&[bo.clone(), bo.clone()], WAITS);
    check_reviews(&[bo.clone(), review("BO", "APPROVED")], WAITS);
    check_reviews(&[bo.clone(), review("ana", "APPROVED")], WAITS);
    check_reviews(&[bo.clone(), review("Ana", "APPROVED")], WAITS);
    check_reviews(&[bo.clone(), review("cy", "COMMENTED")], WAITS);
    check_reviews(&[bo.clone(), review("cy", "DISMISSED")], WAITS);
    check_reviews(&[bo.clone(), review("cy", "PENDING")], WAITS);
    let of_another_commit = with(cy.clone(), &[("commit_id", json!(COMMIT))]);
    check_reviews(&[bo.clone(), of_another_commit], WAITS);
    for stranger in [json!("NONE"), json!("CONTRIBUTOR"), json!("FIRST_TIME_CONTRIBUTOR"), json!(null)] {
        check_reviews(&[bo.clone(), with(cy.clone(), &[("author_association", stranger)])], WAITS);
    }
    check_reviews(&[bo.clone(), with(cy.clone(), &[("user", json!(null))])], WAITS);
    check_reviews(&[bo, cy, review("di", "COMMENTED")], ACCEPTED);
}

#[test]
fn an_approval_of_another_commit_is_named_as_that() {
    let reviews = json!([with(review("cy", "APPROVED"), &[("commit_id", json!(COMMIT))])]);
    let hub = Hub::new("reviews = 1").reviews(reviews).checks(HEAD, json!([]), json!([])).takes_status(HEAD);
    hub.hear(&proposal()).unwrap();
    let [(_, _, description)] = hub.posted().try_into().unwrap();
    let named = format!("nobody; cy approved {}, which is another commit", &COMMIT[..12]);
    assert!(description.ends_with(&named), "{description}");
}

#[test]
fn a_person_s_last_word_counts() {
    let (bo, cy) = (review("bo", "APPROVED"), review("cy", "APPROVED"));
    let against = review("cy", "CHANGES_REQUESTED");
    check_reviews(&[bo.clone(), cy.clone(), against.clone()], AGAINST);
    check_reviews(&[bo.clone(), against.clone(), cy.clone()], ACCEPTED);
    check_reviews(&[bo.clone(), against.clone(), review("cy", "COMMENTED")], AGAINST);
    check_reviews(&[bo.clone(), against.clone(), review("cy", "DISMISSED")], WAITS);
    let of_another_commit = with(against, &[("commit_id", json!(COMMIT))]);
    check_reviews(&[bo.clone(), cy.clone(), with(of_another_commit.clone(), &[("user", json!(null))])], AGAINST);
    check_reviews(
        &[bo, cy, review("di", "approved"), with(of_another_commit, &[("user", json!({ "login": "di" }))])],
        AGAINST,
    );
}

#[track_caller]
fn check_checks(rules: &str, runs: &[Value], statuses: &[Value], expected: (&str, &str)) {
    let (verdict, state) = judged(rules, json!([]), json!(runs), json!(statuses));
    assert_eq!((verdict.as_str(), state.as_str()), expected, "{rules}: {runs:?} {statuses:?}");
}

const CHECK_WAITS: (&str, &str) = ("checks", "pending");
const CHECK_FAILED: (&str, &str) = ("checks", "failure");

#[test]
fn a_check_passes_by_success_alone() {
    let rules = "checks = [\"build\"]";
    let ended = |conclusion: &str| run("build", "completed", json!(conclusion));
    check_checks(rules, &[ended("success")], &[], ACCEPTED);
    check_checks(rules, &[], &[], CHECK_WAITS);
    check_checks(rules, &[run("other", "completed", json!("success"))], &[], CHECK_WAITS);
    for status in ["queued", "in_progress", "waiting", "requested", "pending"] {
        check_checks(rules, &[run("build", status, json!(null))], &[], CHECK_WAITS);
    }
    for conclusion in [
        "failure",
        "skipped",
        "neutral",
        "cancelled",
        "timed_out",
        "action_required",
        "stale",
        "startup_failure",
        "new word",
    ] {
        check_checks(rules, &[ended(conclusion)], &[], CHECK_FAILED);
    }
    check_checks(rules, &[run("build", "completed", json!(null))], &[], CHECK_FAILED);
    // Two suites that disagree.
    check_checks(rules, &[ended("success"), ended("skipped")], &[], CHECK_FAILED);
    check_checks(rules, &[ended("success"), run("build", "queued", json!(null))], &[], CHECK_WAITS);
}

#[test]
fn skipped_passes_only_where_the_rule_says_so_and_an_app_only_where_it_is_named() {
    let skipped = [run("docs", "completed", json!("skipped"))];
    check_checks("checks = [{ name = \"docs\" }]", &skipped, &[], CHECK_FAILED);
    check_checks("checks = [{ name = \"docs\", skipped = true }]", &skipped, &[], ACCEPTED);
    check_checks(
        "checks = [{ name = \"docs\", skipped = true }]",
        &[run("docs", "completed", json!("failure"))],
        &[],
        CHECK_FAILED,
    );
    let success = [run("docs", "completed", json!("success"))];
    check_checks("checks = [{ name = \"docs\", app = \"github-actions\" }]", &success, &[], ACCEPTED);
    check_checks("checks = [{ name = \"docs\", app = \"acme\" }]", &success, &[], CHECK_WAITS);
    let status = [json!({ "context": "docs", "state": "success", "description": null })];
    check_checks("checks = [{ name = \"docs\", app = \"acme\" }]", &[], &status, CHECK_WAITS);
}

#[test]
fn a_commit_status_is_a_check_by_its_context() {
    let status = |state: &str| {
        [json!({ "context": "ci/build", "state": state, "description": "done", "creator": { "login": "ci" } })]
    };
    let rules = "checks = [\"ci/build\"]";
    check_checks(rules, &[], &status("success"), ACCEPTED);
    check_checks(rules, &[], &status("pending"), CHECK_WAITS);
    check_checks(rules, &[], &status("failure"), CHECK_FAILED);
    check_checks(rules, &[], &status("error"), CHECK_FAILED);
    check_checks(rules, &[run("ci/build", "completed", json!("failure"))], &status("success"), CHECK_FAILED);
}

#[test]
fn of_several_rules_that_break_the_one_that_cannot_come_to_hold_by_waiting_is_named() {
    let failed = json!([run("build", "completed", json!("failure"))]);
    let rules = "reviews = 1\nchecks = [\"test\", \"build\"]";
    assert_eq!(judged(rules, json!([]), failed.clone(), json!([])).0, "checks");
    assert_eq!(judged(rules, json!([review("bo", "CHANGES_REQUESTED")]), failed, json!([])).0, "changes-requested");
    assert_eq!(judged(rules, json!([]), json!([]), json!([])).0, "reviews");
}

#[test]
fn a_listing_is_read_to_its_last_page() {
    let page = |number: u32, next: bool, body: Value| {
        let link = format!(
            "<https://api.github.com/repositories/1/pulls/12/reviews?per_page=100&page={}>; rel=\"next\"",
            number + 1
        );
        let headers = if next { vec![("link".to_owned(), link)] } else { Vec::new() };
        let url = format!("{API}/pulls/12/reviews?per_page=100&page={number}");
        (url, Response { status: 200, headers, body: body.to_string().into_bytes() })
    };
    let hub = Hub::new("reviews = 2").takes_status(HEAD).with(|host| {
        let (first, second) =
            (page(1, true, json!([review("bo", "APPROVED")])), page(2, false, json!([review("cy", "APPROVED")])));
        host.answer_with("GET", &first.0, first.1).answer_with("GET", &second.0, second.1)
    });
    assert_eq!(word(&hub.hear(&proposal()).unwrap()), "accepted");
}
