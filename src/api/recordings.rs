//! Recorded attempts, for who runs them again, and the deployments that ran them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::json;
use super::error::ApiError;
use super::events::{LIMIT_MAX, limit, query};
use super::model::{MESSAGE_PACK, RecordedListing, RecordedView};
use super::reads::deployment_number;
use super::view::Names;
use super::{ApiState, find};
use crate::bus::{BusError, History, Invocation, InvocationId, InvocationIdError, RecordedAttempt, RecordedQuery};
use crate::clock::Timestamp;
use crate::deployment::{FunctionId, type_pattern};
use crate::outcome::FailureKind;
use crate::record::{Ground, Recording};

type Shared = State<Arc<ApiState>>;

/// Events and recordings of one answer, about.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingsQuery {
    /// Its name or its id.
    function: String,
    /// Of events accepted from then on.
    since: Option<Timestamp>,
    /// Of events accepted before then.
    until: Option<Timestamp>,
    r#type: Option<String>,
    #[serde(default)]
    failed: bool,
    /// `next` of the page before.
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /recordings`: of one function, in log order.
pub(super) async fn list(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let asked: RecordingsQuery = query(&uri)?;
    let names = Names::of(&state.history.deployments().await?);
    let function: FunctionId = find::function_id(&asked.function, &names)?;
    let ty = asked.r#type.map(|pattern| type_pattern(&pattern)).transpose();
    let after = asked.after.map(|after| after.parse::<InvocationId>()).transpose();
    let query = RecordedQuery {
        function,
        since: asked.since,
        until: asked.until,
        ty: ty.map_err(|error| ApiError::invalid(error.to_string()))?,
        failed_only: asked.failed,
        after: after.map_err(|error: InvocationIdError| ApiError::invalid(error.to_string()))?,
        max: limit(asked.limit.or(Some(LIMIT_MAX)))?,
        bytes_max: PAGE_BYTES_MAX,
    };
    let position = state.history.tail().await?;
    let page = state.history.recorded(query).await?;
    let items = page.attempts.iter().map(RecordedView::of).collect();
    Ok(packed(&RecordedListing {
        items,
        unrecorded: page.unrecorded,
        next: page.next.map(|next| next.to_string()),
        position,
    }))
}

/// `GET /invocations/{id}/recording`: a listing of one.
pub(super) async fn one(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let names = Names::of(&state.history.deployments().await?);
    let parsed = find::invocation_id(&id, &names)?;
    let position = state.history.tail().await?;
    let (invocation, event) =
        (state.history.invocation(&parsed).await?, state.history.event_at(parsed.position).await?);
    let (Some(invocation), Some(event)) = (invocation, event) else {
        let missing = format!("there was no invocation {id}; `tidegate invocations` lists them");
        return Err(find::missing(&*state.history, parsed.position, missing).await?);
    };
    let Some(recording) = state.history.recording(&parsed).await? else {
        let why = why_none(&*state.history, &invocation).await?;
        return Err(ApiError::not_found(format!("the recording of invocation {id} {why}")));
    };
    let view = RecordedView::of(&RecordedAttempt { invocation, event, recording });
    Ok(packed(&RecordedListing { items: vec![view], unrecorded: 0, next: None, position }))
}

/// What became of the recording of an attempt that has none.
pub(super) async fn why_none(history: &dyn History, invocation: &Invocation) -> Result<&'static str, BusError> {
    if invocation.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::HostLost) {
        return Ok("was not made: the process ended while it ran");
    }
    let removed = invocation.sequence <= history.storage().await?.recordings_removed_to;
    Ok(if removed { "was removed by retention" } else { "was not kept ([recording] sample)" })
}

/// `GET /deployments/{number}/stored`: the whole of it, as it is kept. It names secrets and has none.
pub(super) async fn deployment(State(state): Shared, Path(number): Path<String>) -> Result<Response, ApiError> {
    let number = deployment_number(&number)?;
    let deployments = state.history.deployments().await?;
    let found = deployments.into_iter().find(|stored| stored.deployment.number == number);
    let missing = || ApiError::not_found(format!("there is no deployment {number}; `tidegate deployments` lists them"));
    Ok(json(StatusCode::OK, &found.ok_or_else(missing)?.deployment))
}

/// What was recorded of an attempt, read by what it began with; else why it cannot be read. None: nothing was kept.
pub(super) async fn recording(
    history: &dyn History,
    invocation: &Invocation,
) -> Result<Option<Result<Recording, String>>, BusError> {
    let Some(bytes) = history.recording(&invocation.id).await? else { return Ok(None) };
    let deployments = history.deployments().await?;
    let stored = deployments.iter().find(|stored| stored.deployment.number == invocation.deployment);
    let function = stored.and_then(|stored| stored.deployment.function_by_id(invocation.id.function));
    let event = history.event_at(invocation.id.position).await?;
    let (Some(function), Some(event)) = (function, event) else {
        return Ok(Some(Err("its event was removed by retention".to_owned())));
    };
    let ground = Ground::new(&event.event, function);
    Ok(Some(Recording::decode(&bytes, &ground).map_err(|error| error.to_string())))
}

fn packed(listing: &RecordedListing) -> Response {
    let bytes = rmp_serde::to_vec_named(listing).expect("a listing is numbers, text and bytes");
    (StatusCode::OK, [(header::CONTENT_TYPE, MESSAGE_PACK)], bytes).into_response()
}
