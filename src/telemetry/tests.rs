use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::setup::build;
use super::*;
use crate::bus::{Delivery, Receipt};
use crate::clock::Timestamp;
use crate::deployment::{Component, ComponentRef, DeployedFunction, Deployment, Digest, Function};
use crate::event::{Accepted, Event, Origin, OriginKind};
use crate::filter::Filter;
use crate::outcome::Decision;

fn settings(env: &[(&str, &str)]) -> Settings {
    let env: Vec<(String, String)> = env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let lookup = move |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    Settings::from_env(&lookup, Format::Text)
}

#[track_caller]
fn check_endpoint(env: &[(&str, &str)], expected: Option<&str>) {
    assert_eq!(settings(env).traces.as_deref(), expected, "{env:?}");
}

#[test]
fn traces_go_where_the_standard_variables_say_and_nowhere_else() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    check_endpoint(&[], None);
    check_endpoint(&[(ALL, "")], None);
    check_endpoint(&[(ALL, "http://c:4318")], Some("http://c:4318/v1/traces"));
    check_endpoint(&[(ALL, "http://c:4318/")], Some("http://c:4318/v1/traces"));
    check_endpoint(&[(ALL, "http://c:4318"), (TRACES, "http://t/x")], Some("http://t/x"));
    check_endpoint(&[(ALL, "http://c:4318"), ("OTEL_SDK_DISABLED", "true")], None);
    check_endpoint(&[(ALL, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")], None);
    check_endpoint(&[(ALL, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "otlp")], Some("http://c:4318/v1/traces"));
}

#[track_caller]
fn check_service(env: &[(&str, &str)], expected: Option<&str>) {
    assert_eq!(settings(env).service.as_deref(), expected, "{env:?}");
}

#[test]
fn the_service_is_tidegate_unless_a_standard_variable_names_it() {
    check_service(&[], Some("tidegate"));
    check_service(&[("OTEL_SERVICE_NAME", "shop")], Some("shop"));
    check_service(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,zone=b")], None);
    check_service(&[("OTEL_RESOURCE_ATTRIBUTES", "zone=b")], Some("tidegate"));
}

#[test]
fn a_wrong_log_filter_is_an_error_that_shows_it() {
    let error = build(&settings(&[("TIDEGATE_LOG", "tidegate=loud")]), std::io::sink).err().unwrap();
    assert!(error.to_string().contains("\"tidegate=loud\""), "{error}");
}

#[derive(Debug, thiserror::Error)]
#[error("cannot settle")]
struct Outer(#[source] std::fmt::Error);

#[test]
fn a_fault_is_logged_with_what_caused_it() {
    let text = Causes(&Outer(std::fmt::Error)).to_string();
    assert_eq!(text, format!("cannot settle: {}", std::fmt::Error));
}

fn receipt(duplicate: bool) -> Receipt {
    Receipt { id: "a".to_owned(), position: Some(1), duplicate }
}

#[track_caller]
fn check_line(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no line {line:?} in\n{text}");
}

#[test]
fn every_count_stands_in_the_text_under_its_name_and_labels() {
    let metrics = Metrics::new();
    metrics.accepted("/hooks/github", &[receipt(false), receipt(true), receipt(false)]);
    metrics.rejected("/hooks/github", "unauthorized", "the signature is wrong");
    metrics.settled(
        "gate",
        Decision::Ack,
        Duration::from_millis(2),
        Timestamp::from_micros(0),
        Timestamp::from_micros(9),
    );
    metrics.settled("gate", Decision::DeadLetter, Duration::ZERO, Timestamp::EPOCH, Timestamp::EPOCH);
    metrics.settled("gate", Decision::RetryAt(Timestamp::EPOCH), Duration::ZERO, Timestamp::EPOCH, Timestamp::EPOCH);
    metrics.filter_failed("gate", 7, "when", "no such key");
    let running = metrics.running("gate");
    let gauges = FunctionGauges { function: "gate".to_owned(), lag: 3, pending: 2, dead_letters_open: 1 };
    let sizes = StorageGauges { events: 5, write_ahead: 6, ..StorageGauges::default() };
    let text = metrics.text(&[gauges], &sizes);
    for line in [
        "tidegate_events_accepted_total{door=\"/hooks/github\"} 2",
        "tidegate_events_deduplicated_total{door=\"/hooks/github\"} 1",
        "tidegate_requests_rejected_total{door=\"/hooks/github\",code=\"unauthorized\"} 1",
        "tidegate_delivered_total{function=\"gate\"} 1",
        "tidegate_dead_letters_total{function=\"gate\"} 1",
        "tidegate_retries_total{function=\"gate\"} 1",
        "tidegate_filter_failures_total{function=\"gate\"} 1",
        "tidegate_invocations_running{function=\"gate\"} 1",
        "tidegate_function_lag_events{function=\"gate\"} 3",
        "tidegate_log_size_bytes{part=\"events\"} 5",
        "tidegate_log_size_bytes{part=\"write-ahead\"} 6",
        "tidegate_hop_duration_seconds_count{function=\"gate\"} 1",
        "tidegate_settle_duration_seconds_count 3",
        "# EOF",
    ] {
        check_line(&text, line);
    }
    drop(running);
    check_line(&metrics.text(&[], &StorageGauges::default()), "tidegate_invocations_running{function=\"gate\"} 0");
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn headers(traceparent: &str) -> http::HeaderMap {
    http::HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), traceparent.parse().unwrap())])
}

#[track_caller]
fn check_stamp(own: Option<&str>, header: &str, expected: Option<&str>) {
    let mut event = Event::default();
    if let Some(own) = own {
        event.extensions.insert("traceparent".to_owned(), crate::event::Extension::Text(own.to_owned()));
    }
    stamp(&mut event, &tracing::Span::none(), &headers(header));
    assert_eq!(event.traceparent(), expected, "own {own:?}, header {header}");
}

#[test]
fn an_event_takes_over_the_trace_of_its_request_unless_it_has_one() {
    let request = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let own = format!("00-{TRACE}-1111111111111111-00");
    check_stamp(None, &request, Some(&request));
    check_stamp(Some(&own), &request, Some(&own));
    check_stamp(None, "nonsense", None);
    check_stamp(None, "00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
}

/// Starts a collector that keeps each request to the path of traces: its content type and its bytes.
async fn collector() -> (String, tokio::sync::mpsc::UnboundedReceiver<(String, axum::body::Bytes)>) {
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    let route = axum::routing::post(move |headers: http::HeaderMap, body: axum::body::Bytes| async move {
        let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        seen.send((content_type.unwrap_or_default().to_owned(), body)).unwrap();
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/traces", route);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, requests)
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_a_collector_as_one_trace_from_the_request_to_the_invocation() {
    let (endpoint, mut requests) = collector().await;
    let (subscriber, guard) = build(&settings(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]), std::io::sink).unwrap();
    let subscriber = Arc::new(subscriber);
    tracing::subscriber::with_default(subscriber, || {
        let request = headers(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let door = door_span(&http::Method::POST, "/hooks/github", &request);
        let mut event = Event { id: "e-1".to_owned(), source: "s".to_owned(), ty: "t".to_owned(), ..Event::default() };
        stamp(&mut event, &door, &request);
        assert!(event.traceparent().unwrap().starts_with(&format!("00-{TRACE}-")), "{:?}", event.traceparent());
        assert!(!event.traceparent().unwrap().contains("00f067aa0ba902b7"), "the door's span is the parent");
        drop(span_for(&delivery(event)));
    });
    drop(guard);
    let (content_type, body) = requests.recv().await.unwrap();
    assert_eq!(content_type, "application/x-protobuf");
    for text in ["invoke", "POST /hooks/github", "cloudevents.event_id", "e-1", "faas.name", "gate", "tidegate"] {
        assert!(contains(&body, text.as_bytes()), "no {text} in the export");
    }
    let trace: Vec<u8> = (0..16).map(|byte| u8::from_str_radix(&TRACE[2 * byte..2 * byte + 2], 16).unwrap()).collect();
    assert!(contains(&body, &trace), "the spans are in the request's trace");
}

fn delivery(event: Event) -> Delivery {
    let component = Component { reference: ComponentRef::Builtin("gate".to_owned()), digest: Digest::of(b"component") };
    let filter = Filter::new(vec!["t".parse().unwrap()], BTreeMap::new(), None).unwrap();
    let function = Function::new("gate".parse().unwrap(), component, filter);
    let id = function.id;
    let deployment = Deployment { number: 1, ..Deployment::new("shop".to_owned(), vec![function]) };
    let origin = Origin { kind: OriginKind::Trigger, name: "/hooks/github".to_owned(), verified: true };
    Delivery {
        event: Arc::new(Accepted { position: 1, accepted_at: Timestamp::EPOCH, origin, hops: 0, event }),
        function: DeployedFunction::find(Arc::new(deployment), id).unwrap(),
        attempt: 1,
        round: 0,
        first_attempt_at: Timestamp::EPOCH,
        lost: 0,
        guard: Box::new(()),
    }
}
