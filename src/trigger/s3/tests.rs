use super::*;
use crate::event::Extension;

fn parsed(body: &Value) -> Vec<Event> {
    parse(&Bytes::from(body.to_string())).unwrap()
}

fn record(name: &str, object: Value) -> Value {
    json!({ "Records": [{ "eventName": name, "s3": { "bucket": { "name": "images" }, "object": object } }] })
}

fn object(event: &Event) -> Value {
    serde_json::from_slice::<Value>(event.data.as_ref().unwrap()).unwrap()["object"].clone()
}

#[test]
fn the_type_is_the_events_name_as_sent() {
    let check = |name: &str, expected: &str| assert_eq!(parsed(&record(name, json!({})))[0].ty, expected);
    check("ObjectCreated:Put", "com.s3.ObjectCreated.Put");
    check("s3:ObjectCreated:CompleteMultipartUpload", "com.s3.ObjectCreated.CompleteMultipartUpload");
    check("s3:ObjectRemoved:DeleteMarkerCreated", "com.s3.ObjectRemoved.DeleteMarkerCreated");
    check("s3:LifecycleTransition", "com.s3.LifecycleTransition");
    check("not a name", "com.s3.notification");
    check("", "com.s3.notification");
}

#[test]
fn keys_are_form_decoded() {
    let check = |raw: &str, expected: Option<&str>| {
        let event = &parsed(&record("ObjectCreated:Put", json!({ "key": raw })))[0];
        assert_eq!(object(event)["key"].as_str(), expected, "{raw}");
        assert_eq!(object(event)["key_raw"], raw);
        assert_eq!(event.subject.as_deref(), Some(expected.unwrap_or(raw)));
    };
    check("Happy%20Face.jpg", Some("Happy Face.jpg"));
    check("New+File.jpg", Some("New File.jpg"));
    check("a%2Fb%2Bc", Some("a/b+c"));
    check("h%C3%B6he", Some("höhe"));
    check("100%25", Some("100%"));
    check("%ff", None);
}

#[test]
fn what_a_record_leaves_empty_is_absent() {
    let empty = json!({ "key": "k", "size": "1024", "eTag": "", "versionId": "", "sequencer": "" });
    let facts = object(&parsed(&record("ObjectCreated:Put", empty))[0]);
    assert_eq!(facts["size"], 1024);
    for fact in ["etag", "version_id", "sequencer", "region", "time", "source"] {
        assert!(facts[fact].is_null(), "{fact}");
    }
}

#[test]
fn sequencers_compare_as_aws_says() {
    let sequence = |sequencer: &str| {
        let event = parsed(&record("ObjectCreated:Put", json!({ "key": "k", "sequencer": sequencer }))).remove(0);
        event.extensions.get("sequence").cloned()
    };
    let text = |sequencer: &str| match sequence(sequencer) {
        Some(Extension::Text(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text("15C32494527B46C5"), "15c32494527b46c50000000000000000");
    assert!(text("0055AED6DCD90281E5") < text("0055AED6DCD90281E6"));
    assert!(text("0055AED6DC") < text("0055AED6DC01"));
    assert_eq!(sequence("Happy Sequencer"), None);
}

#[test]
fn the_same_record_has_the_same_id_and_another_sequencer_another() {
    let id = |sequencer: &str| {
        parsed(&record("ObjectCreated:Put", json!({ "key": "k", "sequencer": sequencer }))).remove(0).id
    };
    assert_eq!(id("01"), id("01"));
    assert_ne!(id("01"), id("02"));
}

#[test]
fn each_record_is_one_event_and_has_only_itself_as_payload() {
    let body = json!({ "EventName": "s3:ObjectCreated:Put", "Key": "images/a", "Records": [
        { "eventName": "s3:ObjectCreated:Put", "s3": { "bucket": { "name": "images" }, "object": { "key": "a" } } },
        { "eventName": "s3:ObjectRemoved:Delete" },
        3,
    ] });
    let events = parsed(&body);
    let types: Vec<&str> = events.iter().map(|event| event.ty.as_str()).collect();
    assert_eq!(types, ["com.s3.ObjectCreated.Put", "com.s3.ObjectRemoved.Delete", "com.s3.notification"]);
    let data: Value = serde_json::from_slice(events[0].data.as_ref().unwrap()).unwrap();
    assert_eq!(data["payload"], body["Records"][0]);
    assert_eq!(data["envelope"], json!({ "event": "s3:ObjectCreated:Put", "key": "images/a" }));
    assert_eq!((events[0].source.as_str(), events[1].source.as_str()), ("s3://images", "s3"));
}

#[test]
fn a_test_event_is_acknowledged_and_becomes_nothing() {
    assert_eq!(parsed(&json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b" })), []);
}

#[test]
fn too_many_records_are_refused() {
    let body = json!({ "Records": vec![json!({}); RECORDS_MAX + 1] });
    assert!(matches!(parse(&Bytes::from(body.to_string())), Err(Rejection::TooLarge(_))));
}

#[test]
fn the_form_of_eventbridge_is_read_with_its_keys_as_they_are() {
    let event = parsed(&json!({
        "id": "17793124", "detail-type": "Object Deleted", "source": "aws.s3", "time": "2021-11-12T00:00:00Z",
        "detail": { "bucket": { "name": "images" }, "object": { "key": "a+b%20c", "version-id": "v1" }, "reason": "DeleteObject" },
    }))
    .remove(0);
    assert_eq!((event.ty.as_str(), event.id.as_str()), ("com.s3.ObjectRemoved.DeleteObject", "17793124"));
    assert_eq!((event.subject.as_deref(), event.time.as_deref()), (Some("a+b%20c"), Some("2021-11-12T00:00:00Z")));
    assert_eq!((object(&event)["kind"].as_str(), object(&event)["version_id"].as_str()), (Some("removed"), Some("v1")));
}

#[test]
fn a_delete_has_neither_size_nor_etag_and_an_upload_in_parts_keeps_its_etag() {
    let deleted = &parsed(&record("s3:ObjectRemoved:Delete", json!({ "key": "a", "sequencer": "01" })))[0];
    let facts = object(deleted);
    assert_eq!((facts["kind"].as_str(), &facts["size"], &facts["etag"]), (Some("removed"), &json!(null), &json!(null)));
    let etag = "430f89010c77aa34fc8760696da62d08-12";
    let uploaded = &parsed(&record("ObjectCreated:CompleteMultipartUpload", json!({ "key": "a", "eTag": etag })))[0];
    assert_eq!(object(uploaded)["etag"], etag);
}

#[test]
fn a_record_of_anything_is_an_event() {
    for record in [json!({}), json!({ "s3": null }), json!({ "eventName": 7, "s3": { "object": { "key": 7 } } })] {
        let events = parsed(&json!({ "Records": [record] }));
        assert_eq!((events[0].ty.as_str(), events[0].source.as_str()), ("com.s3.notification", "s3"), "{record}");
    }
    assert_eq!(parsed(&json!({ "Records": [] })), []);
    assert_eq!(parsed(&json!({ "Records": null }))[0].ty, "com.s3.notification");
}

#[test]
fn the_deletion_of_a_version_says_what_kind_it_was() {
    let event = parsed(&json!({
        "detail-type": "Object Deleted", "source": "aws.s3",
        "detail": { "bucket": { "name": "images" }, "deletion-type": "Delete Marker Created", "reason": "DeleteObject",
            "object": { "key": "a", "etag": "d41d", "version-id": "v1", "sequencer": "617f" } },
    }))
    .remove(0);
    let facts = object(&event);
    assert_eq!(facts["deletion_type"], "Delete Marker Created");
    assert_eq!((&facts["etag"], &facts["version_id"], &facts["size"]), (&json!("d41d"), &json!("v1"), &json!(null)));
}

fn in_sns(message: &Value) -> Value {
    json!({ "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:t", "Message": message.to_string() })
}

fn in_sqs(bodies: &[&Value]) -> Value {
    let record = |body: &&Value| json!({ "messageId": "m", "eventSource": "aws:sqs", "body": body.to_string() });
    json!({ "Records": bodies.iter().map(record).collect::<Vec<_>>() })
}

#[test]
fn a_notification_is_the_same_event_by_whichever_way_it_comes() {
    let put = record("ObjectCreated:Put", json!({ "key": "a+b", "sequencer": "01" }));
    let direct = parsed(&put);
    assert_eq!(object(&direct[0])["key"], "a b");
    for carried in [in_sns(&put), in_sqs(&[&put]), in_sqs(&[&in_sns(&put)])] {
        assert_eq!(parsed(&carried), direct, "{carried}");
    }
    let test = json!({ "Event": "s3:TestEvent", "Bucket": "images" });
    assert_eq!(parsed(&in_sqs(&[&test, &put, &in_sns(&test)])), direct);
}

#[test]
fn what_is_in_an_envelope_and_no_notification_stays_with_it() {
    let confirmation = json!({ "Type": "SubscriptionConfirmation", "Message": "visit the SubscribeURL", "Token": "t" });
    let text = json!({ "Type": "Notification", "Message": "the disk is full" });
    let number = json!({ "Type": "Notification", "Message": "7" });
    let too_deep = in_sns(&in_sns(&in_sns(&record("ObjectCreated:Put", json!({})))));
    for body in [confirmation, text, number, too_deep] {
        assert_eq!(parsed(&body)[0].ty, "com.s3.notification", "{body}");
    }
    let many = record("ObjectCreated:Put", json!({}))["Records"][0].clone();
    let many = json!({ "Records": vec![many; RECORDS_MAX / 2 + 1] });
    let told = parse(&Bytes::from(in_sqs(&[&many, &many]).to_string()));
    assert!(matches!(&told, Err(Rejection::TooLarge(reason)) if reason.contains("1000 records")), "{told:?}");
}
