//! The walk: from what followed from an event, and from which function may emit what, to where it stopped. Pure.

use std::collections::{HashMap, HashSet};

use crate::api::model::VerdictView;
use crate::deployment::FunctionId;
use crate::filter::TypePattern;

/// A function, by the types through which events come to it and go on from it.
#[derive(Debug, Clone)]
pub struct Station {
    pub function: FunctionId,
    /// None: every type.
    pub hears: Vec<TypePattern>,
    pub emits: Vec<TypePattern>,
}

/// An event that followed. Those that it led to come after it.
#[derive(Debug, Clone)]
pub struct Link {
    pub ty: String,
    pub passages: Vec<Passage>,
}

/// An event at a function.
#[derive(Debug, Clone)]
pub struct Passage {
    pub function: FunctionId,
    pub verdict: VerdictView,
    /// Which links it emitted for it.
    pub emitted: Vec<usize>,
}

/// What a walk comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walk {
    /// The first link of the type.
    Reached(usize),
    /// Deepest first.
    Stopped(Vec<Stop>),
    /// No event came to a function through which there is a way.
    Unheard,
    Nobody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub link: usize,
    pub function: FunctionId,
    /// Functions between this one and the type.
    pub before: u32,
}

impl Station {
    fn hears(&self, ty: &str) -> bool {
        self.hears.is_empty() || self.hears.iter().any(|pattern| pattern.matches(ty))
    }

    fn may_lead_to(&self, other: &Station) -> bool {
        let heard = |emitted: &TypePattern| other.hears.is_empty() || other.hears.iter().any(|on| on.overlaps(emitted));
        self.emits.iter().any(heard)
    }
}

/// Where the links stopped short of a type; the first link is the event that they followed from, and is not asked for itself.
pub fn walk(wanted: &TypePattern, links: &[Link], stations: &[Station]) -> Walk {
    let reached = links.iter().enumerate().skip(1).find(|(_, link)| wanted.matches(&link.ty));
    if let Some((index, _)) = reached {
        return Walk::Reached(index);
    }
    let before = functions_before(wanted, stations);
    if before.is_empty() {
        return Walk::Nobody;
    }
    let stations: HashMap<FunctionId, &Station> = stations.iter().map(|one| (one.function, one)).collect();
    let leads_on = |passage: &Passage, own: u32| {
        let is_nearer = |station: &&&Station| before.get(&station.function).is_some_and(|before| *before < own);
        let heard = |link: &usize| stations.values().filter(is_nearer).any(|one| one.hears(&links[*link].ty));
        passage.emitted.iter().any(heard)
    };
    let mut stops = Vec::new();
    for (index, link) in links.iter().enumerate() {
        for passage in &link.passages {
            let function = passage.function;
            let hears = stations.get(&function).is_some_and(|station| station.hears(&link.ty));
            if let Some(own) = before.get(&function).filter(|_| hears)
                && !leads_on(passage, *own)
            {
                stops.push((passage, Stop { link: index, function, before: *own }));
            }
        }
    }
    if stops.is_empty() {
        return Walk::Unheard;
    }
    stops.sort_by_key(|(_, stop)| (stop.before, std::cmp::Reverse(stop.link)));
    // Of a function, the last event that it had says most; beside it what failed or is not over.
    let mut told = HashSet::new();
    stops.retain(|(passage, stop)| told.insert(stop.function) || is_open(&passage.verdict));
    Walk::Stopped(stops.into_iter().map(|(_, stop)| stop).collect())
}

/// Of each function through which there is a way to the type: how many functions stand between the two at least.
fn functions_before(wanted: &TypePattern, stations: &[Station]) -> HashMap<FunctionId, u32> {
    let mut before = HashMap::new();
    let mut front: Vec<&Station> = emitters(wanted, stations).collect();
    let mut steps = 0;
    while !front.is_empty() {
        before.extend(front.iter().map(|station| (station.function, steps)));
        steps += 1;
        let leads_there = |station: &&Station| {
            !before.contains_key(&station.function) && front.iter().any(|next| station.may_lead_to(next))
        };
        front = stations.iter().filter(leads_there).collect();
    }
    before
}

/// Whether somebody may still do something about it, or it goes on by itself.
fn is_open(verdict: &VerdictView) -> bool {
    let failed =
        matches!(verdict, VerdictView::DeadLettered | VerdictView::FilterFailed { .. } | VerdictView::Dropped { .. });
    failed || !verdict.is_final()
}

/// Functions that may emit a type.
pub fn emitters<'a>(wanted: &TypePattern, stations: &'a [Station]) -> impl Iterator<Item = &'a Station> {
    stations.iter().filter(move |station| station.emits.iter().any(|pattern| pattern.overlaps(wanted)))
}

/// Of the types that a station hears, those of which there is no link.
pub fn missing<'a>(station: &'a Station, links: &[Link]) -> impl Iterator<Item = &'a TypePattern> {
    station.hears.iter().filter(move |pattern| !links.iter().any(|link| pattern.matches(&link.ty)))
}

#[cfg(test)]
mod tests;
