//! What a person asks of the path: a release of the record again, or that a digest leave its quarantine. Each is an event in
//! their name; functions decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::meant::digits;
use super::releases::known;
use crate::api::answer::parse_json;
use crate::api::error::ApiError;
use crate::api::find::PREFIX_CHARACTERS_MIN;
use crate::api::model::{LiftRequest, RedeployRequest, ReleaseView};
use crate::api::route::{By, DOOR, DoorSpan};
use crate::api::{ApiState, hooks};
use crate::event::{Event, Origin, OriginKind, cdevent};

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
    let view = found.ok_or_else(|| no_release(&known, &release, &environment))?;
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
        return Err(not_in_quarantine(&known, &digest));
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
    Event { id: Uuid::now_v7().to_string(), source: source.to_owned(), ..cdevent(&ty, about, content) }
}

/// A commit or a digest was made into releases, of which one is asked for; a tag says nothing that lasts.
fn no_release(known: &[ReleaseView], text: &str, environment: &str) -> ApiError {
    let of = |kind, begins: &dyn Fn(&ReleaseView) -> bool| {
        let made: Vec<&str> = known.iter().filter(|view| begins(view)).map(|view| view.release.as_str()).collect();
        let asked = |release: &&str| format!("`tidegate redeploy {release} --in {environment}`");
        let asked: Vec<String> = made.iter().map(asked).collect();
        (!asked.is_empty()).then(|| {
            ApiError::not_found(format!("{text:?} is a {kind}; a release is what is asked for: {}", asked.join(" or ")))
        })
    };
    let long = text.len() >= PREFIX_CHARACTERS_MIN;
    let is_commit = |view: &ReleaseView| view.commit.as_ref().is_some_and(|commit| long && commit.starts_with(text));
    of("commit", &is_commit).or_else(|| of("digest", &|view| begins(&view.digest, text))).unwrap_or_else(|| {
        ApiError::not_found(format!(
            "there is no release {text:?}, and a tag is never followed; `tidegate releases` lists the releases"
        ))
    })
}

/// A person lifts a digest that they have read whole.
fn not_in_quarantine(known: &[ReleaseView], text: &str) -> ApiError {
    let quarantined = || known.iter().filter(|view| view.quarantined).map(|view| view.digest.as_str());
    let message = match quarantined().find(|digest| begins(digest, text)) {
        Some(digest) => format!("a lift names the whole digest; the one in quarantine that begins so is {digest}"),
        None => match quarantined().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => format!("{text:?} is in no quarantine, and no other digest is"),
            digests => format!("{text:?} is in no quarantine; these are: {digests}"),
        },
    };
    ApiError::not_found(message)
}

/// Whether digits begin a digest, with or without its algorithm.
fn begins(digest: &str, text: &str) -> bool {
    let text = digits(text);
    text.len() >= PREFIX_CHARACTERS_MIN && digits(digest).starts_with(text)
}
