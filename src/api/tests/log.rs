//! A log that a test writes by hand, to be read.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;

use crate::bus::*;
use crate::clock::Timestamp;
use crate::deployment::*;
use crate::event::{Accepted, Event, Extension, Origin, OriginKind, Position};
use crate::filter::Filter;
use crate::outcome::Failure;

/// What `History` answers, as plain values.
#[derive(Default)]
pub struct Log {
    pub events: Vec<Accepted>,
    pub waiting: Vec<(Timestamp, Event)>,
    pub attempts: Vec<Invocation>,
    pub pending: Vec<(Position, FunctionId, PendingState)>,
    pub superseded: Vec<(Position, Superseded)>,
    pub letters: Vec<DeadLetter>,
    pub deployments: Vec<StoredDeployment>,
    pub judged: HashMap<FunctionId, Vec<JudgedRange>>,
    pub storage: Storage,
    pub refusals: Vec<Refusal>,
}

/// The id of the nth function of a test.
pub fn id(number: u128) -> FunctionId {
    FunctionId::from_uuid(uuid::Uuid::from_u128(number))
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub fn event(id: &str, ty: &str) -> Event {
    let extensions = BTreeMap::from([("correlationid".to_owned(), Extension::Text(id.to_owned()))]);
    Event { id: id.to_owned(), source: "test".to_owned(), ty: ty.to_owned(), extensions, ..Event::default() }
}

/// An event that `cause` led to, in the chain of `first`.
pub fn caused(id: &str, ty: &str, cause: &str, first: &str) -> Event {
    let mut event = event(id, ty);
    event.extensions.insert("causationid".to_owned(), Extension::Text(cause.to_owned()));
    event.extensions.insert("correlationid".to_owned(), Extension::Text(first.to_owned()));
    event
}

/// A function on a type, by its number, name and `when`.
pub fn function(number: u128, name: &str, on: &str, when: Option<&str>) -> Function {
    let component =
        Component { reference: ComponentRef::Builtin(name.to_owned()), digest: Digest::of(name.as_bytes()) };
    let filter = Filter::new(vec![on.parse().unwrap()], BTreeMap::new(), when).unwrap();
    Function { id: id(number), ..Function::new(name.parse().unwrap(), component, filter) }
}

impl Log {
    /// Appends an event.
    pub fn with(mut self, event: Event) -> Self {
        let position = self.events.len() as Position + 1;
        let origin = match event.causation() {
            Some(_) => Origin { kind: OriginKind::Function, name: "gate".to_owned(), verified: true },
            None => Origin { kind: OriginKind::Api, name: "local".to_owned(), verified: false },
        };
        self.events.push(Accepted { position, accepted_at: at(position as i64), origin, hops: 0, event });
        self
    }

    /// Activates a deployment of these functions with the event at `position`; it judges from there on.
    pub fn deployed(mut self, position: Position, functions: Vec<Function>) -> Self {
        let number = self.deployments.len() as u64 + 1;
        for function in &functions {
            self.judged.entry(function.id).or_default().push(JudgedRange { from: position, deployment: number });
        }
        let digest = Digest::of(&number.to_be_bytes());
        let deployment = Deployment { number, digest, ..Deployment::new("shop".to_owned(), functions) };
        let (at, cause) = (at(position as i64), Cause::ProjectFile);
        self.deployments.push(StoredDeployment { deployment, position, at, cause });
        self
    }

    pub fn attempted(mut self, position: Position, function: u128, number: (u32, u32), verdict: StoredVerdict) -> Self {
        let failure = (verdict != StoredVerdict::Delivered)
            .then(|| Failure::new(crate::outcome::FailureKind::Rejected, "no such thing"));
        let invocation = Invocation {
            sequence: self.attempts.len() as u64 + 1,
            id: InvocationId { position, function: id(function), round: number.0, attempt: number.1 },
            verdict,
            failure,
            settled_at: at(position as i64 + 1),
            duration: Duration::from_micros(1500),
            deployment: 1,
            component: Digest::of(b"component"),
            emitted: 0,
        };
        if verdict == StoredVerdict::DeadLettered {
            let event = self.events[position as usize - 1].clone();
            self.letters.push(DeadLetter {
                invocation: invocation.clone(),
                event: Outline::of(event),
                state: DeadLetterState::Open,
            });
        }
        self.attempts.push(invocation);
        self
    }

    pub fn superseded(mut self, position: Position, function: u128, by: Position) -> Self {
        let superseded = Superseded { function: id(function), by, at: at(5), deployment: 1 };
        self.superseded.push((position, superseded));
        self
    }

    /// What came before its fourth event is removed, whatever of it is left.
    pub fn removed(mut self) -> Self {
        self.events.drain(..3);
        self.letters.clear();
        self.attempts.clear();
        self.storage = Storage { removed_to: 3, first: Some((4, at(4))), ..Storage::default() };
        self
    }

    pub fn pending(mut self, position: Position, function: u128, state: PendingState) -> Self {
        self.pending.push((position, id(function), state));
        self
    }
}

#[async_trait]
impl History for Log {
    async fn tail(&self) -> Result<Position, BusError> {
        Ok(self.events.last().map_or(0, |last| last.position))
    }

    async fn event_at(&self, position: Position) -> Result<Option<Accepted>, BusError> {
        Ok(self.events.iter().find(|event| event.position == position).cloned())
    }

    async fn has(&self, id: &str, source: &str) -> Result<bool, BusError> {
        Ok(self.events.iter().any(|accepted| accepted.event.id == id && accepted.event.source == source))
    }

    async fn find(&self, text: &str, max: usize) -> Result<Vec<Outline>, BusError> {
        let known = |event: &&Accepted| {
            event.event.id.starts_with(text)
                || event.event.text("commit").is_some_and(|commit| commit.starts_with(text))
        };
        Ok(self.events.iter().rev().filter(known).take(max).cloned().map(Outline::of).collect())
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, BusError> {
        let mut events: Vec<Accepted> = self
            .events
            .iter()
            .filter(|event| query.after.is_none_or(|after| event.position > after))
            .filter(|event| query.before.is_none_or(|before| event.position < before))
            .filter(|event| query.since.is_none_or(|since| event.accepted_at >= since))
            .filter(|event| query.ty.as_ref().is_none_or(|ty| ty.matches(&event.event.ty)))
            .cloned()
            .collect();
        if query.newest_first {
            events.reverse();
        }
        let more = events.len() > query.max;
        events.truncate(query.max);
        Ok(EventPage { events, more })
    }

    async fn chain(&self, correlation: &str, max: usize) -> Result<Chain, BusError> {
        let of_chain = |event: &Event| event.correlation().unwrap_or(&event.id) == correlation;
        let of_chain_in_log = self.events.iter().filter(|event| of_chain(&event.event));
        let mut events: Vec<Outline> = of_chain_in_log.cloned().map(Outline::of).collect();
        let truncated = events.len() > max;
        events.truncate(max);
        let waiting = self.waiting.iter().filter(|(_, event)| of_chain(event)).cloned().collect();
        Ok(Chain { events, waiting, truncated })
    }

    async fn attempts(&self, position: Position) -> Result<Vec<Invocation>, BusError> {
        Ok(self.attempts.iter().filter(|attempt| attempt.id.position == position).cloned().collect())
    }

    async fn invocations(&self, query: InvocationQuery) -> Result<Vec<Invocation>, BusError> {
        let of_function = |attempt: &&Invocation| query.function.is_none_or(|function| attempt.id.function == function);
        let failed = |attempt: &&Invocation| !query.failed_only || attempt.failure.is_some();
        let before = |attempt: &&Invocation| query.before.is_none_or(|before| attempt.sequence < before);
        let found = self.attempts.iter().rev().filter(of_function).filter(failed).filter(before);
        Ok(found.take(query.max).cloned().collect())
    }

    async fn invocation(&self, id: &InvocationId) -> Result<Option<Invocation>, BusError> {
        Ok(self.attempts.iter().find(|attempt| attempt.id == *id).cloned())
    }

    async fn recording(&self, _id: &InvocationId) -> Result<Option<RecordingBytes>, BusError> {
        Ok(None)
    }

    async fn recorded(&self, _query: RecordedQuery) -> Result<RecordedPage, BusError> {
        Ok(RecordedPage::default())
    }

    async fn pending(&self, position: Position) -> Result<Vec<(FunctionId, PendingState)>, BusError> {
        let own = self.pending.iter().filter(|(pending, _, _)| *pending == position);
        Ok(own.map(|(_, function, state)| (*function, state.clone())).collect())
    }

    async fn superseded(&self, position: Position) -> Result<Vec<Superseded>, BusError> {
        Ok(self.superseded.iter().filter(|(at, _)| *at == position).map(|(_, superseded)| superseded.clone()).collect())
    }

    async fn statistics(&self, query: StatisticsQuery) -> Result<Statistics, BusError> {
        Ok(Statistics::of(&self.attempts, &query, self.tail().await?))
    }

    async fn dead_letters(&self, function: Option<FunctionId>, max: usize) -> Result<Vec<DeadLetter>, BusError> {
        let of_function =
            |letter: &&DeadLetter| function.is_none_or(|function| letter.invocation.id.function == function);
        Ok(self.letters.iter().filter(of_function).take(max).cloned().collect())
    }

    async fn open_letters(
        &self,
        function: Option<FunctionId>,
        after: Option<(FunctionId, Position)>,
        max: usize,
    ) -> Result<Vec<OpenLetter>, BusError> {
        let open = self.letters.iter().filter(|letter| letter.state == DeadLetterState::Open);
        let letters = open.map(|letter| OpenLetter {
            function: letter.invocation.id.function,
            position: letter.event.position,
            failure: letter.invocation.failure.clone().unwrap(),
        });
        let name = |letter: &OpenLetter| (letter.function, letter.position);
        let of_function = letters.filter(|letter| function.is_none_or(|function| letter.function == function));
        let mut found: Vec<_> = of_function.filter(|letter| after.is_none_or(|after| name(letter) > after)).collect();
        found.sort_by_key(name);
        found.truncate(max);
        Ok(found)
    }

    async fn deployments(&self) -> Result<Vec<StoredDeployment>, BusError> {
        Ok(self.deployments.clone())
    }

    async fn judged(&self, function: FunctionId) -> Result<Vec<JudgedRange>, BusError> {
        Ok(self.judged.get(&function).cloned().unwrap_or_default())
    }

    async fn functions(&self) -> Result<Vec<FunctionStatus>, BusError> {
        Ok(Vec::new())
    }

    async fn refusals(&self, query: RefusalQuery) -> Result<Refusals, BusError> {
        let named = |refusal: &&Refusal| {
            query.named.as_ref().is_none_or(|id| refusal.named.iter().any(|named| id.matches(&named.id)))
        };
        let items = self.refusals.iter().rev().filter(named).take(query.max).cloned().collect();
        Ok(Refusals { items, since: at(1) })
    }

    async fn storage(&self) -> Result<Storage, BusError> {
        Ok(self.storage.clone())
    }
}
