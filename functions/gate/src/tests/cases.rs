//! What blocks, what passes, and what is said of it.

use super::*;

#[test]
fn what_is_missing_blocks_by_name_until_it_is_there() {
    let blocked = ["missing-evidence change image", "missing-evidence image", "passed"];
    check(POLICY, &[packaged(), accepted(), clean()], &blocked);
    check(POLICY, &[accepted(), clean(), packaged()], &["passed"]);
    check(
        POLICY,
        &[identified(None), accepted(), packaged(), clean()],
        &["missing-evidence change pipeline image", "missing-evidence image", "passed"],
    );
}

#[test]
fn what_is_missing_says_whose_word_counts_and_each_thing_once() {
    let stage = Stage::new(POLICY);
    let said = stage.hear(&identified(None)).unwrap();
    let blocked = verdict(&said[0]).blocked.unwrap();
    let reason = "no pipeline run says that it made this digest; there is no image scan of this digest";
    assert_eq!(blocked.reason, reason);
    assert!(blocked.clear.ends_with("what counts is what function:scan says of it"), "{}", blocked.clear);
}

#[test]
fn a_commit_without_an_artifact_is_nobody_s_release() {
    check(POLICY, &[accepted(), change(OTHER_COMMIT, "push", Some("no-direct-push"))], &[]);
}

#[test]
fn a_refused_change_is_named_with_its_rule_and_an_acceptance_outweighs_it() {
    let refused = || change(COMMIT, "push", Some("no-direct-push"));
    check(
        POLICY,
        &[packaged(), clean(), refused()],
        &["missing-evidence change image", "missing-evidence change", "change-refused no-direct-push change"],
    );
    check(
        POLICY,
        &[packaged(), clean(), refused(), accepted()],
        &["missing-evidence change image", "missing-evidence change", "change-refused no-direct-push change", "passed"],
    );
    check(POLICY, &[accepted(), refused(), clean(), packaged()], &["passed"]);
}

#[test]
fn a_passing_verdict_carries_the_release_and_what_counted() {
    let stage = Stage::new(POLICY);
    let said: Vec<Event> =
        [accepted(), clean(), packaged()].iter().flat_map(|event| stage.hear(event).unwrap()).collect();
    let [passed] = said.as_slice() else { panic!("{said:?}") };
    let verdict = verdict(passed);
    let release = &verdict.release;
    assert_eq!(
        (passed.subject.as_deref(), passed.text("partitionkey")),
        (Some(release.release.as_str()), Some(DIGEST))
    );
    assert_eq!(
        (release.service.as_str(), release.digest.as_str(), release.artifact.as_str()),
        ("shop", DIGEST, ARTIFACT)
    );
    assert_eq!((release.commit.as_deref(), release.order.as_deref()), (Some(COMMIT), Some(BEFORE)));
    let evidence = [("change", accepted().id), ("image", clean().id), ("pipeline", packaged().id)];
    assert_eq!(verdict.evidence, evidence.map(|(name, id)| (name.to_owned(), id)).into());
    assert_eq!(verdict.policy, delivery::sha256(POLICY.as_bytes()));
}

#[test]
fn a_block_says_the_rule_the_input_the_event_and_how_to_clear_it() {
    let stage = Stage::new(POLICY);
    let bad = scan(
        "image",
        DIGEST,
        "findings",
        &[finding("high", "CVE-2"), finding("critical", "CVE-1"), finding("low", "CVE-3")],
    );
    stage.words(&[packaged(), accepted()]);
    let said = stage.hear(&bad).unwrap();
    let blocked = verdict(&said[0]).blocked.unwrap();
    assert_eq!(blocked.rule, "image-scan");
    assert_eq!(blocked.reason, "the image scan by trivy found CVE-1 (critical) in openssl 3.0.1, and 1 more");
    assert_eq!((blocked.input.as_deref(), blocked.evidence_id), (Some("CVE-1"), Some(bad.id)));
    assert!(blocked.clear.contains("exception with an owner") && blocked.missing.is_empty(), "{}", blocked.clear);
}

#[test]
fn a_verdict_is_said_when_it_changes_and_a_pass_once() {
    let (high, low) = ([finding("high", "CVE-2")], [finding("low", "CVE-3")]);
    let bad = scan("image", DIGEST, "findings", &high);
    let better = with(&scan("image", DIGEST, "findings", &low), json!({ "scanned_at": NOW }));
    check(
        POLICY,
        &[packaged(), accepted(), bad.clone(), bad, better.clone(), better, accepted()],
        &["missing-evidence change image", "missing-evidence image", "image-scan CVE-2", "passed"],
    );
}

#[test]
fn a_scan_that_failed_is_not_clean_and_a_later_one_counts() {
    let failed = scan("image", DIGEST, "failed", &[]);
    let later = with(&clean(), json!({ "scanned_at": NOW }));
    check(POLICY, &[accepted(), packaged(), failed.clone()], &["missing-evidence image", "scan-failed trivy"]);
    check(POLICY, &[accepted(), later.clone(), failed.clone(), packaged()], &["passed"]);
    check(POLICY, &[accepted(), packaged(), failed, later], &["missing-evidence image", "scan-failed trivy", "passed"]);
}

#[test]
fn every_tool_and_every_part_must_hold() {
    let found = [finding("critical", "CVE-1")];
    let grype = with(&scan("image", DIGEST, "findings", &found), json!({ "tool": { "name": "grype" } }));
    let part = with(&scan("image", DIGEST, "findings", &found), json!({ "part": "arm64" }));
    for bad in [grype, part] {
        check(POLICY, &[accepted(), clean(), bad.clone(), packaged()], &["image-scan CVE-1"]);
        check(POLICY, &[accepted(), bad, clean(), packaged()], &["image-scan CVE-1"]);
    }
}

#[test]
fn a_scan_of_the_source_counts_for_what_was_built_of_it_and_an_image_s_only_for_itself() {
    let policy = POLICY.replace("image =", "static =");
    check(&policy, &[accepted(), scan("static", COMMIT, "clean", &[]), packaged()], &["passed"]);
    check(
        &policy,
        &[accepted(), packaged(), scan("static", COMMIT, "clean", &[])],
        &["missing-evidence static", "passed"],
    );
    check(&policy, &[accepted(), packaged(), scan("static", OTHER_COMMIT, "clean", &[])], &["missing-evidence static"]);
    check(
        &policy,
        &[accepted(), packaged(), scan("static", DIGEST, "clean", &[])],
        &["missing-evidence static", "passed"],
    );
    check(POLICY, &[accepted(), packaged(), scan("image", OTHER_DIGEST, "clean", &[])], &["missing-evidence image"]);
    check(POLICY, &[accepted(), packaged(), scan("image", COMMIT, "clean", &[])], &["missing-evidence image"]);
}

#[test]
fn severities_that_block_are_the_policy_s() {
    let found = |severity| scan("image", DIGEST, "findings", &[finding(severity, "CVE-1")]);
    let verdict = |rules: &str, scan: Event| {
        Stage::new(&format!("{POLICY}[severity]\n{rules}")).words(&[accepted(), scan, packaged()])
    };
    let blocked = ["image-scan CVE-1"];
    let passed = ["passed"];
    assert_eq!(verdict("", found("high")), blocked);
    assert_eq!(verdict("", found("medium")), passed);
    assert_eq!(verdict("block = [\"medium\"]", found("medium")), blocked);
    assert_eq!(verdict("block = [\"critical\"]", found("high")), passed);
    assert_eq!(verdict("image = [\"low\"]", found("low")), blocked);
    assert_eq!(verdict("image = [\"low\"]", found("critical")), passed);
    assert_eq!(verdict("dependency = [\"low\"]", found("low")), passed);
    assert_eq!(verdict("block = []", found("critical")), passed);
}

#[test]
fn a_finding_that_nobody_can_mend_yet_blocks_unless_only_mended_ones_do() {
    let scan_of = |kind: &str, found: Value| with(&scan(kind, DIGEST, "findings", &[found]), json!({}));
    let unmended = || finding("critical", "CVE-1");
    let mut mended = unmended();
    mended["fixed"] = json!("3.0.2");
    let fixed_only = format!("{POLICY}[severity]\nfixed_only = true");
    check(&fixed_only, &[accepted(), scan_of("image", unmended()), packaged()], &["passed"]);
    check(&fixed_only, &[accepted(), scan_of("image", mended), packaged()], &["image-scan CVE-1"]);
    check(POLICY, &[accepted(), scan_of("image", unmended()), packaged()], &["image-scan CVE-1"]);
    // What stands in the source is mended by whoever wrote it.
    let in_source = fixed_only.replace("image =", "static =");
    check(&in_source, &[accepted(), scan_of("static", unmended()), packaged()], &["static-scan CVE-1"]);
}

#[test]
fn more_findings_than_an_event_lists_block() {
    let many = with(
        &scan("image", DIGEST, "findings", &[finding("low", "CVE-1")]),
        json!({ "counts": { "high": 501, "low": 1 } }),
    );
    check(POLICY, &[accepted(), many.clone(), packaged()], &["image-scan"]);
    check(&format!("{POLICY}[severity]\nblock = [\"critical\"]"), &[accepted(), many, packaged()], &["passed"]);
}

#[test]
fn a_quarantined_digest_blocks_until_it_is_cleared() {
    let quarantined = json!({
        "digest": DIGEST, "environment": "production", "release": "shop-1", "service": "shop", "reason": "20 % failed",
        "by": "function:rollback",
    });
    let told =
        from("function:rollback", delivery::say(types::DIGEST_QUARANTINED, DIGEST, DIGEST, &quarantined).unwrap());
    let stage = Stage { host: Stage::new(POLICY).host.json("quarantine", DIGEST, &quarantined) };
    assert_eq!(stage.words(&[accepted(), clean(), packaged(), told]), [format!("quarantined {DIGEST}")]);

    let cleared =
        json!({ "digest": DIGEST, "by": "ana", "reason": "the data was bad", "lift": "l", "origin": "api:ana" });
    let cleared = from("function:rollback", delivery::say(types::DIGEST_CLEARED, DIGEST, DIGEST, &cleared).unwrap());
    // Whoever says so, what counts is what `rollback` keeps.
    assert_eq!(stage.words(std::slice::from_ref(&cleared)), [""; 0]);
    tidegate_sdk::kv::open("quarantine").unwrap().delete(DIGEST).unwrap();
    assert_eq!(stage.words(&[cleared]), ["passed"]);
    let lift = from("api:ana", delivery::say(types::QUARANTINE_LIFTED, DIGEST, DIGEST, &()).unwrap());
    assert!(stage.hear(&lift).unwrap_err().reason().contains("say nothing to a gate"));
}

#[test]
fn production_wants_the_same_release_verified_in_staging() {
    let policy = "environment = \"production\"\n[require]\npipeline = [\"function:pipeline\"]\n\"verified:staging\" = [\"function:verify\"]";
    let configuration = |plan: &str| {
        let _host = Host::new().config("plan", plan);
        delivery::Plan::read().unwrap().service["shop"].configuration()
    };
    let verified = |digest: &str, configuration: &str, environment: &str| {
        let release = delivery::Release::new("shop", ARTIFACT, digest, configuration, Some(COMMIT), Some(BEFORE));
        let mut content = serde_json::to_value(&release).unwrap();
        let more = json!({
            "environment": environment, "function": "shop-staging", "component": DIGEST, "deployment": 1, "look": 1, "since": BEFORE,
            "detection_millis_max": 1,
        });
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        from(
            "function:verify",
            delivery::say(types::RELEASE_VERIFIED, &release.release, "shop/staging", &content).unwrap(),
        )
    };
    let now = configuration(PLAN);
    let blocked = ["missing-evidence verified:staging"];
    check(policy, &[packaged(), verified(DIGEST, &now, "staging")], &["missing-evidence verified:staging", "passed"]);
    check(policy, &[verified(DIGEST, &now, "staging"), packaged()], &["passed"]);
    check(policy, &[packaged(), verified(OTHER_DIGEST, &now, "staging")], &blocked);
    check(
        policy,
        &[packaged(), verified(DIGEST, &configuration(&PLAN.replace("event-driven", "microservice")), "staging")],
        &blocked,
    );
    check(policy, &[packaged(), verified(DIGEST, &now, "production")], &blocked);
    let renamed = with(&verified(OTHER_DIGEST, &now, "staging"), json!({ "digest": DIGEST }));
    check(policy, &[packaged(), renamed], &blocked);
}

#[test]
fn the_artifact_s_own_claim_ties_it_to_a_commit_only_where_the_policy_says_so() {
    let policy = POLICY.replace("pipeline = [\"function:pipeline\"]", "provenance = [\"function:image\"]");
    check(&policy, &[accepted(), clean(), identified(Some(COMMIT))], &["passed"]);
    check(
        &policy,
        &[identified(Some(OTHER_COMMIT)), accepted(), clean()],
        &["missing-evidence change image", "missing-evidence change"],
    );
    check(
        &policy,
        &[identified(None), accepted(), clean()],
        &["missing-evidence change provenance image", "missing-evidence change provenance"],
    );
    check(POLICY, &[accepted(), clean(), identified(Some(COMMIT))], &["missing-evidence change pipeline"]);
}

#[test]
fn what_is_no_service_s_or_does_not_come_here_is_not_judged() {
    check(
        POLICY,
        &[accepted(), clean(), with(&packaged(), json!({ "artifact": "registry.example.com/acme/other" }))],
        &[],
    );
    let production = POLICY.replace("\"staging\"", "\"production\"");
    let plan = PLAN.replace("[service.shop.in.production]\nfunction = \"shop-production\"", "");
    let stage = Stage { host: Stage::new(&production).host.config("plan", &plan) };
    assert!(stage.words(&[accepted(), clean(), packaged()]).is_empty());
}
