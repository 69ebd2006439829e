//! What stands before one function, as a value: no clock, no disk, no waiting.
//!
//! An item is in one place: ready, taken, held by an earlier event of its order key, held by a limit (`throttle`), or waiting
//! for a time: to be retried, to be read again, or to run again after it was a dead letter. An order key is occupied from the
//! moment that its first event is offered until that is settled for good, so a retry holds its key and nothing else; a place
//! under a limit is occupied from the moment that an item is ready until it is no longer taken. One that is superseded
//! (`lines`) is taken without a place, to be settled without being run. `cursor` says where reading must start again after a
//! crash: items that have a row of their own in the log (retries, redrives) do not hold it back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::item::Item;
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

/// Names one taking, so that what is dropped late does not give back what was taken again.
pub(super) type Token = u64;

#[derive(Debug)]
struct Taken {
    item: Item,
    token: Token,
    /// Whether an attempt was made.
    started: bool,
}

#[derive(Debug)]
struct Lane {
    holder: Position,
    held: BTreeMap<Position, Item>,
}

/// What the filter said of an event that could be read at last.
pub(super) struct Judged {
    pub keys: Keys,
    /// The newest that the log has of its line.
    pub newest: Option<Newest>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeMap<Position, Item>,
    taken: HashMap<Position, Taken>,
    /// To be tried or read again; each keeps its order key.
    waiting: BTreeMap<(Timestamp, Position), Item>,
    /// Put back, and not due: any number, and in nobody's way.
    put_back: BTreeMap<(Timestamp, Position), Item>,
    lanes: HashMap<Arc<str>, Lane>,
    held: usize,
    rate: Option<Rate>,
    bucket: Bucket,
    /// When the rate lets the next one start, if it held one back.
    rate_due: Option<Timestamp>,
    throttle: Throttle,
    lines: Lines,
    /// Taken because they are superseded, and not handed out yet.
    superseded: Vec<(Item, Token)>,
    /// Those that are not settled yet, handed out or not.
    superseded_open: usize,
    /// Unsettled items without a row of their own.
    volatile: BTreeSet<Position>,
    /// Of every item here.
    known: HashSet<Position>,
    /// Of what waits or was put back.
    due: HashMap<Position, Timestamp>,
    last_token: Token,
}

impl Queue {
    /// Whether more may be offered.
    pub fn has_room(&self) -> bool {
        self.is_within(1)
    }

    /// Whether a function that lags should read on now: not for each single place.
    pub fn has_much_room(&self) -> bool {
        self.is_within(2)
    }

    /// Whether everything that has a bound has come to a part of it at most.
    fn is_within(&self, part: usize) -> bool {
        let held = self.held + self.throttle.held() + self.superseded_open;
        self.ready.len() < READY_MAX / part && held < HELD_MAX / part && self.waiting.len() < WAITING_MAX / part
    }

    /// Takes up how quickly the function may be given events from now on.
    pub fn set_pace(&mut self, function: &Function, now: Timestamp) {
        if self.rate != function.rate {
            (self.rate, self.rate_due) = (function.rate, None);
        }
        let ready = self.throttle.set(function.limit.clone(), now);
        self.make_ready(ready);
    }

    /// Takes an event in, at the place that its position gives it. `newest`: what the log has of its line, unless the queue
    /// knows better.
    pub fn offer(&mut self, item: Item, newest: Option<Newest>, now: Timestamp) {
        if !self.known.insert(item.position) {
            return;
        }
        if !item.durable {
            self.volatile.insert(item.position);
        }
        if let Some(item) = self.succeed(item, newest, now) {
            self.place(item, now);
        }
    }

    /// Takes an item in that waits until a time.
    pub fn offer_at(&mut self, item: Item, newest: Option<Newest>, due: Timestamp, now: Timestamp) {
        if !self.known.insert(item.position) {
            return;
        }
        let Some(item) = self.succeed(item, newest, now) else { return };
        if item.is_put_back() {
            self.due.insert(item.position, due);
            self.put_back.insert((due, item.position), item);
        } else if let Some(item) = self.take_lane(Item { not_before: Some(due), ..item }) {
            self.wait(item, due);
        }
    }

    /// Whether something was taken and did not come back.
    pub fn is_out(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Of every item here.
    pub fn positions(&self) -> HashSet<Position> {
        self.known.clone()
    }

    pub fn contains(&self, position: Position) -> bool {
        self.known.contains(&position)
    }

    /// Whether the newest event of a line is known here.
    pub fn knows_newest(&mut self, succession: &Succession) -> bool {
        self.lines.knows(succession)
    }

    /// Takes up an item's place in its line: what is older is superseded by it. Gives it back unless it is older itself.
    fn succeed(&mut self, item: Item, newest: Option<Newest>, now: Timestamp) -> Option<Item> {
        match self.lines.enter(item.position, &item.keys, newest) {
            Entered::Superseded { by } => {
                self.supersede(item, by);
                None
            }
            Entered::Supersedes(older) => {
                for (position, keys) in older {
                    if let Some(older) = self.withdraw(position, &keys, now) {
                        self.supersede(older, item.position);
                    }
                }
                Some(item)
            }
        }
    }

    /// Takes an item out of the place where it stands; one that is taken stays so.
    fn withdraw(&mut self, position: Position, keys: &Keys, now: Timestamp) -> Option<Item> {
        if let Some(item) = self.ready.remove(&position) {
            let ready = self.throttle.turn_back(item.keys.limit.as_ref(), now);
            self.make_ready(ready);
            return Some(item);
        }
        if let Some(due) = self.due.remove(&position) {
            return self.waiting.remove(&(due, position)).or_else(|| self.put_back.remove(&(due, position)));
        }
        let lane = keys.order.as_ref().and_then(|key| self.lanes.get_mut(key));
        if let Some(item) = lane.and_then(|lane| lane.held.remove(&position)) {
            self.held -= 1;
            return Some(item);
        }
        self.throttle.withdraw(position, keys.limit.as_ref()?)
    }

    /// Takes an item that stands nowhere, to be settled without being run.
    fn supersede(&mut self, item: Item, by: Position) {
        self.lines.leave(item.position, &item.keys);
        let item = Item { superseded_by: Some(by), ..item };
        let token = self.take_up(item.clone());
        self.superseded.push((item, token));
        self.superseded_open += 1;
    }

    pub fn has_superseded(&self) -> bool {
        !self.superseded.is_empty()
    }

    /// Hands out what is to be settled without being run.
    pub fn take_superseded(&mut self) -> Vec<(Item, Token)> {
        std::mem::take(&mut self.superseded)
    }

    fn place(&mut self, item: Item, now: Timestamp) {
        if let Some(item) = self.take_lane(item) {
            self.enter(item, now);
        }
    }

    /// Occupies an item's order key, or holds it until that is free.
    fn take_lane(&mut self, item: Item) -> Option<Item> {
        let Some(key) = &item.keys.order else { return Some(item) };
        match self.lanes.get_mut(key) {
            Some(lane) if lane.holder == item.position => Some(item),
            Some(lane) => {
                lane.held.insert(item.position, item);
                self.held += 1;
                None
            }
            None => {
                self.lanes.insert(key.clone(), Lane { holder: item.position, held: BTreeMap::new() });
                Some(item)
            }
        }
    }

    /// Lets the next one of an order key go on, if it was this one that occupied it.
    fn free_lane(&mut self, position: Position, key: Option<&Arc<str>>, now: Timestamp) {
        let lane = key.and_then(|key| Some((key, self.lanes.get_mut(key)?)));
        let Some((key, lane)) = lane.filter(|(_, lane)| lane.holder == position) else { return };
        let Some((next, item)) = lane.held.pop_first() else {
            self.lanes.remove(key);
            return;
        };
        lane.holder = next;
        self.held -= 1;
        match item.not_before {
            Some(due) if due > now => self.wait(item, due),
            Some(_) | None => self.enter(item, now),
        }
    }

    /// Nothing but a limit stands before it.
    fn enter(&mut self, item: Item, now: Timestamp) {
        let ready = self.throttle.enter(item, now);
        self.make_ready(ready);
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
        let token = self.take_up(item.clone());
        Some((item, token))
    }

    fn take_up(&mut self, item: Item) -> Token {
        self.last_token += 1;
        self.taken.insert(item.position, Taken { item, token: self.last_token, started: false });
        self.last_token
    }

    /// Its event was read, and an attempt starts.
    pub fn start(&mut self, position: Position, token: Token, now: Timestamp) -> Option<Item> {
        let taken = self.taken.get_mut(&position).filter(|taken| taken.token == token)?;
        taken.started = true;
        taken.item.first_attempt_at.get_or_insert(now);
        taken.item.unread = 0;
        Some(taken.item.clone())
    }

    /// What was taken comes back unsettled; it is the next one again, and no attempt was made.
    pub fn give_back(&mut self, position: Position, token: Token, now: Timestamp) -> bool {
        let Some(taken) = self.finish(position, token) else { return false };
        if let Some(by) = taken.item.superseded_by {
            self.supersede(taken.item, by);
        } else if let Some(by) = self.lines.superseded(&taken.item.keys) {
            self.leave_limit(&taken, now);
            self.supersede(taken.item, by);
        } else {
            self.ready.insert(position, taken.item);
        }
        true
    }

    /// Its event was read at last, and its function's filter lets it pass. A key that only the data tells places it behind
    /// what went on without it.
    pub fn judged(&mut self, position: Position, token: Token, judged: Judged, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.leave_limit(&taken, now);
        self.lines.leave(position, &taken.item.keys);
        if taken.item.keys.order != judged.keys.order {
            self.free_lane(position, taken.item.keys.order.as_ref(), now);
        }
        let item = Item { judged: true, keys: judged.keys, ..taken.item };
        if let Some(item) = self.succeed(item, judged.newest, now) {
            self.place(item, now);
        }
    }

    /// It is settled for good; the next of its key goes on.
    pub fn settled(&mut self, position: Position, token: Token, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.volatile.remove(&position);
        self.known.remove(&position);
        self.leave_limit(&taken, now);
        self.lines.leave(position, &taken.item.keys);
        self.free_lane(position, taken.item.keys.order.as_ref(), now);
    }

    /// It is to be tried again at a time; the log has a row for it.
    pub fn retry(&mut self, position: Position, token: Token, due: Timestamp, now: Timestamp) {
        self.keep(position, token);
        let Some(taken) = self.finish(position, token) else { return };
        self.leave_limit(&taken, now);
        let item = Item { attempt: taken.item.attempt + 1, ..taken.item };
        match self.lines.superseded(&item.keys) {
            Some(by) => self.supersede(item, by),
            None => self.wait(item, due),
        }
    }

    /// Its event could not be read, or its verdict not be written: it comes again at a time, and no attempt was made.
    pub fn set_aside(&mut self, position: Position, token: Token, due: Timestamp, now: Timestamp) {
        let Some(taken) = self.finish(position, token) else { return };
        self.leave_limit(&taken, now);
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

    /// It is no longer taken. Where no attempt was made, the rate counts none.
    fn finish(&mut self, position: Position, token: Token) -> Option<Taken> {
        if self.taken.get(&position)?.token != token {
            return None;
        }
        let taken = self.taken.remove(&position)?;
        if taken.item.superseded_by.is_some() {
            self.superseded_open -= 1;
        } else if !taken.started
            && let Some(rate) = &self.rate
        {
            self.bucket.give_back(rate);
        }
        Some(taken)
    }

    /// It gives its place under its key's limit to the next.
    fn leave_limit(&mut self, Taken { item, started, .. }: &Taken, now: Timestamp) {
        if item.superseded_by.is_some() {
            return;
        }
        let key = item.keys.limit.as_ref();
        let ready = match started {
            true => self.throttle.leave(key, now),
            false => self.throttle.turn_back(key, now),
        };
        self.make_ready(ready);
    }

    /// Lets what is due go on.
    pub fn release(&mut self, now: Timestamp) {
        self.rate_due.take_if(|due| *due <= now);
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.due.remove(&item.position);
            match item.superseded_by.or_else(|| self.lines.superseded(&item.keys)) {
                Some(by) => self.supersede(item, by),
                None => self.enter(item, now),
            }
        }
        while let Some(entry) = self.put_back.first_entry().filter(|entry| entry.key().0 <= now) {
            let item = entry.remove();
            self.due.remove(&item.position);
            self.place(item, now);
        }
        let ready = self.throttle.release(now);
        self.make_ready(ready);
    }

    /// When `release` is to be called next.
    pub fn next_due(&self) -> Option<Timestamp> {
        let first = |items: &BTreeMap<(Timestamp, Position), Item>| items.first_key_value().map(|((due, _), _)| *due);
        let due = [first(&self.waiting), first(&self.put_back), self.rate_due, self.throttle.next_due()];
        due.into_iter().flatten().min()
    }

    /// Everything at or below it is settled, or has a row of its own; `read`: how far the log was read.
    pub fn cursor(&self, read: Position) -> Position {
        self.volatile.first().map_or(read, |first| read.min(first - 1))
    }

    /// Unsettled items.
    pub fn len(&self) -> usize {
        self.backlog() + self.put_back.len()
    }

    /// Those that an operator did not put back for later.
    pub fn backlog(&self) -> usize {
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
            return Some(match taken.item.superseded_by {
                Some(_) => PendingState::Ready,
                None => PendingState::Running { attempt: taken.item.attempt },
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
            let item = self.waiting.get(&(at, position)).or_else(|| self.put_back.get(&(at, position)))?;
            return Some(match (item.superseded_by, item.judged && item.unread == 0) {
                (Some(_), _) => PendingState::Ready,
                (None, true) => PendingState::Retrying { attempt: item.attempt, at },
                (None, false) => PendingState::Unreadable { at },
            });
        }
        let lane = self.lanes.values().find(|lane| lane.held.contains_key(&position))?;
        let before = lane.held.range(..position).next_back().map_or(lane.holder, |(before, _)| *before);
        Some(PendingState::Behind { position: before })
    }
}

#[cfg(test)]
mod tests;
