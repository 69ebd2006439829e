//! The routes of the API, by what a token must allow, and what every request passes.

use std::sync::Arc;

use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tracing::Instrument;

use super::door::{Caller, check_content_type, check_host};
use super::error::{ApiError, Told};
use super::refused::{Asked, refused};
use super::{ApiState, blobs, deploy, events, letters, path, reads, recordings, replays, state as committed, status};
use crate::deployment::Scope;
use crate::telemetry::door_span;

/// Label of the API's requests.
pub(super) const DOOR: &str = "api";
/// Where events are published.
const EVENTS: &str = "/events";

type Shared = State<Arc<ApiState>>;

/// The router of the API listener, and of a stopped project in process.
pub fn api(state: Arc<ApiState>) -> Router {
    let open = Router::new().route("/healthz", get(status::healthz)).route("/readyz", get(status::readyz));
    let read = Router::new()
        .route(EVENTS, get(events::list))
        .route("/refusals", get(events::refusals))
        .route("/events/{id}", get(events::show))
        .route("/events/{id}/trace", get(events::trace))
        .route("/events/{id}/explain", get(events::explain))
        .route("/events/{id}/why-not", get(events::why_not))
        .route("/invocations", get(reads::invocations))
        .route("/invocations/{id}", get(reads::invocation))
        .route("/invocations/{id}/recording", get(recordings::one))
        .route("/recordings", get(recordings::list))
        .route("/replays", get(replays::list))
        .route("/functions", get(reads::functions))
        .route("/functions/{name}", get(reads::function))
        .route("/deployments", get(reads::deployments))
        .route("/deployments/{number}", get(reads::deployment))
        .route("/deployments/{number}/stored", get(recordings::deployment))
        .route("/dlq", get(letters::list))
        .route("/dlq/{id}", get(letters::show))
        .route("/blobs/{digest}", get(blobs::show))
        .route("/keys/{space}", get(committed::keys))
        .route("/keys/{space}/{key}", get(committed::key))
        .route("/statistics", get(committed::statistics))
        .route("/why", get(path::why))
        .route("/releases", get(path::releases))
        .route("/drift", get(path::drift))
        .route("/storage", get(reads::storage))
        .route("/types", get(reads::types))
        .route("/metrics", get(status::metrics))
        .route_layer(from_fn_with_state(state.clone(), may_read));
    let emit =
        Router::new().route(EVENTS, post(events::publish)).route_layer(from_fn_with_state(state.clone(), may_emit));
    let operate = Router::new()
        .route("/deployments", post(deploy::deploy))
        .route("/deployments/{number}/rollback", post(deploy::rollback))
        .route("/releases/{release}/redeploy", post(path::redeploy))
        .route("/quarantine/{digest}/lift", post(path::lift))
        .route("/dlq/redrive", post(letters::redrive))
        .route("/dlq/drop", post(letters::drop_letters))
        .route("/replays", post(replays::replay))
        .route_layer(from_fn_with_state(state.clone(), may_operate));
    open.merge(read)
        .merge(emit)
        .merge(operate)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::map_response(harden))
        .layer(from_fn_with_state(state.clone(), enter))
        .with_state(state)
}

async fn no_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", uri.path()))
}

async fn no_method(method: Method) -> ApiError {
    ApiError::MethodNotAllowed(method)
}

async fn may_read(state: Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    admit(state, Scope::Read, request, next).await
}

async fn may_emit(state: Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    admit(state, Scope::Emit, request, next).await
}

async fn may_operate(state: Shared, request: Request, next: Next) -> Result<Response, ApiError> {
    admit(state, Scope::Operate, request, next).await
}

/// Lets a caller in whose token allows it, and drops the token: no handler and no event can hold it.
async fn admit(State(state): Shared, wanted: Scope, mut request: Request, next: Next) -> Result<Response, ApiError> {
    let caller = state.doors.access.caller(state.doors.api, request.headers(), wanted)?;
    check_content_type(request.method(), request.headers())?;
    for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE] {
        request.headers_mut().remove(name);
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// What every request passes first: the listener's name, and a span. Refusals are counted and logged here.
async fn enter(State(state): Shared, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = door_span(&method, &route, request.headers());
    let asked = (method == Method::POST && route == EVENTS).then(|| Asked::of(request.headers()));
    let allowed = check_host(state.doors.api, &state.doors.names, request.uri(), request.headers());
    let response = match allowed {
        Ok(()) => {
            let mut request = request;
            request.extensions_mut().insert(DoorSpan(span.clone()));
            next.run(request).instrument(span.clone()).await
        }
        Err(error) => error.into_response(),
    };
    span.record("http.response.status_code", response.status().as_u16());
    if let Some(told) = response.extensions().get::<Told>() {
        // Reading what is not there, or asking for it in the wrong words, is no rejection.
        let asked_only =
            method.is_safe() && [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&response.status());
        if !asked_only {
            // Whoever read it further knows more of it.
            let asked = response.extensions().get().cloned().or(asked);
            refused(&state, DOOR, response.status(), told, asked);
        }
    }
    response
}

/// Answers are of now, and JSON even if a browser thinks otherwise.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The span of the request, for the events that it brings.
#[derive(Debug, Clone)]
pub(super) struct DoorSpan(pub tracing::Span);

/// Who asks; set by `admit`.
pub(super) type By = Extension<Caller>;
