//! What can be asked of the reference.

use async_trait::async_trait;

use super::super::{
    BusError, Chain, DeadLetter, DeadLetterState, EventPage, EventQuery, FunctionStatus, History, IdQuery, Invocation,
    InvocationId, InvocationQuery, JudgedRange, OpenLetter, Outline, PendingState, RecordedAttempt, RecordedPage,
    RecordedQuery, RecordingBytes, Refusal, RefusalQuery, Refusals, Statistics, StatisticsQuery, Storage,
    StoredDeployment, StoredVerdict, Superseded,
};
use super::Reference;
use super::log::{Letter, Log, Place};
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::{self, Accepted, Position};

impl Log {
    fn outlines(&self) -> impl DoubleEndedIterator<Item = Outline> {
        self.events.values().map(|accepted| Outline::of(Accepted::clone(accepted)))
    }

    /// By function, round and attempt.
    fn attempts(&self) -> Vec<Invocation> {
        let mut attempts: Vec<Invocation> = self.invocations.iter().map(|(invocation, _)| invocation.clone()).collect();
        attempts.sort_by_key(|invocation| (invocation.id.function, invocation.id.round, invocation.id.attempt));
        attempts
    }

    fn dead_letter(&self, place: Place, letter: &Letter) -> DeadLetter {
        DeadLetter {
            invocation: self.invocations[letter.invocation].0.clone(),
            event: Outline::of(Accepted::clone(&self.events[&place.1])),
            state: letter.state.clone(),
        }
    }

    fn state(&self, place: Place, now: Timestamp) -> PendingState {
        let owed = &self.owed[&place];
        match (owed.taken, self.before(place, now)) {
            (Some(_), _) => PendingState::Running { attempt: owed.attempt },
            (None, _) if owed.due > now => PendingState::Retrying { attempt: owed.attempt, at: owed.due },
            (None, Some(position)) => PendingState::Behind { position },
            (None, None) => PendingState::Ready,
        }
    }

    fn status(&self, function: FunctionId) -> FunctionStatus {
        let mine = self.invocations.iter().map(|(invocation, _)| invocation);
        let mine = || mine.clone().filter(|invocation| invocation.id.function == function);
        let delivered = mine().filter(|invocation| invocation.verdict == StoredVerdict::Delivered).count() as u64;
        let letters = self.letters.iter().filter(|(place, _)| place.0 == function);
        let is_open = |letter: &Letter| letter.state == DeadLetterState::Open;
        FunctionStatus {
            function,
            position: self.tail(),
            lag: 0,
            pending: self.owed_by(function).count() as u64,
            oldest_waiting: self.owed_by(function).next().map(|(position, _)| self.events[&position].accepted_at),
            delivered,
            failed_attempts: mine().count() as u64 - delivered,
            dead_letters_open: letters.filter(|(_, letter)| is_open(letter)).count() as u64,
        }
    }
}

#[async_trait]
impl History for Reference {
    async fn tail(&self) -> Result<Position, BusError> {
        Ok(self.0.log().0.tail())
    }

    async fn event_at(&self, position: Position) -> Result<Option<Accepted>, BusError> {
        Ok(self.0.log().0.events.get(&position).map(|accepted| Accepted::clone(accepted)))
    }

    async fn has(&self, id: &str, source: &str) -> Result<bool, BusError> {
        let (log, _) = self.0.log();
        Ok(log.events.values().any(|accepted| accepted.event.id == id && accepted.event.source == source))
    }

    async fn find(&self, text: &str, max: usize) -> Result<Vec<Outline>, BusError> {
        let (log, _) = self.0.log();
        let is_known = |outline: &Outline| {
            let aliases = event::aliases(&log.events[&outline.position].event);
            outline.event.id.starts_with(text) || aliases.iter().any(|alias| alias.starts_with(text))
        };
        Ok(log.outlines().rev().filter(is_known).take(max).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, BusError> {
        let (log, _) = self.0.log();
        let is_asked = |accepted: &&Accepted| {
            query.ty.as_ref().is_none_or(|ty| ty.matches(&accepted.event.ty))
                && query.since.is_none_or(|since| accepted.accepted_at >= since)
                && query.after.is_none_or(|after| accepted.position > after)
                && query.before.is_none_or(|before| accepted.position < before)
        };
        let mut found: Vec<&Accepted> = log.events.values().map(|accepted| &**accepted).filter(is_asked).collect();
        if query.newest_first {
            found.reverse();
        }
        let (mut page, mut bytes) = (EventPage::default(), 0);
        for accepted in &found {
            bytes += accepted.event.encode().len();
            let is_full = query.bytes_max.is_some_and(|max| bytes > max) && !page.events.is_empty();
            if is_full || page.events.len() == query.max {
                page.more = true;
                break;
            }
            page.events.push(Accepted::clone(accepted));
        }
        Ok(page)
    }

    async fn chain(&self, correlation: &str, max: usize) -> Result<Chain, BusError> {
        let (log, _) = self.0.log();
        let of_chain = |outline: &Outline| outline.event.correlation() == Some(correlation);
        let mut events: Vec<Outline> = log.outlines().filter(of_chain).collect();
        let waiting =
            log.delayed.iter().map(|delayed| (delayed.due, event::Event { data: None, ..delayed.event.clone() }));
        let mut waiting: Vec<_> = waiting.filter(|(_, event)| event.correlation() == Some(correlation)).collect();
        waiting.sort_by_key(|(due, _)| *due);
        waiting.truncate(max);
        let truncated = events.len() > max;
        events.truncate(max);
        Ok(Chain { events, waiting, truncated })
    }

    async fn attempts(&self, position: Position) -> Result<Vec<Invocation>, BusError> {
        let attempts = self.0.log().0.attempts();
        Ok(attempts.into_iter().filter(|invocation| invocation.id.position == position).collect())
    }

    async fn invocations(&self, query: InvocationQuery) -> Result<Vec<Invocation>, BusError> {
        let (log, _) = self.0.log();
        let is_asked = |invocation: &&Invocation| {
            query.function.is_none_or(|function| invocation.id.function == function)
                && query.before.is_none_or(|before| invocation.sequence < before)
                && !(query.failed_only && invocation.verdict == StoredVerdict::Delivered)
        };
        let newest_first = log.invocations.iter().rev().map(|(invocation, _)| invocation);
        Ok(newest_first.filter(is_asked).take(query.max).cloned().collect())
    }

    async fn invocation(&self, id: &InvocationId) -> Result<Option<Invocation>, BusError> {
        Ok(self.0.log().0.attempts().into_iter().find(|invocation| invocation.id == *id))
    }

    async fn recording(&self, id: &InvocationId) -> Result<Option<RecordingBytes>, BusError> {
        let (log, _) = self.0.log();
        Ok(log.invocations.iter().find(|(invocation, _)| invocation.id == *id).and_then(|(_, bytes)| bytes.clone()))
    }

    async fn recorded(&self, query: RecordedQuery) -> Result<RecordedPage, BusError> {
        let (log, _) = self.0.log();
        let is_asked = |(invocation, event): &(&Invocation, &Accepted)| {
            let id = invocation.id;
            id.function == query.function
                && query.after.is_none_or(|after| id > after)
                && query.since.is_none_or(|since| event.accepted_at >= since)
                && query.until.is_none_or(|until| event.accepted_at < until)
                && query.ty.as_ref().is_none_or(|ty| ty.matches(&event.event.ty))
                && !(query.failed_only && invocation.verdict == StoredVerdict::Delivered)
        };
        let event = |invocation: &Invocation| Accepted::clone(&log.events[&invocation.id.position]);
        let mut found: Vec<&(Invocation, Option<RecordingBytes>)> = log
            .invocations
            .iter()
            .filter(|(invocation, _)| is_asked(&(invocation, &log.events[&invocation.id.position])))
            .collect();
        found.sort_by_key(|(invocation, _)| invocation.id);
        let more = found.len() > query.max;
        found.truncate(query.max);
        let next = found.last().filter(|_| more).map(|(invocation, _)| invocation.id);
        let mut page = RecordedPage { next, ..RecordedPage::default() };
        for (invocation, recording) in found {
            match recording.clone() {
                None => page.unrecorded += 1,
                Some(recording) => {
                    let (invocation, event) = (invocation.clone(), event(invocation));
                    page.attempts.push(RecordedAttempt { invocation, event, recording });
                }
            }
        }
        Ok(page)
    }

    async fn pending(&self, position: Position) -> Result<Vec<(FunctionId, PendingState)>, BusError> {
        let (log, now) = self.0.log();
        let places = log.owed.keys().filter(|(_, owed)| *owed == position);
        Ok(places.map(|place| (place.0, log.state(*place, now))).collect())
    }

    async fn superseded(&self, position: Position) -> Result<Vec<Superseded>, BusError> {
        let (log, _) = self.0.log();
        Ok(log
            .superseded
            .iter()
            .filter(|((place, _), _)| place.1 == position)
            .map(|(_, found)| found.clone())
            .collect())
    }

    async fn statistics(&self, query: StatisticsQuery) -> Result<Statistics, BusError> {
        let (log, _) = self.0.log();
        Ok(Statistics::of(&log.attempts(), &query, log.tail()))
    }

    async fn dead_letters(&self, function: Option<FunctionId>, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        let (log, _) = self.0.log();
        let of_function = log.letters.iter().filter(|(place, _)| function.is_none_or(|function| place.0 == function));
        let mut letters: Vec<_> = of_function.map(|(place, letter)| log.dead_letter(*place, letter)).collect();
        letters.sort_by_key(|letter| std::cmp::Reverse(letter.invocation.sequence));
        letters.truncate(max);
        Ok(letters)
    }

    async fn open_letters(
        &self,
        function: Option<FunctionId>,
        after: Option<(FunctionId, Position)>,
        max: usize,
    ) -> Result<Vec<OpenLetter>, BusError> {
        let (log, _) = self.0.log();
        let is_asked = |(place, letter): &(&Place, &Letter)| {
            function.is_none_or(|function| place.0 == function)
                && after.is_none_or(|after| **place > after)
                && letter.state == DeadLetterState::Open
        };
        let told = |((function, position), letter): (&Place, &Letter)| {
            let failure = log.invocations[letter.invocation].0.failure.clone().expect("it failed");
            OpenLetter { function: *function, position: *position, failure }
        };
        Ok(log.letters.iter().filter(is_asked).map(told).take(max).collect())
    }

    async fn deployments(&self) -> Result<Vec<StoredDeployment>, BusError> {
        Ok(self.0.log().0.deployments.clone())
    }

    async fn judged(&self, function: FunctionId) -> Result<Vec<JudgedRange>, BusError> {
        let (log, _) = self.0.log();
        let ranges = log.judged.iter().filter(|((of, _), _)| *of == function);
        Ok(ranges.map(|((_, from), deployment)| JudgedRange { from: *from, deployment: *deployment }).collect())
    }

    async fn functions(&self) -> Result<Vec<FunctionStatus>, BusError> {
        let (log, _) = self.0.log();
        Ok(log.known.iter().map(|function| log.status(*function)).collect())
    }

    async fn refusals(&self, query: RefusalQuery) -> Result<Refusals, BusError> {
        let (log, _) = self.0.log();
        let is_asked = |refusal: &&Refusal| {
            let named = |id: &IdQuery| refusal.named.iter().any(|named| id.matches(&named.id));
            query.named.as_ref().is_none_or(named) && query.since.is_none_or(|since| refusal.at >= since)
        };
        let items = log.refusals.iter().rev().filter(is_asked).take(query.max).cloned().collect();
        Ok(Refusals { items, since: Timestamp::EPOCH })
    }

    async fn storage(&self) -> Result<Storage, BusError> {
        Ok(Storage::default())
    }
}
