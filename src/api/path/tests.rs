//! Where something stands, from words written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::decide::{Known, decide};
use super::drift::still_open;
use super::releases::fold;
use super::word::Word;
use crate::api::model::{DriftView, Standing, StandingView, TraceRun, VerdictView, WhyState, WhyView};
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
    drifts: Vec<DriftView>,
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
            waited_micros: None,
            between_micros: 0,
            ran: Vec::new(),
            settledat: None,
            failure: (!reason.is_empty()).then(|| Failure::new(FailureKind::Rejected, reason)),
        };
        self.runs.entry(self.words.len() as Position).or_default().push(run);
        self
    }

    fn drifts(&self) -> super::drift::Drifts {
        let newest_first: Vec<Word> = self.words.iter().rev().cloned().collect();
        still_open(&self.drifts, &newest_first)
    }

    /// Of the releases, the first one's standing.
    fn standing(&self) -> StandingView {
        fold(&counting(self), &self.drifts()).remove(0).environments.remove("production").expect("it is told of")
    }

    fn why(&self, of: &str) -> WhyView {
        decide(&Known {
            of,
            environment: "production",
            words: self.words.clone(),
            runs: self.runs.clone(),
            running: self.running.clone(),
            drifts: self.drifts(),
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
fn what_runs_unproven_says_so_and_what_proves_it() {
    let seen = json!({ "reason": "0 events ended; at least 20 have to" });
    let deployed = || packaged().then("gate.passed", release(json!({}))).then("service.deployed", release(json!({})));
    let looked = || deployed().then("verification.due", release(seen.clone()));
    let unproven = |told: &Told, rule, clear: &str| {
        let cause = check(told, WhyState::Released, Some(rule)).cause.unwrap();
        assert!(cause.reason.contains("0 events ended") && cause.clear.contains(clear), "{cause:?}");
    };
    unproven(&looked(), "verifying", "it is looked at again by itself");
    let insufficient = || looked().then("release.insufficient", release(seen.clone()));
    unproven(&insufficient(), "insufficient", "`tidegate redeploy shop-1 --in production`");
    // Deployed again, it is looked at anew; what was verified once stays so.
    check(&insufficient().then("service.upgraded", release(json!({}))), WhyState::Released, None);
    let verified = looked().then("release.verified", release(json!({}))).then("service.upgraded", release(json!({})));
    check(&verified.then("release.insufficient", release(seen)), WhyState::Released, None);
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
    let is_quarantined = |told: &Told| fold(&counting(told), &told.drifts())[0].quarantined;
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
            assert!(fold(&counting(&told), &told.drifts()).iter().all(|view| {
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
    let standing = |told: &Told| told.standing().standing;
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
    let names: Vec<String> = fold(&counting(&told), &told.drifts()).into_iter().map(|view| view.release).collect();
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
        let lead = check(&told.then("gate.blocked", lacking.clone()), state, Some("missing-evidence")).cause.unwrap();
        assert_eq!((lead.environment, lead.missing), (None, vec!["verified:staging".to_owned()]));
        let cause = lead.because.expect("what is the matter in staging");
        assert_eq!((cause.rule.as_str(), cause.environment.as_deref()), (rule, Some("staging")), "{cause:?}");
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

/// What runs as `shop-production`, where a release should.
fn drifted(release: &str, is_drifted: bool) -> Vec<DriftView> {
    vec![DriftView {
        function: "shop-production".to_owned(),
        environment: "production".to_owned(),
        release: release.to_owned(),
        should: "sha256:bytes".to_owned(),
        runs: Some("sha256:other".to_owned()),
        drifted: is_drifted,
        since: Timestamp::EPOCH,
        cause: "rollback ana".to_owned(),
    }]
}

fn drift(more: Value) -> Value {
    let mut content = release(more);
    content
        .as_object_mut()
        .unwrap()
        .extend(json!({ "function": "shop-production", "deployment": 7 }).as_object().unwrap().clone());
    content
}

fn detected(more: Value) -> Told {
    let mut content = drift(json!({ "runs": "sha256:other", "cause": "rollback ana", "action": "report" }));
    content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let told = packaged().then("service.deployed", release(json!({}))).then("drift.detected", content);
    Told { drifts: drifted("shop-1", true), ..told }
}

#[test]
fn a_release_in_whose_place_something_else_runs_has_drifted() {
    let told = detected(json!({}));
    let cause = check(&told, WhyState::Failed, Some("drifted")).cause.unwrap();
    assert!(cause.reason.contains("since deployment 7 (rollback ana)"), "{cause:?}");
    assert!(cause.clear.contains("`tidegate redeploy shop-1 --in production`"), "{cause:?}");
    let standing = told.standing();
    assert_eq!((standing.standing, standing.rule.as_deref()), (Standing::Drifted, Some("drifted")));
    let told = Told { drifts: drifted("shop-1", false), ..told };
    let resolved = told.then("drift.resolved", drift(json!({ "action": "heal" })));
    check(&resolved, WhyState::Released, None);
    assert_eq!(resolved.standing().standing, Standing::Running);
}

#[test]
fn a_drift_is_over_once_what_should_run_does_or_another_release_should() {
    // Whoever told of it has not said so yet.
    let told = Told { drifts: drifted("shop-1", false), ..detected(json!({})) };
    check(&told, WhyState::Released, None);
    // Another release was activated, and that one does not run as it should.
    let another = release(json!({ "release": "shop-2", "digest": "sha256:two", "commit": "another" }));
    let later = detected(json!({})).then("service.upgraded", another.clone());
    let mut told = Told { drifts: drifted("shop-2", true), ..later };
    let later = told.words.last().unwrap().clone();
    told.running.insert(("shop".to_owned(), "production".to_owned()), later);
    let replaced = |told: &Told, rule: &str| {
        let why = told.why("shop-1");
        let cause = why.cause.unwrap();
        assert_eq!((why.state, cause.rule.as_str()), (WhyState::Replaced, rule), "{cause:?}");
        cause
    };
    assert!(replaced(&told, "replaced").reason.contains("shop-2 runs in production now"));
    // Told of, it is what is the matter with the place that was taken.
    let two = json!({ "release": "shop-2", "digest": "sha256:two", "runs": "sha256:x", "cause": "operator ana" });
    let cause = replaced(&told.then("drift.detected", drift(two)), "drifted");
    assert!(cause.reason.contains("shop-2 took its place") && cause.reason.contains("(operator ana)"), "{cause:?}");
    assert!(cause.clear.contains("`tidegate why shop-2 --in production`"), "{cause:?}");
}

#[test]
fn a_drift_from_what_is_in_quarantine_says_both_until_that_is_lifted() {
    let reason = json!({ "reason": "it is in quarantine" });
    let elsewhere = release(json!({ "environment": "staging", "reason": "20 % failed" }));
    let told = detected(reason).then("digest.quarantined", elsewhere);
    let cause = check(&told, WhyState::Failed, Some("drifted")).cause.unwrap();
    assert!(cause.reason.contains("not healed: it is in quarantine"), "{cause:?}");
    assert!(cause.clear.contains(&format!("`tidegate lift {DIGEST} --reason TEXT`")), "{cause:?}");
    let told = told.then("digest.cleared", json!({ "digest": DIGEST, "by": "ana", "reason": "no fault" }));
    let cause = check(&told, WhyState::Failed, Some("drifted")).cause.unwrap();
    assert!(!cause.reason.contains("quarantine"), "{cause:?}");
    assert_eq!(cause.clear, "`tidegate redeploy shop-1 --in production` puts it back");
}

#[test]
fn what_was_verified_stays_so_until_it_fails() {
    let verified = || {
        let deployed = packaged().then("service.deployed", release(json!({})));
        deployed.then("release.verified", release(json!({})))
    };
    let at = verified().words.last().unwrap().event.clone();
    let again = || verified().then("service.upgraded", release(json!({})));
    for told in [again(), again().then("release.insufficient", release(json!({ "reason": "0 events" })))] {
        let standing = told.standing();
        assert_eq!((standing.standing, standing.event), (Standing::Verified, at.clone()));
        assert!(check(&told, WhyState::Released, None).verified.is_some());
    }
    let failed = again().then("release.failed", release(json!({ "reason": "20 % failed" })));
    assert_eq!(failed.standing().standing, Standing::Failed);
    let back = failed.then("service.deployed", release(json!({})));
    assert_eq!(back.standing().standing, Standing::Running);
    assert_eq!(check(&back, WhyState::Released, None).verified, None);
    let unproven = packaged().then("service.deployed", release(json!({})));
    let unproven = unproven.then("release.insufficient", release(json!({ "reason": "0 events" })));
    assert_eq!(unproven.standing().standing, Standing::Unproven);
}

#[test]
fn another_commit_s_refusal_or_run_is_not_its_own() {
    let other = |more: Value| {
        let mut content = json!({ "commit": "another" });
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        content
    };
    let told = packaged()
        .then("tidegate-change.refused", other(json!({ "rule": "reviews" })))
        .then("pipelinerun.finished", other(json!({ "outcome": "failure" })))
        .then("gate.blocked", blocked(&["pipeline"]));
    check(&told, WhyState::Held, Some("missing-evidence"));
    let proposed = Told::default()
        .then("tidegate-change.accepted", json!({ "commit": COMMIT, "way": "proposal" }))
        .then("tidegate-change.refused", other(json!({ "rule": "reviews" })));
    check(&proposed, WhyState::Held, Some("not-merged"));
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
