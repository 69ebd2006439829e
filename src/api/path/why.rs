//! `GET /why`: gathers what the log knows of a commit, a digest or a release, and lets `decide` judge it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::decide::{Known, decide};
use super::word::Word;
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::events::query;
use crate::api::explain::{Facts, Ground};
use crate::api::model::WhyView;
use crate::api::trace::runs_of;
use crate::api::view::event_ref;
use crate::api::{ApiState, find};
use crate::bus::{BusError, EventQuery, History, Outline};
use crate::deployment::{Deployment, catalogue};
use crate::event::{Accepted, Position};
use crate::filter::TypePattern;

/// Events of one commit, digest or release that are looked at.
const EVENTS_MAX: usize = 1_000;
/// From a change's head to what was merged, from that to an artifact, from that to its releases.
const ROUNDS_MAX: usize = 4;
/// Services that changed lately, to see what runs now.
const SERVICES_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyQuery {
    of: String,
    /// The last environment of the project where none is named.
    r#in: Option<String>,
}

/// `GET /why`
pub(in crate::api) async fn why(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Response, ApiError> {
    let asked: WhyQuery = query(&uri)?;
    let history = &*state.history;
    let ground = Ground::read(history).await?;
    let environments = ground.active().map(|active| active.environments.clone()).unwrap_or_default();
    let environment = match asked.r#in {
        Some(environment) if environments.contains(&environment) => environment,
        Some(environment) => {
            let known = environments.join(", ");
            return Err(ApiError::invalid(format!(
                "{environment:?} is no environment of the project; it has: {known}"
            )));
        }
        None => environments
            .last()
            .cloned()
            .ok_or_else(|| ApiError::invalid("the project has no environments; name them in tidegate.toml"))?,
    };
    let of = whole(history, &asked.of).await?;
    let words = gather(history, &of).await?;
    let mut runs = BTreeMap::new();
    for (position, event) in &words.events {
        let facts = Facts::read(history, *position).await?;
        runs.insert(*position, runs_of(history, event, &ground, &facts).await?);
    }
    let known = Known {
        of: &of,
        environment: &environment,
        words: words.list(),
        runs,
        running: running(history).await?,
        path: ground.active().map(path_of).unwrap_or_default(),
        places: ground.active().map(places).unwrap_or_default(),
    };
    let mut view: WhyView = decide(&known);
    if let Some(evidence) = view.cause.as_mut().and_then(|cause| cause.evidence.as_mut()) {
        let found = history.find(&evidence.id, 1).await?;
        found.iter().for_each(|event| *evidence = event_ref(event));
    }
    Ok(json(StatusCode::OK, &view))
}

/// What a person meant: the commit, digest or release that begins so, whole.
async fn whole(history: &dyn History, text: &str) -> Result<String, ApiError> {
    let event = match find::find(history, text).await {
        Ok(event) => event,
        // Several chains tell of one thing: it is still one thing.
        Err(ApiError::Ambiguous { text, candidates }) => {
            let mut names = BTreeSet::new();
            for found in history.find(&text, EVENTS_MAX).await? {
                let event = history.event_at(found.position).await?;
                names.extend(event.iter().flat_map(|event| names_like(event, &text)));
            }
            return match names.len() {
                1 => Ok(names.into_iter().next().unwrap_or(text)),
                _ => Err(ApiError::Ambiguous { text, candidates }),
            };
        }
        Err(ApiError::NotFound { .. }) => return Err(unknown(text)),
        Err(error) => return Err(error),
    };
    // An event's id, or the start of a name that it is known by.
    let meant = names_like(&event, text).into_iter().next().or_else(|| names(&Word::of(&event)).into_iter().next());
    meant.ok_or_else(|| {
        let ty = &event.event.ty;
        ApiError::invalid(format!("{text:?} is an event of type {ty}, which tells of no commit and no digest"))
    })
}

/// Names that begin by chance as the text does say nothing of it, so none is shown.
fn unknown(text: &str) -> ApiError {
    ApiError::not_found(format!(
        "no event tells of a commit, a digest or a release {text:?}; `tidegate releases` lists what gates judged, \
         `tidegate events --type 'com.*'` what senders told: if it was pushed, see whether its webhook was delivered"
    ))
}

fn names_like(event: &Accepted, text: &str) -> Vec<String> {
    crate::event::aliases(&event.event).into_iter().filter(|name| name.starts_with(text)).collect()
}

/// Commit, digest and release of a word.
fn names(word: &Word) -> Vec<String> {
    let content = &word.content;
    [&content.commit, &content.digest, &content.release].into_iter().flatten().cloned().collect()
}

#[derive(Default)]
struct Gathered {
    events: BTreeMap<Position, Outline>,
    words: BTreeMap<Position, Word>,
}

impl Gathered {
    fn list(&self) -> Vec<Word> {
        self.words.values().cloned().collect()
    }
}

/// Every event that tells of a thing, or of what was made of it.
async fn gather(history: &dyn History, of: &str) -> Result<Gathered, BusError> {
    let mut gathered = Gathered::default();
    let mut asked = BTreeSet::new();
    let mut next = vec![of.to_owned()];
    for _ in 0..ROUNDS_MAX {
        let mut found_names = BTreeSet::new();
        for name in next {
            if !asked.insert(name.clone()) {
                continue;
            }
            for found in history.find(&name, EVENTS_MAX).await? {
                let Some(event) = history.event_at(found.position).await? else { continue };
                let word = Word::of(&event);
                if links(&word) {
                    found_names.extend(names(&word));
                }
                gathered.words.insert(found.position, word);
                gathered.events.insert(found.position, found);
            }
            // Reports and runs hang under events that name the thing; those that failed may name nothing themselves.
        }
        next = found_names.into_iter().filter(|name| !asked.contains(name)).collect();
        if next.is_empty() || gathered.events.len() >= EVENTS_MAX {
            break;
        }
    }
    Ok(gathered)
}

/// Whether one thing of a word is made of the others: then all of them are asked for.
fn links(word: &Word) -> bool {
    word.counts
        && word.is(&["change.merged", "artifact.packaged", "artifact.identified", "gate.passed", "gate.blocked"])
}

/// Functions that say words of the catalogue.
fn path_of(active: &Deployment) -> BTreeSet<String> {
    let says = |pattern: &String| {
        let pattern: Option<TypePattern> = pattern.parse().ok();
        pattern.is_some_and(|pattern| catalogue().iter().any(|entry| pattern.matches(entry.ty)))
    };
    let functions = active.functions.iter().filter(|function| function.grants.emits.iter().any(says));
    functions.map(|function| function.name.to_string()).collect()
}

/// What a function keeps under the name of one environment it keeps for that one.
fn places(active: &Deployment) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    for function in &active.functions {
        let named = |environment: &&String| {
            let keeps =
                |space: &String| space.strip_suffix(environment.as_str()).is_some_and(|rest| rest.ends_with('-'));
            function.grants.keyvalue_write.iter().any(keeps)
        };
        let mut environments = active.environments.iter().filter(named);
        if let (Some(environment), None) = (environments.next(), environments.next()) {
            places.insert(function.name.to_string(), environment.clone());
        }
    }
    places
}

/// The release that runs, by service and environment: what the last change of each says.
async fn running(history: &dyn History) -> Result<BTreeMap<(String, String), Word>, BusError> {
    let ty: TypePattern = "dev.cdevents.service.*".parse().expect("a type with a star is a pattern");
    let query = EventQuery { ty: Some(ty), max: SERVICES_MAX, newest_first: true, ..EventQuery::default() };
    let mut running = BTreeMap::new();
    for word in history.events(query).await?.events.iter().map(Word::of).filter(|word| word.counts) {
        let place = word.content.service.clone().zip(word.environment().map(str::to_owned));
        if let Some(place) = place {
            running.entry(place).or_insert(word);
        }
    }
    Ok(running)
}
