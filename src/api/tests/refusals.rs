//! What is said of an id under which something was refused.

use serde_json::{Value, json};

use super::log::{Log, at, event};
use super::{Answer, ask, reading};
use crate::bus::{Named, Refusal, Shown};

fn refusal(seconds: i64, code: &str, id: &str, source: Option<&str>) -> Refusal {
    Refusal {
        at: at(seconds),
        door: "/hooks/github".to_owned(),
        status: Some(if code == "unauthorized" { 401 } else { 409 }),
        code: code.to_owned(),
        reason: "it is not right".to_owned(),
        sender: Some("github".to_owned()),
        proof: Shown::Unverified,
        named: vec![Named { id: id.to_owned(), source: source.map(str::to_owned), ty: None }],
    }
}

fn log() -> Log {
    let refusals = vec![
        refusal(2, "unauthorized", "delivery-1", None),
        refusal(3, "unauthorized", "delivery-1", None),
        refusal(4, "unauthorized", "delivery-22", None),
        refusal(5, "content-differs", "event-1", Some("test")),
        refusal(6, "content-differs", "event-1", Some("another")),
    ];
    Log { refusals, ..Log::default().with(event("event-1", "com.shop.sold")) }
}

fn asked(path: &str) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(ask(&reading(log()), "GET", path, "", b""))
}

#[track_caller]
fn check(text: &str, message: &str, refusals: &[&str]) {
    for page in ["", "/explain", "/trace"] {
        let answer = asked(&format!("/events/{text}{page}"));
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not-found"), "{text}");
        let error = &answer.json()["error"];
        assert_eq!(error["message"], message, "{text}");
        let times: Vec<&str> =
            error["refusals"].as_array().into_iter().flatten().filter_map(|one| one["at"].as_str()).collect();
        assert_eq!(times, refusals, "{text}");
    }
}

#[test]
fn an_unknown_id_says_what_was_refused_under_it_and_what_to_do() {
    check(
        "delivery-1",
        "no event is known by \"delivery-1\": it was received at 1970-01-01T00:00:03.000000Z at /hooks/github and refused \
         with 401 unauthorized (2 times; this is the last): it is not right; mend that, then redeliver it in the webhook's settings at GitHub",
        &["1970-01-01T00:00:03.000000Z", "1970-01-01T00:00:02.000000Z"],
    );
    check(
        "delivery-2",
        "no event is known by \"delivery-2\": it was received at 1970-01-01T00:00:04.000000Z at /hooks/github and refused \
         with 401 unauthorized: it is not right; mend that, then redeliver it in the webhook's settings at GitHub",
        &["1970-01-01T00:00:04.000000Z"],
    );
}

#[test]
fn an_id_that_nothing_came_with_says_so_with_what_is_near() {
    let nothing = |text: &str| {
        format!("no event is known by {text:?}; nothing with it was received since 1970-01-01T00:00:01.000000Z")
    };
    check("unheard-of", &nothing("unheard-of"), &[]);
    let near = ["1970-01-01T00:00:04.000000Z", "1970-01-01T00:00:03.000000Z", "1970-01-01T00:00:02.000000Z"];
    check("delivery-3", &nothing("delivery-3"), &near);
    // Several begin so: which one is meant is not guessed.
    check("delivery", &nothing("delivery"), &near);
    let short = "no event is known by \"unhear\"; a prefix has at least 7 characters; nothing with it was received since \
                 1970-01-01T00:00:01.000000Z";
    check("unhear", short, &[]);
    // Events are near too.
    assert_eq!(asked("/events/event-12").json()["error"]["candidates"][0]["id"], "event-1");
}

#[test]
fn what_came_under_the_id_of_an_event_with_other_content_is_told_beside_it() {
    let refused = asked("/events/event-1/explain").json()["refused"].take();
    let codes: Vec<&Value> = refused.as_array().unwrap().iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, [&json!("content-differs")], "that of another source is another event's: {refused}");
}

#[test]
fn refusals_are_listed_oldest_first() {
    let listed = asked("/refusals?limit=2").json();
    let times: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|one| &one["at"]).collect();
    assert_eq!(times, [&json!("1970-01-01T00:00:05.000000Z"), &json!("1970-01-01T00:00:06.000000Z")]);
    assert_eq!(listed["more"], true);
    assert_eq!(asked("/refusals?id=delivery-2").json()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(asked("/refusals?since=yesterday").code(), "invalid");
}
