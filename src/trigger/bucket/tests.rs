use std::path::Path;

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use serde_json::Value;

use super::*;
use crate::clock::Clock;
use crate::deployment::Secret;
use crate::event::Accepted;
use crate::trigger::testing::{Door, stop};

/// A server that speaks S3 over the files of a folder, on a port of its own.
async fn serve(root: &Path) -> String {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single("access", "hidden"));
    let failed = |error: s3s::HttpError| async move { (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")) };
    let routes = Router::new().fallback_service(HandleError::new(builder.build(), failed));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

fn trigger(endpoint: String) -> BucketTrigger {
    BucketTrigger {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        bucket: "reports".to_owned(),
        prefix: "scans/".to_owned(),
        poll: Duration::from_millis(20),
        access_key: Some(Secret::new("${env:KEY}")),
        secret_key: Some(Secret::new("${env:SECRET}")),
    }
}

fn store(root: &Path, key: &str, content: &str) {
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
    store(root.path(), "scans/a.json", "1");
    store(root.path(), "other/x.json", "1");
    let door = Door::open(Clock::system());

    let loop_one = tokio::spawn(run(trigger.clone(), door.intake.clone()));
    assert_eq!(keys(&door.events(1).await), ["scans/a.json"]);
    store(root.path(), "scans/b+c d.json", "22");
    assert_eq!(keys(&door.events(2).await), ["scans/a.json", "scans/b+c d.json"]);
    store(root.path(), "scans/a.json", "333");
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
    store(root.path(), "scans/d.json", "4");
    assert_eq!(keys(&door.events(4).await)[3], "scans/d.json");
    assert_eq!(door.events(4).await.len(), 4, "what was there before the restart came again");
    stop(&again, loop_two).await;
}

#[tokio::test]
async fn all_pages_of_a_listing_are_read() {
    let root = tempfile::tempdir().unwrap();
    let trigger = trigger(serve(root.path()).await);
    for number in 0..1100 {
        store(root.path(), &format!("scans/{number:04}"), "x");
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
    store(root.path(), "scans/late", "x");
    assert_eq!(keys(&door.events(1).await), ["scans/late"]);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn a_secret_that_is_not_set_ends_the_loop() {
    let trigger =
        BucketTrigger { secret_key: Some(Secret::new("${env:NONE}")), ..trigger("http://127.0.0.1:1".into()) };
    let door = Door::open(Clock::system());
    let ended = run(trigger, door.intake.clone()).await;
    assert!(matches!(ended, Err(TriggerError::Secret { .. })), "{ended:?}");
}
