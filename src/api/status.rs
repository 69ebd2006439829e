//! Whether the server lives, whether it takes events, and its metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::ApiState;
use super::answer::json;
use super::error::ApiError;
use super::model::HealthView;
use super::reads::function_views;
use crate::telemetry::{FunctionGauges, StorageGauges};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

type Shared = State<Arc<ApiState>>;

/// `GET /healthz`: the process answers. It asks nothing else, so that it answers under any load.
pub(super) async fn healthz(State(state): Shared) -> Response {
    json(StatusCode::OK, &health(&state, None))
}

/// `GET /readyz`: a deployment is active and the log can be read.
pub(super) async fn readyz(State(state): Shared) -> Response {
    let deployment = state.bus.as_ref().and_then(|bus| bus.active().borrow().as_ref().map(|active| active.number));
    let reason = match (&state.bus, deployment) {
        (None, _) => Some("the project is stopped".to_owned()),
        (Some(_), None) => Some("no deployment is active yet".to_owned()),
        (Some(_), Some(_)) if state.shutdown.is_cancelled() => Some("the server is stopping".to_owned()),
        (Some(_), Some(_)) => state.history.tail().await.err().map(|error| error.to_string()),
    };
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &health(&state, reason))
}

fn health(state: &ApiState, reason: Option<String>) -> HealthView {
    HealthView {
        ok: reason.is_none(),
        project: state.project.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        deployment: state.bus.as_ref().and_then(|bus| bus.active().borrow().as_ref().map(|active| active.number)),
        reason,
    }
}

/// `GET /metrics`: OpenMetrics text, under the name that the scraper asks for.
pub(super) async fn metrics(State(state): Shared, headers: HeaderMap) -> Result<Response, ApiError> {
    let functions = function_views(&state).await?.into_iter().filter(|function| function.deployed);
    let gauges: Vec<FunctionGauges> = functions
        .map(|function| FunctionGauges {
            function: function.name,
            lag: function.lag,
            pending: function.pending,
            dead_letters_open: function.dead_letters,
        })
        .collect();
    let storage = state.history.storage().await?;
    let sizes = StorageGauges {
        events: storage.event_bytes,
        recordings: storage.recording_bytes,
        used: storage.used_bytes,
        free: storage.free_bytes,
        write_ahead: storage.write_ahead_bytes,
    };
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = if accepts.contains("application/openmetrics-text") { OPEN_METRICS } else { PROMETHEUS };
    Ok(([(header::CONTENT_TYPE, content_type)], state.metrics.text(&gauges, &sizes)).into_response())
}
