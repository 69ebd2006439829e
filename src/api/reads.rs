//! Invocations, functions, deployments and types.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::answer::json;
use super::error::ApiError;
use super::events::{limit, query};
use super::model::{DeploymentView, FunctionView, InvocationView, Listing, TypeView};
use super::recordings::{recording, why_none};
use super::view::{Names, deployment_view, function_view, invocation_view, storage_view};
use super::{ApiState, effects, find};
use crate::bus::{FunctionStatus, InvocationQuery, StoredDeployment};
use crate::deployment::{FunctionId, catalogue};

type Shared = State<Arc<ApiState>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InvocationsQuery {
    function: Option<String>,
    #[serde(default)]
    failed: bool,
    /// Only those settled before the one of this `sequence`: the next page.
    before: Option<u64>,
    limit: Option<usize>,
}

/// `GET /invocations`: newest first.
pub(super) async fn invocations(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let asked: InvocationsQuery = query(&uri)?;
    let names = Names::of(&state.history.deployments().await?);
    let function = asked.function.map(|name| find::function_id(&name, &names)).transpose()?;
    let max = limit(asked.limit)?;
    let position = state.history.tail().await?;
    let query = InvocationQuery { function, failed_only: asked.failed, before: asked.before, max: max + 1 };
    let found = state.history.invocations(query).await?;
    let items = found.iter().map(|invocation| invocation_view(invocation, &names)).collect();
    Ok(json(StatusCode::OK, &Listing::<InvocationView>::first(position, items, max)))
}

/// `GET /invocations/{id}`: with its effects.
pub(super) async fn invocation(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let names = Names::of(&state.history.deployments().await?);
    let parsed = find::invocation_id(&id, &names)?;
    let Some(invocation) = state.history.invocation(&parsed).await? else {
        let missing = format!("there was no invocation {id}");
        return Err(find::missing(&*state.history, parsed.position, missing).await?);
    };
    let mut view = invocation_view(&invocation, &names);
    match recording(&*state.history, &invocation).await? {
        None => {
            let why = why_none(&*state.history, &invocation).await?;
            view.effects_missing = Some(format!("its recording {why}"));
        }
        Some(Err(reason)) => view.effects_missing = Some(reason),
        Some(Ok(recording)) => {
            view.effects = Some(effects::of_journal(&recording.journal));
            let cut_off = "the recording was too large and is cut off".to_owned();
            view.effects_missing = recording.truncated.then_some(cut_off);
        }
    }
    Ok(json(StatusCode::OK, &view))
}

/// `GET /functions`: those of the active deployment first, then those that were deployed once.
pub(super) async fn functions(State(state): Shared) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    Ok(json(StatusCode::OK, &Listing::whole(position, function_views(&state).await?)))
}

/// `GET /functions/{name}`: by its name or its id.
pub(super) async fn function(State(state): Shared, Path(name): Path<String>) -> Result<Response, ApiError> {
    let views = function_views(&state).await?;
    let found = views.iter().find(|view| view.name == name || view.id.to_string() == name);
    let missing = || {
        let message = format!("no deployment has a function {name:?}; `tidegate functions` lists them");
        ApiError::not_found(message)
    };
    Ok(json(StatusCode::OK, found.ok_or_else(missing)?))
}

/// Every function there ever was, as the last deployment that had it has it.
pub(super) async fn function_views(state: &ApiState) -> Result<Vec<FunctionView>, ApiError> {
    let deployments = state.history.deployments().await?;
    let statuses: HashMap<FunctionId, FunctionStatus> =
        state.history.functions().await?.into_iter().map(|status| (status.function, status)).collect();
    let active = active_number(&deployments);
    let mut last = HashMap::new();
    for stored in &deployments {
        last.extend(stored.deployment.functions.iter().map(|one| (one.id, (one, stored.deployment.number))));
    }
    let mut views: Vec<FunctionView> = last
        .into_values()
        .map(|(function, number)| {
            let running = state.metrics.running_now(function.name.as_str());
            function_view(function, number, active, statuses.get(&function.id), running)
        })
        .collect();
    views.sort_by(|a, b| (!a.deployed, &a.name).cmp(&(!b.deployed, &b.name)));
    Ok(views)
}

/// `GET /storage`: the log as bytes, how far it was removed, and what holds the rest.
pub(super) async fn storage(State(state): Shared) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    let names = Names::of(&state.history.deployments().await?);
    Ok(json(StatusCode::OK, &storage_view(&state.history.storage().await?, position, &names)))
}

fn active_number(deployments: &[StoredDeployment]) -> u64 {
    deployments.last().map_or(0, |stored| stored.deployment.number)
}

/// `GET /deployments`: newest first.
pub(super) async fn deployments(State(state): Shared) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    let deployments = state.history.deployments().await?;
    let items = (0..deployments.len()).rev().map(|index| deployment_view(&deployments, index)).collect();
    Ok(json(StatusCode::OK, &Listing::<DeploymentView>::whole(position, items)))
}

/// `GET /deployments/{number}`
pub(super) async fn deployment(State(state): Shared, Path(number): Path<String>) -> Result<Response, ApiError> {
    let number = deployment_number(&number)?;
    let deployments = state.history.deployments().await?;
    let found = deployments.iter().position(|stored| stored.deployment.number == number);
    let missing = || {
        let active = active_number(&deployments);
        ApiError::not_found(format!("there is no deployment {number}; the last one is {active}"))
    };
    Ok(json(StatusCode::OK, &deployment_view(&deployments, found.ok_or_else(missing)?)))
}

pub(super) fn deployment_number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::invalid(format!("{text:?} is no number of a deployment")))
}

/// `GET /types`: the catalogue.
pub(super) async fn types(State(state): Shared) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    let items = catalogue().iter().map(TypeView::from).collect();
    Ok(json(StatusCode::OK, &Listing::<TypeView>::whole(position, items)))
}
