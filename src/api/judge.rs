//! Where an event stands with a function: the verdicts, out of what the log holds.
//!
//! `judge` is pure. Verdicts of filters are computed again with the deployment that judged the event; those that depend on
//! state were stored with what decided.

use std::collections::{BTreeSet, HashMap};

use super::model::VerdictView;
use super::view::Names;
use crate::bus::{
    BusError, DeadLetter, DeadLetterState, History, Invocation, JudgedRange, PendingState, StoredDeployment,
    StoredVerdict, Superseded,
};
use crate::deployment::{Deployment, Function, FunctionId};
use crate::event::{Accepted, Position};
use crate::filter::{Subject, Verdict};

/// What verdicts are made of, beside the event: the same for all events.
#[derive(Debug, Default)]
pub(super) struct Ground {
    pub deployments: Vec<StoredDeployment>,
    pub judged: HashMap<FunctionId, Vec<JudgedRange>>,
    pub names: Names,
}

impl Ground {
    pub async fn read(history: &dyn History) -> Result<Self, BusError> {
        let deployments = history.deployments().await?;
        let ids: BTreeSet<FunctionId> =
            deployments.iter().flat_map(|stored| stored.deployment.functions.iter().map(|one| one.id)).collect();
        let mut judged = HashMap::new();
        for id in ids {
            judged.insert(id, history.judged(id).await?);
        }
        let names = Names::of(&deployments);
        Ok(Ground { deployments, judged, names })
    }

    pub fn deployment(&self, number: u64) -> Option<&StoredDeployment> {
        self.deployments.iter().find(|stored| stored.deployment.number == number)
    }

    /// The active deployment.
    pub fn active(&self) -> Option<&Deployment> {
        self.deployments.last().map(|stored| &stored.deployment)
    }

    /// A function by the deployment that judged; one that starts later, or is gone, by the last that had it.
    pub fn function(&self, function: FunctionId, judge: Option<u64>) -> Option<&Function> {
        let judge = judge.and_then(|number| self.deployment(number));
        let mut known = judge.into_iter().chain(self.deployments.iter().rev());
        known.find_map(|stored| stored.deployment.function_by_id(function))
    }

    /// Whether a function's filter leaves a type to others.
    pub fn hears_other_types(&self, function: FunctionId, judge: Option<u64>, ty: &str) -> bool {
        self.function(function, judge).is_some_and(|one| !one.filter.hears(ty))
    }

    /// The deployment that judged a position for a function; none if it starts after it, or no longer read then.
    fn judge_of(&self, function: FunctionId, position: Position) -> Judge<'_> {
        let ranges = self.judged.get(&function).map(Vec::as_slice).unwrap_or_default();
        let Some(range) = ranges.iter().rev().find(|range| range.from <= position) else {
            return Judge::BeforeStart;
        };
        let gone = self.deployments.iter().find(|stored| {
            stored.deployment.number >= range.deployment && stored.deployment.function_by_id(function).is_none()
        });
        match (gone, self.deployment(range.deployment)) {
            (Some(gone), _) if gone.position <= position => Judge::NotDeployed,
            (_, Some(stored)) => Judge::By(&stored.deployment),
            (_, None) => Judge::NotDeployed,
        }
    }
}

enum Judge<'a> {
    BeforeStart,
    NotDeployed,
    By(&'a Deployment),
}

/// What is known of one event.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub pending: Vec<(FunctionId, PendingState)>,
    pub superseded: Vec<Superseded>,
    pub attempts: Vec<Invocation>,
    pub letters: Vec<DeadLetter>,
}

impl Facts {
    pub async fn read(history: &dyn History, position: Position) -> Result<Self, BusError> {
        // Pending first: what is settled between the two reads shows in the attempts.
        let pending = history.pending(position).await?;
        let attempts = history.attempts(position).await?;
        let ended: BTreeSet<FunctionId> = attempts
            .iter()
            .filter(|attempt| attempt.verdict == StoredVerdict::DeadLettered)
            .map(|attempt| attempt.id.function)
            .collect();
        let mut letters = Vec::new();
        for function in ended {
            letters.extend(history.dead_letter(function, position).await?);
        }
        let superseded = history.superseded(position).await?;
        Ok(Facts { pending, attempts, letters, superseded })
    }

    /// In the order in which they ran.
    pub fn attempts_of(&self, function: FunctionId) -> Vec<&Invocation> {
        let mut own: Vec<&Invocation> =
            self.attempts.iter().filter(|attempt| attempt.id.function == function).collect();
        own.sort_by_key(|attempt| (attempt.id.round, attempt.id.attempt));
        own
    }

    fn letter_of(&self, function: FunctionId) -> Option<&DeadLetter> {
        self.letters.iter().find(|letter| letter.invocation.id.function == function)
    }
}

/// The verdict on an event for a function, and the deployment that judged it.
pub(super) fn judge(
    event: &Accepted,
    subject: &Subject,
    function: FunctionId,
    ground: &Ground,
    facts: &Facts,
) -> (VerdictView, Option<u64>) {
    let judge = ground.judge_of(function, event.position);
    let judged_by = match &judge {
        Judge::By(deployment) => Some(deployment.number),
        Judge::BeforeStart | Judge::NotDeployed => None,
    };
    if let Some((_, state)) = facts.pending.iter().find(|(pending, _)| *pending == function) {
        return (waiting(state), judged_by.or_else(|| ground.active().map(|active| active.number)));
    }
    if let Some(superseded) = facts.superseded.iter().find(|superseded| superseded.function == function) {
        let Superseded { by, at, deployment, .. } = *superseded;
        return (VerdictView::Superseded { by, at }, Some(deployment));
    }
    if let Some(last) = facts.attempts_of(function).last() {
        return (settled(last, facts.letter_of(function)), Some(last.deployment));
    }
    let verdict = match judge {
        Judge::BeforeStart => VerdictView::BeforeStart,
        Judge::NotDeployed => VerdictView::NotDeployed,
        Judge::By(deployment) => match deployment.function_by_id(function).map(|one| one.verdict(subject)) {
            None => VerdictView::NotDeployed,
            Some(Verdict::Filtered { clause, saw }) => VerdictView::Filtered { clause, value: saw },
            Some(Verdict::Failed { clause, reason }) => VerdictView::FilterFailed { clause, reason },
            // It was settled or is about to be handed out: between the reads, nothing says more.
            Some(Verdict::Pass) => VerdictView::WaitingReady,
        },
    };
    (verdict, judged_by)
}

fn waiting(state: &PendingState) -> VerdictView {
    match *state {
        PendingState::Backlog { events_before } => VerdictView::WaitingBacklog { events_before },
        PendingState::Ready => VerdictView::WaitingReady,
        PendingState::Behind { position } => VerdictView::WaitingBehind { position },
        PendingState::Rate { ref key, at } => VerdictView::WaitingRate { key: key.clone(), at },
        PendingState::Limit { ref key } => VerdictView::WaitingLimit { key: key.clone() },
        PendingState::Running { attempt } => VerdictView::Running { attempt },
        PendingState::Unreadable { at } => VerdictView::WaitingUnreadable { at },
        PendingState::Retrying { attempt, at } => VerdictView::Retrying { attempt, at },
    }
}

fn settled(last: &Invocation, letter: Option<&DeadLetter>) -> VerdictView {
    match last.verdict {
        StoredVerdict::Delivered => VerdictView::Delivered,
        StoredVerdict::Retried(at) => VerdictView::Retrying { attempt: last.id.attempt + 1, at },
        StoredVerdict::DeadLettered => match letter.map(|letter| &letter.state) {
            None | Some(DeadLetterState::Open) => VerdictView::DeadLettered,
            Some(DeadLetterState::Redriven { at }) => VerdictView::Redriven { at: *at },
            Some(DeadLetterState::Dropped { at, by }) => VerdictView::Dropped { by: by.clone(), at: *at },
        },
    }
}
