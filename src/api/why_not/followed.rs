//! What followed from an event, with the verdicts of the functions that had it: what a walk goes over.

use std::collections::{BTreeSet, HashMap};

use super::walk::{Link, Passage, Stop};
use crate::api::explain::Members;
use crate::api::judge::{Facts, Ground, judge};
use crate::api::model::{EventRef, LogLine, StopView, VerdictView, WhyNotAnswer};
use crate::api::recordings::recording;
use crate::api::view::{event_ref, invocation_view, waiting_ref};
use crate::bus::{ACTIVATED, BusError, Chain, History, Outline};
use crate::clock::Timestamp;
use crate::deployment::{FunctionId, NativeKind};
use crate::event::{Accepted, Event};
use crate::filter::Subject;
use crate::host::Effect;
use crate::record::Recording;

/// Lines of a log that are told.
const LOGGED_MAX: usize = 10;

/// An event and all that followed from it.
pub struct Followed<'a> {
    members: Vec<Member<'a>>,
    pub links: Vec<Link>,
}

struct Member<'a> {
    event: &'a Event,
    seen: EventRef,
    /// An error: it waits until then.
    accepted: Result<&'a Outline, Timestamp>,
    /// The member that led to it.
    cause: usize,
    /// By the functions that had it.
    facts: Facts,
    deployments: HashMap<FunctionId, u64>,
}

impl<'a> Followed<'a> {
    pub async fn read(
        history: &dyn History,
        event: &Accepted,
        chain: &'a Chain,
        ground: &Ground,
    ) -> Result<Followed<'a>, BusError> {
        let mut followed = Followed { members: members(event, chain), links: Vec::new() };
        let emitted_by = Members::of(chain);
        let index: HashMap<String, usize> =
            followed.members.iter().enumerate().map(|(index, member)| (member.seen.id.clone(), index)).collect();
        for place in 0..followed.members.len() {
            let member = &mut followed.members[place];
            let ty = member.event.ty.clone();
            let Ok(outline) = member.accepted else {
                followed.links.push(Link { ty, passages: Vec::new() });
                continue;
            };
            member.facts = Facts::read(history, outline.position).await?;
            let verdicts = verdicts(history, outline, ground, &member.facts).await?;
            let mut passages = Vec::new();
            for (function, verdict, deployment) in verdicts {
                member.deployments.extend(deployment.map(|number| (function, number)));
                let attempts = member.facts.attempts_of(function);
                let emitted = emitted_by.emitted(outline, &attempts).into_iter();
                let emitted = emitted.filter_map(|one| index.get(&one.event.id).copied()).collect();
                passages.push(Passage { function, verdict, emitted });
            }
            followed.links.push(Link { ty, passages });
        }
        followed.add_records(ground);
        Ok(followed)
    }

    /// The records of deployments follow from the requests that the reconciler had.
    fn add_records(&mut self, ground: &Ground) {
        for (place, member) in self.members.iter().enumerate().filter(|(_, member)| member.event.ty == ACTIVATED) {
            let reconciles = |passage: &&mut Passage| {
                let function = ground.function(passage.function, None);
                function.is_some_and(|function| function.component.native() == Some(NativeKind::Reconcile))
            };
            let passages = self.links[member.cause].passages.iter_mut();
            passages.filter(reconciles).for_each(|passage| passage.emitted.push(place));
        }
    }

    pub fn has(&self, event: &Event) -> bool {
        self.members.iter().any(|member| member.event.id == event.id && member.event.source == event.source)
    }

    pub fn is_settled(&self) -> bool {
        let waits = self.members.iter().any(|member| member.accepted.is_err());
        !waits && self.links.iter().flat_map(|link| &link.passages).all(|passage| passage.verdict.is_final())
    }

    /// The events from what followed first to this one.
    fn path(&self, link: usize) -> Vec<EventRef> {
        let causes = std::iter::successors(Some(link), |place| (*place > 0).then(|| self.members[*place].cause));
        let mut path: Vec<EventRef> =
            causes.take_while(|place| *place > 0).map(|place| self.members[place].seen.clone()).collect();
        path.reverse();
        path
    }

    pub fn reached(&self, link: usize) -> WhyNotAnswer {
        let path = self.path(link);
        match self.members[link].accepted {
            Ok(_) => WhyNotAnswer::Happened { path },
            Err(until) => WhyNotAnswer::Waits { path, until },
        }
    }

    pub async fn stop(&self, history: &dyn History, ground: &Ground, stop: &Stop) -> Result<StopView, BusError> {
        let member = &self.members[stop.link];
        let mut passages = self.links[stop.link].passages.iter();
        let passage = passages.find(|passage| passage.function == stop.function).expect("a stop is at a passage");
        let attempts = member.facts.attempts_of(stop.function);
        let recorded = match attempts.last() {
            Some(attempt) => recording(history, attempt).await?,
            None => None,
        };
        let logged = match recorded {
            Some(Ok(recorded)) => logged(&recorded),
            Some(Err(_)) | None => Vec::new(),
        };
        let mut path = self.path(stop.link);
        path.pop();
        Ok(StopView {
            event: member.seen.clone(),
            path,
            function: ground.names.name(stop.function),
            verdict: passage.verdict.clone(),
            deployment: member.deployments.get(&stop.function).copied(),
            before: stop.before,
            attempt: attempts.last().map(|attempt| invocation_view(attempt, &ground.names)),
            emitted: passage.emitted.iter().map(|place| self.members[*place].seen.clone()).collect(),
            logged,
        })
    }
}

/// The event, and what followed from it: in log order, with what waits for its time last.
fn members<'a>(event: &Accepted, chain: &'a Chain) -> Vec<Member<'a>> {
    let mut members: Vec<Member<'a>> = Vec::new();
    let mut places: HashMap<&'a str, usize> = HashMap::new();
    let accepted = chain.events.iter().map(|outline| (&outline.event, Ok(outline)));
    let waiting = chain.waiting.iter().map(|(until, event)| (event, Err(*until)));
    for (followed, accepted) in accepted.chain(waiting) {
        let is_first = accepted.is_ok_and(|outline: &Outline| outline.position == event.position);
        let cause = followed.causation().and_then(|cause| places.get(cause).copied());
        let Some(cause) = cause.or(is_first.then_some(0)) else { continue };
        let seen = accepted.map_or_else(|_| waiting_ref(followed), |outline| event_ref(outline));
        places.insert(&followed.id, members.len());
        members.push(Member {
            event: followed,
            seen,
            accepted,
            cause,
            facts: Facts::default(),
            deployments: HashMap::new(),
        });
    }
    members
}

/// The verdicts of the functions that hear an event's type. Its data is read only where a filter asks for it.
async fn verdicts(
    history: &dyn History,
    outline: &Outline,
    ground: &Ground,
    facts: &Facts,
) -> Result<Vec<(FunctionId, VerdictView, Option<u64>)>, BusError> {
    let heard = |event: &Accepted, subject: &Subject<'_>| -> Vec<_> {
        let ids: BTreeSet<FunctionId> = ground.judged.keys().copied().collect();
        let hears = ids.into_iter().filter(|id| !ground.hears_other_types(*id, None, &event.event.ty));
        let judged = hears.map(|id| {
            let (verdict, deployment) = judge(event, subject, id, ground, facts);
            (id, verdict, deployment)
        });
        judged.collect()
    };
    let unread = heard(outline, &Subject::without_data(outline, "it was not read".to_owned()));
    if !unread.iter().any(|(_, verdict, _)| matches!(verdict, VerdictView::FilterFailed { .. })) {
        return Ok(unread);
    }
    let whole = history.event_at(outline.position).await?;
    Ok(whole.map_or(unread, |whole| heard(&whole, &Subject::new(&whole))))
}

/// What a function logged last.
fn logged(recording: &Recording) -> Vec<LogLine> {
    let line = |effect: &Effect| {
        let Effect::Log { level, message, .. } = effect else { return None };
        Some(LogLine { level: *level, message: message.clone() })
    };
    let mut lines: Vec<LogLine> =
        recording.journal.entries().iter().rev().filter_map(|entry| line(&entry.effect)).take(LOGGED_MAX).collect();
    lines.reverse();
    lines
}
