//! Why an event of a type did not follow from another: `walk` finds where it stopped, and this reads what it walks over.

mod followed;
mod walk;

use std::collections::BTreeSet;

use self::followed::Followed;
use self::walk::{Station, Walk, walk};
use super::explain::CHAIN_SHOWN_MAX;
use super::judge::Ground;
use super::model::{EmitterView, EventRef, MissingView, SaidBy, WhyNotAnswer, WhyNotView};
use super::view::event_ref;
use crate::bus::{ACTIVATED, BusError, EventQuery, History};
use crate::deployment::{Author, Function, FunctionId, NativeKind, catalogue};
use crate::event::Accepted;
use crate::filter::TypePattern;

/// Events of the type that are told of although they followed from something else.
const ELSEWHERE_SHOWN_MAX: usize = 3;
/// Places that are told of.
const STOPS_SHOWN_MAX: usize = 20;

/// Where what followed from `event` stopped short of an event of a type.
pub async fn why_not(history: &dyn History, event: &Accepted, wanted: &TypePattern) -> Result<WhyNotView, BusError> {
    let ground = Ground::read(history).await?;
    let correlation = event.event.correlation().unwrap_or(&event.event.id);
    let chain = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    let stations = stations(&ground);
    let followed = Followed::read(history, event, &chain, &ground).await?;
    let answer = match walk(wanted, &followed.links, &stations) {
        Walk::Reached(link) => followed.reached(link),
        Walk::Stopped(stops) => {
            let mut told = Vec::new();
            for stop in stops.iter().take(STOPS_SHOWN_MAX) {
                told.push(followed.stop(history, &ground, stop).await?);
            }
            WhyNotAnswer::Stopped { stops: told }
        }
        Walk::Unheard => WhyNotAnswer::Unheard,
        Walk::Nobody => WhyNotAnswer::Nobody { said_by: said_by(wanted) },
    };
    let emitters = walk::emitters(wanted, &stations).map(|station| {
        let missing = walk::missing(station, &followed.links).map(|ty| MissingView {
            ty: ty.to_string(),
            emitters: walk::emitters(ty, &stations).map(|one| ground.names.name(one.function)).collect(),
        });
        EmitterView { function: ground.names.name(station.function), missing: missing.collect() }
    });
    let elsewhere = match &answer {
        WhyNotAnswer::Happened { .. } | WhyNotAnswer::Waits { .. } => Vec::new(),
        WhyNotAnswer::Stopped { .. } | WhyNotAnswer::Unheard | WhyNotAnswer::Nobody { .. } => {
            elsewhere(history, event, wanted, &followed).await?
        }
    };
    Ok(WhyNotView {
        elsewhere,
        wanted: wanted.to_string(),
        after: event_ref(event),
        answer,
        emitters: emitters.collect(),
        settled: followed.is_settled(),
        truncated: chain.truncated,
    })
}

/// Every function that there ever was, as the last deployment that had it has it, by name.
fn stations(ground: &Ground) -> Vec<Station> {
    let ids: BTreeSet<FunctionId> = ground.judged.keys().copied().collect();
    let functions = ids.into_iter().filter_map(|id| ground.function(id, None));
    let mut functions: Vec<&Function> = functions.collect();
    functions.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    functions.into_iter().map(station).collect()
}

fn station(function: &Function) -> Station {
    // The record of a deployment is the log's own, with the request as its cause.
    let record = (function.component.native() == Some(NativeKind::Reconcile)).then(|| ACTIVATED.to_owned());
    let emits = function.grants.emits.iter().cloned().chain(record);
    Station {
        function: function.id,
        hears: function.filter.types().to_vec(),
        emits: emits.filter_map(|pattern| pattern.parse().ok()).collect(),
    }
}

/// The newest events of the type that came since and are none of those that followed.
async fn elsewhere(
    history: &dyn History,
    event: &Accepted,
    wanted: &TypePattern,
    followed: &Followed<'_>,
) -> Result<Vec<EventRef>, BusError> {
    let (ty, after, max) = (Some(wanted.clone()), Some(event.position), ELSEWHERE_SHOWN_MAX);
    let query = EventQuery { ty, after, max, newest_first: true, ..EventQuery::default() };
    let found = history.events(query).await?.events;
    Ok(found.iter().filter(|found| !followed.has(&found.event)).map(event_ref).collect())
}

fn said_by(wanted: &TypePattern) -> Option<SaidBy> {
    let authors = catalogue().iter().filter(|entry| wanted.matches(entry.ty)).map(|entry| entry.author);
    authors.into_iter().find_map(|author| match author {
        Author::Trigger => Some(SaidBy::Triggers),
        Author::Runtime => Some(SaidBy::Runtime),
        Author::Function | Author::Granted => None,
    })
}
