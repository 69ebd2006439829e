//! What stands before one function, as a value: no clock, no disk, no waiting.
//!
//! An item is in one place: ready, taken, held by an earlier event of its order key, held by a limit (`throttle`), or waiting
//! for a time (to be retried, or to be read again). An order key is occupied from the moment that its first event is offered
//! until that is settled for good, so a retry holds its key and nothing else; a place under a limit is occupied from the
//! moment that an item is ready until it is no longer taken. One that is superseded (`lines`) is taken by the reader, to be
//! settled without being run. `cursor` says where reading must start again after a crash: items that have a row of their own in the
//! log (retries, redrives) do not hold it back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::lines::{Entered, Lines, Newest};
use super::throttle::{Bucket, Throttle};
use crate::bus::PendingState;
use crate::clock::Timestamp;
use crate::deployment::{Function, Keys, Rate, Succession};
use crate::event::Position;

/// Ready items. Beyond it the function lags, and reads on from the log when it has room.
pub(super) const READY_MAX: usize = 1_024;
/// Items held by their order key or a limit, over all keys.
pub(super) const HELD_MAX: usize = 65_536;
/// Items that wait for a time.
pub(super) const WAITING_MAX: usize = 65_536;

/// One event for one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub position: Position,
    pub round: u32,
    /// Of the next start.
    pub attempt: u32,
    pub lost: u32,
    /// None until the first attempt starts.
    pub first_attempt_at: Option<Timestamp>,
    pub keys: Keys,
    /// Whether the log has a row for it, so that the cursor may pass it.
    pub durable: bool,
    /// Whether its function's filter let it pass; else its data could not be read, and it is judged when that can.
    pub judged: bool,
    /// How often in a row it could not be read.
    pub unread: u32,
}

impl Item {
    pub fn first(position: Position) -> Self {
        Item {
            position,
            round: 0,
            attempt: 1,
            lost: 0,
            first_attempt_at: None,
            keys: Keys::default(),
            durable: false,
            judged: true,
            unread: 0,
        }
    }
}

/// Names one taking, so that what is dropped late does not give back what was taken again.
pub(super) type Token = u64;

#[derive(Debug)]
struct Taken {
    item: Item,
    token: Token,
    /// Whether it has a place under its key's limit.
    passed: bool,
    is_superseded: bool,
}

/// What the filter said of an event that could be read at last.
pub(super) struct Judged {
    pub keys: Keys,
    /// The newest that the log has of its line.
    pub newest: Option<Newest>,
}

/// An item that was taken to be settled without being run.
#[derive(Debug)]
pub(super) struct Doomed {
    pub item: Item,
    pub token: Token,
    pub by: Position,
}

#[derive(Debug)]
struct Lane {
    holder: Position,
    held: BTreeMap<Position, Item>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeMap<Position, Item>,
    taken: HashMap<Position, Taken>,
    waiting: BTreeMap<(Timestamp, Position), Item>,
    lanes: HashMap<Arc<str>, Lane>,
    held: usize,
    rate: Option<Rate>,
    bucket: Bucket,
    /// When the rate lets the next one start, if it held one back.
    rate_due: Option<Timestamp>,
    throttle: Throttle,
    lines: Lines,
    superseded: Vec<Doomed>,
    /// Unsettled items without a row of their own.
    volatile: BTreeSet<Position>,
    /// Of every item here.
    known: HashSet<Position>,
    due: HashMap<Position, Timestamp>,
    last_token: Token,
}

impl Queue {
    /// Whether more may be offered.
    pub fn has_room(&self) -> bool {
        let held = self.held + self.throttle.held();
        self.ready.len() < READY_MAX && held < HELD_MAX && self.waiting.len() < WAITING_MAX
    }

    /// Whether a function that lags should read on now: not for each single place.
    pub fn has_much_room(&self) -> bool {
        self.has_room() && self.ready.len() <= READY_MAX / 2
    }

    /// Takes up how quickly the function may be given events from now on.
    pub fn set_pace(&mut self, function: &Function, now: Timestamp) {
        if self.rate != function.rate {
            (self.rate, self.rate_due) = (function.rate, None);
        }
        let ready = self.throttle.set(function.limit.clone(), now);
        self.make_ready(ready);
    }

    /// Takes an event in, at the place that its position gives it.
    pub fn offer(&mut self, item: Item, newest: Option<Newest>, now: Timestamp) {
        if !self.known.insert(item.position) {
            return;
        }
        if !item.durable {
            self.volatile.insert(item.position);
        }
        if let Some(item) = self.succeed(item, newest) {
            self.place(item, now);
        }
    }

    /// Takes an item in that waits until a time, and holds its key meanwhile.
    pub fn offer_at(&mut self, item: Item, newest: Option<Newest>, due: Timestamp) {
        if !self.known.insert(item.position) {
            return;
        }
        let Some(item) = self.succeed(item, newest) else { return };
        if let Some(key) = &item.keys.order {
            if let Some(lane) = self.lanes.get_mut(key) {
                // Its key is taken: when it is free, the time has come or it waits on alone.
                lane.held.insert(item.position, item);
                self.held += 1;
                return;
            }
            self.lanes.insert(key.clone(), Lane { holder: item.position, held: BTreeMap::new() });
        }
        self.wait(item, due);
    }

    pub fn contains(&self, position: Position) -> bool {
        self.known.contains(&position)
    }

    /// Takes up an item's place in its line: what is older is superseded by it. Gives it back unless it is older itself.
    fn succeed(&mut self, item: Item, newest: Option<Newest>) -> Option<Item> {
        match self.lines.enter(item.position, &item.keys, newest) {
            Entered::Superseded { by } => {
                self.supersede(item, by, false);
                None
            }
            Entered::Supersedes(older) => {
                for (position, keys) in older {
                    self.withdraw(position, &keys, item.position);
                }
                Some(item)
            }
        }
    }

    /// Supersedes an item wherever it stands; one that is taken goes on.
    fn withdraw(&mut self, position: Position, keys: &Keys, by: Position) {
        if let Some(item) = self.ready.remove(&position) {
            return self.supersede(item, by, true);
        }
        if let Some(due) = self.due.remove(&position) {
            let item = self.waiting.remove(&(due, position));
            return item.into_iter().for_each(|item| self.supersede(item, by, false));
        }
        let lane = keys.order.as_ref().and_then(|key| self.lanes.get_mut(key));
        if let Some(item) = lane.and_then(|lane| lane.held.remove(&position)) {
            self.held -= 1;
            return self.supersede(item, by, false);
        }
        if let Some(item) = keys.limit.as_ref().and_then(|key| self.throttle.withdraw(position, key)) {
            self.supersede(item, by, false);
        }
    }

    fn supersede(&mut self, item: Item, by: Position, passed: bool) {
        self.last_token += 1;
        let token = self.last_token;
        self.taken.insert(item.position, Taken { item: item.clone(), token, passed, is_superseded: true });
        self.superseded.push(Doomed { item, token, by });
    }

    /// Whether the newest event of a line is known here.
    pub fn knows_newest(&self, succession: &Succession) -> bool {
        self.lines.knows(succession)
    }

    pub fn has_superseded(&self) -> bool {
        !self.superseded.is_empty()
    }

    /// What is to be settled without being run.
    pub fn take_superseded(&mut self) -> Vec<Doomed> {
        std::mem::take(&mut self.superseded)
    }

    fn place(&mut self, item: Item, now: Timestamp) {
        if let Some(key) = &item.keys.order {
            match self.lanes.get_mut(key) {
                Some(lane) if lane.holder == item.position => {}
                Some(lane) => {
                    lane.held.insert(item.position, item);
                    self.held += 1;
                    return;
                }
                None => {
                    self.lanes.insert(key.clone(), Lane { holder: item.position, held: BTreeMap::new() });
                }
            }
        }
        self.enter(item, now);
    }

    /// Nothing but a limit stands before it.
    fn enter(&mut self, item: Item, now: Timestamp) {
        let ready = self.throttle.enter(item, now);
        self.make_ready(ready);
    }

    /// It is no longer taken, nor ready.
    fn leave(&mut self, Taken { item, passed, .. }: &Taken, now: Timestamp) {
        if *passed {
            let ready = self.throttle.leave(item.keys.limit.as_ref(), now);
            self.make_ready(ready);
        }
    }

    fn make_ready(&mut self, items: Vec<Item>) {
        self.ready.extend(items.into_iter().map(|item| (item.position, item)));
    }

    /// Takes the first ready item, to read its event, if the rate lets it.
    pub fn take(&mut self, now: Timestamp) -> Option<(Item, Token)> {
        let first = self.ready.first_entry()?;
        if let Some(Err(due)) = self.rate.map(|rate| self.bucket.take(&rate, now)) {
            self.rate_due = Some(due);
            return None;
        }
        self.rate_due = None;
        let item = first.remove();
        self.last_token += 1;
        let token = self.last_token;
        let taken = Taken { item: item.clone(), token, passed: true, is_superseded: false };
        self.taken.insert(item.position, taken);
        Some((item, token))
    }

    /// Its event was read, and an attempt starts.
    pub fn start(&mut self, position: Position, token: Token, now: Timestamp) -> Option<Item> {
        let taken = self.taken.get_mut(&position).filter(|taken| taken.token == token)?;
        taken.item.first_attempt_at.get_or_insert(now);
        taken.item.unread = 0;
        Some(taken.item.clone())
    }

    /// What was taken comes back unsettled; it is the next one again, and no attempt was made.
    pub fn give_back(&mut self, position: Position, token: Token) -> bool {
        let Some(taken) = self.finish(position, token) else { return false };
        match self.lines.superseded(&taken.item.keys) {
            Some(by) => self.supersede(taken.item, by, taken.passed),
            None => drop(self.ready.insert(position, taken.item)),
        }
        true
    }

    /// Its event was read at last, and its function's filter lets it pass. A key that only the data tells places it behind
    /// what went on without it.
    pub fn judged(&mut self, position: Position, token: Token, judged: Judged, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.leave(&taken, now);
        self.lines.leave(position, &taken.item.keys);
        let item = Item { judged: true, keys: judged.keys, ..taken.item };
        if let Some(item) = self.succeed(item, judged.newest) {
            self.place(item, now);
        }
    }

    /// It is settled for good; the next of its key goes on.
    pub fn settled(&mut self, position: Position, token: Token, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.volatile.remove(&position);
        self.known.remove(&position);
        self.leave(&taken, now);
        self.lines.leave(position, &taken.item.keys);
        let Some(key) = taken.item.keys.order else { return };
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.holder == position) else { return };
        match lane.held.pop_first() {
            Some((next, item)) => {
                lane.holder = next;
                self.held -= 1;
                self.enter(item, now);
            }
            None => {
                self.lanes.remove(&key);
            }
        }
    }

    /// It is to be tried again at a time; the log has a row for it.
    pub fn retry(&mut self, position: Position, token: Token, due: Timestamp, now: Timestamp) {
        self.keep(position, token);
        let Some(taken) = self.finish(position, token) else { return };
        self.leave(&taken, now);
        let item = Item { attempt: taken.item.attempt + 1, ..taken.item };
        match self.lines.superseded(&item.keys) {
            Some(by) => self.supersede(item, by, false),
            None => self.wait(item, due),
        }
    }

    /// Its event could not be read: it is to be read again at a time, and no attempt was made.
    pub fn set_aside(&mut self, position: Position, token: Token, due: Timestamp, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.leave(&taken, now);
        self.wait(Item { unread: taken.item.unread.saturating_add(1), ..taken.item }, due);
    }

    /// The log has a row for it: the cursor may pass it.
    pub fn keep(&mut self, position: Position, token: Token) {
        if let Some(taken) = self.taken.get_mut(&position).filter(|taken| taken.token == token) {
            taken.item.durable = true;
            self.volatile.remove(&position);
        }
    }

    fn wait(&mut self, item: Item, due: Timestamp) {
        self.due.insert(item.position, due);
        self.waiting.insert((due, item.position), item);
    }

    fn finish(&mut self, position: Position, token: Token) -> Option<Taken> {
        if self.taken.get(&position)?.token != token {
            return None;
        }
        self.taken.remove(&position)
    }

    /// Makes ready what is due.
    pub fn release(&mut self, now: Timestamp) {
        self.rate_due.take_if(|due| *due <= now);
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let item = entry.remove();
            self.due.remove(&item.position);
            match self.lines.superseded(&item.keys) {
                Some(by) => self.supersede(item, by, false),
                None => self.enter(item, now),
            }
        }
        let ready = self.throttle.release(now);
        self.make_ready(ready);
    }

    /// When `release` is to be called next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first_key_value().map(|((due, _), _)| *due);
        [waiting, self.rate_due, self.throttle.next_due()].into_iter().flatten().min()
    }

    /// Everything at or below it is settled, or has a row of its own; `read`: how far the log was read.
    pub fn cursor(&self, read: Position) -> Position {
        self.volatile.first().map_or(read, |first| read.min(first - 1))
    }

    /// Unsettled items.
    pub fn len(&self) -> usize {
        self.ready.len() + self.taken.len() + self.waiting.len() + self.held + self.throttle.held()
    }

    /// The first position that is not settled.
    pub fn oldest(&self) -> Option<Position> {
        let taken = self.taken.keys().min().copied();
        let waiting = self.due.keys().min().copied();
        let ready = self.ready.first_key_value().map(|(position, _)| *position);
        [taken, waiting, ready, self.throttle.oldest()].into_iter().flatten().min()
    }

    /// Where an item stands; none: it is not here.
    pub fn state(&self, position: Position) -> Option<PendingState> {
        if let Some(taken) = self.taken.get(&position) {
            return Some(match taken.is_superseded {
                true => PendingState::Ready,
                false => PendingState::Running { attempt: taken.item.attempt },
            });
        }
        if self.ready.contains_key(&position) {
            return Some(match self.rate_due {
                Some(at) => PendingState::Rate { key: None, at },
                None => PendingState::Ready,
            });
        }
        if let Some((key, at)) = self.throttle.holds(position) {
            let key = key.to_string();
            return Some(match at {
                Some(at) => PendingState::Rate { key: Some(key), at },
                None => PendingState::Limit { key },
            });
        }
        if let Some(at) = self.due.get(&position).copied() {
            let item = self.waiting.get(&(at, position))?;
            return Some(match item.judged && item.unread == 0 {
                true => PendingState::Retrying { attempt: item.attempt, at },
                false => PendingState::Unreadable { at },
            });
        }
        let lane = self.lanes.values().find(|lane| lane.held.contains_key(&position))?;
        let before = lane.held.range(..position).next_back().map_or(lane.holder, |(before, _)| *before);
        Some(PendingState::Behind { position: before })
    }
}
