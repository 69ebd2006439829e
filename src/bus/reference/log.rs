//! The log as a value, and what each function still has to get of it. Nothing here waits, and all of it is in memory.
//!
//! A function is *owed* each event that its filter let pass, from then on until that is settled for good. What is owed comes
//! in log order; an order key is occupied by one event at a time, from when it came to stand in line until it is settled for
//! good. A process knows besides what is *out*; when it dies, that counts as one failed attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{
    DeadLetterState, Incoming, Invocation, PublishError, Receipt, RecordingBytes, Refusal, Revision, StoredDeployment,
    Superseded, Versioned, chain_is_full,
};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Function, FunctionId, Judgement, Keys, Succession};
use crate::event::{self, Accepted, CHAIN_EVENTS_MAX, Event, Origin, OriginKind, Position, Replay, same_content};
use crate::filter::Subject;

/// Names one delivery, for ever.
pub(super) type Token = u64;
/// One event for one function.
pub(super) type Place = (FunctionId, Position);

#[derive(Default)]
pub(super) struct Log {
    pub events: BTreeMap<Position, Arc<Accepted>>,
    /// Stored, with no position yet; in the order in which they came.
    pub delayed: Vec<Delayed>,
    pub keys: BTreeMap<(String, String), Versioned>,
    pub spaces: BTreeMap<String, Revision>,
    pub writes: Revision,
    pub invocations: Vec<(Invocation, Option<RecordingBytes>)>,
    /// By place and round.
    pub superseded: BTreeMap<(Place, u32), Superseded>,
    pub letters: BTreeMap<Place, Letter>,
    pub deployments: Vec<StoredDeployment>,
    /// The last of them.
    pub active: Option<Arc<Deployment>>,
    /// From which position on which deployment judges for a function.
    pub judged: BTreeMap<Place, u64>,
    /// Every function that ever was deployed, and what it still has to settle.
    pub known: BTreeSet<FunctionId>,
    pub owed: BTreeMap<Place, Owed>,
    /// What ever was owed, with its keys: the newest of a line supersedes for ever.
    pub wanted: BTreeMap<Place, Keys>,
    /// Which event occupies an order key of a function.
    pub lanes: BTreeMap<(FunctionId, Arc<str>), Position>,
    /// Deliveries that were neither settled nor given back.
    pub out: BTreeMap<Token, (Place, Owed)>,
    last_token: Token,
    /// In the order in which they came, all of them.
    pub refusals: Vec<Refusal>,
    pub last_accepted_at: Timestamp,
    /// How far time has passed.
    passed: Timestamp,
    tail: Position,
}

pub(super) struct Delayed {
    pub due: Timestamp,
    pub event: Event,
    origin: Origin,
    hops: u32,
}

pub(super) struct Letter {
    /// Of its settlement, in `Log::invocations`.
    pub invocation: usize,
    pub round: u32,
    pub state: DeadLetterState,
}

#[derive(Clone)]
pub(super) struct Owed {
    pub round: u32,
    /// Of the next start.
    pub attempt: u32,
    pub lost: u32,
    pub first_attempt_at: Option<Timestamp>,
    /// Not before.
    pub due: Timestamp,
    /// The delivery that it is out by.
    pub taken: Option<Token>,
    pub keys: Keys,
}

impl Owed {
    /// A dead letter that was put back stands in line when it is due; everything else does from the start.
    pub fn is_in_line(&self, now: Timestamp) -> bool {
        self.due <= now || !self.is_put_back()
    }

    pub fn is_put_back(&self) -> bool {
        self.round > 0 && self.attempt == 1
    }
}

/// What is delivered.
pub(super) struct Taken {
    pub event: Arc<Accepted>,
    pub token: Token,
    pub round: u32,
    pub attempt: u32,
    pub lost: u32,
    pub first_attempt_at: Timestamp,
}

// Time, and what comes in.
impl Log {
    /// Lets come what is due: first to its functions, then into the log.
    pub fn pass(&mut self, now: Timestamp) {
        if now <= self.passed {
            return;
        }
        let is_due = |owed: &Owed| owed.due > self.passed && owed.due <= now;
        let due = self.owed.iter().filter(|(_, owed)| is_due(owed)).map(|(place, owed)| (owed.due, *place));
        let mut due: Vec<(Timestamp, Place)> = due.collect();
        due.sort_unstable_by_key(|(due, (function, position))| (*due, *position, *function));
        self.passed = now;
        for (_, place) in due {
            self.stand_in_line(place);
        }
        let mut ready: Vec<Delayed> = self.delayed.extract_if(.., |delayed| delayed.due <= now).collect();
        ready.sort_by_key(|delayed| delayed.due);
        for Delayed { event, origin, hops, .. } in ready {
            self.append(event, origin, hops, now);
        }
    }

    /// When `pass` has something to do, or a retry is due.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let owed = self.owed.values().map(|owed| owed.due);
        owed.chain(self.delayed.iter().map(|delayed| delayed.due)).filter(|due| *due > now).min()
    }

    pub fn publish(&mut self, batch: Vec<Incoming>, now: Timestamp) -> Result<Vec<Receipt>, PublishError> {
        for (index, Incoming { event, origin }) in batch.iter().enumerate() {
            let refused = |reason: String| PublishError::Refused { index, reason };
            event.validate(now).map_err(|error| refused(error.to_string()))?;
            if let Some(reason) = event.claims_replay() {
                return Err(refused(reason));
            }
            if self.takes_our_name(event, origin) {
                return Err(refused("its source is this project's own".to_owned()));
            }
            let earlier = batch[..index].iter().map(|other| &other.event).find(|other| is_same(other, event));
            let known = self.known(event).map(|(_, event)| event).or(earlier);
            if known.is_some_and(|known| !same_content(known, event)) {
                return Err(PublishError::ContentDiffers { index });
            }
        }
        Ok(batch.into_iter().map(|incoming| self.receive(incoming, now)).collect())
    }

    pub fn replay(&mut self, batch: Vec<Replay>, now: Timestamp) -> Result<Vec<Receipt>, PublishError> {
        let mut fresh: Vec<&Event> = Vec::new();
        for (index, replay) in batch.iter().enumerate() {
            let event = replay.event();
            match self
                .known(event)
                .map(|(_, known)| known)
                .or(fresh.iter().copied().find(|other| is_same(other, event)))
            {
                Some(known) if !same_content(known, event) => return Err(PublishError::ContentDiffers { index }),
                Some(_) => {}
                None => fresh.push(event),
            }
            let chain = event.correlation().unwrap_or(&event.id);
            let added = fresh.iter().filter(|event| event.correlation() == Some(chain)).count() as u64;
            if added > 0 && self.chain_events(chain) + added > CHAIN_EVENTS_MAX {
                return Err(PublishError::Refused { index, reason: chain_is_full(chain) });
            }
        }
        let mut receipts = Vec::with_capacity(batch.len());
        for (event, origin, hops) in batch.into_iter().map(Replay::into_parts) {
            let id = event.id.clone();
            receipts.push(match self.known(&event) {
                Some((position, _)) => Receipt { id, position, duplicate: true },
                None => Receipt { id, position: self.insert(event, origin, hops, now), duplicate: false },
            });
        }
        Ok(receipts)
    }

    /// How many events a chain has, with those that wait for their time.
    pub fn chain_events(&self, chain: &str) -> u64 {
        let events = self.events.values().map(|accepted| &accepted.event);
        let all = events.chain(self.delayed.iter().map(|delayed| &delayed.event));
        all.filter(|event| event.correlation() == Some(chain)).count() as u64
    }

    fn receive(&mut self, Incoming { event, origin }: Incoming, now: Timestamp) -> Receipt {
        let id = event.id.clone();
        if let Some((position, _)) = self.known(&event) {
            return Receipt { id, position, duplicate: true };
        }
        // Not random: a trace of a run is the same in each.
        let trace = event.key().uuid().as_u128();
        let position = self.insert(event::accept(event, now, trace), origin, 0, now);
        Receipt { id, position, duplicate: false }
    }

    /// The event with this id and source, and where it is if it has a position.
    pub fn known(&self, event: &Event) -> Option<(Option<Position>, &Event)> {
        let log = self.events.values().map(|accepted| (Some(accepted.position), &accepted.event));
        let delayed = self.delayed.iter().map(|delayed| (None, &delayed.event));
        log.chain(delayed).find(|(_, known)| is_same(known, event))
    }

    fn takes_our_name(&self, event: &Event, origin: &Origin) -> bool {
        let mut projects = self.deployments.iter().map(|stored| stored.deployment.project.as_str());
        matches!(origin.kind, OriginKind::Api | OriginKind::Trigger)
            && projects.any(|project| event::is_source_of(project, &event.source))
    }

    /// None: it waits for its time.
    pub fn insert(&mut self, event: Event, origin: Origin, hops: u32, now: Timestamp) -> Option<Position> {
        match event.deliver_at().filter(|due| *due > now) {
            Some(due) => {
                self.delayed.push(Delayed { due, event, origin, hops });
                None
            }
            None => Some(self.append(event, origin, hops, now)),
        }
    }

    pub fn append(&mut self, event: Event, origin: Origin, hops: u32, now: Timestamp) -> Position {
        self.tail += 1;
        self.last_accepted_at = now.max(self.last_accepted_at);
        let (position, accepted_at) = (self.tail, self.last_accepted_at);
        let accepted = Arc::new(Accepted { position, accepted_at, origin, hops, event });
        self.events.insert(position, accepted.clone());
        if let Some(active) = self.active.clone() {
            for function in &active.functions {
                self.judge(function, &accepted, now);
            }
        }
        position
    }

    pub fn tail(&self) -> Position {
        self.tail
    }
}

// Who gets what.
impl Log {
    /// What a function is owed that is not deployed waits until it is.
    fn is_deployed(&self, function: FunctionId) -> bool {
        self.active.as_ref().is_some_and(|active| active.function_by_id(function).is_some())
    }

    /// A function is owed what its filter lets pass, unless that is older than the newest of its line.
    pub fn judge(&mut self, function: &Function, accepted: &Accepted, now: Timestamp) {
        if !function.filter.hears(&accepted.event.ty) {
            return;
        }
        let Judgement::Deliver(keys) = function.judge(&Subject::new(accepted)) else { return };
        let place = (function.id, accepted.position);
        self.wanted.insert(place, keys.clone());
        let owed =
            Owed { round: 0, attempt: 1, lost: 0, first_attempt_at: None, due: Timestamp::EPOCH, taken: None, keys };
        self.owe(place, owed, now);
    }

    pub fn owe(&mut self, place: Place, owed: Owed, now: Timestamp) {
        let (keys, is_in_line) = (owed.keys.clone(), owed.is_in_line(now));
        self.owed.insert(place, owed);
        if !self.is_deployed(place.0) {
            return;
        }
        if self.supersede_if_older(place, now) {
            return;
        }
        for older in self.older_than(place.0, &keys) {
            self.supersede_if_older(older, now);
        }
        if is_in_line {
            self.stand_in_line(place);
        }
    }

    /// Occupies the order key, if it is free.
    pub fn stand_in_line(&mut self, place: Place) {
        let is_deployed = self.is_deployed(place.0);
        if let Some(key) = self.owed.get(&place).and_then(|owed| owed.keys.order.clone()).filter(|_| is_deployed) {
            self.lanes.entry((place.0, key)).or_insert(place.1);
        }
    }

    /// It is settled for good: its order key is free for the first of those that stand in line.
    pub fn end(&mut self, place: Place, now: Timestamp) {
        let Some(key) = self.owed.remove(&place).and_then(|owed| owed.keys.order) else { return };
        let lane = (place.0, key);
        if self.lanes.get(&lane) != Some(&place.1) {
            return;
        }
        self.lanes.remove(&lane);
        if let Some(next) = self.first_in_line(&lane, now) {
            self.lanes.insert(lane, next);
        }
    }

    fn first_in_line(&self, (function, key): &(FunctionId, Arc<str>), now: Timestamp) -> Option<Position> {
        let mut line = self.owed_by(*function).filter(|(_, owed)| owed.keys.order.as_ref() == Some(key));
        line.find(|(_, owed)| owed.is_in_line(now)).map(|(position, _)| position)
    }

    pub fn owed_by(&self, function: FunctionId) -> impl Iterator<Item = (Position, &Owed)> {
        self.owed.range((function, 0)..=(function, Position::MAX)).map(|((_, position), owed)| (*position, owed))
    }

    /// The event that occupies the order key of one that is owed, if that is another one.
    pub fn occupant(&self, (function, position): Place) -> Option<Position> {
        let key = self.owed.get(&(function, position))?.keys.order.clone()?;
        self.lanes.get(&(function, key)).copied().filter(|occupant| *occupant != position)
    }

    /// The event that stands right before one in the line of its order key.
    pub fn before(&self, (function, position): Place, now: Timestamp) -> Option<Position> {
        let occupant = self.occupant((function, position))?;
        let key = &self.owed[&(function, position)].keys.order;
        let in_line = |(before, owed): &(Position, &Owed)| {
            *before < position && *before != occupant && owed.keys.order == *key && owed.is_in_line(now)
        };
        Some(self.owed_by(function).filter(in_line).last().map_or(occupant, |(before, _)| before))
    }

    /// Hands out what is first in log order of all that nothing holds back.
    pub fn take(&mut self, function: FunctionId, now: Timestamp) -> Option<Taken> {
        self.active.as_ref()?.function_by_id(function)?;
        let free = |(position, owed): &(Position, &Owed)| {
            owed.taken.is_none() && owed.due <= now && self.occupant((function, *position)).is_none()
        };
        let (position, _) = self.owed_by(function).find(free)?;
        self.last_token += 1;
        let (place, token) = ((function, position), self.last_token);
        let owed = self.owed.get_mut(&place).expect("it was found");
        owed.taken = Some(token);
        let first_attempt_at = *owed.first_attempt_at.get_or_insert(now);
        self.out.insert(token, (place, owed.clone()));
        let Owed { round, attempt, lost, .. } = *owed;
        Some(Taken { event: self.events[&position].clone(), token, round, attempt, lost, first_attempt_at })
    }

    /// A delivery is over, and nothing was made of it.
    pub fn give_back(&mut self, token: Token, now: Timestamp) {
        let Some((place, _)) = self.out.remove(&token) else { return };
        if let Some(owed) = self.owed.get_mut(&place).filter(|owed| owed.taken == Some(token)) {
            owed.taken = None;
            self.supersede_if_older(place, now);
        }
    }
}

// Supersession.
impl Log {
    /// Settles an event that need not run, as a newer one of its line was accepted; one that is out goes on.
    pub fn supersede_if_older(&mut self, place: Place, now: Timestamp) -> bool {
        let Some(owed) = self.owed.get(&place).filter(|owed| owed.taken.is_none()) else { return false };
        if !self.is_deployed(place.0) {
            return false;
        }
        let newest = owed.keys.succession.as_ref().and_then(|own| self.newest(place.0, own));
        let Some(by) = newest else { return false };
        let deployment = self.active.as_ref().map_or(0, |active| active.number);
        let superseded = Superseded { function: place.0, by, at: now.max(self.last_accepted_at), deployment };
        self.superseded.insert((place, owed.round), superseded);
        self.end(place, now);
        true
    }

    /// The newest of a line that is newer than this one.
    fn newest(&self, function: FunctionId, own: &Succession) -> Option<Position> {
        let wanted = self.wanted.range((function, 0)..=(function, Position::MAX));
        let line = wanted.filter_map(|((_, position), keys)| Some((*position, keys.succession.as_ref()?)));
        let newer = line.filter(|(_, other)| other.line == own.line && own.rank.is_older_than(&other.rank));
        newer.reduce(|a, b| if a.1.rank.is_older_than(&b.1.rank) { b } else { a }).map(|(position, _)| position)
    }

    fn older_than(&self, function: FunctionId, keys: &Keys) -> Vec<Place> {
        let Some(own) = &keys.succession else { return Vec::new() };
        let is_older = |owed: &Owed| {
            let other = owed.keys.succession.as_ref();
            other.is_some_and(|other| other.line == own.line && other.rank.is_older_than(&own.rank))
        };
        self.owed_by(function).filter(|(_, owed)| is_older(owed)).map(|(position, _)| (function, position)).collect()
    }
}

fn is_same(one: &Event, other: &Event) -> bool {
    one.id == other.id && one.source == other.source
}
