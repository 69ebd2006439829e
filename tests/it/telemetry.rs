//! Traces at a collector, and what `/metrics` counts.

use std::collections::BTreeMap;

use axum::body::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::http;
use crate::stage::{Stage, event, publish, wait_until_settled};
use crate::support::{Project, Server};

const HOOK: &str = "[[trigger.webhook]]\npath = \"/hooks/events\"\nsender = \"cloudevents\"\nunsigned = true\n";

/// A chain of two functions behind a webhook.
fn chain() -> Stage {
    Stage::new(HOOK)
        .hostile(
            "first",
            &["test.count", "test.trap"],
            "write = [\"counts\"]",
            "retry = { attempts = 2, initial = \"10ms\" }",
        )
        .hostile("second", &["test.done"], "write = [\"done\"]", "when = 'origin.name == \"first\"'")
}

#[track_caller]
fn send(server: &Server<'_>, id: &str, ty: &str) {
    let body = event(id, ty, "key").to_string();
    let answer = http::post(&server.hooks, "/hooks/events", &[http::STRUCTURED], body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.body);
}

/// A collector of OTLP over HTTP, and the spans that it was sent.
async fn collector() -> (String, UnboundedReceiver<Span>) {
    let (seen, spans) = unbounded_channel();
    let route = axum::routing::post(move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).expect("the body is an OTLP export");
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            seen.send(span).expect("the test waits for spans");
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let router = axum::Router::new().route("/v1/traces", route);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, spans)
}

fn send_one_chain_and_stop(project: &Project) {
    let server = project.up();
    send(&server, "e-1", "test.count");
    wait_until_settled(&server);
    assert!(server.stop().success(), "it ends cleanly, and sends what spans it has");
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        StringValue(text) => Some(text),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_from_the_webhook_to_the_last_settlement() {
    let (endpoint, mut received) = collector().await;
    let project = chain().project().env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let run = tokio::task::spawn_blocking(move || send_one_chain_and_stop(&project));
    run.await.expect("the chain settles");

    let mut spans = Vec::new();
    while let Ok(span) = received.try_recv() {
        spans.push(span);
    }
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let door = spans.iter().find(|span| span.name.contains("/hooks/events"));
    let door = door.unwrap_or_else(|| panic!("no span of the webhook in {names:?}"));
    let invoke = |function: &str| {
        let found = spans.iter().find(|span| span.name == "invoke" && text(span, "faas.name") == Some(function));
        found.unwrap_or_else(|| panic!("no span of {function} in {names:?}"))
    };
    let (first, second) = (invoke("first"), invoke("second"));
    assert_eq!(names.iter().filter(|name| **name == "invoke").count(), 2, "one for each invocation: {names:?}");
    for span in [first, second] {
        assert_eq!(span.trace_id, door.trace_id, "{span:?}");
    }
    assert_eq!(first.parent_span_id, door.span_id, "the webhook led to the first function");
    assert_eq!(text(first, "cloudevents.event_id"), Some("e-1"));
    assert_eq!(text(second, "cloudevents.event_type"), Some("test.done"));
}

/// Every sample of OpenMetrics text.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a sample"))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_count_every_step_of_the_path() {
    let project = chain().project();
    let server = project.up();
    send(&server, "e-1", "test.count");
    send(&server, "e-1", "test.count");
    send(&server, "e-2", "test.trap");
    publish(&server, &[event("e-3", "test.nobody", "")]);
    wait_until_settled(&server);

    let text = http::get(&server.api, "/metrics").body;
    let samples = samples(&text);
    for (name, expected) in [
        ("tidegate_events_accepted_total{door=\"/hooks/events\"}", 2.0),
        ("tidegate_events_accepted_total{door=\"api\"}", 1.0),
        ("tidegate_events_deduplicated_total{door=\"/hooks/events\"}", 1.0),
        ("tidegate_delivered_total{function=\"first\"}", 1.0),
        ("tidegate_delivered_total{function=\"second\"}", 1.0),
        ("tidegate_outcomes_total{function=\"first\",kind=\"completed\"}", 1.0),
        ("tidegate_outcomes_total{function=\"first\",kind=\"trapped\"}", 2.0),
        ("tidegate_retries_total{function=\"first\"}", 1.0),
        ("tidegate_dead_letters_total{function=\"first\"}", 1.0),
        ("tidegate_function_dead_letters_open{function=\"first\"}", 1.0),
        ("tidegate_function_lag_events{function=\"first\"}", 0.0),
        ("tidegate_function_lag_events{function=\"second\"}", 0.0),
        ("tidegate_invoke_duration_seconds_count{function=\"first\"}", 3.0),
        ("tidegate_hop_duration_seconds_count{function=\"second\"}", 1.0),
        ("tidegate_start_duration_seconds_count{start=\"Cold\"}", 1.0),
        ("tidegate_start_duration_seconds_count{start=\"Warm\"}", 3.0),
    ] {
        assert_eq!(samples.get(name), Some(&expected), "{name} in\n{text}");
    }
}
