//! What operators and deployments change, and the life of a process.

use std::sync::Arc;

use super::super::{
    ACTIVATED, ActivateError, Cause, DeadLetterState, InvocationId, PutBack, Settlement, StoredDeployment, what_runs,
};
use super::log::{Letter, Log, Owed, Place};
use super::settle::Attempted;
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest, FunctionId, Start};
use crate::event::{
    self, Event, Origin, OriginKind, Position, attribute, cdevent, derive_uuid, hops_after, runtime_source,
};
use crate::outcome::{Decision, Failure, LOST_MAX};

impl Log {
    pub fn activate(
        &mut self,
        mut deployment: Deployment,
        expected: u64,
        cause: Cause,
        now: Timestamp,
    ) -> Result<u64, ActivateError> {
        let before = self.active.clone();
        let running = before.as_ref().map_or(0, |active| active.number);
        if running != expected {
            return Err(ActivateError::Moved { running, expected });
        }
        deployment.number = running + 1;
        let position = self.append_record(&deployment, &cause, now);
        let (at, number) = (self.last_accepted_at, deployment.number);
        self.deployments.push(StoredDeployment { deployment: deployment.clone(), position, at, cause });
        self.active = Some(Arc::new(deployment.clone()));
        for function in &deployment.functions {
            let was = before.as_ref().and_then(|before| before.function_by_id(function.id));
            let mut from = position + 1;
            if self.known.insert(function.id) {
                from = self.first_of(function.start, position).min(from);
                let earlier: Vec<_> = self.events.range(from..).map(|(_, event)| event.clone()).collect();
                earlier.iter().for_each(|event| self.judge(function, event, now));
            } else if was.is_none() {
                // While something is out, the process knows where the function stood.
                if self.owed_by(function.id).all(|(_, owed)| owed.taken.is_none()) {
                    self.forget(function.id);
                }
                self.take_up(function.id, now);
            }
            if was != Some(function) {
                self.judged.insert((function.id, from), number);
            }
        }
        for gone in before.iter().flat_map(|before| &before.functions) {
            if deployment.function_by_id(gone.id).is_none() {
                self.judged.insert((gone.id, position + 1), number);
            }
        }
        Ok(number)
    }

    fn append_record(&mut self, deployment: &Deployment, cause: &Cause, now: Timestamp) -> Position {
        let (number, source) = (deployment.number.to_string(), runtime_source(&deployment.project));
        let parent = match cause {
            Cause::Event(position) => self.events.get(position).cloned(),
            Cause::ProjectFile | Cause::Operator(_) | Cause::Rollback { .. } => None,
        };
        let request = parent.as_ref().and_then(|parent| event::cdevent_content(&parent.event));
        let content = what_runs(deployment, cause, request, None);
        let id = derive_uuid(&[b"deployment", number.as_bytes()]).to_string();
        let mut record = Event { id, source: source.clone(), ..cdevent(ACTIVATED, &number, &content) };
        let mut hops = 0;
        if let Some(parent) = parent {
            hops = hops_after(&parent, now);
            event::follow(&mut record, &parent.event);
            let key = parent.event.extensions.get(attribute::PARTITION_KEY).cloned();
            record.extensions.extend(key.map(|key| (attribute::PARTITION_KEY.to_owned(), key)));
        }
        let trace = record.key().uuid().as_u128();
        let origin = Origin { kind: OriginKind::Runtime, name: source, verified: true };
        self.append(event::accept(record, now, trace), origin, hops, now)
    }

    /// The first position of a function that is new at `record`.
    fn first_of(&self, start: Start, record: Position) -> Position {
        match start {
            Start::Latest => record + 1,
            Start::Earliest => 1,
            Start::Position(first) => first.max(1),
            Start::At(time) => {
                let mut since = self.events.values().filter(|accepted| accepted.accepted_at >= time);
                since.next().map_or(record + 1, |first| first.position)
            }
        }
    }

    pub fn redrive(&mut self, letters: Vec<PutBack>, now: Timestamp) -> u64 {
        let mut count = 0;
        for PutBack { function, position, due } in letters {
            let place = (function, position);
            let at = now.max(self.last_accepted_at);
            let Some(letter) = self.open_letter(place) else { continue };
            letter.state = DeadLetterState::Redriven { at };
            let (round, keys) = (letter.round + 1, self.wanted[&place].clone());
            let owed = Owed { round, attempt: 1, lost: 0, first_attempt_at: None, due, taken: None, keys };
            self.owe(place, owed, now);
            count += 1;
        }
        count
    }

    pub fn drop_letters(&mut self, letters: Vec<Place>, by: &str, now: Timestamp) -> u64 {
        let mut count = 0;
        for place in letters {
            let at = now.max(self.last_accepted_at);
            let Some(letter) = self.open_letter(place) else { continue };
            letter.state = DeadLetterState::Dropped { at, by: by.to_owned() };
            count += 1;
        }
        count
    }

    fn open_letter(&mut self, place: Place) -> Option<&mut Letter> {
        self.letters.get_mut(&place).filter(|letter| letter.state == DeadLetterState::Open)
    }

    /// A process ends in good order: what is out is as if it had not been.
    pub fn close(&mut self) {
        self.out.clear();
    }

    /// A process starts. What was out in the one before counts one failed attempt.
    pub fn open(&mut self, now: Timestamp) {
        let functions: Vec<FunctionId> = self.known.iter().copied().collect();
        functions.iter().for_each(|function| self.forget(*function));
        for (place, owed) in std::mem::take(&mut self.out).into_values() {
            if !self.is_settled(place, owed.round, owed.attempt) {
                self.lose(place, &owed, now);
            }
        }
        let active = self.active.clone();
        for function in active.iter().flat_map(|active| &active.functions) {
            self.take_up(function.id, now);
        }
    }

    fn lose(&mut self, place: Place, owed: &Owed, now: Timestamp) {
        let active = self.active.clone();
        let function = active.as_ref().and_then(|active| active.function_by_id(place.0));
        let lost = owed.lost + 1;
        let component = function.map_or(Digest::from_bytes([0; 32]), |function| function.component.digest);
        let dead = Settlement::dead_letter(Failure::host_lost(lost), None, component, std::time::Duration::ZERO);
        let decision = if lost < LOST_MAX { Decision::RetryAt(now) } else { dead.decision };
        let id = InvocationId { position: place.1, function: place.0, round: owed.round, attempt: owed.attempt };
        let deployment = active.as_ref().map_or(0, |active| active.number);
        let first_attempt_at = owed.first_attempt_at.unwrap_or(now);
        self.record(Attempted { id, lost, first_attempt_at, deployment }, Settlement { decision, ..dead }, now);
    }

    /// What a process alone knew of a function: what is out, who occupies an order key, and when a first attempt started
    /// that came to no end.
    fn forget(&mut self, function: FunctionId) {
        self.lanes.retain(|(of, _), _| *of != function);
        for (_, owed) in self.owed.range_mut((function, 0)..=(function, Position::MAX)) {
            owed.taken = None;
            owed.first_attempt_at.take_if(|_| owed.attempt == 1);
        }
    }

    /// A process takes up where a function stands: what was tried keeps its order key, what was put back and is due comes
    /// next, then the rest of the log.
    fn take_up(&mut self, function: FunctionId, now: Timestamp) {
        let mut places: Vec<(bool, bool, Timestamp, Position)> = self
            .owed_by(function)
            .filter(|(_, owed)| owed.is_in_line(now))
            .map(|(position, owed)| (owed.attempt == 1, !owed.is_put_back(), owed.due, position))
            .collect();
        places.sort_unstable();
        for (_, _, _, position) in places {
            if !self.supersede_if_older((function, position), now) {
                self.stand_in_line((function, position));
            }
        }
    }
}
