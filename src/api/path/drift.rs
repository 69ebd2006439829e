//! What runs against what was last deployed by the path, by digest: `GET /drift`, and what `why` and `releases` tell of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::word::{Word, newest};
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::model::{DriftView, Listing};
use crate::api::view::cause_view;
use crate::api::{ApiState, judge::Ground};
use crate::bus::{BusError, History};

/// Requests that are read back to find the last one of each function.
const REQUESTS_MAX: usize = 1_000;
/// Words about drift that are read back to find the last one of each function.
const WORDS_MAX: usize = 1_000;

/// What was told of each drift that is not over, by service and environment.
pub type Drifts = BTreeMap<(String, String), Word>;

/// `GET /drift`: every function that a release was deployed to.
pub(in crate::api) async fn drift(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let history = &*state.history;
    let position = history.tail().await?;
    let ground = Ground::read(history).await?;
    let items = rows(history, &ground).await?;
    Ok(json(StatusCode::OK, &Listing::<DriftView>::whole(position, items)))
}

async fn rows(history: &dyn History, ground: &Ground) -> Result<Vec<DriftView>, BusError> {
    let mut asked: BTreeMap<String, Word> = BTreeMap::new();
    for word in newest(history, &["deployment.activated"], REQUESTS_MAX).await? {
        let function = word.content.request.as_ref().and_then(|request| request.function.clone());
        if let Some(function) = function {
            asked.entry(function).or_insert(word);
        }
    }
    Ok(asked.into_iter().filter_map(|(function, word)| row(ground, &function, &word)).collect())
}

/// The drifts that are not over.
pub async fn open(history: &dyn History, ground: &Ground) -> Result<Drifts, BusError> {
    let rows = rows(history, ground).await?;
    Ok(still_open(&rows, &newest(history, &["drift.detected", "drift.resolved"], WORDS_MAX).await?))
}

/// What was told is over once what should run does, or once another release should: what runs decides, not who told last.
pub fn still_open(rows: &[DriftView], newest_first: &[Word]) -> Drifts {
    let mut open = Drifts::new();
    for row in rows.iter().filter(|row| row.drifted) {
        let last = newest_first.iter().find(|word| word.content.function.as_ref() == Some(&row.function));
        let of_it = |word: &&Word| word.name == "drift.detected" && word.content.release.as_ref() == Some(&row.release);
        if let Some(word) = last.filter(of_it)
            && let Some(service) = &word.content.service
        {
            open.insert((service.clone(), row.environment.clone()), word.clone());
        }
    }
    open
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
