//! Settlement: all of it or nothing, once.

use super::super::{
    DeadLetterState, Delivery, Invocation, InvocationId, KeyRead, KeyWrite, ReadScope, Revision, Settlement,
    StoredVerdict, Versioned,
};
use super::log::{Letter, Log, Place, Token};
use crate::clock::Timestamp;
use crate::event::{CHAIN_EVENTS_MAX, hops_after};
use crate::outcome::Decision;

/// What became of a settlement.
pub(super) enum Verdict {
    Settled,
    AlreadySettled,
    Conflict,
    ChainTooLong { correlation: String },
}

impl Log {
    /// `token`: none for a delivery of another process.
    pub fn settle(
        &mut self,
        delivery: &Delivery,
        token: Option<Token>,
        settlement: Settlement,
        now: Timestamp,
    ) -> Verdict {
        let place = (delivery.function.id, delivery.event.position);
        if self.is_settled(place, delivery.round, delivery.attempt) {
            token.into_iter().for_each(|token| self.give_back(token, now));
            return Verdict::AlreadySettled;
        }
        if settlement.reads.iter().any(|read| self.revision(read) != read.revision) {
            return Verdict::Conflict;
        }
        if let Some(correlation) = self.outgrown(delivery, &settlement) {
            return Verdict::ChainTooLong { correlation };
        }
        token.into_iter().for_each(|token| drop(self.out.remove(&token)));
        for event in settlement.emitted.iter().cloned() {
            // Ids are derived: what is there already is this very event.
            if self.known(&event).is_none() {
                let hops = hops_after(&delivery.event, event.due(now));
                self.insert(event, delivery.function.origin(), hops, now);
            }
        }
        settlement.writes.iter().for_each(|write| self.write(write));
        self.record(Attempted::of(delivery), settlement, now);
        Verdict::Settled
    }

    /// The fence: a final settlement of this round, or one of this very attempt.
    pub fn is_settled(&self, place: Place, round: u32, attempt: u32) -> bool {
        let attempts = self.attempts_at(place).filter(|invocation| invocation.id.round == round);
        let is_retry = |verdict: StoredVerdict| matches!(verdict, StoredVerdict::Retried(_));
        self.superseded.contains_key(&(place, round))
            || attempts.into_iter().any(|other| !is_retry(other.verdict) || other.id.attempt >= attempt)
    }

    fn attempts_at(&self, place: Place) -> impl Iterator<Item = &Invocation> {
        let invocations = self.invocations.iter().map(|(invocation, _)| invocation);
        invocations.filter(move |invocation| (invocation.id.function, invocation.id.position) == place)
    }

    fn outgrown(&self, delivery: &Delivery, settlement: &Settlement) -> Option<String> {
        let parent = &delivery.event.event;
        let chain = parent.correlation().unwrap_or(&parent.id);
        let count = self.chain_events(chain) + settlement.emitted.len() as u64;
        (!settlement.emitted.is_empty() && count > CHAIN_EVENTS_MAX).then(|| chain.to_owned())
    }

    fn revision(&self, read: &KeyRead) -> Revision {
        match &read.scope {
            ReadScope::Key(key) => self.read(&read.space, key).revision,
            ReadScope::Space => self.spaces.get(&read.space).copied().unwrap_or(0),
        }
    }

    pub fn read(&self, space: &str, key: &str) -> Versioned {
        let found = self.keys.get(&(space.to_owned(), key.to_owned()));
        found.cloned().unwrap_or(Versioned { revision: 0, value: None })
    }

    fn write(&mut self, KeyWrite { space, key, value }: &KeyWrite) {
        self.writes += 1;
        self.spaces.insert(space.clone(), self.writes);
        let key = (space.clone(), key.clone());
        match value {
            Some(_) => self.keys.insert(key, Versioned { revision: self.writes, value: value.clone() }),
            None => self.keys.remove(&key),
        };
    }

    /// Notes an attempt, and what follows from it for what is owed.
    pub fn record(&mut self, attempted: Attempted, settlement: Settlement, now: Timestamp) {
        let place = (attempted.id.function, attempted.id.position);
        let settled_at = now.max(self.last_accepted_at);
        let invocation = Invocation {
            sequence: self.invocations.len() as u64 + 1,
            id: attempted.id,
            verdict: match settlement.decision {
                Decision::Ack => StoredVerdict::Delivered,
                Decision::RetryAt(at) => StoredVerdict::Retried(at),
                Decision::DeadLetter => StoredVerdict::DeadLettered,
            },
            failure: settlement.failure,
            settled_at,
            duration: settlement.duration,
            deployment: attempted.deployment,
            component: settlement.component,
            emitted: settlement.emitted.len() as u32,
        };
        self.invocations.push((invocation, settlement.recording));
        match settlement.decision {
            Decision::RetryAt(due) => {
                let Some(owed) = self.owed.get_mut(&place) else { return };
                let Attempted { lost, first_attempt_at, .. } = attempted;
                owed.attempt = attempted.id.attempt + 1;
                (owed.lost, owed.first_attempt_at, owed.due, owed.taken) = (lost, Some(first_attempt_at), due, None);
                self.supersede_if_older(place, now);
            }
            Decision::DeadLetter => {
                let invocation = self.invocations.len() - 1;
                let letter = Letter { invocation, round: attempted.id.round, state: DeadLetterState::Open };
                self.letters.insert(place, letter);
                self.end(place, now);
            }
            Decision::Ack => self.end(place, now),
        }
    }
}

/// An attempt, as its delivery says it.
pub(super) struct Attempted {
    pub id: InvocationId,
    pub lost: u32,
    pub first_attempt_at: Timestamp,
    pub deployment: u64,
}

impl Attempted {
    fn of(delivery: &Delivery) -> Self {
        let (position, function) = (delivery.event.position, delivery.function.id);
        Attempted {
            id: InvocationId { position, function, round: delivery.round, attempt: delivery.attempt },
            lost: delivery.lost,
            first_attempt_at: delivery.first_attempt_at,
            deployment: delivery.function.deployment().number,
        }
    }
}
