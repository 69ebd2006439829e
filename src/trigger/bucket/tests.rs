use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::bus::{Incoming, Receipt};
use crate::clock::Clock;
use crate::deployment::{Secret, Sender};
use crate::event::{Accepted, Origin, OriginKind};
use crate::s3::testing::{serve, serve_at, store};
use crate::trigger::testing::{Door, stop};

fn trigger(endpoint: String) -> BucketTrigger {
    BucketTrigger { store: store(endpoint, "reports", "scans/"), poll: Duration::from_millis(20), read: None }
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

    let loop_one = tokio::spawn(run(trigger.clone(), door.intake.clone(), door.history.clone()));
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
    let loop_two = tokio::spawn(run(trigger, again.clone(), door.history.clone()));
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
    let run = tokio::spawn(run(trigger, door.intake.clone(), door.history.clone()));
    assert_eq!(door.events(1100).await.len(), 1100);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_asked_again() {
    let root = tempfile::tempdir().unwrap();
    let trigger = trigger(serve(root.path()).await);
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(trigger, door.intake.clone(), door.history.clone()));
    tokio::task::yield_now().await;
    put(root.path(), "scans/late", "x");
    assert_eq!(keys(&door.events(1).await), ["scans/late"]);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn why_a_store_was_of_no_use_is_told_in_words() {
    let door = Door::open(Clock::system());
    let root = tempfile::tempdir().unwrap();
    let without_the_bucket = serve(root.path()).await;
    for (endpoint, expected) in [
        ("http://127.0.0.1:1".to_owned(), "the store cannot be reached: Connection refused"),
        (without_the_bucket, "the store answered NoSuchBucket"),
    ] {
        let bucket = Bucket::connect(trigger(endpoint), door.intake.clone(), door.history.clone());
        let Err(Ended::Failed(reason)) = bucket.unwrap().pass("scans/").await else {
            panic!("{expected}, and it passes")
        };
        assert!(reason.starts_with(expected) && !reason.contains('{'), "{reason}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_set_ends_the_loop() {
    let mut trigger = trigger("http://127.0.0.1:1".to_owned());
    trigger.store.secret_key = Some(Secret::new("${env:NONE}"));
    let door = Door::open(Clock::system());
    let ended = run(trigger, door.intake.clone(), door.history.clone()).await;
    assert!(matches!(ended, Err(TriggerError::Secret { .. })), "{ended:?}");
}

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const SARIF: &str = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"results":[]}]}"#;

/// A trigger that reads, and is told of objects rather than that it looks by itself.
fn reader(endpoint: String) -> BucketTrigger {
    BucketTrigger { poll: Duration::from_secs(3600), read: Some(ReportFormat::Any), ..trigger(endpoint) }
}

fn data(accepted: &Accepted) -> Value {
    serde_json::from_slice(accepted.event.data.as_ref().unwrap()).unwrap()
}

/// A notification of an object, as a webhook's door takes it in.
async fn notify(door: &Door, key: &str) -> Receipt {
    let record = json!({
        "eventName": "ObjectCreated:Put", "s3": { "bucket": { "name": "reports" }, "object": { "key": key, "sequencer": "01" } },
    });
    let body = json!({ "Records": [record] }).to_string();
    let events = crate::trigger::parse(Sender::S3, &http::HeaderMap::new(), &body.into()).unwrap();
    let objects = door.intake.notices.objects(Sender::S3, &events);
    let origin = Origin { kind: OriginKind::Trigger, name: "/hooks/s3".to_owned(), verified: true };
    let batch = events.into_iter().map(|event| Incoming { event, origin: origin.clone() });
    let mut receipts = door.intake.bus.publish(batch.collect()).await.unwrap();
    door.intake.notices.tell(objects, &receipts);
    receipts.remove(0)
}

#[tokio::test]
async fn a_report_in_a_bucket_is_read_once_and_what_is_none_is_told_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let trigger = BucketTrigger { poll: Duration::from_millis(20), ..reader(serve(root.path()).await) };
    put(root.path(), &format!("scans/{COMMIT}/lint.sarif"), SARIF);
    put(root.path(), "scans/a.txt", "hello");
    put(root.path(), "scans/b.json", "{}");
    let door = Door::open(Clock::system());
    let loop_one = tokio::spawn(run(trigger.clone(), door.intake.clone(), door.history.clone()));
    let mut events = door.events(3).await;
    stop(&door.intake, loop_one).await;
    events.sort_by_key(|accepted| data(accepted)["object"]["key"].to_string());

    let report = &events[0];
    assert_eq!((report.event.ty.as_str(), report.event.source.as_str()), ("com.sarif.report", "s3://reports"));
    assert_eq!(report.event.subject.as_deref(), Some(COMMIT));
    let told = data(report);
    assert_eq!((&told["subject_from"], &told["report"]["succeeded"]), (&json!("object"), &json!(true)));
    assert_eq!(told["object"]["size"], SARIF.len());
    for (unread, reason) in
        events[1..].iter().zip(["line 1, column 1: expected value", "it is neither a report of Trivy nor SARIF"])
    {
        assert_eq!((unread.event.ty.as_str(), &data(unread)["reason"]), ("com.s3.ObjectUnread", &json!(reason)));
    }

    let again = door.restarted();
    let loop_two = tokio::spawn(run(trigger, again.clone(), door.history.clone()));
    put(root.path(), "scans/b.json", SARIF);
    assert_eq!(door.events(4).await[3].event.ty, "com.sarif.report");
    stop(&again, loop_two).await;
    assert_eq!(door.events(4).await.len(), 4, "what was there before the restart came again");
}

#[tokio::test]
async fn a_notification_wakes_the_trigger_and_is_the_cause_of_the_report() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "scans/first.json", SARIF);
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(reader(serve(root.path()).await), door.intake.clone(), door.history.clone()));
    assert_eq!(door.events(1).await[0].event.causation(), None);

    put(root.path(), "other/x.json", SARIF);
    notify(&door, "other/x.json").await;
    put(root.path(), "scans/second.json", "no report");
    let notified = notify(&door, "scans/second.json").await;
    let events = door.events(4).await;
    let (cause, caused) = (&events[2].event, &events[3].event);
    assert_eq!((&cause.id, caused.ty.as_str()), (&notified.id, "com.s3.ObjectUnread"));
    assert_eq!((caused.causation(), caused.correlation()), (Some(cause.id.as_str()), cause.correlation()));
    assert_eq!(caused.traceparent().unwrap()[..35], cause.traceparent().unwrap()[..35]);
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn an_object_that_was_notified_while_the_store_was_away_is_found_later_with_its_cause() {
    let root = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(reader(format!("http://{address}")), door.intake.clone(), door.history.clone()));
    while !door.intake.notices.are_heard() {
        tokio::task::yield_now().await;
    }
    put(root.path(), "scans/late.json", SARIF);
    let notified = notify(&door, "scans/late.json").await;
    serve_at(root.path(), address).await;
    assert_eq!(door.events(2).await[1].event.causation(), Some(notified.id.as_str()));
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn what_is_too_large_is_not_fetched() {
    let root = tempfile::tempdir().unwrap();
    let large = root.path().join("reports/scans/large.json");
    std::fs::create_dir_all(large.parent().unwrap()).unwrap();
    std::fs::File::create(&large).unwrap().set_len(crate::trigger::BODY_BYTES_MAX as u64 + 1).unwrap();
    let door = Door::open(Clock::system());
    let run = tokio::spawn(run(reader(serve(root.path()).await), door.intake.clone(), door.history.clone()));
    let told = data(&door.events(1).await[0]);
    assert_eq!(told["reason"], "it has more than 33554432 B, which is the most that is read");
    stop(&door.intake, run).await;
}
