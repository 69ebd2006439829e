//! From what a person wrote to a batch of CloudEvents in JSON.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Deserializer, Value};

use super::{CliError, EventArgs};
use crate::deployment::full_type;

const SOURCE_DEFAULT: &str = "/tidegate/emit";

/// An event's members. Values are kept as they were written: a number in data must not change on its way.
type Members = BTreeMap<String, Box<RawValue>>;

/// Reads one event, an array of events, or one after another; fills in what is missing.
pub fn from_text(text: &str, path: &str) -> Result<Vec<u8>, CliError> {
    let malformed = |reason: String| CliError::Malformed { path: path.to_owned(), reason };
    let mut events = Vec::new();
    let mut values = Deserializer::from_str(text).into_iter::<&RawValue>();
    while let Some(value) = values.next() {
        let value = value.map_err(|error| malformed(error.to_string()))?;
        let before = text.len().min(values.byte_offset()) - value.get().len();
        let at_line = |error: serde_json::Error| {
            // The error counts lines from the value's start.
            let line = text[..before].matches('\n').count() + error.line();
            malformed(format!(
                "line {line}: an event is a JSON object, and a batch an array of them: {}",
                reason(&error)
            ))
        };
        if value.get().starts_with('[') {
            events.extend(serde_json::from_str::<Vec<Members>>(value.get()).map_err(at_line)?);
        } else {
            events.push(serde_json::from_str::<Members>(value.get()).map_err(at_line)?);
        }
    }
    if events.is_empty() {
        return Err(malformed("there is no event in it".to_owned()));
    }
    if let Some(bare) = events.iter().find_map(bare_cdevent) {
        return Err(malformed(bare));
    }
    for event in &mut events {
        complete(event);
    }
    Ok(to_bytes(&events))
}

/// What is said of a CDEvent that no CloudEvent carries: its own members are the data of one.
fn bare_cdevent(event: &Members) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Context {
        r#type: String,
    }
    let context = event.get("context").filter(|_| !event.contains_key("type"))?;
    let ty =
        serde_json::from_str::<Context>(context.get()).map_or_else(|_| "TYPE".to_owned(), |context| context.r#type);
    Some(format!(
        "a member `context` and no `type`: that is a CDEvent without the CloudEvent that carries it; write \
         {{\"type\": {ty:?}, \"data\": ..}} around it, or `tidegate emit --type {ty} --data @FILE`"
    ))
}

/// The error without serde's own place, which counts from the value's start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

/// Makes one event of options. `data`: JSON text.
pub fn from_args(args: &EventArgs, data: &Option<String>) -> Result<Vec<u8>, CliError> {
    let mut event = Members::new();
    let ty = args.r#type.as_deref().map(full_type).transpose();
    let ty = ty.map_err(|problem| CliError::Usage(format!("--type: {problem}")))?;
    let attributes = [("type", &ty), ("subject", &args.subject), ("source", &args.source), ("id", &args.id)];
    for (name, value) in attributes {
        if let Some(value) = value {
            event.insert(name.to_owned(), raw(value));
        }
    }
    for extension in &args.ext {
        let (name, value) = extension
            .split_once('=')
            .ok_or_else(|| CliError::Usage(format!("--ext {extension:?} has no =; write NAME=TEXT")))?;
        event.insert(name.to_owned(), raw(value));
    }
    if let Some(data) = data {
        let data: Box<RawValue> = serde_json::from_str(data)
            .map_err(|error| CliError::Usage(format!("--data is no JSON ({error}); quote a text like '\"text\"'")))?;
        event.insert("data".to_owned(), data);
        event.insert("datacontenttype".to_owned(), raw("application/json"));
    }
    complete(&mut event);
    Ok(to_bytes(&[event]))
}

/// Time is left to the server: what is sent again must say the same, so that it is one event.
fn complete(event: &mut Members) {
    let mut fill = |name: &str, value: &dyn Fn() -> Box<RawValue>| {
        if !event.contains_key(name) {
            event.insert(name.to_owned(), value());
        }
    };
    fill("specversion", &|| raw("1.0"));
    fill("id", &|| raw(&uuid::Uuid::now_v7().to_string()));
    fill("source", &|| raw(SOURCE_DEFAULT));
}

fn raw(text: &str) -> Box<RawValue> {
    to_raw_value(&Value::String(text.to_owned())).expect("a text is JSON")
}

fn to_bytes(events: &[Members]) -> Vec<u8> {
    serde_json::to_vec(events).expect("raw JSON is JSON")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Expect) {
        let batch = from_text(text, "events.json").map(|bytes| String::from_utf8(bytes).unwrap());
        expected.assert_eq(&batch.unwrap_or_else(|error| error.to_string()));
    }

    const A: &str = r#"{"specversion":"1.0","id":"a","source":"s","type":"t","time":"2026-11-23T00:00:00Z"}"#;

    #[test]
    fn a_file_holds_one_event_an_array_or_lines() {
        check(
            A,
            expect![[r#"[{"id":"a","source":"s","specversion":"1.0","time":"2026-11-23T00:00:00Z","type":"t"}]"#]],
        );
        check(
            &format!("\n[ {A} ]\n"),
            expect![[r#"[{"id":"a","source":"s","specversion":"1.0","time":"2026-11-23T00:00:00Z","type":"t"}]"#]],
        );
        check(
            &format!("{A}\n{A}\n"),
            expect![[
                r#"[{"id":"a","source":"s","specversion":"1.0","time":"2026-11-23T00:00:00Z","type":"t"},{"id":"a","source":"s","specversion":"1.0","time":"2026-11-23T00:00:00Z","type":"t"}]"#
            ]],
        );
    }

    #[test]
    fn what_is_missing_is_filled_in_and_numbers_stay_as_written() {
        check(
            r#"{"id":"a","type":"t","data":{"n":123456789012345678901234567890.10}}"#,
            expect![[
                r#"[{"data":{"n":123456789012345678901234567890.10},"id":"a","source":"/tidegate/emit","specversion":"1.0","type":"t"}]"#
            ]],
        );
    }

    #[test]
    fn what_is_no_event_is_told_with_its_line() {
        check("", expect!["events.json: there is no event in it"]);
        check("{", expect!["events.json: EOF while parsing an object at line 1 column 1"]);
        check(
            &format!("{A}\n\n7\n"),
            expect![
                "events.json: line 3: an event is a JSON object, and a batch an array of them: invalid type: integer `7`, expected a map"
            ],
        );
    }

    #[test]
    fn a_cdevent_without_its_envelope_is_told_what_it_lacks() {
        let ty = "dev.cdevents.artifact.published.0.3.0";
        let bare = format!(r#"{{"context": {{"version": "0.4.1", "type": "{ty}"}}, "subject": {{"id": "x"}}}}"#);
        let error = from_text(&bare, "events.json").unwrap_err().to_string();
        let parts =
            ["events.json: ", "a CDEvent without the CloudEvent", &format!("`tidegate emit --type {ty} --data @FILE`")];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        // Where it is carried, it is the data's own.
        assert!(from_text(&format!(r#"{{"type": "{ty}", "data": {bare}}}"#), "events.json").is_ok());
    }

    #[test]
    fn options_make_an_event() {
        let args = EventArgs {
            r#type: Some("shop.order.paid".into()),
            subject: Some("order/7".into()),
            id: Some("x".into()),
            ext: vec!["partitionkey=7".into()],
            ..EventArgs::default()
        };
        let batch = from_args(&args, &Some("{\"total\": 12}".into())).unwrap();
        expect![[r#"[{"data":{"total": 12},"datacontenttype":"application/json","id":"x","partitionkey":"7","source":"/tidegate/emit","specversion":"1.0","subject":"order/7","type":"shop.order.paid"}]"#]].assert_eq(std::str::from_utf8(&batch).unwrap());
        let error = from_args(&args, &Some("text".into())).unwrap_err().to_string();
        expect![[r#"--data is no JSON (expected ident at line 1 column 2); quote a text like '"text"'"#]]
            .assert_eq(&error);
    }

    #[test]
    fn a_type_may_be_a_short_name_of_the_catalogue() {
        let emit = |ty: &str| {
            let args = EventArgs { r#type: Some(ty.into()), id: Some("x".into()), ..EventArgs::default() };
            from_args(&args, &None).map(|batch| String::from_utf8(batch).unwrap()).map_err(|error| error.to_string())
        };
        let named = |ty: &str| format!(r#"[{{"id":"x","source":"/tidegate/emit","specversion":"1.0","type":"{ty}"}}]"#);
        for (given, ty) in [
            ("quarantine.lifted", "dev.cdeventsx.tidegate-quarantine.lifted.0.1.0"),
            ("artifact.published", "dev.cdevents.artifact.published.0.3.0"),
            ("dev.cdevents.artifact.published.0.2.0", "dev.cdevents.artifact.published.0.2.0"),
            ("shop.order.paid", "shop.order.paid"),
        ] {
            assert_eq!(emit(given), Ok(named(ty)));
        }
        for (given, problem) in [
            (
                "quarantine.lift",
                r#"--type: "quarantine.lift" is no short name of the catalogue (did you mean "quarantine.lifted"?)"#,
            ),
            ("order.paid", r#"a type of your own has three parts or more"#),
            ("com.shop.*", r#"--type: "com.shop.*" is a pattern; write one type"#),
        ] {
            let error = emit(given).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
