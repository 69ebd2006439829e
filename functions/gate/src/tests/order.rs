//! Evidence in every order, repeated and late, ends in the same decision.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

const POLICY: &str = r#"
environment = "staging"
[require]
change = ["function:commit"]
pipeline = ["function:pipeline"]
provenance = ["function:image"]
image = ["function:scan"]
static = ["function:scan"]
"#;

/// Evidence for two commits of one digest and for another digest, good and bad, new and old, and some that is forged.
fn pool() -> Vec<Event> {
    let critical = [finding("critical", "CVE-1")];
    let other_artifact = json!({ "digest": OTHER_DIGEST });
    vec![
        accepted(),
        change(OTHER_COMMIT, "merge", None),
        change(COMMIT, "push", Some("no-direct-push")),
        change(OTHER_COMMIT, "proposal", Some("reviews")),
        packaged(),
        packaged_as(DIGEST, OTHER_COMMIT),
        packaged_as(OTHER_DIGEST, COMMIT),
        identified(Some(COMMIT)),
        identified(Some(OTHER_COMMIT)),
        with(&identified(Some(COMMIT)), other_artifact.clone()),
        clean(),
        with(&scan("image", DIGEST, "failed", &[]), json!({ "scanned_at": "2026-11-24T00:00:00Z" })),
        with(&scan("image", DIGEST, "findings", &critical), json!({ "scanned_at": "2026-11-24T00:00:00Z" })),
        with(&scan("image", OTHER_DIGEST, "findings", &critical), json!({ "tool": { "name": "grype" } })),
        scan("image", OTHER_DIGEST, "clean", &[]),
        scan("static", COMMIT, "clean", &[]),
        scan("static", COMMIT, "findings", &critical),
        with(&scan("static", OTHER_COMMIT, "clean", &[]), json!({ "part": "java" })),
        from("api:mallory", accepted()),
        from("trigger:/hooks/ci", clean()),
    ]
}

/// What the gate came to: the last word on each release. A release that passed is never blocked after; what turned bad of
/// it later is told as an incident, which is then the last word. A digest that nothing ties to a commit yet has a release
/// without one, which counts only while there is no other.
fn decision(events: &[Event]) -> BTreeSet<String> {
    let stage = Stage::new(POLICY);
    let mut last: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
    for said in events.iter().flat_map(|event| stage.hear(event).unwrap()).filter(|said| said.ty != types::GATE_ASKED) {
        if said.ty == types::INCIDENT_DETECTED {
            let spoiled: delivery::Spoiled = delivery::custom(&said).unwrap();
            let before = last.insert(key(&spoiled.release), blocked(spoiled.blocked));
            assert!(before.is_some(), "an incident of a release that did not pass");
            continue;
        }
        let release = verdict(&said).release;
        assert_ne!(last.get(&key(&release)).map(String::as_str), Some("passed"));
        last.insert(key(&release), word(&said).unwrap());
    }
    let tied: BTreeSet<String> =
        last.keys().filter(|(_, commit)| commit.is_some()).map(|(digest, _)| digest.clone()).collect();
    let counts = |(digest, commit): &(String, Option<String>)| commit.is_some() || !tied.contains(digest);
    last.into_iter()
        .filter(|(key, _)| counts(key))
        .map(|((digest, commit), word)| format!("{digest} {commit:?} {word}"))
        .collect()
}

fn key(release: &delivery::Release) -> (String, Option<String>) {
    (release.digest.clone(), release.commit.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_arrival_ends_in_the_same_decision(
        (first, second) in subsequence(pool(), 0..=20).prop_flat_map(|events| {
            let repeats = subsequence(events.clone(), 0..=events.len());
            (Just(events).prop_shuffle(), repeats)
        }).prop_flat_map(|(events, repeats)| {
            let again = [events.clone(), repeats].concat();
            (Just(events), Just(again).prop_shuffle())
        })
    ) {
        prop_assert_eq!(decision(&first), decision(&second));
    }
}
