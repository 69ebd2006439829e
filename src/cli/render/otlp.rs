//! A chain as spans: an `ExportTraceServiceRequest` in OTLP/JSON (OpenTelemetry Protocol 1.x, JSON encoding), which every
//! collector takes at `/v1/traces`.
//!
//! An event's span has the ids of its `traceparent`, so that it stands where those who have the event's trace look for it; it
//! lasts from when the event was accepted until all that its functions did on it was settled. An attempt is a span in it, with an
//! id derived of its name: the same chain makes the same spans whenever it is asked for.

use serde_json::{Value, json};

use crate::api::model::{TraceAttempt, TraceNode, TraceRun, TraceView};
use crate::clock::Timestamp;
use crate::event::TraceParent;

/// `SPAN_KIND_PRODUCER` and `SPAN_KIND_CONSUMER`.
const PRODUCER: u32 = 4;
const CONSUMER: u32 = 5;
/// `STATUS_CODE_OK` and `STATUS_CODE_ERROR`.
const OK: u32 = 1;
const ERROR: u32 = 2;

/// One request, on one line. An event that waits for its time has no span yet.
pub fn otlp(trace: &TraceView) -> Value {
    let mut spans = Vec::new();
    for root in &trace.roots {
        event(&mut spans, root, None);
    }
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "tidegate")] },
        "scopeSpans": [{
            "scope": { "name": "tidegate", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] })
}

/// The span of an event and those of all that it led to. `cause`: the span that it stands in.
fn event(spans: &mut Vec<Value>, node: &TraceNode, cause: Option<TraceParent>) {
    let own = node.traceparent.as_deref().and_then(TraceParent::parse);
    if let (Some(own), Some(accepted)) = (own, node.acceptedat) {
        let ended = node.functions.iter().filter_map(|run| run.settledat).max().unwrap_or(accepted);
        let mut attributes = vec![
            text("messaging.system", "tidegate"),
            text("messaging.operation.type", "send"),
            text("cloudevents.event_id", &node.id),
            text("cloudevents.event_source", &node.source),
            text("cloudevents.event_spec_version", "1.0"),
            text("cloudevents.event_type", &node.ty),
        ];
        attributes.extend(node.subject.as_deref().map(|subject| text("cloudevents.event_subject", subject)));
        attributes.extend(node.position.map(|position| number("tidegate.position", position)));
        attributes.extend(node.replayof.as_deref().map(|id| text("tidegate.replayof", id)));
        let mut span = span(own, cause, &node.ty, PRODUCER, (accepted, ended.max(accepted)));
        span["attributes"] = attributes.into();
        spans.push(span);
        for run in &node.functions {
            spans.extend(run.ran.iter().map(|attempt| invocation(own, run, attempt)));
        }
    }
    for child in &node.children {
        let run = node.functions.iter().find(|run| child.is_by(run));
        // Only the attempt that did not fail emitted anything.
        let emitted = run.and_then(|run| run.ran.iter().rev().find(|attempt| attempt.failure.is_none()));
        let led = own.map(|own| emitted.map_or(own, |attempt| own.child(attempt.id.as_bytes())));
        event(spans, child, led);
    }
}

fn invocation(event: TraceParent, run: &TraceRun, attempt: &TraceAttempt) -> Value {
    let own = event.child(attempt.id.as_bytes());
    let times = (attempt.startedat, attempt.settledat);
    let mut span = span(own, Some(event), &format!("invoke {}", run.function), CONSUMER, times);
    let mut attributes = vec![
        text("messaging.system", "tidegate"),
        text("messaging.operation.type", "process"),
        text("faas.name", &run.function),
        text("faas.version", &attempt.component.to_string()),
        text("faas.trigger", "pubsub"),
        text("faas.invocation_id", &attempt.id),
        number("tidegate.deployment", attempt.deployment),
    ];
    span["status"] = match &attempt.failure {
        None => json!({ "code": OK }),
        Some(failure) => {
            attributes.push(text("error.type", failure.kind.as_str()));
            json!({ "code": ERROR, "message": failure.reason })
        }
    };
    span["attributes"] = attributes.into();
    span
}

/// Ids are hex and times are decimal text, as OTLP/JSON wants them.
fn span(
    own: TraceParent,
    parent: Option<TraceParent>,
    name: &str,
    kind: u32,
    (start, end): (Timestamp, Timestamp),
) -> Value {
    let nanoseconds = |time: Timestamp| (i128::from(time.as_micros()).max(0) * 1_000).to_string();
    let mut span = json!({
        "traceId": own.trace_id(),
        "spanId": own.span_id(),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(start),
        "endTimeUnixNano": nanoseconds(end),
    });
    if let Some(parent) = parent.filter(|parent| parent.trace_id() == own.trace_id()) {
        span["parentSpanId"] = parent.span_id().into();
    }
    span
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn node(id: &str, span: &str, by: Option<&str>, functions: Value, children: Value) -> Value {
        let origin = by.map(|name| json!({ "kind": "function", "name": name, "verified": true }));
        json!({
            "id": id, "type": "shop.sold", "source": "/s", "position": 1, "acceptedat": "1970-01-01T00:00:01Z",
            "traceparent": format!("00-{TRACE}-{span}-01"), "origin": origin, "functions": functions, "children": children,
        })
    }

    fn spans(roots: Value) -> Vec<Value> {
        let trace = json!({ "correlation": "a", "settled": true, "truncated": false, "roots": roots });
        let exported = otlp(&serde_json::from_value(trace).unwrap());
        exported["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    }

    #[test]
    fn events_have_the_ids_of_their_traceparent_and_attempts_stand_between_them() {
        let attempt = |number: u32, settled: &str, failure: Value| {
            json!({
                "id": format!("1.gate.0.{number}"), "startedat": "1970-01-01T00:00:02Z", "settledat": settled, "deployment": 3,
                "component": format!("sha256:{}", "ab".repeat(32)), "failure": failure,
            })
        };
        let failed = attempt(1, "1970-01-01T00:00:02.5Z", json!({ "kind": "retry", "reason": "later" }));
        let done = attempt(2, "1970-01-01T00:00:03Z", Value::Null);
        let run = json!([{
            "function": "gate", "verdict": { "kind": "delivered" }, "attempts": 2, "duration_micros": 5,
            "settledat": "1970-01-01T00:00:03Z", "ran": [failed, done],
        }]);
        let child = node("b", "00f067aa0ba902b8", Some("gate"), json!([]), json!([]));
        let spans = spans(json!([node("a", "00f067aa0ba902b7", None, run, json!([child]))]));
        let [event, first, second, emitted] = spans.as_slice() else { panic!("{spans:?}") };
        for span in &spans {
            assert_eq!(span["traceId"], TRACE);
        }
        assert_eq!((&event["spanId"], &event["parentSpanId"]), (&json!("00f067aa0ba902b7"), &Value::Null));
        assert_eq!(event["startTimeUnixNano"], "1000000000");
        assert_eq!(event["endTimeUnixNano"], "3000000000");
        assert_eq!((&first["parentSpanId"], &second["parentSpanId"]), (&event["spanId"], &event["spanId"]));
        assert_eq!((&first["status"]["code"], &second["status"]["code"]), (&json!(ERROR), &json!(OK)));
        assert_eq!(emitted["spanId"], "00f067aa0ba902b8");
        assert_eq!(emitted["parentSpanId"], second["spanId"], "the attempt that did not fail led to it");
        assert_ne!(first["spanId"], second["spanId"]);
    }

    #[test]
    fn what_waits_has_no_span_and_what_has_no_trace_is_left_out() {
        let waiting = json!({
            "id": "c", "type": "shop.due", "source": "/f", "deliverat": "1970-01-01T01:00:00Z", "functions": [],
            "traceparent": format!("00-{TRACE}-00f067aa0ba902b9-01"), "children": [],
        });
        assert_eq!(spans(json!([node("a", "00f067aa0ba902b7", None, json!([]), json!([waiting]))])).len(), 1);
        assert_eq!(spans(json!([node("a", "0000000000000000", None, json!([]), json!([]))])).len(), 0);
    }
}
