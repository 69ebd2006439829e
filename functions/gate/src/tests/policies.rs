//! What a policy says, and what is wrong with one.

use super::*;

#[track_caller]
fn check_problem(policy: &str, problem: &str) {
    let failure = Stage::new(policy).hear(&accepted()).unwrap_err();
    assert!(matches!(failure, Failure::Reject { .. }) && failure.reason().contains(problem), "{failure}");
}

#[test]
fn a_policy_that_cannot_be_read_passes_nothing_and_says_why() {
    check_problem("", "missing field `environment`");
    check_problem("environment = \"staging\"\nrequired = {}", "unknown field `required`");
    check_problem("environment = \"staging\"\n[require]", "it requires nothing");
    check_problem(&POLICY.replace("staging", "moon"), "environment \"moon\" is none of the plan's");
    check_problem(&POLICY.replace("image", "imgae"), "require.\"imgae\" is none of change, pipeline");
    check_problem(&POLICY.replace("function:scan", "scan"), "names no origins");
    check_problem(&POLICY.replace("[\"function:scan\"]", "[]"), "names no origins");
    check_problem(
        &POLICY.replace("pipeline = [\"function:pipeline\"]", ""),
        "nothing that is required ties an artifact to one",
    );
    check_problem(
        &format!("{POLICY}\"verified:staging\" = [\"function:verify\"]"),
        "\"staging\" is no other environment",
    );
    check_problem(&format!("max_age = \"2 weeks\"\n{POLICY}"), "max_age is no length of time");
    check_problem(&format!("ask_again = \"0s\"\n{POLICY}"), "ask_again is no length of time");
    check_problem(&format!("max_age = \"99999999d\"\n{POLICY}"), "max_age is no length of time");
    check_problem(&format!("incident_days = 4000000000\n{POLICY}"), "at most 36500");
    check_problem(&format!("{POLICY}[severity]\nblock = [\"severe\"]"), "unknown variant `severe`");
    check_problem(
        &format!("{POLICY}[[exception]]\nid = \"CVE-1\"\nowner = \"\"\nreason = \"r\"\nexpires = \"soon\""),
        "exception \"CVE-1\" has no owner; exception \"CVE-1\" expires \"soon\"",
    );
    check_problem(
        &format!("{POLICY}[[exception]]\nid = \"CVE-1\"\nowner = \"o\"\nexpires = \"2027-01-31\""),
        "missing field `reason`",
    );
}

#[test]
fn a_plan_that_cannot_be_read_passes_nothing() {
    let stage = Stage { host: Stage::new(POLICY).host.config("plan", "environments = []") };
    assert!(stage.hear(&accepted()).unwrap_err().reason().starts_with("config plan"));
}

#[test]
fn evidence_that_is_not_asked_for_changes_nothing() {
    check(POLICY, &[accepted(), clean(), scan("static", COMMIT, "failed", &[]), packaged()], &["passed"]);
}
