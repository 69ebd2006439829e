//! Dead letters: list, show, redrive, drop.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::answer::{json, parse_json};
use super::error::ApiError;
use super::events::{limit, query};
use super::model::{DeadLetterView, LettersRequest, LettersView, Listing};
use super::route::By;
use super::view::{Names, letter_view};
use super::{ApiState, find};
use crate::bus::{BusError, History, OpenLetter, PutBack};
use crate::deployment::{FunctionId, Rate};
use crate::event::Position;

/// Of a request that names dead letters.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Dead letters that one request names.
const NAMED_MAX: usize = 10_000;
/// Dead letters that are changed in one commit.
const PAGE_LETTERS_MAX: usize = 1_000;

type Shared = State<Arc<ApiState>>;
type Letter = (FunctionId, Position);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LettersQuery {
    function: Option<String>,
    limit: Option<usize>,
}

/// `GET /dlq`
pub(super) async fn list(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let asked: LettersQuery = query(&uri)?;
    let names = Names::of(&state.history.deployments().await?);
    let function = asked.function.map(|name| find::function_id(&name, &names)).transpose()?;
    let max = limit(asked.limit)?;
    let position = state.history.tail().await?;
    let letters = state.history.dead_letters(function, max + 1).await?;
    let items = letters.iter().map(|letter| letter_view(letter, &names)).collect();
    Ok(json(StatusCode::OK, &Listing::<DeadLetterView>::first(position, items, max)))
}

/// `GET /dlq/{id}`
pub(super) async fn show(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let names = Names::of(&state.history.deployments().await?);
    let (function, position) = find::letter_id(&id, &names)?;
    let Some(letter) = state.history.dead_letter(function, position).await? else {
        let missing = format!("there is no dead letter {id}; `tidegate dlq list` lists them");
        return Err(find::missing(&*state.history, position, missing).await?);
    };
    Ok(json(StatusCode::OK, &letter_view(&letter, &names)))
}

/// `POST /dlq/redrive`
pub(super) async fn redrive(State(state): Shared, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let bus = state.bus()?;
    let request = read(&state, &headers, body).await?;
    let rate = request.rate.map(|per_second| Rate::new(per_second, 1)).transpose();
    let rate = rate.map_err(|error| ApiError::invalid(format!("`rate`: {error}")))?;
    let every = rate.map_or(Duration::ZERO, |rate| rate.interval());
    let mut due = state.clock.now();
    let mut put_back = |(function, position): Letter| {
        let letter = PutBack { function, position, due };
        due = due.plus(every);
        letter
    };
    change(&state, &request, |letters| bus.redrive(letters.into_iter().map(&mut put_back).collect())).await
}

/// `POST /dlq/drop`
pub(super) async fn drop_letters(
    State(state): Shared,
    Extension(caller): By,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bus = state.bus()?;
    let request = read(&state, &headers, body).await?;
    if request.rate.is_some() {
        return Err(ApiError::invalid("`rate` is for letters that are run again; leave it out"));
    }
    change(&state, &request, |letters| bus.drop_letters(letters, &caller.name)).await
}

async fn read(state: &ApiState, headers: &HeaderMap, body: Body) -> Result<LettersRequest, ApiError> {
    let body = state.bodies.read(headers, body, BODY_BYTES_MAX).await?;
    parse_json(&body.bytes)
}

/// Changes the dead letters that a request names, those of a function in log order, and answers how many it changed. Of all
/// that are open there may be any number: they are changed page by page, and when that breaks off, doing it again changes
/// the rest.
async fn change<F: Future<Output = Result<u64, BusError>>>(
    state: &ApiState,
    request: &LettersRequest,
    mut change: impl FnMut(Vec<Letter>) -> F,
) -> Result<Response, ApiError> {
    let names = Names::of(&state.history.deployments().await?);
    let function = request.function.as_deref().map(|name| find::function_id(name, &names)).transpose()?;
    let LettersRequest { ids, all, error, first, .. } = request;
    let narrowed = function.is_some() || error.is_some() || first.is_some();
    let mut changed = 0;
    match (ids.is_empty(), *all) {
        (true, true) => {
            let (mut after, mut left) = (None, first.unwrap_or(u64::MAX));
            while left > 0 {
                let page = state.history.open_letters(function, after, PAGE_LETTERS_MAX).await?;
                let Some(last) = page.last() else { break };
                after = Some((last.function, last.position));
                let is_asked_for = |letter: &OpenLetter| is_of_error(letter, error.as_deref());
                let asked_for = page.into_iter().filter(is_asked_for).take(usize::try_from(left).unwrap_or(usize::MAX));
                let page: Vec<Letter> = asked_for.map(|letter| (letter.function, letter.position)).collect();
                left -= page.len() as u64;
                changed += change(page).await?;
            }
        }
        (false, false) if !narrowed => {
            changed = change(named(&*state.history, ids, &names).await?).await?;
        }
        _ => {
            let message =
                "name dead letters by `ids`, or say `all`, perhaps of one `function` or `error`, or the `first`";
            return Err(ApiError::invalid(message));
        }
    }
    Ok(json(StatusCode::OK, &LettersView { changed }))
}

fn is_of_error(letter: &OpenLetter, error: Option<&str>) -> bool {
    error.is_none_or(|error| letter.failure.fingerprint() == error)
}

/// All of them are there, or none is changed.
async fn named(history: &dyn History, ids: &[String], names: &Names) -> Result<Vec<Letter>, ApiError> {
    if ids.len() > NAMED_MAX {
        return Err(ApiError::invalid(format!("{} dead letters are named; at most {NAMED_MAX} at once", ids.len())));
    }
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let (function, position) = find::letter_id(id, names)?;
        if history.dead_letter(function, position).await?.is_none() {
            let missing = format!("there is no dead letter {id}; nothing was changed");
            return Err(find::missing(history, position, missing).await?);
        }
        letters.push((function, position));
    }
    letters.sort();
    letters.dedup();
    Ok(letters)
}
