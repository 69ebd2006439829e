use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::deployment::Secret;
use crate::event::Accepted;
use crate::s3::testing::{serve, store};
use crate::trigger::testing::{Door, stop};

fn trigger(endpoint: String) -> BucketTrigger {
    BucketTrigger { store: store(endpoint, "reports", "scans/"), poll: Duration::from_millis(20) }
}

fn put(root: &Path, key: &str, content: &str) {
    let path = root.join("reports").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn keys(events: &[Accepted]) -> Vec<&str> {
    events.iter().map(|accepted| accepted.event.subject.as_deref().unwrap()).collect()
}

#[tokio::test]
async fn each_new_state_of_an_object_is_one_event_also_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let trigger = trigger(serve(root.path()).await);
    put(root.path(), "scans/a.json", "1");
    put(root.path(), "other/x.json", "1");
    let door = Door::open(Clock::system());

    let loop_one = tokio::spawn(run(trigger.clone(), door.intake.clone()));
    assert_eq!(keys(&door.events(1).await), ["scans/a.json"]);
    put(root.path(), "scans/b+c d.json", "22");
    assert_eq!(keys(&door.events(2).await), ["scans/a.json", "scans/b+c d.json"]);
    put(root.path(), "scans/a.json", "333");
    let events = door.events(3).await;
    assert_eq!(keys(&events), ["scans/a.json", "scans/b+c d.json", "scans/a.json"]);
    stop(&door.intake, loop_one).await;

    let data: Value = serde_json::from_slice(events[1].event.data.as_ref().unwrap()).unwrap();
    assert_eq!(
        (events[1].event.ty.as_str(), events[1].event.source.as_str()),
        ("com.s3.ObjectCreated.Poll", "s3://reports")
    );
    assert_eq!((&data["object"]["key"], &data["object"]["size"]), (&json!("scans/b+c d.json"), &json!(2)));

    let again = door.restarted();
    let loop_two = tokio::spawn(run(trigger, again.clone()));
    put(root.path(), "scans/d.json", "4");
    assert_eq!(keys(&door.events(4).await)[3], "scans/d.json");
    assert_eq!(door.events(4).await.len(), 4, "what was there before the restart came again");
    stop(&again, loop_two).await;
}

#[tokio::test]
async fn all_pages_of_a_listing_are_read() {
    let root = tempfile::tempdir().unwrap();
    let trigger = trigger(serve(root.path()).await);
    for number in 0..1100 {
        put(root.path(), &format!("scans/{number:04}"), "x");
    }
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(trigger, door.intake.clone()));
    assert_eq!(door.events(1100).await.len(), 1100);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_asked_again() {
    let root = tempfile::tempdir().unwrap();
    let trigger = trigger(serve(root.path()).await);
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(trigger, door.intake.clone()));
    tokio::task::yield_now().await;
    put(root.path(), "scans/late", "x");
    assert_eq!(keys(&door.events(1).await), ["scans/late"]);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn a_secret_that_is_not_set_ends_the_loop() {
    let mut trigger = trigger("http://127.0.0.1:1".to_owned());
    trigger.store.secret_key = Some(Secret::new("${env:NONE}"));
    let door = Door::open(Clock::system());
    let ended = run(trigger, door.intake.clone()).await;
    assert!(matches!(ended, Err(TriggerError::Secret { .. })), "{ended:?}");
}
