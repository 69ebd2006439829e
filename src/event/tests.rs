use std::path::PathBuf;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn event(members: Value) -> Event {
    let mut all = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" });
    let object = all.as_object_mut().unwrap();
    object.extend(members.as_object().unwrap().clone());
    from_json(all.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = from_json(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(expected), "{text}: {error:?} lacks {expected:?}");
}

#[track_caller]
fn check_member_refused(member: &str, expected: &str) {
    check_refused(&format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{member}}}"#), expected);
}

#[test]
fn data_is_kept_as_the_text_that_was_sent() {
    let text = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data": {"b": 1.10,  "a":1e2} }"#;
    let event = from_json(text.as_bytes()).unwrap();
    assert_eq!(event.data.as_deref(), Some(br#"{"b": 1.10,  "a":1e2}"#.as_slice()));
    assert!(String::from_utf8(to_json(&event)).unwrap().ends_with(r#""data":{"b": 1.10,  "a":1e2}}"#));
}

#[test]
fn data_follows_its_content_type() {
    let data = |members: Value| event(members).data.map(|data| String::from_utf8(data.to_vec()).unwrap());
    assert_eq!(data(json!({})), None);
    assert_eq!(data(json!({ "data": null })), None);
    assert_eq!(data(json!({ "data": "a" })).unwrap(), r#""a""#);
    assert_eq!(data(json!({ "data": "a", "datacontenttype": "application/x+json; v=1" })).unwrap(), r#""a""#);
    assert_eq!(data(json!({ "data": "<é/>", "datacontenttype": "text/xml" })).unwrap(), "<é/>");
    assert_eq!(data(json!({ "data": [1], "datacontenttype": "text/xml" })).unwrap(), "[1]");
    assert_eq!(data(json!({ "data_base64": "aGk=", "datacontenttype": "text/xml" })).unwrap(), "hi");
}

#[test]
fn a_null_attribute_is_absent_and_extensions_keep_their_type() {
    let event = event(json!({ "subject": null, "x": null, "n": 5, "b": true, "s": "5" }));
    assert_eq!(event.subject, None);
    let expected = [
        ("b".to_owned(), Extension::Boolean(true)),
        ("n".to_owned(), Extension::Integer(5)),
        ("s".to_owned(), Extension::Text("5".to_owned())),
    ];
    assert_eq!(event.extensions, BTreeMap::from(expected));
}

#[test]
fn what_is_no_event_is_refused_with_the_reason() {
    check_refused("{\n \"id\": }", "line 2, column 8: expected value");
    check_refused("[]", "an event, which is a JSON object");
    check_refused(r#"{"id":"1","source":"/s","type":"t"}"#, "specversion: is required");
    check_refused(r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#, "send the event as CloudEvents 1.0");
    check_refused(r#"{"specversion":"1.0","source":"/s","type":"t"}"#, "id: is required");
    check_refused(r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#, "id: is required");
    check_refused(r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#, "id: must be text, and is a number");
    check_member_refused(r#""time":"yesterday""#, "no RFC 3339 time");
    check_member_refused(r#""subject":"""#, "subject: is empty");
    check_member_refused(r#""subject":"a\nb""#, "subject: contains a control character");
    check_member_refused(r#""n":1.5"#, "n: is a decimal number");
    check_member_refused(r#""n":2147483648"#, "does not fit 32 bits");
    check_member_refused(r#""n":{}"#, "n: is an object");
    check_member_refused(r#""n":[1,[2]]"#, "n: is an array");
    check_member_refused(r#""CamelCase":"x""#, "use lower-case letters and digits");
    check_member_refused(r#""id":"2""#, "id: is given twice");
    check_member_refused(r#""data":1,"data_base64":"aGk=""#, "stands beside data");
    check_member_refused(r#""data_base64":"aGkaa""#, "is no base64");
    check_member_refused(r#""traceparent":"00-xyz""#, "no W3C trace context");
    check_member_refused(r#""deliverat":"soon""#, "no RFC 3339 time");
    check_member_refused(r#""partitionkey":7"#, "partitionkey: must be text");
}

#[test]
fn sizes_and_how_far_ahead_an_event_may_lie_are_limited() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut large = event(json!({}));
    large.subject = Some("x".repeat(ATTRIBUTES_BYTES_MAX));
    assert!(matches!(large.validate(now), Err(EventError::AttributesTooLarge { .. })));
    let mut large = event(json!({}));
    large.data = Some(vec![b' '; DATA_BYTES_MAX + 1].into());
    assert!(matches!(large.validate(now), Err(EventError::DataTooLarge { .. })));
    assert!(event(json!({ "deliverat": "2027-02-05T00:00:00Z" })).validate(now).is_ok());
    assert!(event(json!({ "deliverat": "2027-02-06T00:00:01Z" })).validate(now).is_err());
    assert!(event(json!({ "deliverat": "1999-01-01T00:00:00Z" })).validate(now).is_ok());
}

#[test]
fn an_event_is_written_on_one_line() {
    let mut event = event(json!({}));
    event.data = Some("{\r\n  \"a\": \"x\\ny\"\n}".into());
    let text = String::from_utf8(to_json(&event)).unwrap();
    assert!(!text.contains(['\n', '\r']), "{text}");
    assert!(text.contains(r#""a": "x\ny""#), "{text}");
}

#[test]
fn a_batch_is_read_as_a_whole_or_names_its_bad_event() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let read = |text: &str| batch_from_json(text.as_bytes());
    assert_eq!(read("[]").unwrap(), []);
    assert_eq!(read(&format!("[{good},{good}]")).unwrap().len(), 2);
    let index = |text: &str| match read(text).unwrap_err() {
        BatchError::Event { index, .. } => Some(index),
        BatchError::Array(_) => None,
    };
    assert_eq!(index(&format!("[{good},{{}}]")), Some(1));
    assert_eq!(index(&format!("[{good},{good},{{\"id\":]")), Some(2));
    assert_eq!(index("{}"), None);
    assert_eq!(index("[] x"), None);
    let error = read(&format!("[{good},\n {{\"id\":]")).unwrap_err().to_string();
    assert_eq!(error, "event 1: line 2, column 8: expected value");
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        headers.append(name, value);
    }
    headers
}

const BINARY: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "0815"), ("ce-source", "/s"), ("ce-type", "t")];

#[test]
fn binary_mode_reads_attributes_from_headers() {
    let read = |more: &[(&str, &str)], body: &'static str| {
        from_http(&headers(&[&BINARY, more].concat()), body.into()).map(|mut events| events.remove(0))
    };
    let event = read(&[("content-type", "application/json"), ("ce-n", "5")], r#"{"a": 1}"#).unwrap();
    assert_eq!(event.id, "0815");
    assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
    assert_eq!(event.text("n"), Some("5"));
    assert_eq!(event.data.as_deref(), Some(br#"{"a": 1}"#.as_slice()));
    assert_eq!(read(&[], "").unwrap().data, None);
    for (value, expected) in [
        ("Euro%20%E2%82%AC%25", "Euro €%"),
        ("a%2", "a%2"),
        (r#""a \"b\" c""#, r#"a "b" c"#),
        ("a+b", "a+b"),
        ("%2525", "%25"),
    ] {
        assert_eq!(read(&[("ce-subject", value)], "").unwrap().subject.as_deref(), Some(expected), "{value}");
    }
    for (more, expected) in [
        (("ce-id", "2"), "id: is given twice"),
        (("ce-subject", "%FF"), "not UTF-8 after percent-decoding"),
        (("ce-datacontenttype", "text/plain"), "is the header content-type"),
        (("ce-data", "x"), "data: is a core attribute"),
        (("ce-a-b", "x"), "use lower-case letters and digits"),
    ] {
        let error = read(&[more], "").unwrap_err().to_string();
        assert!(error.contains(expected), "{more:?}: {error}");
    }
}

#[test]
fn the_mode_is_chosen_by_content_type() {
    let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let read = |pairs: &[(&str, &str)], body: &str| from_http(&headers(pairs), body.to_owned().into());
    let structured = "Application/CloudEvents+JSON; charset=utf-8";
    assert_eq!(read(&[("content-type", structured)], body).unwrap().len(), 1);
    let batch = ("content-type", "application/cloudevents-batch+json");
    assert_eq!(read(&[batch], &format!("[{body},{body}]")).unwrap().len(), 2);
    assert_eq!(read(&[batch], &format!("[{body},{{}}]")).unwrap_err().index(), Some(1));
    for content_type in ["application/json", "application/cloudevents+avro", "text/plain", ""] {
        let error = read(&[("content-type", content_type)], body).unwrap_err();
        assert!(matches!(error, HttpError::UnsupportedMediaType(_)), "{content_type}: {error}");
    }
}

#[test]
fn acceptance_adds_what_the_sender_left_out_and_nothing_else() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let bare = accept(event(json!({})), now, 7);
    assert_eq!(bare.time.as_deref(), Some("2026-01-01T00:00:00.000000Z"));
    assert_eq!(bare.correlation(), Some("1"));
    assert!(bare.traceparent().unwrap().starts_with("00-00000000000000000000000000000007-"));
    assert_eq!(bare.validate(now), Ok(()));
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let full = event(json!({ "time": "2020-01-01T00:00:00Z", "correlationid": "c", "traceparent": traceparent }));
    assert_eq!(accept(full.clone(), now, 7), full);
}

#[test]
fn the_same_event_sent_again_says_the_same() {
    let (now, later) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let bare = event(json!({}));
    let stored = accept(bare.clone(), now, 7);
    assert!(same_content(&stored, &bare));
    assert!(same_content(&stored, &event(json!({ "traceparent": traceparent, "tracestate": "a=b" }))));
    let timed = event(json!({ "time": "2020-01-01T00:00:00Z" }));
    assert!(same_content(&accept(timed.clone(), now, 7), &accept(timed, later, 8)));
    for other in [
        json!({ "subject": "s" }),
        json!({ "data": 1 }),
        json!({ "n": 1 }),
        json!({ "correlationid": "c" }),
        json!({ "time": "2020-01-01T00:00:00Z" }),
        json!({ "datacontenttype": "application/json" }),
    ] {
        assert!(!same_content(&stored, &event(other.clone())), "{other}");
    }
}

#[test]
fn a_stored_event_of_another_form_is_refused_and_a_damaged_one_is_named() {
    let bytes = event(json!({ "data": 1 })).encode();
    let mut newer = bytes.to_vec();
    newer[0] = 2;
    assert_eq!(Event::decode(newer.into()), Err(DecodeError::Version(2)));
    for end in 0..20 {
        assert!(matches!(Event::decode(bytes.slice(..end)), Err(DecodeError::Damaged(_))), "{end} bytes");
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let extension = prop_oneof![
        "[^\\p{Cc}]{0,8}".prop_map(Extension::Text),
        any::<i32>().prop_map(Extension::Integer),
        any::<bool>().prop_map(Extension::Boolean),
    ];
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        "\\PC{0,12}".prop_map(String::into_bytes),
        Just(b" {\"a\": [1.50, null]} ".to_vec()),
        Just(b"null".to_vec()),
        Just(b"\"text\"".to_vec()),
    ];
    let content_type = prop::option::of(prop_oneof![Just("text/plain"), Just("application/json"), Just("image/png")]);
    (
        ["[^\\p{Cc}]{1,8}", "[^\\p{Cc}]{1,8}", "[^\\p{Cc}]{1,8}"],
        prop::option::of("[^\\p{Cc}]{1,8}"),
        content_type,
        prop::collection::btree_map("x[a-z0-9]{0,8}", extension, 0..4),
        prop::option::of(data),
    )
        .prop_map(|([id, source, ty], subject, content_type, extensions, data)| Event {
            id,
            source,
            ty,
            subject,
            time: Some("2026-11-23T04:45:00.5+02:00".to_owned()),
            datacontenttype: content_type.map(str::to_owned),
            dataschema: None,
            extensions,
            data: data.map(Bytes::from),
        })
}

proptest! {
    #[test]
    fn an_event_reads_back_as_it_was_written(event in any_event()) {
        prop_assert_eq!(event.check(), Ok(()));
        let text = serde_json::to_vec(&event).unwrap();
        prop_assert_eq!(&from_json(&text).unwrap(), &event);
        prop_assert_eq!(&serde_json::from_slice::<Event>(&text).unwrap(), &event);
        prop_assert_eq!(&Event::decode(event.encode()).unwrap(), &event);
        prop_assert_eq!(&rmp_serde::from_slice::<Event>(&rmp_serde::to_vec(&event).unwrap()).unwrap(), &event);
    }

    #[test]
    fn ids_derived_from_other_parts_are_others(a in ".{0,4}", b in ".{0,4}", c in ".{0,4}", d in ".{0,4}") {
        let derived = |x: &str, y: &str| derive_uuid(&[x.as_bytes(), y.as_bytes()]);
        prop_assert_eq!(derived(&a, &b), derived(&a, &b));
        prop_assert_eq!(derived(&a, &b) == derived(&c, &d), (&a, &b) == (&c, &d));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = from_json(&bytes);
        let _ = batch_from_json(&bytes);
        let _ = Event::decode(bytes.into());
    }
}

/// The corpus of real payloads, where it is there: beside the repository, or where `TIDEGATE_CORPUS` says.
fn corpus() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("TIDEGATE_CORPUS").map_or(beside, PathBuf::from);
    folder.join("expected.json").exists().then_some(folder)
}

#[track_caller]
fn check_facts(file: &str, event: &Event, facts: &Value) {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    let data = event.data.as_deref().unwrap_or_default();
    for (name, expected) in facts.as_object().unwrap() {
        let found = match name.as_str() {
            "id" => json!(event.id),
            "source" => json!(event.source),
            "type" => json!(event.ty),
            "specversion" => json!("1.0"),
            "subject" => text(&event.subject),
            "time" => text(&event.time),
            "datacontenttype" => text(&event.datacontenttype),
            "extensions" => serde_json::to_value(&event.extensions).unwrap(),
            "data" => serde_json::from_slice(data).unwrap(),
            "mode" => json!("binary"),
            "data_kind" if event.data.is_none() => json!("none"),
            "data_kind" if event.is_json() => json!("json"),
            // Bytes are bytes: what was sent as base64 may be text, but what is no text was sent as base64.
            "data_kind" if std::str::from_utf8(data).is_err() => json!("base64"),
            "data_kind" => expected.clone(),
            other => panic!("{file}: the fact {other} is unknown"),
        };
        assert_eq!(&found, expected, "{file}: {name}");
    }
}

#[test]
fn every_fact_of_the_corpus_comes_out_right() {
    let Some(folder) = corpus() else { return };
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for (file, entry) in expected.as_object().unwrap() {
        if !matches!(entry["kind"].as_str(), Some("ce" | "ce_batch" | "ce_bin")) {
            continue;
        }
        let pairs = entry["headers"].as_object().unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let body = std::fs::read(folder.join(file)).unwrap();
        let events = from_http(&headers(&pairs), body.into()).unwrap_or_else(|error| panic!("{file}: {error}"));
        match entry["facts"]["events"].as_array() {
            Some(facts) => {
                assert_eq!(json!(events.len()), entry["facts"]["count"], "{file}");
                events.iter().zip(facts).for_each(|(event, facts)| check_facts(file, event, facts));
            }
            None => check_facts(file, &events[0], &entry["facts"]),
        }
    }
}
