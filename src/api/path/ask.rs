//! What a person asks of the path: a release of the record again, or that a digest leave its quarantine. Each is an event in
//! their name; functions decide.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::releases::known;
use crate::api::answer::parse_json;
use crate::api::error::ApiError;
use crate::api::model::{LiftRequest, RedeployRequest};
use crate::api::route::{By, DOOR, DoorSpan};
use crate::api::{ApiState, hooks};
use crate::event::{Event, Origin, OriginKind};

const BODY_BYTES_MAX: usize = 64 * 1024;

/// `POST /releases/{release}/redeploy`: publishes `release.requested`.
pub(in crate::api) async fn redeploy(
    State(state): State<Arc<ApiState>>,
    Extension(caller): By,
    Extension(DoorSpan(span)): Extension<DoorSpan>,
    Path(release): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = state.bodies.read(&headers, body, BODY_BYTES_MAX).await?;
    let RedeployRequest { environment, reason } = parse_json(&body.bytes)?;
    let known = known(&*state.history).await?;
    let found = known.iter().find(|view| view.release == release);
    let missing = || ApiError::not_found(format!("there is no release {release:?}; `tidegate releases` lists them"));
    let view = found.ok_or_else(missing)?;
    if !view.environments.contains_key(&environment) {
        let known: Vec<&str> = view.environments.keys().map(String::as_str).collect();
        let known = known.join(", ");
        return Err(ApiError::invalid(format!("{release} never came to {environment:?}; it is known in: {known}")));
    }
    let content = json!({ "release": release, "environment": environment, "by": caller.name, "reason": reason });
    let event = request("release.requested", "/releases", &release, &content);
    hooks::publish(&state, DOOR, vec![event], &operator(caller.name), &span, &headers).await.map(hooks::accepted)
}

/// `POST /quarantine/{digest}/lift`: publishes `quarantine.lifted`.
pub(in crate::api) async fn lift(
    State(state): State<Arc<ApiState>>,
    Extension(caller): By,
    Extension(DoorSpan(span)): Extension<DoorSpan>,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = state.bodies.read(&headers, body, BODY_BYTES_MAX).await?;
    let LiftRequest { reason } = parse_json(&body.bytes)?;
    if reason.trim().is_empty() {
        return Err(ApiError::invalid("a lift says why; write it as the reason"));
    }
    let known = known(&*state.history).await?;
    if !known.iter().any(|view| view.digest == digest && view.quarantined) {
        let message = format!("{digest:?} is in no quarantine; `tidegate releases -o json` lists digests that are");
        return Err(ApiError::not_found(message));
    }
    let content = json!({ "digest": digest, "by": caller.name, "reason": reason });
    let event = request("quarantine.lifted", "/quarantine", &digest, &content);
    hooks::publish(&state, DOOR, vec![event], &operator(caller.name), &span, &headers).await.map(hooks::accepted)
}

/// Whoever may operate the project was let in by the door: that is what proves what they ask.
fn operator(name: String) -> Origin {
    Origin { kind: OriginKind::Api, name, verified: true }
}

fn request(name: &str, source: &str, about: &str, content: &Value) -> Event {
    let ty = crate::deployment::full_type(name).expect("it is a type of the catalogue");
    let subject = json!({ "id": about, "content": content });
    let data = json!({ "context": { "specversion": "0.5.0", "type": ty }, "subject": subject });
    Event {
        id: Uuid::now_v7().to_string(),
        source: source.to_owned(),
        ty,
        subject: Some(about.to_owned()),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(Bytes::from(data.to_string())),
        ..Event::default()
    }
}
