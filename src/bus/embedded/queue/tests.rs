//! Random steps: whatever happens, each item stands in one place, gives back what it held, and comes to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::bus::conformance::function;
use crate::deployment::{KeyLimit, Rank};
use crate::filter::KeyExpression;

const STEPS: usize = 400;

struct Run {
    random: ChaCha8Rng,
    queue: Queue,
    now: Timestamp,
    next: Position,
    /// Taken and not given away again: whether an attempt was started.
    out: BTreeMap<Position, (Token, bool)>,
    /// What each was offered with.
    keys: BTreeMap<Position, Keys>,
    ended: BTreeSet<Position>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Run {
            random: ChaCha8Rng::seed_from_u64(seed),
            queue: Queue::default(),
            now: Timestamp::from_micros(1_000_000_000),
            next: 1,
            out: BTreeMap::new(),
            keys: BTreeMap::new(),
            ended: BTreeSet::new(),
        };
        run.change_pace();
        run
    }

    fn chance(&mut self, of: u32) -> u32 {
        self.random.next_u32() % of
    }

    fn soon(&mut self) -> Timestamp {
        let millis = u64::from(self.chance(3_000));
        self.now.plus(Duration::from_millis(millis))
    }

    fn change_pace(&mut self) {
        let rate = |per_second: u32| Rate::new(f64::from(per_second), 2).unwrap();
        let rates = [None, Some(rate(1)), Some(rate(1_000))];
        let key = KeyExpression::new("event.source").unwrap();
        let limit = KeyLimit { key, concurrency: Some(1 + self.chance(2)), rate: rates[self.chance(3) as usize] };
        let limit = (self.chance(3) > 0).then_some(limit);
        let function = Function { rate: rates[self.chance(3) as usize], limit, ..function("f", "t") };
        self.queue.set_pace(&function, self.now);
    }

    fn random_keys(&mut self) -> Keys {
        let name = |number: u32| (number > 0).then(|| Arc::from(number.to_string()));
        let (order, limit) = (name(self.chance(3)), name(self.chance(3)));
        let rank = Rank::from_stored(format!("t{}", self.chance(10)));
        let succession = name(self.chance(3)).map(|line| Succession { line, rank });
        Keys { order, limit, succession }
    }

    fn offer(&mut self) {
        let (position, keys) = (self.next, self.random_keys());
        self.next += 1;
        let item = Item { keys: keys.clone(), ..Item::first(position) };
        match self.chance(8) {
            // Unread as yet: what its line is will be told.
            0 => {
                let keys = Keys { succession: None, ..keys.clone() };
                self.queue.offer(Item { judged: false, keys, ..item }, None, self.now);
            }
            1 => {
                let due = self.soon();
                self.queue.offer_at(Item { durable: true, attempt: 2, ..item }, None, due, self.now);
            }
            2 => {
                let due = self.soon();
                self.queue.offer_at(Item { durable: true, round: 1, ..item }, None, due, self.now);
            }
            _ => self.queue.offer(item, None, self.now),
        }
        self.keys.insert(position, keys);
    }

    fn take(&mut self) {
        if let Some((item, token)) = self.queue.take(self.now) {
            assert!(self.out.insert(item.position, (token, false)).is_none(), "{} is taken twice", item.position);
            if !item.judged {
                let judged = Judged { keys: self.keys[&item.position].clone(), newest: None };
                self.queue.judged(item.position, token, judged, self.now);
                self.out.remove(&item.position);
            }
        }
    }

    /// One that is out, if any is.
    fn any_out(&mut self) -> Option<(Position, Token, bool)> {
        let index = self.chance(self.out.len().max(1) as u32) as usize;
        self.out.iter().nth(index).map(|(position, (token, started))| (*position, *token, *started))
    }

    fn act(&mut self) {
        let Some((position, token, started)) = self.any_out() else { return };
        if !started && self.chance(3) > 0 {
            self.queue.start(position, token, self.now).unwrap();
            self.out.insert(position, (token, true));
            return;
        }
        self.out.remove(&position);
        let due = self.soon();
        match (self.chance(4), started) {
            (0, _) => assert!(self.queue.give_back(position, token, self.now)),
            (1, true) => self.queue.retry(position, token, due, self.now),
            (1, false) => self.queue.set_aside(position, token, due, self.now),
            _ => self.end(position, token),
        }
    }

    fn end(&mut self, position: Position, token: Token) {
        self.queue.settled(position, token, self.now);
        assert!(self.ended.insert(position), "{position} ends twice");
    }

    fn settle_superseded(&mut self) {
        for (item, token) in self.queue.take_superseded() {
            assert!(!self.out.contains_key(&item.position), "{} is out", item.position);
            match self.chance(4) {
                0 => {
                    let due = self.soon();
                    self.queue.set_aside(item.position, token, due, self.now);
                }
                1 => assert!(self.queue.give_back(item.position, token, self.now)),
                _ => self.end(item.position, token),
            }
        }
    }

    fn step(&mut self) {
        match self.chance(10) {
            0..=2 => self.offer(),
            3..=4 => self.take(),
            5..=6 => self.act(),
            7 => self.settle_superseded(),
            8 => {
                self.now = self.soon();
                self.queue.release(self.now);
            }
            _ if self.chance(5) == 0 => self.change_pace(),
            _ => {}
        }
    }

    fn check(&self) {
        let queue = &self.queue;
        let held =
            |lanes: &HashMap<Arc<str>, Lane>| lanes.values().flat_map(|lane| lane.held.keys().copied()).collect();
        let lanes: Vec<Position> = held(&queue.lanes);
        assert_eq!(lanes.len(), queue.held);
        let mut places: Vec<Position> = lanes;
        places.extend(queue.ready.keys());
        places.extend(queue.taken.keys());
        places.extend(queue.waiting.keys().map(|(_, position)| position));
        places.extend(queue.put_back.keys().map(|(_, position)| position));
        let elsewhere = queue.known.iter().filter(|position| queue.throttle.holds(**position).is_some());
        places.extend(elsewhere);
        places.sort_unstable();
        let mut known: Vec<Position> = queue.known.iter().copied().collect();
        known.sort_unstable();
        assert_eq!(places, known, "each stands in one place");
        assert_eq!(queue.len(), known.len());
        for (key, lane) in &queue.lanes {
            assert!(queue.known.contains(&lane.holder), "{key} is held by nobody");
        }
        let mut passed: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let taken = queue.taken.values().filter(|taken| taken.item.superseded_by.is_none()).map(|taken| &taken.item);
        for item in queue.ready.values().chain(taken) {
            if let Some(key) = &item.keys.limit {
                *passed.entry(key.clone()).or_default() += 1;
            }
        }
        assert_eq!(queue.throttle.passed(), passed, "places under a limit");
        let superseded = queue.taken.values().filter(|taken| taken.item.superseded_by.is_some()).count();
        assert_eq!(superseded, queue.superseded_open);
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        for _ in 0..20 * self.next {
            if self.queue.len() == 0 {
                break;
            }
            self.now = self.now.plus(Duration::from_secs(2));
            self.queue.release(self.now);
            self.take();
            while let Some((position, token, started)) = self.any_out() {
                if !started {
                    self.queue.start(position, token, self.now).unwrap();
                }
                self.out.remove(&position);
                self.end(position, token);
            }
            self.settle_superseded();
            self.check();
        }
        assert_eq!(self.ended, self.keys.keys().copied().collect(), "each comes to its end");
        assert!(self.queue.lanes.is_empty() && self.queue.volatile.is_empty() && self.queue.due.is_empty());
    }
}

#[test]
fn each_item_stands_in_one_place_and_comes_to_its_end() {
    let first: u64 = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + 100 {
        println!("seed {seed}: TIDEGATE_SEED={seed} repeats it");
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
            run.check();
        }
        run.finish();
    }
}

#[test]
fn what_could_not_be_read_takes_no_token() {
    let mut queue = Queue::default();
    let now = Timestamp::from_micros(1_000_000_000);
    queue.set_pace(&Function { rate: Some(Rate::new(0.01, 1).unwrap()), ..function("f", "t") }, now);
    queue.offer(Item::first(1), None, now);
    queue.offer(Item::first(2), None, now);
    let (item, token) = queue.take(now).unwrap();
    queue.set_aside(item.position, token, now.plus(Duration::from_secs(60)), now);
    let (item, token) = queue.take(now).unwrap();
    assert_eq!(item.position, 2);
    queue.start(item.position, token, now).unwrap();
    queue.settled(item.position, token, now);
    queue.offer(Item::first(3), None, now);
    assert!(queue.take(now).is_none(), "the rate counts what started");
}

#[test]
fn dead_letters_that_are_put_back_hold_up_nobody_until_they_are_due() {
    let mut queue = Queue::default();
    let now = Timestamp::from_micros(1_000_000_000);
    let keys = || Keys { order: Some("k".into()), ..Keys::default() };
    let later = |seconds: u64| now.plus(Duration::from_secs(seconds));
    for position in [1, 2] {
        let item = Item { durable: true, round: 1, keys: keys(), ..Item::first(position) };
        queue.offer_at(item, None, later(10 * position), now);
    }
    assert_eq!((queue.len(), queue.backlog()), (2, 0));
    let run = |queue: &mut Queue, seconds: u64| {
        queue.release(later(seconds));
        let (item, token) = queue.take(later(seconds))?;
        queue.settled(item.position, token, later(seconds));
        Some(item.position)
    };
    queue.offer(Item { keys: keys(), ..Item::first(3) }, None, now);
    assert_eq!(run(&mut queue, 0), Some(3));
    assert_eq!(run(&mut queue, 9), None);
    assert_eq!(run(&mut queue, 10), Some(1));
    assert_eq!(run(&mut queue, 19), None, "one of a key is not drawn after the other");
    assert_eq!(run(&mut queue, 20), Some(2));
}
