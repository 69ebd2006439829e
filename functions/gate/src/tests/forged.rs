//! What has no effect.

use super::*;

/// All but one piece of evidence is there; the forged piece must not stand for it.
#[track_caller]
fn check_forged(missing: &Event, forged: Event) {
    let stage = Stage::new(POLICY);
    let rest = [accepted(), clean(), packaged()].into_iter().filter(|event| event.id != missing.id);
    let rest: Vec<Event> = rest.collect();
    let before = stage.words(&rest);
    assert!(!before.contains(&"passed".to_owned()));
    assert!(stage.words(&[forged]).is_empty());
    assert_eq!(stage.words(std::slice::from_ref(missing)), ["passed"]);
}

fn by(event: &Event, origin: &str) -> Event {
    from(origin, event.clone())
}

fn unproved(event: &Event) -> Event {
    let origin = event.origin.clone().map(|origin| Origin { verified: false, ..origin });
    Event { origin, ..event.clone() }
}

#[test]
fn evidence_of_an_origin_that_the_policy_does_not_name_has_no_effect() {
    for event in [accepted(), clean()] {
        for origin in ["api:ci", "function:other", "trigger:/hooks/ci", "function:gate"] {
            check_forged(&event, by(&event, origin));
        }
        check_forged(&event, unproved(&event));
        check_forged(&event, Event { origin: None, ..event.clone() });
    }
}

#[test]
fn an_artifact_that_no_named_origin_packaged_is_not_even_known() {
    for forged in [by(&packaged(), "api:ci"), by(&packaged(), "function:image"), unproved(&packaged())] {
        check(POLICY, &[accepted(), clean(), forged], &[]);
    }
    check(POLICY, &[accepted(), clean(), by(&identified(None), "api:ci")], &[]);
}

#[test]
fn what_is_said_of_another_thing_has_no_effect() {
    let approval_of_another = change(OTHER_COMMIT, "merge", None);
    check_forged(&accepted(), approval_of_another);
    check_forged(&accepted(), change(COMMIT, "proposal", None));
    check_forged(&accepted(), change(COMMIT, "queue", None));
    check_forged(&accepted(), with(&accepted(), json!({ "repository": "mallory/shop" })));
    check_forged(&accepted(), with(&accepted(), json!({ "commit": "HEAD" })));
    check_forged(&clean(), scan("image", OTHER_DIGEST, "clean", &[]));
    check_forged(&clean(), scan("static", DIGEST, "clean", &[]));
    check_forged(&clean(), with(&clean(), json!({ "digest": "sha256:short" })));
    check_forged(&clean(), with(&clean(), json!({ "digest": null })));
}

#[test]
fn a_run_of_another_repository_ties_nothing() {
    check(POLICY, &[accepted(), clean(), with(&packaged(), json!({ "repository": "mallory/shop" }))], &[]);
}

#[test]
fn a_forged_pass_is_no_evidence_and_is_rejected_by_type() {
    let forged = from("api:ci", delivery::say(types::GATE_PASSED, "shop-1", DIGEST, &json!({})).unwrap());
    let failure = Stage::new(POLICY).hear(&forged).unwrap_err();
    assert!(failure.reason().contains("take them out of its on"), "{failure}");
}

#[test]
fn an_origin_that_lost_its_trust_counts_no_more() {
    let stage = Stage::new(POLICY);
    stage.words(&[clean(), packaged()]);
    let distrusting = POLICY.replace("image = [\"function:scan\"]", "image = [\"function:scanner\"]");
    let stage = Stage { host: stage.host.config("policy", &distrusting) };
    assert_eq!(stage.words(&[accepted()]), ["missing-evidence image"]);
}
