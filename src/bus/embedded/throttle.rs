//! What holds back items that are ready otherwise: rates, and limits on items of one key. A value: no clock, no waiting.
//!
//! A rate is a bucket of tokens, kept as the generic cell rate algorithm does (ITU-T I.371): of a bucket it is enough to
//! know when it will be full. After a restart every bucket is full. A token that was taken for what did not start comes back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::item::Item;
use crate::clock::Timestamp;
use crate::deployment::{KeyLimit, Rate};
use crate::event::Position;

/// Keys that are remembered although nothing of them is here.
const LANES_MAX: usize = 65_536;
/// Keys that are looked at to find one that can be forgotten.
const FORGET_LOOKS_MAX: usize = 64;

/// A bucket of tokens.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// Takes a token; else says when there will be one.
    pub fn take(&mut self, rate: &Rate, now: Timestamp) -> Result<(), Timestamp> {
        let filled = self.full_at(rate, now).minus(rate.interval().saturating_mul(rate.burst() - 1));
        if now < filled {
            return Err(filled);
        }
        self.full_at = self.full_at.max(now).plus(rate.interval());
        Ok(())
    }

    /// A token was not used.
    pub fn give_back(&mut self, rate: &Rate) {
        self.full_at = self.full_at.minus(rate.interval());
    }

    /// When it is full. An empty one fills in its time, whatever rate it had before and wherever the clock was set.
    fn full_at(&mut self, rate: &Rate, now: Timestamp) -> Timestamp {
        self.full_at = self.full_at.min(now.plus(rate.interval().saturating_mul(rate.burst())));
        self.full_at
    }
}

/// The items of each key: those held, and how many have passed and not left. A key is known while it has any, or its
/// bucket is not full.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    limit: Option<KeyLimit>,
    lanes: HashMap<Arc<str>, Lane>,
    /// Lanes to be looked at again, by time.
    due: BTreeSet<(Timestamp, Arc<str>)>,
    held: usize,
}

#[derive(Debug, Default)]
struct Lane {
    passed: u32,
    held: BTreeMap<Position, Item>,
    bucket: Bucket,
    /// Its place in `Throttle::due`.
    due: Option<Timestamp>,
}

impl Lane {
    /// Takes what may pass. Answers when the lane is to be looked at again; `Err`: it can be forgotten.
    fn pass(
        &mut self,
        limit: Option<&KeyLimit>,
        now: Timestamp,
        ready: &mut Vec<Item>,
    ) -> Result<Option<Timestamp>, ()> {
        let concurrency = limit.and_then(|limit| limit.concurrency).unwrap_or(u32::MAX);
        let rate = limit.and_then(|limit| limit.rate.as_ref());
        while self.passed < concurrency && !self.held.is_empty() {
            if let Some(Err(at)) = rate.map(|rate| self.bucket.take(rate, now)) {
                return Ok(Some(at));
            }
            self.passed += 1;
            ready.extend(self.held.pop_first().map(|(_, item)| item));
        }
        match (self.is_idle(), rate.map(|rate| self.bucket.full_at(rate, now))) {
            (false, _) => Ok(None),
            (true, Some(full_at)) if full_at > now => Ok(Some(full_at)),
            (true, Some(_) | None) => Err(()),
        }
    }

    fn is_idle(&self) -> bool {
        self.passed == 0 && self.held.is_empty()
    }
}

impl Throttle {
    /// Changes the limit. Answers what may pass now.
    pub fn set(&mut self, limit: Option<KeyLimit>, now: Timestamp) -> Vec<Item> {
        if self.limit == limit {
            return Vec::new();
        }
        self.limit = limit;
        let keys: Vec<Arc<str>> = self.lanes.keys().cloned().collect();
        keys.iter().flat_map(|key| self.look(key, now)).collect()
    }

    /// Takes an item in. Answers what may pass now.
    pub fn enter(&mut self, item: Item, now: Timestamp) -> Vec<Item> {
        let Some(key) = item.keys.limit.clone() else { return vec![item] };
        self.lanes.entry(key.clone()).or_default().held.insert(item.position, item);
        self.held += 1;
        self.look(&key, now)
    }

    /// One of a key that had passed has run. Answers what may pass now.
    pub fn leave(&mut self, key: Option<&Arc<str>>, now: Timestamp) -> Vec<Item> {
        let Some((key, lane)) = key.and_then(|key| Some((key, self.lanes.get_mut(key)?))) else { return Vec::new() };
        lane.passed = lane.passed.saturating_sub(1);
        self.look(key, now)
    }

    /// One of a key that had passed is gone without having started. Answers what may pass now.
    pub fn turn_back(&mut self, key: Option<&Arc<str>>, now: Timestamp) -> Vec<Item> {
        let lane = key.and_then(|key| self.lanes.get_mut(key));
        let rate = self.limit.as_ref().and_then(|limit| limit.rate.as_ref());
        if let (Some(lane), Some(rate)) = (lane, rate) {
            lane.bucket.give_back(rate);
        }
        self.leave(key, now)
    }

    /// Takes one that is held out again.
    pub fn withdraw(&mut self, position: Position, key: &Arc<str>) -> Option<Item> {
        // Its lane is looked at again in any case, when others of it leave or a token is there.
        let item = self.lanes.get_mut(key)?.held.remove(&position)?;
        self.held -= 1;
        Some(item)
    }

    /// Answers what may pass because its time has come.
    pub fn release(&mut self, now: Timestamp) -> Vec<Item> {
        let mut ready = Vec::new();
        while let Some((_, key)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            ready.extend(self.look(&key, now));
        }
        ready
    }

    fn look(&mut self, key: &Arc<str>, now: Timestamp) -> Vec<Item> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        if let Some(due) = lane.due.take() {
            self.due.remove(&(due, key.clone()));
        }
        let mut ready = Vec::new();
        match lane.pass(self.limit.as_ref(), now, &mut ready) {
            Ok(due) => {
                lane.due = due;
                self.due.extend(due.map(|due| (due, key.clone())));
            }
            Err(()) => drop(self.lanes.remove(key)),
        }
        self.held -= ready.len();
        self.forget();
        ready
    }

    /// Of too many keys, one that has nothing here is forgotten before its bucket is full.
    fn forget(&mut self) {
        if self.lanes.len() <= LANES_MAX {
            return;
        }
        let is_idle = |(_, key): &&(Timestamp, Arc<str>)| self.lanes.get(key).is_some_and(Lane::is_idle);
        let Some(idle) = self.due.iter().take(FORGET_LOOKS_MAX).find(is_idle).cloned() else { return };
        self.due.remove(&idle);
        self.lanes.remove(&idle.1);
    }

    /// When a lane is to be looked at again.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Items that are held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// The first position that is held.
    pub fn oldest(&self) -> Option<Position> {
        self.lanes.values().filter_map(|lane| lane.held.first_key_value()).map(|(position, _)| *position).min()
    }

    /// How many of each key have passed and not left.
    #[cfg(test)]
    pub fn passed(&self) -> BTreeMap<Arc<str>, u32> {
        let passed = self.lanes.iter().map(|(key, lane)| (key.clone(), lane.passed));
        passed.filter(|(_, passed)| *passed > 0).collect()
    }

    /// What holds a position, if anything does: its key, and when a token will be there, if that is what it lacks.
    pub fn holds(&self, position: Position) -> Option<(Arc<str>, Option<Timestamp>)> {
        let (key, lane) = self.lanes.iter().find(|(_, lane)| lane.held.contains_key(&position))?;
        Some((key.clone(), lane.due))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deployment::Keys;
    use crate::filter::KeyExpression;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn rate(per_second: f64, burst: u32) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    fn limit(concurrency: Option<u32>, rate: Option<Rate>) -> Option<KeyLimit> {
        Some(KeyLimit { key: KeyExpression::new("event.source").unwrap(), concurrency, rate })
    }

    fn item(position: Position, key: &str) -> Item {
        Item { keys: Keys { limit: Some(key.into()), ..Keys::default() }, ..Item::first(position) }
    }

    fn positions(items: Vec<Item>) -> Vec<Position> {
        items.into_iter().map(|item| item.position).collect()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_token_an_interval() {
        let (mut bucket, rate) = (Bucket::default(), rate(10.0, 3));
        let mut take = |millis: i64| bucket.take(&rate, at(millis));
        for _ in 0..3 {
            assert_eq!(take(1_000), Ok(()));
        }
        assert_eq!(take(1_000), Err(at(1_100)));
        assert_eq!(take(1_099), Err(at(1_100)));
        assert_eq!(take(1_100), Ok(()));
        assert_eq!(take(1_100), Err(at(1_200)));
        // A clock that is set back costs no more than an empty bucket.
        assert_eq!(take(900), Err(at(1_000)));
        assert_eq!(take(1_000), Ok(()));
        for _ in 0..3 {
            assert_eq!(take(9_000), Ok(()));
        }
        assert_eq!(take(9_000), Err(at(9_100)));
    }

    #[test]
    fn a_bucket_of_another_rate_fills_at_that_rate_and_an_unused_token_comes_back() {
        let (slow, quick) = (rate(0.01, 100), rate(100.0, 1));
        let mut bucket = Bucket::default();
        (0..100).for_each(|_| bucket.take(&slow, at(0)).unwrap());
        assert_eq!(bucket.take(&slow, at(0)), Err(at(100_000)));
        assert_eq!(bucket.take(&quick, at(0)), Err(at(10)));
        assert_eq!(bucket.take(&quick, at(10)), Ok(()));
        assert_eq!(bucket.take(&quick, at(10)), Err(at(20)));
        bucket.give_back(&quick);
        assert_eq!(bucket.take(&quick, at(10)), Ok(()));
    }

    #[test]
    fn over_time_a_bucket_gives_neither_more_nor_less_than_its_rate() {
        for (per_second, burst) in [(1.0, 1), (3.0, 1), (7.5, 5), (9_999.0, 100)] {
            let (mut bucket, rate) = (Bucket::default(), rate(per_second, burst));
            let (mut now, mut taken) = (at(5_000), 0_u32);
            let end = now.plus(Duration::from_secs(20));
            while now < end {
                match bucket.take(&rate, now) {
                    Ok(()) => taken += 1,
                    Err(later) => now = later,
                }
            }
            let expected = 20.0 * per_second + f64::from(burst);
            // An interval is a whole number of microseconds.
            let off = (f64::from(taken) - expected).abs();
            assert!(off <= 1.0 + expected / 1_000.0, "{taken} of {expected} at {per_second}/s");
        }
    }

    #[test]
    fn a_full_key_holds_its_own_in_order_and_no_other() {
        let mut throttle = Throttle::default();
        assert!(throttle.set(limit(Some(1), None), at(0)).is_empty());
        assert_eq!(positions(throttle.enter(item(1, "a"), at(0))), [1]);
        assert!(throttle.enter(item(3, "a"), at(0)).is_empty());
        assert!(throttle.enter(item(2, "a"), at(0)).is_empty());
        assert_eq!(positions(throttle.enter(item(4, "b"), at(0))), [4]);
        assert_eq!((throttle.held(), throttle.oldest()), (2, Some(2)));
        assert_eq!(throttle.holds(3), Some(("a".into(), None)));
        assert_eq!(positions(throttle.leave(Some(&"a".into()), at(0))), [2]);
        assert_eq!(positions(throttle.leave(Some(&"a".into()), at(0))), [3]);
        assert!(throttle.leave(Some(&"a".into()), at(0)).is_empty());
        assert!(throttle.leave(Some(&"b".into()), at(0)).is_empty());
        assert_eq!((throttle.held(), throttle.lanes.len()), (0, 0));
    }

    #[test]
    fn a_key_has_a_rate_of_its_own_and_is_forgotten_when_its_bucket_is_full() {
        let mut throttle = Throttle::default();
        throttle.set(limit(None, Some(rate(1.0, 2))), at(0));
        let entered: Vec<_> = (1..=4).flat_map(|position| throttle.enter(item(position, "a"), at(0))).collect();
        assert_eq!(positions(entered), [1, 2]);
        assert_eq!(positions(throttle.enter(item(5, "b"), at(0))), [5]);
        assert_eq!((throttle.next_due(), throttle.holds(4)), (Some(at(1_000)), Some(("a".into(), Some(at(1_000))))));
        assert!(throttle.release(at(999)).is_empty());
        assert_eq!(positions(throttle.release(at(1_000))), [3]);
        assert_eq!(positions(throttle.release(at(2_000))), [4]);
        for key in ["a", "a", "a", "a", "b"] {
            assert!(throttle.leave(Some(&key.into()), at(2_000)).is_empty());
        }
        assert_eq!(throttle.lanes.len(), 1, "b's bucket is full by now");
        assert!(throttle.release(throttle.next_due().unwrap()).is_empty());
        assert_eq!((throttle.lanes.len(), throttle.next_due()), (0, None));
    }

    #[test]
    fn what_did_not_start_costs_its_key_nothing_and_of_too_many_keys_some_are_forgotten() {
        let mut throttle = Throttle::default();
        throttle.set(limit(None, Some(rate(0.001, 1))), at(0));
        assert_eq!(positions(throttle.enter(item(1, "a"), at(0))), [1]);
        assert!(throttle.enter(item(2, "a"), at(0)).is_empty());
        assert_eq!(positions(throttle.turn_back(Some(&"a".into()), at(0))), [2]);
        for position in 3..LANES_MAX as u64 + 10 {
            let key = position.to_string();
            assert_eq!(throttle.enter(item(position, &key), at(0)).len(), 1);
            throttle.leave(Some(&key.as_str().into()), at(0));
        }
        assert_eq!(throttle.lanes.len(), LANES_MAX);
        assert!(throttle.lanes.contains_key("a"), "what is here is not forgotten");
    }

    #[test]
    fn another_limit_holds_from_now_on() {
        let mut throttle = Throttle::default();
        throttle.set(limit(Some(1), None), at(0));
        let entered: Vec<_> = (1..=5).flat_map(|position| throttle.enter(item(position, "a"), at(0))).collect();
        assert_eq!(positions(entered), [1]);
        assert_eq!(positions(throttle.set(limit(Some(3), None), at(0))), [2, 3]);
        assert!(throttle.set(limit(Some(1), None), at(0)).is_empty());
        assert!(throttle.leave(Some(&"a".into()), at(0)).is_empty());
        assert_eq!(positions(throttle.set(None, at(0))), [4, 5]);
        assert_eq!(throttle.held(), 0);
    }
}
