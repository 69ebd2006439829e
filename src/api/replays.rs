//! Live replays: which events one would say again, and saying them.
//!
//! Both ask the same of an event (`Asked::of`), with the deployment that is active then. Saying is safe to repeat: ids are
//! derived, so what is there already is told and not said once more.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::answer::{json, parse_json};
use super::error::ApiError;
use super::events::{LIMIT_MAX, limit, query};
use super::model::{RefusedReplay, ReplayCandidate, ReplayListing, ReplayedView, ReplaysRequest, ReplaysView};
use super::route::DOOR;
use super::view::Names;
use super::{ApiState, find};
use crate::bus::{Bus, EventQuery, History, PublishError, Receipt, UNREAD_PLACE};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Function, FunctionId, type_pattern};
use crate::event::{Accepted, Event, Position, Replay, attribute, replay_id};
use crate::filter::{Subject, Verdict};

/// Of a request that names events.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Of the events of one page or one commit; one event alone may be larger.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Of a label.
const LABEL_BYTES_MAX: usize = 128;

type Shared = State<Arc<ApiState>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplaysQuery {
    /// One event, and nothing that chooses among many.
    id: Option<String>,
    function: Option<String>,
    #[serde(default)]
    label: String,
    r#type: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Only events on which an attempt failed: of the function, if one is named.
    #[serde(default)]
    failed: bool,
    after: Option<Position>,
    before: Option<Position>,
    limit: Option<usize>,
}

/// `GET /replays`
pub(super) async fn list(State(state): Shared, uri: Uri) -> Result<Response, ApiError> {
    let chosen: ReplaysQuery = query(&uri)?;
    let asked = Asked::new(&state, chosen.function.as_deref(), &chosen.label).await?;
    let position = state.history.tail().await?;
    let listing = match &chosen.id {
        Some(id) => {
            let event = find::find(&*state.history, id).await?;
            let items = vec![asked.candidate(&*state.history, &event).await?];
            ReplayListing { position, items, of_replays: 0, next: None, log_starts: None }
        }
        None => page(&*state.history, &asked, chosen, position).await?,
    };
    Ok(json(StatusCode::OK, &listing))
}

async fn page(
    history: &dyn History,
    asked: &Asked,
    chosen: ReplaysQuery,
    position: Position,
) -> Result<ReplayListing, ApiError> {
    let ReplaysQuery { since, until, after, before, .. } = chosen;
    let ty = chosen.r#type.as_deref().map(type_pattern).transpose().map_err(ApiError::invalid)?;
    let max = limit(chosen.limit.or(Some(LIMIT_MAX)))?;
    let bytes_max = Some(PAGE_BYTES_MAX);
    let log_starts = if after.is_none() { log_starts(history, since).await? } else { None };
    let page = history.events(EventQuery { ty, since, after, before, max, bytes_max, newest_first: false }).await?;
    let mut next = page.events.last().map(|last| last.position).filter(|_| page.more);
    let (mut items, mut of_replays) = (Vec::new(), 0);
    for event in page.events {
        if until.is_some_and(|until| event.accepted_at >= until) {
            next = None;
            break;
        }
        if event.event.is_of_replay() {
            of_replays += 1;
        } else if !chosen.failed || asked.has_failed(history, event.position).await? {
            items.push(asked.candidate(history, &event).await?);
        }
    }
    Ok(ReplayListing { position, items, of_replays, next, log_starts })
}

/// Where the log starts, if events from before that are asked for.
async fn log_starts(history: &dyn History, since: Option<Timestamp>) -> Result<Option<Position>, ApiError> {
    let storage = history.storage().await?;
    let first = storage.first.filter(|_| storage.removed_to > 0);
    Ok(first.filter(|(_, at)| since.is_none_or(|since| since < *at)).map(|(first, _)| first))
}

/// `POST /replays`: events are said again in log order, in one commit as far as their size lets.
pub(super) async fn replay(State(state): Shared, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let bus = state.bus()?;
    let body = state.bodies.read(&headers, body, BODY_BYTES_MAX).await?;
    let ReplaysRequest { mut positions, function, label } = parse_json(&body.bytes)?;
    if positions.len() > LIMIT_MAX {
        return Err(ApiError::invalid(format!("{} events are named; at most {LIMIT_MAX} at once", positions.len())));
    }
    let asked = Asked::new(&state, function.as_deref(), &label).await?;
    positions.sort_unstable();
    positions.dedup();
    let mut said = Said { state: &state, bus: &**bus, items: Vec::new(), batch: Vec::new(), bytes: 0 };
    for position in positions {
        let Some(event) = state.history.event_at(position).await? else {
            let missing = format!("no event at position {position}");
            return Err(find::missing(&*state.history, position, missing).await?);
        };
        match asked.of(&event) {
            Ok((replay, _)) => said.add(position, replay).await?,
            Err(refused) => said.items.push(refused_view(position, refused)),
        }
    }
    said.commit().await?;
    said.items.sort_by_key(|item| item.position);
    Ok(json(StatusCode::OK, &ReplaysView { items: said.items }))
}

fn refused_view(position: Position, refused: RefusedReplay) -> ReplayedView {
    ReplayedView { position, replay: None, replayed: false, refused: Some(refused) }
}

/// What was said again, and what is about to be.
struct Said<'a> {
    state: &'a ApiState,
    bus: &'a dyn Bus,
    items: Vec<ReplayedView>,
    batch: Vec<(Position, Replay)>,
    bytes: usize,
}

impl Said<'_> {
    async fn add(&mut self, position: Position, replay: Replay) -> Result<(), ApiError> {
        let bytes = replay.event().attributes_bytes() + replay.event().data_bytes();
        if self.bytes + bytes > PAGE_BYTES_MAX {
            self.commit().await?;
        }
        self.bytes += bytes;
        self.batch.push((position, replay));
        Ok(())
    }

    /// One that the bus refuses for good is taken out, and the others are said without it.
    async fn commit(&mut self) -> Result<(), ApiError> {
        self.bytes = 0;
        while !self.batch.is_empty() {
            let batch = self.batch.iter().map(|(_, replay)| replay.clone()).collect();
            match self.bus.replay(batch).await {
                Ok(receipts) => {
                    self.state.metrics.accepted(DOOR, &receipts);
                    let view = |((position, _), receipt): ((Position, Replay), Receipt)| ReplayedView {
                        position,
                        replay: receipt.position,
                        replayed: receipt.duplicate,
                        refused: None,
                    };
                    self.items.extend(self.batch.drain(..).zip(receipts).map(view));
                }
                Err(error @ (PublishError::ContentDiffers { index } | PublishError::Refused { index, .. })) => {
                    let (position, _) = self.batch.remove(index);
                    let reason = match error {
                        PublishError::Refused { reason, .. } => reason,
                        other => other.to_string(),
                    };
                    self.items.push(refused_view(position, RefusedReplay { reason, saw: None }));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// For whom events are to be said again, under which label.
struct Asked {
    active: Arc<Deployment>,
    to: Option<FunctionId>,
    label: String,
    now: Timestamp,
}

impl Asked {
    async fn new(state: &ApiState, function: Option<&str>, label: &str) -> Result<Self, ApiError> {
        if label.len() > LABEL_BYTES_MAX {
            return Err(ApiError::invalid(format!(
                "`label` has {} B, at most {LABEL_BYTES_MAX} B are allowed",
                label.len()
            )));
        }
        let active = state.bus()?.active().borrow().clone();
        let Some(active) = active else {
            return Err(ApiError::not_found("nothing is deployed that could get an event"));
        };
        let to = match function {
            None => None,
            Some(name) => {
                let names = Names::of(&state.history.deployments().await?);
                let id = find::function_id(name, &names)?;
                if active.function_by_id(id).is_none() {
                    return Err(ApiError::not_found(format!("function {name} is not deployed now; deploy it first")));
                }
                Some(id)
            }
        };
        Ok(Asked { active, to, label: label.to_owned(), now: state.clock.now() })
    }

    /// Whether an attempt on an event failed, of the function if one is asked for.
    async fn has_failed(&self, history: &dyn History, position: Position) -> Result<bool, ApiError> {
        let attempts = history.attempts(position).await?;
        let own = |function: FunctionId| self.to.is_none_or(|to| to == function);
        Ok(attempts.iter().any(|attempt| attempt.failure.is_some() && own(attempt.id.function)))
    }

    async fn candidate(&self, history: &dyn History, event: &Accepted) -> Result<ReplayCandidate, ApiError> {
        let id = replay_id(event.event.key(), self.to, &self.label);
        let (functions, refused) = match self.of(event) {
            Ok((_, functions)) => (functions, None),
            Err(refused) => (Vec::new(), Some(refused)),
        };
        Ok(ReplayCandidate {
            position: event.position,
            id: event.event.id.clone(),
            ty: event.event.ty.clone(),
            acceptedat: event.accepted_at,
            replayed: history.has(&id, &event.event.source).await?,
            functions,
            refused,
        })
    }

    /// An event said again, and the functions that get it; else why it is not.
    fn of(&self, original: &Accepted) -> Result<(Replay, Vec<String>), RefusedReplay> {
        let refused = |reason: String| RefusedReplay { reason, saw: None };
        if lacks_data(&original.event) {
            return Err(refused("its data cannot be read from the blob store".to_owned()));
        }
        let replay =
            Replay::of(original, self.to, &self.label, self.now).map_err(|error| refused(error.to_string()))?;
        let (event, origin, hops) = replay.clone().into_parts();
        let said = Accepted { event, origin, hops, position: original.position, accepted_at: self.now };
        let functions = takers(&self.active, self.to, &said)?;
        Ok((replay, functions))
    }
}

/// Whether it is shown without its data, since that cannot be read.
fn lacks_data(event: &Event) -> bool {
    let place = event.text(attribute::DATA_REF);
    event.data.is_none() && place.is_some_and(|place| place.starts_with(UNREAD_PLACE))
}

/// The functions whose filters take an event.
fn takers(active: &Deployment, to: Option<FunctionId>, event: &Accepted) -> Result<Vec<String>, RefusedReplay> {
    let subject = Subject::new(event);
    let verdict = |function: &Function| match function.verdict(&subject) {
        Verdict::Pass => Ok(()),
        Verdict::Filtered { clause, saw } => Err((clause, saw)),
        Verdict::Failed { clause, reason } => Err((format!("{clause}, which failed"), reason)),
    };
    if let Some(function) = to.and_then(|to| active.function_by_id(to)) {
        let name = &function.name;
        let refused = |(clause, saw)| RefusedReplay {
            reason: format!("function {name} does not take it: {clause}"),
            saw: Some(saw),
        };
        return verdict(function).map(|()| vec![name.to_string()]).map_err(refused);
    }
    let takes = active.functions.iter().filter(|function| verdict(function).is_ok());
    let names: Vec<String> = takes.map(|function| function.name.to_string()).collect();
    if names.is_empty() {
        return Err(RefusedReplay { reason: "no function takes it".to_owned(), saw: None });
    }
    Ok(names)
}
