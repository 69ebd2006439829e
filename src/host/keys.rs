//! Key-value effects: reads of committed state under the invocation's own writes.
//!
//! A read keeps the revision that it saw, of absence too, and the settlement is checked against it. A write stays here
//! until the settlement; what a failed attempt wrote is dropped with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Answer, Effect, EffectError, HostFault, lock};
use crate::bus::{KeyRead, KeyWrite, ReadScope, Revision, Versioned};
use crate::deployment::Function;

/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a value.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Keys that one invocation writes.
pub const WRITES_MAX: usize = 1_000;
/// Keys and spaces that one invocation reads.
pub const KEYS_READ_MAX: usize = 10_000;
/// Keys in one answer to a listing.
pub(super) const PAGE_KEYS_MAX: usize = 256;

/// The keys that others committed, under what the invocation itself writes: those of the bus, or what a recording tells of
/// them.
#[async_trait]
pub(super) trait Committed: Send + Sync {
    async fn value(&self, space: &str, key: &str, wanted: Wanted) -> Result<Versioned, HostFault>;

    async fn page(&self, space: &str, after: Option<&str>) -> Result<Page, HostFault>;
}

/// Some keys of a space, in order.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// The whole space's.
    pub revision: Revision,
    pub keys: Vec<String>,
    /// More may follow this key; none: these were the last.
    pub next: Option<String>,
}

/// What a value is wanted for: a recording may know only as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Value,
    Existence,
    Number,
}

/// What an invocation read and wrote, by space and key.
#[derive(Default)]
pub(super) struct Keys {
    /// The revision at the first read; no key: the whole space was listed.
    reads: BTreeMap<(String, Option<String>), Revision>,
    writes: BTreeMap<(String, String), Option<Bytes>>,
}

/// Why a key effect has no answer.
enum Stop {
    /// The guest is told.
    Effect(EffectError),
    /// It is ours.
    Fault(HostFault),
}

impl From<HostFault> for Stop {
    fn from(fault: HostFault) -> Self {
        Stop::Fault(fault)
    }
}

pub(super) async fn answer(
    committed: &dyn Committed,
    function: &Function,
    keys: &Mutex<Keys>,
    effect: &Effect,
) -> Result<Answer, HostFault> {
    let space = Space { committed, function, keys };
    match space.answer(effect).await {
        Ok(answer) => Ok(answer),
        Err(Stop::Effect(error)) => Ok(Answer::Failed(error)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

struct Space<'a> {
    committed: &'a dyn Committed,
    function: &'a Function,
    keys: &'a Mutex<Keys>,
}

impl Space<'_> {
    async fn answer(&self, effect: &Effect) -> Result<Answer, Stop> {
        match effect {
            Effect::KeyGet { space, key } => {
                let value = self.get(space, key, Wanted::Value).await?;
                Ok(Answer::Value(value.map(|value| value.to_vec())))
            }
            Effect::KeyExists { space, key } => {
                Ok(Answer::Exists(self.get(space, key, Wanted::Existence).await?.is_some()))
            }
            Effect::KeySet { space, key, value } => self.write(space, key, Some(Bytes::copy_from_slice(value))),
            Effect::KeyDelete { space, key } => self.write(space, key, None),
            Effect::KeyIncrement { space, key, delta } => self.increment(space, key, *delta).await,
            Effect::KeyList { space, after } => self.list(space, after.as_deref()).await,
            _ => unreachable!("only key effects are handed to this file"),
        }
    }

    async fn get(&self, space: &str, key: &str, wanted: Wanted) -> Result<Option<Bytes>, Stop> {
        self.may_read(space)?;
        check_key(key)?;
        if let Some(own) = lock(self.keys).writes.get(&(space.to_owned(), key.to_owned())) {
            return Ok(own.clone());
        }
        let committed = self.committed.value(space, key, wanted).await?;
        lock(self.keys).note_read(space, Some(key), committed.revision)?;
        Ok(committed.value)
    }

    fn write(&self, space: &str, key: &str, value: Option<Bytes>) -> Result<Answer, Stop> {
        self.may_write(space)?;
        check_key(key)?;
        let bytes = value.as_ref().map_or(0, Bytes::len);
        if bytes > VALUE_BYTES_MAX {
            return Err(refused(format!("the value of key {key:?} has {bytes} bytes; at most {VALUE_BYTES_MAX}")));
        }
        let mut keys = lock(self.keys);
        let entry = (space.to_owned(), key.to_owned());
        if keys.writes.len() >= WRITES_MAX && !keys.writes.contains_key(&entry) {
            return Err(refused(format!("an invocation writes at most {WRITES_MAX} keys; key {key:?} is one more")));
        }
        keys.writes.insert(entry, value);
        Ok(Answer::Done)
    }

    /// Adds to a number in decimal text, so that a later `get` reads what a person would.
    async fn increment(&self, space: &str, key: &str, delta: i64) -> Result<Answer, Stop> {
        self.may_write(space)?;
        let before = match self.get(space, key, Wanted::Number).await? {
            None => 0,
            Some(value) => std::str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| refused(format!("key {key:?} holds no decimal number, so it cannot be incremented")))?,
        };
        let sum = before
            .checked_add(delta)
            .ok_or_else(|| refused(format!("key {key:?}: {before} + {delta} does not fit 64 bits")))?;
        self.write(space, key, Some(Bytes::from(sum.to_string())))?;
        Ok(Answer::Number(sum))
    }

    /// A page of keys, own writes merged in.
    async fn list(&self, space: &str, after: Option<&str>) -> Result<Answer, Stop> {
        self.may_read(space)?;
        let Page { revision, keys: committed, next } = self.committed.page(space, after).await?;
        let mut keys = lock(self.keys);
        keys.note_read(space, None, revision)?;
        let mut page: BTreeSet<String> = committed.into_iter().collect();
        for (key, written) in keys.own(space, after, next.as_deref()) {
            match written {
                Some(_) => page.insert(key.to_owned()),
                None => page.remove(key),
            };
        }
        Ok(Answer::Keys { keys: page.into_iter().collect(), next })
    }

    fn may_read(&self, space: &str) -> Result<(), Stop> {
        let grants = &self.function.grants;
        if grants.keyvalue_read.iter().chain(&grants.keyvalue_write).any(|granted| granted == space) {
            return Ok(());
        }
        Err(self.not_permitted("read", space))
    }

    fn may_write(&self, space: &str) -> Result<(), Stop> {
        if self.function.grants.keyvalue_write.iter().any(|granted| granted == space) {
            return Ok(());
        }
        Err(self.not_permitted("write", space))
    }

    fn not_permitted(&self, verb: &str, space: &str) -> Stop {
        let name = &self.function.name;
        Stop::Effect(EffectError::NotPermitted(format!(
            "function {name} may not {verb} key space {space:?}; grant it with keyvalue.{verb} = [{space:?}]"
        )))
    }
}

impl Keys {
    fn note_read(&mut self, space: &str, key: Option<&str>, revision: Revision) -> Result<(), Stop> {
        let entry = (space.to_owned(), key.map(str::to_owned));
        if self.reads.len() >= KEYS_READ_MAX && !self.reads.contains_key(&entry) {
            return Err(refused(format!("an invocation reads at most {KEYS_READ_MAX} keys")));
        }
        // The first revision counts: if it has moved since, the settlement must find out.
        self.reads.entry(entry).or_insert(revision);
        Ok(())
    }

    /// Own writes in a space after `after`, up to `end`.
    fn own<'a>(
        &'a self,
        space: &'a str,
        after: Option<&str>,
        end: Option<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Option<Bytes>)> {
        let at = |key: &str| (space.to_owned(), key.to_owned());
        let from = after.map_or(Bound::Included(at("")), |after| Bound::Excluded(at(after)));
        let end = end.map(str::to_owned);
        self.writes
            .range((from, Bound::Unbounded))
            .take_while(move |((own, key), _)| own == space && end.as_ref().is_none_or(|end| key <= end))
            .map(|((_, key), value)| (key.as_str(), value))
    }

    pub(super) fn has_written(&self, space: &str, key: &str) -> bool {
        self.writes.contains_key(&(space.to_owned(), key.to_owned()))
    }

    pub(super) fn into_parts(self) -> (Vec<KeyRead>, Vec<KeyWrite>) {
        let reads = self.reads.into_iter().map(|((space, key), revision)| KeyRead {
            space,
            scope: key.map_or(ReadScope::Space, ReadScope::Key),
            revision,
        });
        let writes = self.writes.into_iter().map(|((space, key), value)| KeyWrite { space, key, value });
        (reads.collect(), writes.collect())
    }
}

fn check_key(key: &str) -> Result<(), Stop> {
    match key.len() {
        0 => Err(refused("a key must not be empty".to_owned())),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(refused(format!("a key has {bytes} bytes; at most {KEY_BYTES_MAX}"))),
    }
}

fn refused(reason: String) -> Stop {
    Stop::Effect(EffectError::Refused(reason))
}
