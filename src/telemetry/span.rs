//! Spans: one for each invocation and one for each request that brings events in, all in the trace that the event names.
//!
//! Names are OpenTelemetry's semantic conventions for FaaS, messaging and CloudEvents. Without a collector no span is
//! recorded and none of this costs anything.

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, trace::SpanContext};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::bus::Delivery;
use crate::event::{Event, Extension, attribute};

/// The span of one invocation, in its event's trace. `Metrics::attempt` records how it ended.
pub fn span_for(delivery: &Delivery) -> Span {
    let event = &delivery.event.event;
    let function = &delivery.function;
    let span = info_span!(
        "invoke",
        otel.kind = "consumer",
        otel.status_code = Empty,
        error.type = Empty,
        faas.name = %function.name,
        faas.version = %function.component.digest,
        faas.trigger = "pubsub",
        faas.coldstart = Empty,
        faas.invocation_id =
            %format_args!("{}.{}.{}.{}", delivery.event.position, function.name, delivery.round, delivery.attempt),
        messaging.system = "tidegate",
        messaging.operation.type = "process",
        messaging.operation.name = "invoke",
        messaging.destination.name = %function.deployment().project,
        messaging.message.id = %event.id,
        cloudevents.event_id = %event.id,
        cloudevents.event_source = %event.source,
        cloudevents.event_spec_version = "1.0",
        cloudevents.event_type = %event.ty,
        cloudevents.event_subject = event.subject.as_deref(),
        tidegate.position = delivery.event.position,
        tidegate.attempt = delivery.attempt,
        tidegate.deployment = function.deployment().number,
    );
    set_parent(&span, || remote(event.traceparent(), event.text(attribute::TRACESTATE)));
    span
}

/// The span of a request that may bring events in, in the trace that its `traceparent` header names, if it has one.
pub fn door_span(method: &http::Method, route: &str, headers: &HeaderMap) -> Span {
    let span = info_span!(
        "accept",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        messaging.system = "tidegate",
        messaging.operation.type = "send",
    );
    set_parent(&span, || of_headers(headers));
    span
}

/// Gives an event that names no trace the one of the request that brought it: the door's span if it is recorded, else the
/// request's own `traceparent`.
pub fn stamp(event: &mut Event, span: &Span, headers: &HeaderMap) {
    if event.traceparent().is_some() {
        return;
    }
    let own = span.context().span().span_context().clone();
    let context = if own.is_valid() { own } else { of_headers(headers).span().span_context().clone() };
    if context.is_valid() {
        event.extensions.insert(attribute::TRACEPARENT.to_owned(), Extension::Text(traceparent(&context)));
    }
}

fn traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

fn of_headers(headers: &HeaderMap) -> Context {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    remote(text(attribute::TRACEPARENT), text(attribute::TRACESTATE))
}

/// An empty context if there is no `traceparent` or it is malformed.
fn remote(traceparent: Option<&str>, tracestate: Option<&str>) -> Context {
    let named = [(attribute::TRACEPARENT, traceparent), (attribute::TRACESTATE, tracestate)];
    let carrier: HashMap<String, String> =
        named.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned()))).collect();
    TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
}

fn set_parent(span: &Span, parent: impl FnOnce() -> Context) {
    if !span.is_disabled() {
        // It fails where no collector is set: then there is no trace to be part of.
        let _ = span.set_parent(parent());
    }
}
