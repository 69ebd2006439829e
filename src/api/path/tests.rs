//! Where something stands, from words written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decide::{Known, decide};
use super::word::Word;
use crate::api::model::{TraceRun, VerdictView, WhyState, WhyView};
use crate::clock::Timestamp;
use crate::deployment::full_type;
use crate::event::{Accepted, Event, Origin, OriginKind, Position};
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
    fn word(&self, name: &str, content: Value) -> Word {
        let position = self.words.len() as Position + 1;
        let subject = content.get("task").and_then(Value::as_str).map(str::to_owned);
        let event = Event {
            id: format!("e-{position}"),
            source: "/tests".to_owned(),
            ty: full_type(name).unwrap(),
            subject,
            data: Some(json!({ "subject": { "content": content } }).to_string().into()),
            ..Event::default()
        };
        let origin = Origin { kind: OriginKind::Function, name: "teller".to_owned(), verified: true };
        Word::of(&Accepted { position, accepted_at: Timestamp::EPOCH, origin, hops: 0, event })
    }

    fn then(mut self, name: &str, content: Value) -> Self {
        let word = self.word(name, content);
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
            failure: Some(Failure::new(FailureKind::Rejected, reason)),
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
    check(&packaged(), WhyState::Held, Some("no-artifact"));
    // What was refused by one way and accepted by another is accepted.
    let accepted = json!({ "commit": COMMIT, "way": "merge" });
    let both = Told::default().then("tidegate-change.refused", refused).then("tidegate-change.accepted", accepted);
    check(&both, WhyState::Held, Some("no-artifact"));
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
fn what_failed_or_is_in_quarantine_is_held_until_it_is_lifted() {
    let failed = || {
        let deployed = packaged().then("service.deployed", release(json!({})));
        deployed.then("release.failed", release(json!({ "failed": 80, "reason": "20 % failed" })))
    };
    check(&failed(), WhyState::Failed, Some("failed-verification"));
    let quarantined = || failed().then("digest.quarantined", release(json!({ "reason": "20 % failed" })));
    check(&quarantined(), WhyState::Held, Some("quarantined"));
    let lifted = quarantined().then("quarantine.lifted", json!({ "digest": DIGEST, "by": "ana" }));
    check(&lifted, WhyState::Failed, Some("failed-verification"));
}

#[test]
fn a_request_that_the_reconciler_tries_again_waits_and_says_for_what() {
    let told = packaged().then("gate.passed", release(json!({}))).then("deployment.requested", release(json!({})));
    let retrying = VerdictView::Retrying { attempt: 2, at: Timestamp::EPOCH };
    let why = check(&told.met("reconcile", retrying, "the registry is down"), WhyState::Waiting, Some("retrying"));
    let cause = why.cause.unwrap();
    assert!(cause.reason.contains("the registry is down") && cause.again.is_some(), "{cause:?}");
    let refused = packaged().then("deployment.refused", release(json!({ "problems": ["a changed byte"] })));
    let why = check(&refused, WhyState::Held, Some("deployment-refused"));
    assert_eq!(why.cause.unwrap().reason, "a changed byte");
}
