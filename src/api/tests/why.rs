//! `GET /why`, on a log written by hand.

use std::sync::Arc;

use serde_json::json;

use super::log::{Log, caused, event, function};
use super::{ask, no_blobs};
use crate::api::{ApiState, api};

/// Events that are looked at, whatever their number.
const EVENTS_MAX: usize = 1_000;

#[test]
fn a_project_without_environments_says_so() {
    let log =
        || Log::default().with(event("abcdef0", "com.shop.sold")).deployed(1, vec![function(1, "gate", "*", None)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for path in ["/why?of=abcdef0", "/why?of=abcdef0&in=staging"] {
        let state = ApiState::stopped("shop".to_owned(), Arc::new(log()), no_blobs());
        let said = runtime.block_on(ask(&api(Arc::new(state)), "GET", path, "", b"")).json();
        let message = "the project has no environments; name them in tidegate.toml";
        assert_eq!(said["error"]["message"], message, "{path}: {said}");
    }
}

#[test]
fn no_more_events_are_looked_at_than_the_limit_however_many_names_a_thing_has() {
    let (commit, release) = ("aaaaaaaa", "bbbbbbbb");
    let mut log = Log::default().with(event("first", "com.shop.sold"));
    for number in 0..EVENTS_MAX - 200 {
        log = log.with(event(&format!("{commit}-{number}"), "com.shop.sold"));
        log = log.with(event(&format!("{release}-{number}"), "com.shop.sold"));
    }
    let mut passed = caused(&format!("{commit}-passed"), "dev.cdeventsx.tidegate-gate.passed.0.1.0", "first", "first");
    let content = json!({ "commit": commit, "release": release, "environment": "production" });
    passed.data = Some(json!({ "subject": { "id": release, "content": content } }).to_string().into());
    let mut log = log.with(passed).deployed(1, vec![function(1, "gate", "com.shop.*", None)]);
    log.deployments[0].deployment.environments = vec!["production".to_owned()];
    let state = ApiState::stopped("shop".to_owned(), Arc::new(log), no_blobs());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let path = format!("/why?of={commit}");
    let answer = runtime.block_on(ask(&api(Arc::new(state)), "GET", &path, "", b""));
    let why = answer.json();
    assert_eq!(why["release"], release, "{why}");
    // Those of the commit, and of the release as many as are left.
    assert_eq!(why["chain"].as_array().map(Vec::len), Some(EVENTS_MAX), "{answer:?}");
}
