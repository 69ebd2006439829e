//! Which rules hold for what.

use super::*;

#[test]
fn the_rules_are_those_of_the_base_and_their_digest_and_commit_are_told() {
    let rules = "reviews = 0\n";
    for (event, commit) in [(proposal(), HEAD), (merge(&[]), COMMIT)] {
        let hub = Hub::new(rules).takes_status(commit);
        let said = hub.hear(&event).unwrap();
        let policy = content(&said[0]).policy.unwrap();
        assert_eq!(
            policy,
            delivery::Policy { digest: delivery::sha256(rules.as_bytes()), commit: Some(BASE.to_owned()) }
        );
        let first = &hub.requests()[0];
        assert_eq!(first.url, format!("{API}/contents/.tidegate/admission.toml?ref={BASE}"));
        assert!(first.headers.contains(&("accept".into(), "application/vnd.github.raw+json".into())));
        assert!(first.headers.contains(&("x-github-api-version".into(), "2022-11-28".into())));
    }
}

#[test]
fn where_the_file_is_missing_config_alone_holds() {
    let not_found = r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}"#;
    let hub = Hub { host: Some(Host::new().config("policy", "reviews = 1")) }.file(BASE, 404, not_found);
    let hub = hub.json("", &json!({ "full_name": "acme/shop" })).reviews(json!([])).takes_status(HEAD);
    let said = hub.hear(&proposal()).unwrap();
    assert_eq!(word(&said), "reviews");
    let policy = content(&said[0]).policy.unwrap();
    assert_eq!(policy, delivery::Policy { digest: delivery::sha256(b"reviews = 1"), commit: None });
}

#[test]
fn a_repository_cannot_waive_what_config_asks_for() {
    let judged = |config: &str, file: &str, event: Event| {
        let hub = Hub::new(file).config("policy", config).reviews(json!([])).checks(HEAD, json!([]), json!([]));
        let hub = hub.pulls_of(COMMIT, json!([])).takes_status(HEAD).takes_status(COMMIT);
        word(&hub.hear(&event).unwrap())
    };
    assert_eq!(judged("", "direct_push = true", push(&[])), "no-direct-push");
    assert_eq!(judged("direct_push = true", "", push(&[])), "no-direct-push");
    assert_eq!(judged("direct_push = true", "direct_push = true", push(&[])), "accepted");
    assert_eq!(judged("reviews = 1", "reviews = 0", proposal()), "reviews");
    assert_eq!(judged("checks = [\"build\"]", "checks = []", proposal()), "checks");
    assert_eq!(judged("", "checks = [\"build\"]", proposal()), "checks");
}

#[test]
fn a_file_that_cannot_be_read_refuses_all_and_says_how_to_clear_it() {
    for (text, problem) in [
        ("reviews = \"one\"", "invalid type"),
        ("review = 1", "unknown field `review`"),
        ("protected = [\"main\"]", "no branch vouches for itself"),
        ("checks = [\"tidegate/admission\"]", "would wait for itself"),
        ("[", ""),
    ] {
        let hub = Hub::new(text).takes_status(HEAD);
        let said = hub.hear(&proposal()).unwrap();
        let refused = content(&said[0]).refused.unwrap();
        assert_eq!(refused.rule, "policy-unreadable");
        assert!(
            refused.reason.contains(problem) && refused.clear.contains("mend .tidegate/admission.toml"),
            "{refused:?}"
        );
        assert_eq!(hub.posted()[0].1, "failure");
    }
    let hub = Hub { host: Some(Host::new().config("policy", "")) }.takes_status(HEAD);
    let gone = format!(r#"{{"message":"No commit found for the ref {BASE}","status":"404"}}"#);
    assert_eq!(word(&hub.file(BASE, 404, &gone).hear(&proposal()).unwrap()), "policy-unreadable");
}

#[test]
fn a_new_branch_has_no_rules_but_config_s() {
    let hub = Hub { host: Some(Host::new().config("policy", "protected = [\"release/*\"]")) };
    let hub = hub.pulls_of(COMMIT, json!([])).takes_status(COMMIT);
    let created =
        push(&[("ref_name", json!("release/9")), ("before", json!("0".repeat(40))), ("change", json!("created"))]);
    assert_eq!(word(&hub.hear(&created).unwrap()), "no-direct-push");
}

#[test]
fn a_config_that_cannot_be_read_is_a_dead_letter() {
    let failure = Hub::new("").config("policy", "checks = [\"tidegate/admission\"]").hear(&proposal()).unwrap_err();
    assert!(failure.reason().contains("config policy: checks names tidegate/admission"), "{failure}");
}
