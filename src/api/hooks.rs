//! The door for webhooks: it serves the paths of triggers and nothing else.
//!
//! Proof comes before parsing, on the raw bytes. One request is one commit, and 202 is answered after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tracing::{Instrument, Span};

use super::ApiState;
use super::answer::json;
use super::door::{check_host, essence};
use super::error::ApiError;
use super::model::{ReceiptView, ReceiptsView};
use super::refused::{Asked, IDENTITY_HEADERS, known, refused, shown};
use crate::bus::{Incoming, Receipt, Shown};
use crate::deployment::{Sender, Trigger, WebhookTrigger};
use crate::event::{Event, Origin, OriginKind};
use crate::telemetry::{door_span, stamp};
use crate::trigger::{BODY_BYTES_MAX, Credentials, CredentialsError, Rejection, handshake, parse, prove, redact};

/// Label of requests to no trigger's path: what a sender writes is never a label.
const NO_TRIGGER: &str = "hooks";
/// A larger body takes a while to be parsed.
const PARSED_AT_ONCE_BYTES_MAX: usize = 256 * 1024;
const METHODS: &str = "HEAD, OPTIONS, POST";

/// The webhooks of the active deployment, by path, with their secrets.
#[derive(Debug, Clone, Default)]
pub struct Webhooks(BTreeMap<String, Webhook>);

#[derive(Debug, Clone)]
struct Webhook {
    sender: Sender,
    credentials: Credentials,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("webhook {path}: {source}")]
pub struct WebhookError {
    pub path: String,
    pub source: CredentialsError,
}

impl Webhooks {
    /// Takes the webhooks out of a deployment's triggers, and resolves their secrets by `env`.
    pub fn resolve(triggers: &[Trigger], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, WebhookError> {
        let webhooks = triggers.iter().filter_map(|trigger| match trigger {
            Trigger::Webhook(webhook) => Some(webhook),
            Trigger::Schedule(_) | Trigger::Bucket(_) | Trigger::Queue(_) => None,
        });
        let resolve = |webhook: &WebhookTrigger| {
            let path = webhook.path.clone();
            match Credentials::resolve(&webhook.proof, env) {
                Ok(credentials) => Ok((path, Webhook { sender: webhook.sender, credentials })),
                Err(source) => Err(WebhookError { path, source }),
            }
        };
        Ok(Webhooks(webhooks.map(resolve).collect::<Result<_, _>>()?))
    }
}

/// The router of the hooks listener.
pub fn hooks(state: Arc<ApiState>) -> Router {
    Router::new().fallback(receive).with_state(state)
}

async fn receive(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let webhooks = state.webhooks.borrow().clone();
    let path = request.uri().path().to_owned();
    let webhook = webhooks.0.get(&path);
    let door = if webhook.is_some() { path.as_str() } else { NO_TRIGGER };
    let span = door_span(request.method(), door, request.headers());
    let (parts, body) = request.into_parts();
    let mut read = Read { proof: shown(&parts.headers), parts, body: Bytes::new(), proven: false };
    let answered = answer(&state, webhook, &mut read, body, &span).instrument(span.clone()).await;
    let response = answered.unwrap_or_else(|error| {
        refused(&state, door, error.status(), &error.told(), read.asked(webhook));
        error.into_response()
    });
    span.record("http.response.status_code", response.status().as_u16());
    response
}

/// A request as far as it was read.
struct Read {
    parts: Parts,
    /// Empty until it has arrived.
    body: Bytes,
    proof: Shown,
    /// Whether it may be parsed.
    proven: bool,
}

impl Read {
    /// What is known of it; none if it could have brought no event.
    fn asked(&self, webhook: Option<&Webhook>) -> Option<Asked> {
        if self.parts.method.is_safe() {
            return None;
        }
        let sender = webhook.map(|webhook| webhook.sender);
        let parsed = sender.filter(|_| self.proven && self.body.len() <= PARSED_AT_ONCE_BYTES_MAX);
        let events = parsed.and_then(|sender| parse(sender, &self.parts.headers, &self.body).ok());
        Some(Asked {
            sender: sender.map(|sender| sender.name().to_owned()),
            proof: self.proof,
            named: known(&self.parts.headers, &self.body, events),
        })
    }
}

async fn answer(
    state: &ApiState,
    webhook: Option<&Webhook>,
    read: &mut Read,
    body: Body,
    span: &Span,
) -> Result<Response, ApiError> {
    let Parts { uri, method, headers, .. } = &mut read.parts;
    check_host(state.doors.hooks, &state.doors.names, uri, headers)?;
    let path = uri.path();
    let webhook = webhook.ok_or_else(|| ApiError::not_found(format!("no trigger has the path {path}")))?;
    match *method {
        // MinIO asks so whether its target is there.
        Method::HEAD => return Ok(StatusCode::OK.into_response()),
        Method::OPTIONS => return Ok(permission(headers)),
        Method::POST => {}
        _ => {
            let refused = ApiError::MethodNotAllowed(method.clone()).into_response();
            return Ok(([(header::ALLOW, METHODS)], refused).into_response());
        }
    }
    check_not_form(headers)?;
    let body = state.bodies.read(headers, body, BODY_BYTES_MAX).await?;
    read.body = body.bytes.clone();
    let verified = prove(&webhook.credentials, webhook.sender, headers, &body.bytes)?;
    for name in IDENTITY_HEADERS {
        headers.remove(name);
    }
    read.proven = true;
    if verified {
        read.proof = Shown::Verified;
    }
    let origin = Origin { kind: OriginKind::Trigger, name: path.to_owned(), verified };
    let events = parse_apart(webhook.sender, headers.clone(), body.bytes.clone()).await?;
    let objects = state.notices.objects(webhook.sender, &events);
    let receipts = publish(state, path, events, &origin, span, headers).await?;
    state.notices.tell(objects, &receipts);
    Ok(accepted(receipts))
}

/// Parses a large body off the threads that answer everybody.
async fn parse_apart(sender: Sender, headers: HeaderMap, body: Bytes) -> Result<Vec<Event>, Rejection> {
    if body.len() <= PARSED_AT_ONCE_BYTES_MAX {
        return parse(sender, &headers, &body);
    }
    let parsing = tokio::task::spawn_blocking(move || parse(sender, &headers, &body));
    parsing.await.expect("parsing does not panic")
}

/// A page may send a form anywhere without being asked; no sender needs one.
fn check_not_form(headers: &HeaderMap) -> Result<(), ApiError> {
    match essence(headers).as_str() {
        form @ ("application/x-www-form-urlencoded" | "multipart/form-data") => {
            let message = format!("content type {form} is not taken; set the sender to application/json");
            Err(ApiError::UnsupportedMediaType(message))
        }
        _ => Ok(()),
    }
}

/// Answers whoever asks whether it may send here (CloudEvents HTTP webhooks, validation handshake).
fn permission(headers: &HeaderMap) -> Response {
    let mut response = (StatusCode::OK, [(header::ALLOW, METHODS)]).into_response();
    response.headers_mut().extend(handshake(headers).unwrap_or_default());
    response
}

/// Publishes a request's events in one commit, redacted, in the trace of the request.
pub(super) async fn publish(
    state: &ApiState,
    door: &str,
    mut events: Vec<Event>,
    origin: &Origin,
    span: &Span,
    headers: &HeaderMap,
) -> Result<Vec<Receipt>, ApiError> {
    let bus = state.bus()?;
    events = redact(&**bus, events).await;
    for event in &mut events {
        stamp(event, span, headers);
    }
    let receipts = match events.is_empty() {
        true => Vec::new(),
        false => {
            let batch = events.into_iter().map(|event| Incoming { event, origin: origin.clone() });
            bus.publish(batch.collect()).await?
        }
    };
    state.metrics.accepted(door, &receipts);
    Ok(receipts)
}

/// The answer to whoever sent what is in the log now.
pub(super) fn accepted(receipts: Vec<Receipt>) -> Response {
    json(StatusCode::ACCEPTED, &view(receipts))
}

fn view(receipts: Vec<Receipt>) -> ReceiptsView {
    ReceiptsView {
        ids: receipts.iter().map(|receipt| receipt.id.clone()).collect(),
        duplicate: !receipts.is_empty() && receipts.iter().all(|receipt| receipt.duplicate),
        receipts: receipts
            .into_iter()
            .map(|receipt| ReceiptView { id: receipt.id, position: receipt.position, duplicate: receipt.duplicate })
            .collect(),
    }
}
