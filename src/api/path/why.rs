//! `GET /why`: gathers what the log knows of a commit, a digest or a release, and lets `decide` judge it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::decide::{Known, decide};
use super::drift;
use super::lacking::VERIFYING;
use super::meant::{names, whole};
use super::word::Word;
use crate::api::ApiState;
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::events::query;
use crate::api::explain::CHAIN_SHOWN_MAX;
use crate::api::judge::{Facts, Ground};
use crate::api::model::{EventRef, WhyView};
use crate::api::trace::runs_of;
use crate::api::view::event_ref;
use crate::bus::{BusError, EventQuery, History, Outline};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, catalogue};
use crate::event::{Event, Position};
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
        Some(environment) if !environments.is_empty() => {
            let known = environments.join(", ");
            return Err(ApiError::invalid(format!(
                "{environment:?} is no environment of the project; it has: {known}"
            )));
        }
        Some(_) | None => environments
            .last()
            .cloned()
            .ok_or_else(|| ApiError::invalid("the project has no environments; name them in tidegate.toml"))?,
    };
    let of = whole(history, &ground, &asked.of).await?;
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
        drifts: drift::open(history, &ground).await?,
        path: ground.active().map(path_of).unwrap_or_default(),
        places: ground.active().map(places).unwrap_or_default(),
    };
    let mut view: WhyView = decide(&known);
    let mut cause = view.cause.as_mut();
    while let Some(one) = cause {
        if let Some(evidence) = &mut one.evidence {
            let found = history.find(&evidence.id, 1).await?;
            found.iter().for_each(|event| *evidence = event_ref(event));
        }
        if one.rule == VERIFYING {
            one.again = reminder(history, &one.event).await?.map(|at| at.to_string());
        }
        cause = one.because.as_deref_mut();
    }
    Ok(json(StatusCode::OK, &view))
}

/// When what an event led to is due, if it waits for its time.
async fn reminder(history: &dyn History, event: &EventRef) -> Result<Option<Timestamp>, BusError> {
    let Some(outline) = history.find(&event.id, 1).await?.pop() else { return Ok(None) };
    let correlation = outline.event.correlation().unwrap_or(&outline.event.id);
    let chain = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    let of_it = |(_, waiting): &&(Timestamp, Event)| waiting.causation() == Some(event.id.as_str());
    Ok(chain.waiting.iter().find(of_it).map(|(at, _)| *at))
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
            let left = EVENTS_MAX.saturating_sub(gathered.events.len());
            if left == 0 || !asked.insert(name.clone()) {
                continue;
            }
            for found in history.find(&name, left).await? {
                let Some(event) = history.event_at(found.position).await? else { continue };
                let word = Word::of(&event);
                if links(&word) {
                    found_names.extend(names(&word));
                }
                gathered.words.insert(found.position, word);
                gathered.events.insert(found.position, found);
            }
        }
        next = found_names.into_iter().filter(|name| !asked.contains(name)).collect();
        if next.is_empty() {
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
