//! Committed state as a function is answered it: keys, and outcome statistics. For a replay that was allowed to look.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::answer::json;
use super::error::ApiError;
use super::events::query;
use super::model::{KeyView, KeysView};
use super::view::Names;
use super::{ApiState, find};
use crate::bus::StatisticsQuery;
use crate::deployment::{Digest, DigestError};
use crate::event::Position;

type Shared = State<Arc<ApiState>>;

/// Keys of one answer.
const KEYS_MAX: usize = 256;

/// `GET /keys/{space}/{key}`
pub(super) async fn key(
    State(state): Shared,
    Path((space, key)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let found = state.bus()?.read_key(&space, &key).await?;
    Ok(json(StatusCode::OK, &KeyView { revision: found.revision, value: found.value.map(|value| value.to_vec()) }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysQuery {
    after: Option<String>,
}

/// `GET /keys/{space}`: in order, those after a key.
pub(super) async fn keys(State(state): Shared, Path(space): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let asked: KeysQuery = query(&uri)?;
    let (revision, keys) = state.bus()?.list_keys(&space, asked.after.as_deref(), KEYS_MAX).await?;
    let next = if keys.len() == KEYS_MAX { keys.last().cloned() } else { None };
    Ok(json(StatusCode::OK, &KeysView { revision, keys, next }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    function: String,
    component: String,
    from: Position,
    to: Option<Position>,
}

/// `GET /statistics`: how events of a window ended with a function's component.
pub(super) async fn statistics(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let Asked { function, component, from, to } = query(&uri)?;
    let names = Names::of(&state.history.deployments().await?);
    let function = find::function_id(&function, &names)?;
    let component: Digest = component.parse().map_err(|error: DigestError| ApiError::invalid(error.to_string()))?;
    let counted = state.history.statistics(StatisticsQuery { function, component, from, to }).await?;
    Ok(json(StatusCode::OK, &counted))
}
