//! Where something stands, from words written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decide::{Known, decide};
use super::releases::fold;
use super::word::Word;
use crate::api::model::{Standing, TraceRun, VerdictView, WhyState, WhyView};
use crate::clock::Timestamp;
use crate::deployment::{Author, event_type};
use crate::event::{Accepted, Event, Extension, Origin, OriginKind, Position, attribute};
use crate::outcome::{Failure, FailureKind};

const COMMIT: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";
const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

/// Words in log order, each by its name in the catalogue and its content.
#[derive(Default)]
struct Told {
    words: Vec<Word>,
    runs: BTreeMap<Position, Vec<TraceRun>>,
    running: BTreeMap<(String, String), Word>,
}

impl Told {
    /// By one who may say it.
    fn word(&self, name: &str, content: Value) -> Word {
        let kind = match event_type(name).unwrap().author {
            Author::Trigger => OriginKind::Trigger,
            Author::Runtime => OriginKind::Runtime,
            Author::Granted if matches!(name, "release.requested" | "quarantine.lifted") => OriginKind::Api,
            Author::Function | Author::Granted => OriginKind::Function,
        };
        self.word_by(name, content, Origin { kind, name: "teller".to_owned(), verified: true })
    }

    fn word_by(&self, name: &str, content: Value, origin: Origin) -> Word {
        let position = self.words.len() as Position + 1;
        let text = |member: &str| content.get(member).and_then(Value::as_str).map(str::to_owned);
        let mut event = Event {
            id: format!("e-{position}"),
            source: "/tests".to_owned(),
            ty: event_type(name).unwrap().ty.to_owned(),
            subject: text("task"),
            data: Some(json!({ "subject": { "content": content } }).to_string().into()),
            ..Event::default()
        };
        // What led to it, where that matters.
        if let Some(cause) = text("led_by") {
            event.extensions.insert(attribute::CAUSATION.to_owned(), Extension::Text(cause));
        }
        Word::of(&Accepted { position, accepted_at: Timestamp::EPOCH, origin, hops: 0, event })
    }

    fn then(mut self, name: &str, content: Value) -> Self {
        let word = self.word(name, content);
        self.words.push(word);
        self
    }

    /// As `then`, said by somebody else.
    fn by(mut self, kind: OriginKind, verified: bool, name: &str, content: Value) -> Self {
        let word = self.word_by(name, content, Origin { kind, name: "somebody".to_owned(), verified });
        self.words.push(word);
        self
    }

    /// What a function made of the last word.
    fn met(mut self, function: &str, verdict: VerdictView, reason: &str) -> Self {
        let run = TraceRun {
            function: function.to_owned(),
            verdict,
            attempts: 1,
            duration_micros: 1,
            settledat: None,
            failure: (!reason.is_empty()).then(|| Failure::new(FailureKind::Rejected, reason)),
        };
        self.runs.entry(self.words.len() as Position).or_default().push(run);
        self
    }

    fn why(&self, of: &str) -> WhyView {
        decide(&Known {
            of,
            environment: "production",
            words: self.words.clone(),
            runs: self.runs.clone(),
            running: self.running.clone(),
            // Those that the tests name, and one that says nothing of the path.
            path: self
                .runs
                .values()
                .flatten()
                .map(|run| run.function.clone())
                .filter(|name| name != "notify")
                .collect(),
            places: [("gate-staging".to_owned(), "staging".to_owned())].into(),
        })
    }
}

#[track_caller]
fn check(told: &Told, state: WhyState, rule: Option<&str>) -> WhyView {
    let why = told.why(COMMIT);
    let cause = why.cause.as_ref();
    assert_eq!((why.state, cause.map(|cause| cause.rule.as_str())), (state, rule), "{cause:?}");
    assert!(cause.is_none_or(|cause| !cause.reason.is_empty() && !cause.clear.is_empty()), "{cause:?}");
    why
}

/// A commit that was merged, built and packaged.
fn packaged() -> Told {
    Told::default()
        .then("tidegate-change.accepted", json!({ "commit": COMMIT, "way": "merge" }))
        .then("pipelinerun.finished", json!({ "commit": COMMIT, "outcome": "success" }))
        .then("artifact.packaged", json!({ "commit": COMMIT, "digest": DIGEST }))
}

fn release(more: Value) -> Value {
    let mut content = json!({
        "environment": "production", "release": "shop-1", "service": "shop", "digest": DIGEST, "commit": COMMIT,
    });
    content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    content
}

fn blocked(missing: &[&str]) -> Value {
    release(
        json!({ "rule": "missing-evidence", "reason": "something is missing", "clear": "bring it", "missing": missing }),
    )
}

#[test]
fn a_change_that_is_not_released_says_how_far_it_came() {
    let refused =
        json!({ "commit": COMMIT, "rule": "review", "reason": "nobody approved it", "clear": "have it reviewed" });
    check(&Told::default().then("tidegate-change.refused", refused.clone()), WhyState::Held, Some("review"));
    let proposed = json!({ "commit": COMMIT, "way": "proposal" });
    check(&Told::default().then("tidegate-change.accepted", proposed), WhyState::Held, Some("not-merged"));
    check(&Told::default().then("change.created", json!({ "commit": COMMIT })), WhyState::Held, Some("not-judged"));
    check(&packaged(), WhyState::Held, Some("no-gate"));
    // What was refused by one way and accepted by another is accepted.
    let accepted = json!({ "commit": COMMIT, "way": "merge" });
    let both = Told::default().then("tidegate-change.refused", refused).then("tidegate-change.accepted", accepted);
    check(&both, WhyState::Held, Some("no-run"));
    let ran = both.then("pipelinerun.finished", json!({ "commit": COMMIT, "outcome": "success" }));
    check(&ran, WhyState::Held, Some("no-artifact"));
}

#[test]
fn a_run_that_is_not_done_or_failed_is_the_cause_of_what_is_missing() {
    let accepted = || Told::default().then("tidegate-change.accepted", json!({ "commit": COMMIT, "way": "merge" }));
    let task = || accepted().then("task.requested", json!({ "commit": COMMIT, "task": "build" }));
    check(&task(), WhyState::Waiting, Some("task-waiting"));
    let running = task().met("runner", VerdictView::Running { attempt: 1 }, "");
    check(&running, WhyState::Waiting, Some("running"));
    let failed = json!({ "commit": COMMIT, "outcome": "failure", "failed": "build", "output": DIGEST });
    let failed = task().then("pipelinerun.finished", failed);
    let why = check(&failed, WhyState::Failed, Some("pipeline-failed"));
    assert!(why.cause.unwrap().clear.contains(DIGEST));
    let blocked = failed.then("gate.blocked", blocked(&["pipeline"]));
    check(&blocked, WhyState::Failed, Some("pipeline-failed"));
}

#[test]
fn a_gate_s_own_rule_counts_unless_something_hangs() {
    let told = || packaged().then("gate.blocked", blocked(&["image"]));
    check(&told(), WhyState::Held, Some("missing-evidence"));
    let dead = packaged()
        .then("scan.requested", json!({ "digest": DIGEST }))
        .met("scan", VerdictView::DeadLettered, "the report names no digest")
        .then("gate.blocked", blocked(&["image"]));
    let why = check(&dead, WhyState::Failed, Some("dead-letter"));
    let cause = why.cause.unwrap();
    assert_eq!(cause.function.as_deref(), Some("scan"));
    assert!(
        cause.reason.contains("the report names no digest") && cause.clear.contains("dlq redrive 4.scan"),
        "{cause:?}"
    );
    // Of another environment it says nothing.
    let elsewhere = release(json!({ "environment": "staging", "rule": "image-scan" }));
    check(&told().then("gate.blocked", elsewhere), WhyState::Held, Some("missing-evidence"));
}

#[test]
fn what_is_deployed_is_released_until_something_else_is() {
    let deployed = || packaged().then("gate.passed", release(json!({}))).then("service.deployed", release(json!({})));
    check(&deployed(), WhyState::Released, None);
    check(&deployed().then("release.verified", release(json!({}))), WhyState::Released, None);
    let mut replaced = deployed();
    let other =
        json!({ "environment": "production", "release": "shop-2", "service": "shop", "digest": "sha256:other" });
    let later = Told { words: vec![replaced.words[0].clone(); 9], ..Told::default() }.word("service.upgraded", other);
    replaced.running.insert(("shop".to_owned(), "production".to_owned()), later);
    check(&replaced, WhyState::Replaced, Some("replaced"));
}

#[test]
fn what_failed_or_is_in_quarantine_is_held_until_it_is_cleared() {
    let failed = || {
        let deployed = packaged().then("service.deployed", release(json!({})));
        deployed.then("release.failed", release(json!({ "failed": 80, "reason": "20 % failed" })))
    };
    check(&failed(), WhyState::Failed, Some("failed-verification"));
    let quarantined = || failed().then("digest.quarantined", release(json!({ "reason": "20 % failed" })));
    check(&quarantined(), WhyState::Held, Some("quarantined"));
    let is_quarantined = |told: &Told| fold(&counting(told))[0].quarantined;
    assert!(is_quarantined(&quarantined()));
    // It is a function's to say whether the lift counts.
    let lift = json!({ "digest": DIGEST, "by": "ana", "reason": "the data was bad" });
    let lifted = || quarantined().then("quarantine.lifted", lift.clone());
    check(&lifted(), WhyState::Held, Some("quarantined"));
    assert!(is_quarantined(&lifted()));
    let cleared = lifted().then("digest.cleared", lift.clone());
    check(&cleared, WhyState::Failed, Some("failed-verification"));
    assert!(!is_quarantined(&cleared));
    check(
        &cleared.then("digest.quarantined", release(json!({ "reason": "again" }))),
        WhyState::Held,
        Some("quarantined"),
    );
}

#[test]
fn a_request_that_the_reconciler_tries_again_waits_and_says_for_what() {
    let told = packaged().then("gate.passed", release(json!({}))).then("deployment.requested", release(json!({})));
    let retrying = VerdictView::Retrying { attempt: 2, at: Timestamp::EPOCH };
    let why = check(&told.met("reconcile", retrying, "the registry is down"), WhyState::Waiting, Some("retrying"));
    let cause = why.cause.unwrap();
    assert!(cause.reason.contains("the registry is down") && cause.again.is_some(), "{cause:?}");
    // While it is tried again, what failed before is still what is the matter.
    let told = packaged().then("gate.passed", release(json!({}))).then("deployment.requested", release(json!({})));
    let again = told.met("reconcile", VerdictView::Running { attempt: 2 }, "the registry is down");
    check(&again, WhyState::Waiting, Some("retrying"));
    let request =
        json!({ "request": release(json!({})), "problems": ["a changed byte"], "digest": "sha256:of a deployment" });
    let refused = packaged().then("deployment.refused", request);
    let why = check(&refused, WhyState::Held, Some("deployment-refused"));
    assert_eq!(why.cause.unwrap().reason, "a changed byte");
}

#[test]
fn what_was_refused_as_a_proposal_and_accepted_since_is_not_refused() {
    let refused =
        json!({ "commit": COMMIT, "way": "proposal", "rule": "reviews", "reason": "none", "clear": "review it" });
    let accepted = json!({ "commit": COMMIT, "way": "proposal" });
    let told = Told::default().then("tidegate-change.refused", refused.clone());
    let told = told.then("tidegate-change.accepted", accepted);
    check(&told, WhyState::Held, Some("not-merged"));
    check(&told.then("tidegate-change.refused", refused), WhyState::Held, Some("reviews"));
}

#[test]
fn who_may_not_say_it_moves_nothing() {
    let told = || packaged().then("gate.blocked", blocked(&["image"]));
    let forged = ["gate.passed", "deployment.requested", "service.deployed", "release.verified", "digest.quarantined"];
    for name in forged {
        for (kind, verified) in [(OriginKind::Api, true), (OriginKind::Trigger, true), (OriginKind::Function, false)] {
            let told = told().by(kind, verified, name, release(json!({})));
            let why = check(&told, WhyState::Held, Some("missing-evidence"));
            assert!(!why.chain.last().unwrap().counts, "{name}: {:?}", why.chain);
            assert!(fold(&counting(&told)).iter().all(|view| {
                matches!(view.environments["production"].standing, Standing::Blocked) && !view.quarantined
            }));
        }
    }
    // Nor does it tie what was asked for to something else.
    let other = json!({ "commit": COMMIT, "digest": "sha256:other" });
    let why = told().by(OriginKind::Api, false, "artifact.packaged", other).why(COMMIT);
    assert_eq!(why.digest.as_deref(), Some(DIGEST));
    // Nor does it end a quarantine.
    let cleared = |kind, verified| {
        let told = told().then("digest.quarantined", release(json!({ "reason": "20 % failed" })));
        told.by(kind, verified, "digest.cleared", json!({ "digest": DIGEST, "by": "ana" }))
    };
    check(&cleared(OriginKind::Function, true), WhyState::Held, Some("missing-evidence"));
    for (kind, verified) in [(OriginKind::Api, true), (OriginKind::Trigger, true), (OriginKind::Function, false)] {
        check(&cleared(kind, verified), WhyState::Held, Some("quarantined"));
    }
}

/// The words that `GET /releases` reads.
fn counting(told: &Told) -> Vec<Word> {
    told.words.iter().filter(|word| word.counts).cloned().collect()
}

#[test]
fn a_release_that_runs_goes_on_running_when_it_is_refused_again() {
    let runs = || packaged().then("gate.passed", release(json!({}))).then("service.deployed", release(json!({})));
    let verified = || runs().then("release.verified", release(json!({})));
    let standing = |told: &Told| fold(&counting(told)).remove(0).environments["production"].standing;
    let refused = |told: Told| {
        let request = format!("e-{}", told.words.len() + 1);
        let told = told.then("release.requested", release(json!({})));
        told.then("release.refused", release(json!({ "rule": "quarantined", "led_by": request })))
    };
    check(&refused(verified()), WhyState::Released, None);
    assert!(matches!(standing(&refused(verified())), Standing::Verified));
    // The reconciler refuses as well, once it was asked.
    let asked = verified().then("deployment.requested", release(json!({ "purpose": "redeploy" })));
    check(&asked, WhyState::Released, None);
    let asked = asked.then("release.refused", release(json!({ "rule": "deployment-refused" })));
    check(&asked, WhyState::Released, None);
    assert!(matches!(standing(&asked), Standing::Verified));
    // What failed, or was blocked, is not blocked by the request but by what it was before.
    let failed = refused(runs().then("release.failed", release(json!({ "reason": "20 % failed" }))));
    check(&failed, WhyState::Failed, Some("failed-verification"));
    assert!(matches!(standing(&failed), Standing::Failed));
    check(&refused(packaged().then("gate.blocked", blocked(&["image"]))), WhyState::Held, Some("missing-evidence"));
    // A release that never ran is refused.
    let never = packaged().then("release.refused", release(json!({ "rule": "older-commit" })));
    assert!(matches!(standing(&never), Standing::Refused));
}

#[test]
fn what_was_judged_before_its_commit_was_known_is_no_release_of_its_own() {
    let mut early = blocked(&["change", "image"]);
    early["release"] = json!("shop-0");
    early.as_object_mut().unwrap().remove("commit");
    let told = packaged().then("gate.blocked", early).then("gate.blocked", blocked(&["image"]));
    let names: Vec<String> = fold(&counting(&told)).into_iter().map(|view| view.release).collect();
    assert_eq!(names, ["shop-1"]);
    let why = told.why("shop-0");
    assert_eq!((why.release.as_deref(), why.cause.unwrap().missing), (Some("shop-1"), vec!["image".to_owned()]));
}

#[test]
fn another_environment_is_the_cause_where_nothing_else_is() {
    let staging = |name: &str, more: Value| {
        let mut content = release(more);
        content["environment"] = json!("staging");
        packaged().then(name, content)
    };
    let lacking = blocked(&["verified:staging"]);
    let of = |told: Told, state, rule| {
        let cause = check(&told.then("gate.blocked", lacking.clone()), state, Some(rule)).cause.unwrap();
        assert_eq!(cause.environment.as_deref(), Some("staging"), "{cause:?}");
    };
    of(staging("release.refused", json!({ "rule": "older-commit", "reason": "old" })), WhyState::Held, "older-commit");
    of(staging("service.deployed", json!({})), WhyState::Waiting, "verifying");
    // What is missing here is nearer.
    let both = staging("service.deployed", json!({})).then("gate.blocked", blocked(&["image", "verified:staging"]));
    check(&both, WhyState::Held, Some("missing-evidence"));
}

#[test]
fn who_hangs_for_another_environment_or_has_no_part_in_the_path_holds_nothing_back() {
    let told = |function: &str| {
        let told = packaged().then("scan.completed", json!({ "digest": DIGEST, "kind": "image", "result": "clean" }));
        let told = told.met(function, VerdictView::DeadLettered, "no policy");
        told.then("gate.blocked", blocked(&["image"]))
    };
    check(&told("gate-staging"), WhyState::Held, Some("missing-evidence"));
    check(&told("notify"), WhyState::Held, Some("missing-evidence"));
    check(&told("gate-production"), WhyState::Failed, Some("dead-letter"));
}

#[test]
fn a_release_in_whose_place_something_else_runs_has_drifted() {
    let runs = || packaged().then("service.deployed", release(json!({})));
    let drift = |more: Value| {
        let mut content = release(more);
        content
            .as_object_mut()
            .unwrap()
            .extend(json!({ "function": "shop-production", "deployment": 7 }).as_object().unwrap().clone());
        content
    };
    let told = runs()
        .then("drift.detected", drift(json!({ "runs": "sha256:other", "cause": "rollback ana", "action": "report" })));
    let cause = check(&told, WhyState::Failed, Some("drifted")).cause.unwrap();
    assert!(cause.reason.contains("since deployment 7 (rollback ana)"), "{cause:?}");
    assert!(cause.clear.contains("`tidegate redeploy shop-1 --in production`"), "{cause:?}");
    let resolved = told.then("drift.resolved", drift(json!({ "action": "heal" })));
    check(&resolved, WhyState::Released, None);
}

#[test]
fn the_chain_leaves_out_what_was_overtaken() {
    let told = packaged()
        .then("gate.blocked", blocked(&["image"]))
        .then("scan.requested", json!({ "digest": DIGEST }))
        .then("scan.completed", json!({ "digest": DIGEST, "kind": "image", "result": "clean" }))
        .then("gate.passed", release(json!({})))
        .then("deployment.requested", release(json!({})))
        .then("deployment.activated", json!({ "request": release(json!({})), "led_by": "e-8" }))
        .then("service.deployed", release(json!({ "led_by": "e-9" })))
        .then("verification.due", release(json!({})))
        .then("release.verified", release(json!({})));
    let words: Vec<String> = told.why(COMMIT).chain.into_iter().map(|step| step.word).collect();
    let path = [
        "tidegate-change.accepted",
        "pipelinerun.finished",
        "artifact.packaged",
        "scan.completed",
        "gate.passed",
        "service.deployed",
        "release.verified",
    ];
    assert_eq!(words, path);
}
