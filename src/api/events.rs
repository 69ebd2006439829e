//! Events: publish, list, follow, show, trace, explain.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{Span, warn};

use super::answer::json;
use super::door::Caller;
use super::error::ApiError;
use super::model::{EventView, Listing, RefusalView};
use super::refused::{Asked, known};
use super::route::{By, DOOR, DoorSpan};
use super::trace::is_settled;
use super::view::{event_view, refusal_view};
use super::{ApiState, explain as explaining, find, hooks, trace as tracing_back, why_not as walking};
use crate::bus::{EventQuery, IdQuery, RefusalQuery, Shown};
use crate::clock::Timestamp;
use crate::deployment::type_pattern;
use crate::event::{Accepted, Origin, OriginKind, Position, from_http};
use crate::trigger::BODY_BYTES_MAX;

const LIMIT_DEFAULT: usize = 100;
/// Of the events of one answer, and of those that a follower has read ahead; one event alone may be larger.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
pub(super) const LIMIT_MAX: usize = 1_000;
/// How long a trace waits for its chain at most.
const WAIT_SECONDS_MAX: u64 = 600;
/// A chain is looked at again no more often than this, however busy the log is.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

type Shared = State<Arc<ApiState>>;

/// Reads the query of a request. Unknown names are errors, so that a misspelt filter is not a missing one.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(query)| query).map_err(|error| ApiError::invalid(format!("the query: {}", error.body_text())))
}

pub(super) fn limit(asked: Option<usize>) -> Result<usize, ApiError> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        limit => Err(ApiError::invalid(format!("limit {limit} is not within 1 and {LIMIT_MAX}"))),
    }
}

/// `POST /events`: CloudEvents in binary, structured or batched mode, all or none.
pub(super) async fn publish(
    State(state): Shared,
    Extension(caller): By,
    Extension(DoorSpan(span)): Extension<DoorSpan>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut read = Bytes::new();
    match take_in(&state, &caller, &span, &headers, body, &mut read).await {
        Ok(response) => response,
        Err(error) => {
            let proof = if caller.verified { Shown::Verified } else { Shown::Nothing };
            let named = known(&headers, &read, from_http(&headers, read.clone()).ok());
            let mut response = error.into_response();
            response.extensions_mut().insert(Asked { sender: Some(caller.name), proof, named });
            response
        }
    }
}

/// `read`: the body, once it has arrived.
async fn take_in(
    state: &ApiState,
    caller: &Caller,
    span: &Span,
    headers: &HeaderMap,
    body: Body,
    read: &mut Bytes,
) -> Result<Response, ApiError> {
    let body = state.bodies.read(headers, body, BODY_BYTES_MAX).await?;
    *read = body.bytes.clone();
    let events = from_http(headers, body.bytes.clone())?;
    if let Some((index, event)) = events.iter().enumerate().find(|(_, event)| !caller.may_emit(&event.ty)) {
        let (name, ty) = (&caller.name, &event.ty);
        let message = format!("event {index}: token {name} is not granted {ty}; add it to the token's `emits`");
        return Err(ApiError::Forbidden(message));
    }
    let origin = Origin { kind: OriginKind::Api, name: caller.name.clone(), verified: caller.verified };
    hooks::publish(state, DOOR, events, &origin, span, headers).await.map(hooks::accepted)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// A short name of the catalogue, or a full type, perhaps with a trailing `*`.
    r#type: Option<String>,
    since: Option<Timestamp>,
    after: Option<Position>,
    before: Option<Position>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// `GET /events`: in log order, the last `limit` of those asked for, or the first `limit` after a position; fewer where they
/// are large, and then the answer says that there are `more`. With `follow=true`: server-sent events, one for each event,
/// from the given position or time, else from now on.
pub(super) async fn list(State(state): Shared, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    let asked: EventsQuery = query(&uri)?;
    let ty = asked.r#type.as_deref().map(type_pattern).transpose().map_err(ApiError::invalid)?;
    let newest_first = asked.after.is_none() && !asked.follow;
    let EventsQuery { since, after, before, .. } = asked;
    let (max, bytes_max) = (limit(asked.limit)?, Some(PAGE_BYTES_MAX));
    let events = EventQuery { ty, since, after, before, max, bytes_max, newest_first };
    if asked.follow {
        return follow(state, events, &headers).await.map(IntoResponse::into_response);
    }
    let position = state.history.tail().await?;
    let mut page = state.history.events(events).await?;
    if newest_first {
        page.events.reverse();
    }
    let items = page.events.iter().map(event_view).collect();
    Ok(json(StatusCode::OK, &Listing::<EventView> { position, items, more: page.more }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalsQuery {
    /// The start of an id that it told.
    id: Option<String>,
    since: Option<Timestamp>,
    limit: Option<usize>,
}

/// `GET /refusals`: the last `limit`, oldest first.
pub(super) async fn refusals(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let asked: RefusalsQuery = query(&uri)?;
    let max = limit(asked.limit)?;
    let query = RefusalQuery { named: asked.id.map(IdQuery::StartsWith), since: asked.since, max: max + 1 };
    let position = state.history.tail().await?;
    let found = state.history.refusals(query).await?.items.into_iter().map(refusal_view);
    let mut listing = Listing::<RefusalView>::first(position, found.collect(), max);
    listing.items.reverse();
    Ok(json(StatusCode::OK, &listing))
}

/// Where a followed listing stands.
struct Following {
    state: Arc<ApiState>,
    query: EventQuery,
    commits: watch::Receiver<u64>,
    ready: VecDeque<Accepted>,
}

async fn follow(
    state: Arc<ApiState>,
    mut query: EventQuery,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>> + use<>>, ApiError> {
    let commits = state.bus()?.commits();
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<Position>().ok());
    query.after = match (resumed.or(query.after), query.since) {
        (Some(after), _) => Some(after),
        (None, Some(_)) => Some(0),
        (None, None) => Some(state.history.tail().await?),
    };
    query.max = LIMIT_MAX;
    let following = Following { state, query, commits, ready: VecDeque::new() };
    let lines = stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        match following.next().await {
            Ok(Some(event)) => Some((Ok(line(&event)), Some(following))),
            Ok(None) => None,
            Err(error) => {
                // The answer began well, so nobody else tells the log what ended it.
                warn!(error = %error.reason(), "a follower of events is cut off");
                Some((Ok(sse::Event::default().event("error").data(error.to_string())), None))
            }
        }
    });
    Ok(Sse::new(lines).keep_alive(KeepAlive::default()))
}

fn line(event: &Accepted) -> sse::Event {
    let text = serde_json::to_string(&event_view(event)).expect("the types of `model` can be written");
    sse::Event::default().id(event.position.to_string()).data(text)
}

impl Following {
    /// The next event; none when the server stops.
    async fn next(&mut self) -> Result<Option<Accepted>, ApiError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.query.after = Some(event.position);
                return Ok(Some(event));
            }
            // Marked as seen before reading: a commit during the read wakes the wait after it.
            self.commits.borrow_and_update();
            self.ready = self.state.history.events(self.query.clone()).await?.events.into();
            if self.ready.is_empty() {
                // Waiting for a change is cancel-safe: it stays unseen.
                let changed = self.state.shutdown.run_until_cancelled(self.commits.changed()).await;
                if !matches!(changed, Some(Ok(()))) {
                    return Ok(None);
                }
            }
        }
    }
}

/// `GET /events/{id}`
pub(super) async fn show(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let event = find::find(&*state.history, &id).await?;
    Ok(json(StatusCode::OK, &event_view(&event)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceQuery {
    /// Seconds to wait for the whole chain to be settled, at most; then the answer says that it is not.
    wait: Option<u64>,
}

/// `GET /events/{id}/trace`
pub(super) async fn trace(State(state): Shared, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let asked: TraceQuery = query(&uri)?;
    let event = find::find(&*state.history, &id).await?;
    if let (Some(seconds), Some(bus)) = (asked.wait, &state.bus) {
        let deadline = Instant::now() + Duration::from_secs(seconds.min(WAIT_SECONDS_MAX));
        wait_settled(&state, bus.commits(), &event, deadline).await?;
    }
    Ok(json(StatusCode::OK, &tracing_back::trace(&*state.history, &event.event).await?))
}

/// Waits until the chain is settled, the deadline passes or the server stops.
async fn wait_settled(
    state: &ApiState,
    mut commits: watch::Receiver<u64>,
    event: &Accepted,
    deadline: Instant,
) -> Result<(), ApiError> {
    loop {
        commits.borrow_and_update();
        if is_settled(&*state.history, &event.event).await? {
            return Ok(());
        }
        let changed = async {
            let changed = commits.changed().await;
            tokio::time::sleep(LOOK_AGAIN).await;
            changed
        };
        match timeout_at(deadline, state.shutdown.run_until_cancelled(changed)).await {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(_)) | None) | Err(_) => return Ok(()),
        }
    }
}

/// `GET /events/{id}/explain`
pub(super) async fn explain(State(state): Shared, Path(id): Path<String>) -> Result<Response, ApiError> {
    let event = find::find(&*state.history, &id).await?;
    Ok(json(StatusCode::OK, &explaining::explain(&*state.history, &event).await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyNotQuery {
    /// A short name of the catalogue, or a full type, perhaps with a trailing `*`.
    r#type: String,
}

/// `GET /events/{id}/why-not`
pub(super) async fn why_not(State(state): Shared, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let asked: WhyNotQuery = query(&uri)?;
    let wanted = type_pattern(&asked.r#type).map_err(ApiError::invalid)?;
    let event = find::find(&*state.history, &id).await?;
    Ok(json(StatusCode::OK, &walking::why_not(&*state.history, &event, &wanted).await?))
}
