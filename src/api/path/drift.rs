//! `GET /drift`: what runs against what was last deployed by the path, by digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::word::Word;
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::model::{DriftView, Listing};
use crate::api::view::cause_view;
use crate::api::{ApiState, explain::Ground};
use crate::bus::EventQuery;

/// Requests that are read back to find the last one of each function.
const REQUESTS_MAX: usize = 1_000;

/// `GET /drift`: every function that a release was deployed to.
pub(in crate::api) async fn drift(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let history = &*state.history;
    let position = history.tail().await?;
    let ground = Ground::read(history).await?;
    let ty = crate::deployment::type_pattern("deployment.activated").expect("it is a type of the catalogue");
    let query = EventQuery { ty: Some(ty), max: REQUESTS_MAX, newest_first: true, ..EventQuery::default() };
    let mut asked: BTreeMap<String, Word> = BTreeMap::new();
    for word in history.events(query).await?.events.iter().map(Word::of).filter(|word| word.counts) {
        let function = word.content.request.as_ref().and_then(|request| request.function.clone());
        if let Some(function) = function {
            asked.entry(function).or_insert(word);
        }
    }
    let items = asked.into_iter().filter_map(|(function, word)| row(&ground, &function, &word)).collect();
    Ok(json(StatusCode::OK, &Listing::<DriftView>::whole(position, items)))
}

fn row(ground: &Ground, function: &str, word: &Word) -> Option<DriftView> {
    let request = word.content.request.as_ref()?;
    let should = word.content.functions.iter().find(|running| running.name == function)?.component.clone();
    let active = ground.active()?;
    let runs = active.function(function).map(|function| function.component.digest.to_string());
    // Since what runs now was put there.
    let stored =
        ground.deployments.iter().rev().take_while(|stored| {
            stored.deployment.function(function).map(|one| one.component.digest.to_string()) == runs
        });
    let stored = stored.last()?;
    Some(DriftView {
        function: function.to_owned(),
        environment: request.environment_name().unwrap_or_default().to_owned(),
        release: request.release.clone().unwrap_or_default(),
        drifted: runs.as_deref() != Some(should.as_str()),
        should,
        runs,
        since: stored.at,
        cause: cause_view(&stored.cause).to_string(),
    })
}
