//! Why an event did, or did not, reach each function, what that led to, and where that went.

use std::collections::{BTreeSet, HashMap};

use super::judge::{Facts, Ground, judge};
use super::model::{EmittedView, EventRef, ExplanationView, FunctionExplanation, RefusalView, TakenView, VerdictView};
use super::unknown::refused_beside;
use super::view::{event_ref, event_view, invocation_view, waiting_ref};
use crate::bus::{BusError, Chain, History, Invocation, Outline};
use crate::deployment::FunctionId;
use crate::event::{Accepted, Position, derived_id};
use crate::filter::{LANGUAGE_VERSION, Subject};

/// Events of a chain that are looked at.
pub(super) const CHAIN_SHOWN_MAX: usize = 10_000;
/// Emitted events of which it is told where they went.
const FOLLOWED_MAX: usize = 100;

/// The verdict of every function that any deployment ever had.
pub async fn explain(history: &dyn History, event: &Accepted) -> Result<ExplanationView, BusError> {
    let ground = Ground::read(history).await?;
    let facts = Facts::read(history, event.position).await?;
    let correlation = event.event.correlation().unwrap_or(&event.event.id);
    let chain = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    let refused = refused_beside(history, &event.event).await?;
    let mut explanation = explanation(event, &ground, &facts, &chain, refused);
    let emitted = explanation.functions.iter_mut().flat_map(|function| &mut function.emitted);
    for emitted in emitted.take(FOLLOWED_MAX) {
        emitted.went = went(history, &ground, emitted.event.position).await?;
    }
    Ok(explanation)
}

fn explanation(
    event: &Accepted,
    ground: &Ground,
    facts: &Facts,
    chain: &Chain,
    refused: Vec<RefusalView>,
) -> ExplanationView {
    let subject = Subject::new(event);
    let members = Members::of(chain);
    let ids: BTreeSet<FunctionId> = ground.judged.keys().copied().collect();
    let explained = ids.into_iter().map(|function| {
        let (verdict, deployment) = judge(event, &subject, function, ground, facts);
        let attempts = facts.attempts_of(function);
        let language = deployment.and_then(|number| ground.deployment(number));
        let language = language.map(|stored| stored.deployment.filter_language);
        let is_left =
            matches!(verdict, VerdictView::Filtered { .. } | VerdictView::BeforeStart | VerdictView::NotDeployed);
        FunctionExplanation {
            emitted: members.emitted(event, &attempts).into_iter().cloned().collect(),
            hears_other_types: is_left && ground.hears_other_types(function, deployment, &event.event.ty),
            function: ground.names.name(function),
            function_id: function,
            verdict,
            deployment,
            filter_language: language.filter(|language| *language != LANGUAGE_VERSION),
            attempts: attempts.into_iter().map(|one| invocation_view(one, &ground.names)).collect(),
        }
    });
    let mut functions: Vec<FunctionExplanation> = explained.collect();
    let active = |id: FunctionId| ground.active().is_some_and(|active| active.function_by_id(id).is_some());
    functions.sort_by(|a, b| {
        (!active(a.function_id), a.function.as_str()).cmp(&(!active(b.function_id), b.function.as_str()))
    });
    let settled = functions.iter().all(|function| function.verdict.is_final());
    let is_replay = |other: &&Outline| {
        other.event.replay_of() == Some(&*event.event.id) && other.event.source == event.event.source
    };
    let replays = chain.events.iter().filter(is_replay).map(|other| event_ref(other)).collect();
    ExplanationView { event: event_view(event), settled, functions, refused, replays }
}

/// Events of a chain by their ids.
pub(super) struct Members<'a>(HashMap<&'a str, EmittedView>);

impl<'a> Members<'a> {
    pub fn of(chain: &'a Chain) -> Self {
        let member = |event: EventRef, deliverat| EmittedView { event, deliverat, went: None };
        let waiting =
            chain.waiting.iter().map(|(at, event)| (event.id.as_str(), member(waiting_ref(event), Some(*at))));
        let accepted = chain.events.iter().map(|event| (event.event.id.as_str(), member(event_ref(event), None)));
        Members(waiting.chain(accepted).collect())
    }

    /// What a function emitted for an event in these attempts: the ids are derived, so they need not be stored.
    pub fn emitted(&self, event: &Accepted, attempts: &[&Invocation]) -> Vec<&EmittedView> {
        let key = event.event.key();
        let ids = attempts.iter().flat_map(|attempt| {
            (0..attempt.emitted).map(|index| derived_id(key, attempt.id.function, index).to_string())
        });
        ids.filter_map(|id| self.0.get(id.as_str())).collect()
    }
}

/// The functions that hear the type of an event, with their verdicts on it; none if it is not there, or not yet.
async fn went(
    history: &dyn History,
    ground: &Ground,
    position: Option<Position>,
) -> Result<Option<Vec<TakenView>>, BusError> {
    let Some(position) = position else { return Ok(None) };
    let Some(event) = history.event_at(position).await? else { return Ok(None) };
    let facts = Facts::read(history, position).await?;
    let subject = Subject::new(&event);
    let taken = ground.judged.keys().filter_map(|function| {
        let (verdict, deployment) = judge(&event, &subject, *function, ground, &facts);
        let is_left = matches!(verdict, VerdictView::BeforeStart | VerdictView::NotDeployed)
            || (matches!(verdict, VerdictView::Filtered { .. })
                && ground.hears_other_types(*function, deployment, &event.event.ty));
        (!is_left).then(|| TakenView { function: ground.names.name(*function), verdict })
    });
    let mut taken: Vec<TakenView> = taken.collect();
    taken.sort_by(|a, b| a.function.cmp(&b.function));
    Ok(Some(taken))
}
