//! What a stopped project's API answers.

use super::log::{Log, caused, event, function};
use super::{ask, reading};
use crate::bus::StoredVerdict;
use crate::event::{Event, Extension};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn commit(id: &str, first: &str, commit: &str) -> Event {
    let mut event = caused(id, "com.shop.sold", "gone", first);
    event.extensions.insert("commit".to_owned(), Extension::Text(commit.to_owned()));
    event
}

fn log() -> Log {
    Log::default()
        .with(event("11111111-a", "com.shop.sold"))
        .with(event("11111111-b", "com.shop.paid"))
        .with(commit("e-3", "e-3", "abcdef0123456789"))
        .with(commit("e-4", "e-3", "abcdef0123456789"))
        .with(commit("e-5", "e-5", "fedcba9876543210"))
        .deployed(1, vec![function(1, "gate", "com.shop.*", None)])
        .attempted(1, 1, (0, 1), StoredVerdict::DeadLettered)
        .attempted(2, 1, (0, 1), StoredVerdict::Delivered)
}

/// Looks for one value, by JSON pointer, in the answer to a path.
#[track_caller]
fn check(path: &str, pointer: &str, expected: serde_json::Value) {
    let answer = run(ask(&reading(log()), "GET", path, "", b""));
    assert_eq!(answer.json().pointer(pointer), Some(&expected), "{path}: {}", answer.json());
}

#[test]
fn an_event_is_found_by_all_that_it_is_known_by() {
    check("/events/11111111-a", "/position", 1.into());
    check("/events/%232", "/position", 2.into());
    check("/events/@2", "/position", 2.into());
    check("/events/last", "/position", 5.into());
    check("/events/fedcba9", "/position", 5.into());
    // Several events of one chain: the first of them is meant.
    check("/events/abcdef0", "/position", 3.into());
}

#[test]
fn what_means_several_events_or_none_is_told_with_those_it_may_mean() {
    check("/events/11111111", "/error/code", "ambiguous".into());
    check("/events/11111111", "/error/candidates/1/id", "11111111-a".into());
    check("/events/11111111-c", "/error/code", "not-found".into());
    check("/events/11111111-c", "/error/candidates/0/id", "11111111-b".into());
    check("/events/abcdef", "/error/code", "not-found".into());
    check("/events/abcdef", "/error/candidates/0/position", 4.into());
    // What begins alike by chance is not near.
    for far in ["1-1", "1111-1111"] {
        let answer = run(ask(&reading(log()), "GET", &format!("/events/{far}"), "", b"")).json();
        assert_eq!(answer.pointer("/error/candidates"), None, "{far}: {answer}");
    }
    check("/events/@9", "/error/message", "no event at position 9; the last one is 5".into());
}

#[test]
fn what_retention_removed_is_told_from_what_never_was() {
    let check = |path: &str, expected: &str| {
        let answer = run(ask(&reading(log().removed()), "GET", path, "", b""));
        assert_eq!(answer.code(), "not-found", "{path}: {}", answer.json());
        assert_eq!(answer.json()["error"]["message"], expected, "{path}");
    };
    let removed = |position: u64| format!("#{position} was removed by retention; the log starts at #4");
    for path in ["/events/@2", "/events/@2/trace", "/events/%232/explain", "/invocations/2.gate.0.1", "/dlq/2.gate"] {
        check(path, &removed(2));
    }
    check("/events/@9", "no event at position 9; the last one is 5");
    check("/dlq/5.gate", "there is no dead letter 5.gate; `tidegate dlq list` lists them");
    let unknown = "no event is known by \"11111111-c\"; the log starts at #4, and what came before was removed by \
                   retention; nothing with it was received since 1970-01-01T00:00:04.000000Z";
    check("/events/11111111-c", unknown);
    // The cause of its chain is gone: it stands first.
    let answer = run(ask(&reading(log().removed()), "GET", "/events/e-4/trace", "", b""));
    assert_eq!(answer.json()["roots"][0]["position"], 4, "{}", answer.json());
}

#[test]
fn listings_are_in_log_order_and_name_the_position_that_they_are_true_at() {
    check("/events?limit=2", "/items/0/position", 4.into());
    check("/events?after=1&limit=2", "/items/0/position", 2.into());
    check("/events?type=com.shop.paid", "/items/0/event/id", "11111111-b".into());
    check("/events?since=1970-01-01T00:00:05Z", "/items/0/position", 5.into());
    check("/events", "/position", 5.into());
}

#[test]
fn invocations_functions_deployments_and_dead_letters_have_stable_names() {
    check("/invocations", "/items/0/id", "2.gate.0.1".into());
    check("/invocations?failed=true", "/items/0/id", "1.gate.0.1".into());
    check("/invocations?before=2", "/items/0/id", "1.gate.0.1".into());
    check("/invocations/1.gate.0.1", "/failure/kind", "rejected".into());
    check("/invocations/1.gate.0.1", "/outcome/kind", "dead-lettered".into());
    check("/invocations/1.gate.0.2", "/error/code", "not-found".into());
    check("/functions", "/items/0/name", "gate".into());
    check("/functions/gate", "/on/0", "com.shop.*".into());
    check("/deployments/1", "/functions/gate/reference", "builtin:gate".into());
    check("/deployments/1", "/active", true.into());
    check("/dlq", "/items/0/id", "1.gate".into());
    check("/dlq/1.gate", "/state", "open".into());
    check("/dlq/2.gate", "/error/code", "not-found".into());
    check("/types", "/items/0/sample/specversion", "1.0".into());
}

#[test]
fn a_stopped_project_refuses_what_would_write() {
    let headers = "content-type: application/json";
    for path in ["/dlq/redrive", "/dlq/drop", "/deployments", "/deployments/1/rollback"] {
        let answer = run(ask(&reading(log()), "POST", path, headers, b"{}"));
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{path}");
    }
}
