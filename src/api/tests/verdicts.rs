//! Explain and trace, on logs written by hand.

use super::log::{Log, at, caused, event, function, id};
use crate::api::model::{ExplanationView, TraceNode, VerdictView};
use crate::api::{explain, find, trace};
use crate::bus::{DeadLetterState, PendingState, StoredVerdict};
use crate::deployment::Function;

const FINAL: bool = true;
const OPEN: bool = false;

fn gate() -> Function {
    function(1, "gate", "com.shop.*", Some("event.subject == 'a'"))
}

/// One event that `gate` is for, at position 1, judged by deployment 1.
fn one() -> Log {
    let mut event = event("e-1", "com.shop.sold");
    event.subject = Some("a".to_owned());
    Log::default().with(event).deployed(1, vec![gate()])
}

/// What is explained of event `e-1`.
#[track_caller]
fn explained(log: &Log) -> ExplanationView {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let event = find(log, "e-1").await.unwrap();
        explain(log, &event).await.unwrap()
    })
}

#[track_caller]
fn check(log: Log, expected: &str, settled: bool) {
    let explanation = explained(&log);
    let own = explanation.functions.iter().find(|function| function.function_id == id(1)).unwrap();
    assert_eq!(own.verdict.to_string(), expected);
    assert_eq!(explanation.settled, settled, "{expected}");
}

#[test]
fn what_is_not_settled_says_for_what_it_waits() {
    check(one().pending(1, 1, PendingState::Ready), "waiting for a free place", OPEN);
    check(one().pending(1, 1, PendingState::Backlog { events_before: 3 }), "waiting: 3 events before it", OPEN);
    check(one().pending(1, 1, PendingState::Behind { position: 7 }), "waiting behind #7", OPEN);
    check(one().pending(1, 1, PendingState::Running { attempt: 2 }), "running attempt 2", OPEN);
    let retrying = PendingState::Retrying { attempt: 2, at: at(9) };
    check(one().pending(1, 1, retrying), "retrying: attempt 2 at 1970-01-01T00:00:09.000000Z", OPEN);
    let rate = |key: Option<&str>| PendingState::Rate { key: key.map(str::to_owned), at: at(9) };
    check(
        one().pending(1, 1, rate(None)),
        "waiting: its rate lets the next start at 1970-01-01T00:00:09.000000Z",
        OPEN,
    );
    check(
        one().pending(1, 1, rate(Some("a"))),
        "waiting: the rate of key \"a\" lets the next start at 1970-01-01T00:00:09.000000Z",
        OPEN,
    );
    let limit = PendingState::Limit { key: "a".to_owned() };
    check(one().pending(1, 1, limit), "waiting: as many of key \"a\" run as the limit lets", OPEN);
    check(one(), "waiting for a free place", OPEN);
}

#[test]
fn what_is_settled_says_how() {
    let dead = || one().attempted(1, 1, (0, 1), StoredVerdict::DeadLettered);
    check(one().attempted(1, 1, (0, 1), StoredVerdict::Delivered), "delivered", FINAL);
    check(dead(), "dead-lettered", FINAL);
    let mut redriven = dead();
    redriven.letters[0].state = DeadLetterState::Redriven { at: at(5) };
    check(redriven, "redriven at 1970-01-01T00:00:05.000000Z", OPEN);
    let mut dropped = dead();
    dropped.letters[0].state = DeadLetterState::Dropped { at: at(5), by: "ops".to_owned() };
    check(dropped, "dropped by ops at 1970-01-01T00:00:05.000000Z", FINAL);
    check(one().superseded(1, 1, 7), "superseded by #7", FINAL);
}

#[test]
fn the_last_attempt_of_the_last_round_decides() {
    let retried = StoredVerdict::Retried(at(5));
    let log = one().attempted(1, 1, (0, 1), retried).attempted(1, 1, (0, 2), StoredVerdict::Delivered);
    check(log, "delivered", FINAL);
    let log =
        one().attempted(1, 1, (1, 1), StoredVerdict::Delivered).attempted(1, 1, (0, 3), StoredVerdict::DeadLettered);
    check(log, "delivered", FINAL);
}

#[test]
fn a_filter_is_told_by_its_clause_and_the_value_that_it_saw() {
    let mut other = event("e-1", "com.shop.sold");
    other.subject = Some("b".to_owned());
    check(
        Log::default().with(other).deployed(1, vec![gate()]),
        "filtered by event.subject == 'a' (saw event.subject = \"b\")",
        FINAL,
    );
    let log = Log::default().with(event("e-1", "com.other.sold")).deployed(1, vec![gate()]);
    check(log, "filtered by type is com.shop.* (saw type = \"com.other.sold\")", FINAL);
}

#[test]
fn a_filter_that_fails_is_a_verdict_of_its_own() {
    let gate = function(1, "gate", "com.shop.*", Some("data.total > 1"));
    let log = Log::default().with(event("e-1", "com.shop.sold")).deployed(1, vec![gate]);
    let explanation = explained(&log);
    let verdict = &explanation.functions[0].verdict;
    assert!(matches!(verdict, VerdictView::FilterFailed { clause, .. } if clause == "data.total > 1"), "{verdict:?}");
}

#[test]
fn a_function_that_came_later_or_went_earlier_did_not_judge() {
    let first = event("e-1", "com.shop.sold");
    check(Log::default().with(first.clone()).deployed(2, vec![gate()]), "before start", FINAL);
    let log =
        Log::default().with(event("e-0", "com.shop.sold")).deployed(1, vec![gate()]).deployed(2, vec![]).with(first);
    check(log, "not deployed", FINAL);
}

#[test]
fn whoever_hears_other_types_is_told_from_those_that_an_event_could_be_for() {
    let hears_others = |log: Log| explained(&log).functions[0].hears_other_types;
    for (ty, expected) in [("com.shop.sold", false), ("com.other.sold", true)] {
        let log = || Log::default().with(event("e-1", ty));
        assert_eq!(hears_others(log().deployed(1, vec![gate()])), expected, "filtered: {ty}");
        assert_eq!(hears_others(log().deployed(2, vec![gate()])), expected, "before start: {ty}");
        let gone = Log::default().with(event("e-0", ty)).deployed(1, vec![gate()]).deployed(2, vec![]);
        assert_eq!(hears_others(gone.with(event("e-1", ty))), expected, "not deployed: {ty}");
    }
    // What it took is its own, whatever it hears since.
    let taken = Log::default().with(event("e-1", "com.other.sold")).deployed(1, vec![gate()]);
    assert!(!hears_others(taken.attempted(1, 1, (0, 1), StoredVerdict::Delivered)));
}

/// A tree as `id(children)`, waiting events with a `~`.
fn shape(nodes: &[TraceNode]) -> String {
    let shapes = nodes.iter().map(|node| {
        let mark = if node.position.is_none() { "~" } else { "" };
        let children = if node.children.is_empty() { String::new() } else { format!("({})", shape(&node.children)) };
        format!("{}{mark}{children}", node.id)
    });
    shapes.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_trace(log: Log, expected: &str, settled: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let view = runtime.block_on(async {
        let event = find(&log, "e-1").await.unwrap();
        trace(&log, &event.event).await.unwrap()
    });
    assert_eq!(shape(&view.roots), expected);
    assert_eq!(view.settled, settled, "{expected}");
}

fn chain() -> Log {
    Log::default()
        .with(event("e-1", "a.b.c"))
        .with(caused("e-2", "a.b.c", "e-1", "e-1"))
        .with(caused("e-3", "a.b.c", "e-1", "e-1"))
        .with(caused("e-4", "a.b.c", "e-2", "e-1"))
        .with(event("other", "a.b.c"))
}

#[test]
fn a_trace_hangs_every_event_of_the_chain_under_its_cause() {
    check_trace(chain(), "e-1(e-2(e-4) e-3)", FINAL);
}

#[test]
fn a_chain_is_settled_once_nothing_in_it_waits() {
    let log = chain().deployed(1, vec![function(1, "gate", "a.b.c", None)]);
    let delivered = [1, 2, 3].into_iter().fold(log, |log, at| log.attempted(at, 1, (0, 1), StoredVerdict::Delivered));
    check_trace(delivered.pending(4, 1, PendingState::Ready), "e-1(e-2(e-4) e-3)", OPEN);
}

#[test]
fn an_event_that_waits_for_its_time_is_in_the_tree_and_keeps_the_chain_open() {
    let mut log = chain();
    log.waiting.push((at(99), caused("e-5", "a.b.c", "e-2", "e-1")));
    check_trace(log, "e-1(e-2(e-4 e-5~) e-3)", OPEN);
}

#[test]
fn no_cause_that_a_sender_claims_hides_an_event_or_closes_a_circle() {
    let log = Log::default()
        .with(caused("e-1", "a.b.c", "e-2", "e-1"))
        .with(caused("e-2", "a.b.c", "e-1", "e-1"))
        .with(caused("e-3", "a.b.c", "e-3", "e-1"))
        .with(caused("e-4", "a.b.c", "gone", "e-1"));
    check_trace(log, "e-1(e-2) e-3 e-4", FINAL);
}
