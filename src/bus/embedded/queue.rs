//! What stands before one function, as a value: no clock, no disk, no waiting.
//!
//! An item is in one place: ready, running, held by an earlier event of its key, or retrying at a time. A key is
//! occupied from the moment that its first event is offered until that is settled for good, so a retry holds its key and
//! nothing else. `cursor` says where reading must start again after a crash: items that have a row of their own in the
//! log (retries, redrives) do not hold it back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::bus::PendingState;
use crate::clock::Timestamp;
use crate::event::Position;

/// Ready items. Beyond it the function lags, and reads on from the log when it has room.
pub(super) const READY_MAX: usize = 1_024;
/// Items held by their key, over all keys.
pub(super) const HELD_MAX: usize = 65_536;
/// Items that wait to be tried again.
pub(super) const RETRYING_MAX: usize = 65_536;

/// One event for one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub position: Position,
    pub round: u32,
    /// Of the next start.
    pub attempt: u32,
    pub lost: u32,
    /// None until it is first handed out.
    pub first_attempt_at: Option<Timestamp>,
    /// None: not ordered.
    pub key: Option<Arc<str>>,
    /// Whether the log has a row for it, so that the cursor may pass it.
    pub durable: bool,
}

impl Item {
    pub fn first(position: Position, key: Option<Arc<str>>) -> Self {
        Item { position, round: 0, attempt: 1, lost: 0, first_attempt_at: None, key, durable: false }
    }
}

/// Names one handing out, so that what is dropped late does not give back what was handed out again.
pub(super) type Token = u64;

#[derive(Debug)]
struct Running {
    item: Item,
    token: Token,
}

#[derive(Debug)]
struct Lane {
    holder: Position,
    held: BTreeMap<Position, Item>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: BTreeMap<Position, Item>,
    running: HashMap<Position, Running>,
    retrying: BTreeMap<(Timestamp, Position), Item>,
    lanes: HashMap<Arc<str>, Lane>,
    held: usize,
    /// Unsettled items without a row of their own.
    volatile: BTreeSet<Position>,
    /// Of every item here.
    known: HashSet<Position>,
    retry_at: HashMap<Position, Timestamp>,
    last_token: Token,
}

impl Queue {
    /// Whether more may be offered.
    pub fn has_room(&self) -> bool {
        self.ready.len() < READY_MAX && self.held < HELD_MAX && self.retrying.len() < RETRYING_MAX
    }

    /// Whether a function that lags should read on now: not for each single place.
    pub fn has_much_room(&self) -> bool {
        self.has_room() && self.ready.len() <= READY_MAX / 2
    }

    /// Takes an event in, at the place that its position gives it.
    pub fn offer(&mut self, item: Item) {
        if !self.known.insert(item.position) {
            return;
        }
        if !item.durable {
            self.volatile.insert(item.position);
        }
        self.place(item);
    }

    /// Takes an item in that waits until a time, and holds its key meanwhile.
    pub fn offer_at(&mut self, item: Item, due: Timestamp) {
        if !self.known.insert(item.position) {
            return;
        }
        if let Some(key) = &item.key {
            if let Some(lane) = self.lanes.get_mut(key) {
                // Its key is taken: when it is free, the time has come or it waits on alone.
                lane.held.insert(item.position, item);
                self.held += 1;
                return;
            }
            self.lanes.insert(key.clone(), Lane { holder: item.position, held: BTreeMap::new() });
        }
        self.retry_at.insert(item.position, due);
        self.retrying.insert((due, item.position), item);
    }

    fn place(&mut self, item: Item) {
        if let Some(key) = &item.key {
            match self.lanes.get_mut(key) {
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
        self.ready.insert(item.position, item);
    }

    /// Hands the first ready item out.
    pub fn take(&mut self, now: Timestamp) -> Option<(Item, Token)> {
        let (_, mut item) = self.ready.pop_first()?;
        item.first_attempt_at.get_or_insert(now);
        self.last_token += 1;
        let token = self.last_token;
        self.running.insert(item.position, Running { item: item.clone(), token });
        Some((item, token))
    }

    /// What was handed out comes back unsettled; it is the next one again, and no attempt was made.
    pub fn give_back(&mut self, position: Position, token: Token) -> bool {
        let Some(running) = self.finish(position, token) else { return false };
        self.ready.insert(position, running);
        true
    }

    /// It is settled for good; the next of its key goes on.
    pub fn settled(&mut self, position: Position, token: Token) {
        let Some(item) = self.finish(position, token) else { return };
        self.volatile.remove(&position);
        self.known.remove(&position);
        let Some(key) = item.key else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        match lane.held.pop_first() {
            Some((next, item)) => {
                lane.holder = next;
                self.held -= 1;
                self.ready.insert(next, item);
            }
            None => {
                self.lanes.remove(&key);
            }
        }
    }

    /// It is to be tried again at a time; the log has a row for it.
    pub fn retry(&mut self, position: Position, token: Token, due: Timestamp) {
        let Some(mut item) = self.finish(position, token) else { return };
        item.attempt += 1;
        item.durable = true;
        self.volatile.remove(&position);
        self.retry_at.insert(position, due);
        self.retrying.insert((due, position), item);
    }

    fn finish(&mut self, position: Position, token: Token) -> Option<Item> {
        if self.running.get(&position)?.token != token {
            return None;
        }
        self.running.remove(&position).map(|running| running.item)
    }

    /// Makes ready what is due. Answers whether anything was.
    pub fn release(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while let Some(entry) = self.retrying.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let item = entry.remove();
            self.retry_at.remove(&item.position);
            self.ready.insert(item.position, item);
            any = true;
        }
        any
    }

    /// When the next retry is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.retrying.first_key_value().map(|((due, _), _)| *due)
    }

    /// Everything at or below it is settled, or has a row of its own; `read`: how far the log was read.
    pub fn cursor(&self, read: Position) -> Position {
        self.volatile.first().map_or(read, |first| read.min(first - 1))
    }

    /// Unsettled items.
    pub fn len(&self) -> usize {
        self.ready.len() + self.running.len() + self.retrying.len() + self.held
    }

    /// The first position that is not settled.
    pub fn oldest(&self) -> Option<Position> {
        let running = self.running.keys().min().copied();
        let retrying = self.retry_at.keys().min().copied();
        let ready = self.ready.first_key_value().map(|(position, _)| *position);
        [running, retrying, ready].into_iter().flatten().min()
    }

    /// Where an item stands; none: it is not here.
    pub fn state(&self, position: Position) -> Option<PendingState> {
        if let Some(running) = self.running.get(&position) {
            return Some(PendingState::Running { attempt: running.item.attempt });
        }
        if self.ready.contains_key(&position) {
            return Some(PendingState::Ready);
        }
        if let Some(due) = self.retry_at.get(&position) {
            let attempt = self.retrying.get(&(*due, position)).map_or(1, |item| item.attempt);
            return Some(PendingState::Retrying { attempt, at: *due });
        }
        let lane = self.lanes.values().find(|lane| lane.held.contains_key(&position))?;
        let before = lane.held.range(..position).next_back().map_or(lane.holder, |(before, _)| *before);
        Some(PendingState::Behind { position: before })
    }
}
