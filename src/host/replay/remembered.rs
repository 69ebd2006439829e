//! What a recording tells of committed keys: each read of it, with what the invocation itself had written taken off.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Answer, Effect, Journal};
use crate::bus::Versioned;
use crate::host::keys::{Page, Wanted};

/// By space and key, or by space and where the page begins.
#[derive(Default)]
pub(super) struct Remembered {
    keys: BTreeMap<(String, String), Known>,
    pages: BTreeMap<(String, Option<String>), Listed>,
}

/// A page as it was listed, but for the keys that the invocation had written by then: what was committed under them, it does
/// not tell.
struct Listed {
    page: Page,
    own: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Value(Option<Bytes>),
    /// It is there, with a value that nobody read.
    Exists,
    /// It counts from nothing: it is absent or says 0.
    Zero,
}

impl Remembered {
    pub(super) fn of(journal: &Journal) -> Self {
        let mut remembered = Remembered::default();
        let mut own = BTreeSet::new();
        for entry in journal.entries() {
            remembered.note(&entry.effect, &entry.answer, &mut own);
        }
        remembered
    }

    /// `own`: what the invocation has written so far; reads of it tell nothing of what was committed.
    fn note(&mut self, effect: &Effect, answer: &Answer, own: &mut BTreeSet<(String, String)>) {
        match (effect, answer) {
            (Effect::KeyGet { space, key }, Answer::Value(value)) => {
                self.learn(space, key, Known::Value(value.clone().map(Bytes::from)), own);
            }
            (Effect::KeyExists { space, key }, Answer::Exists(true)) => self.learn(space, key, Known::Exists, own),
            (Effect::KeyExists { space, key }, Answer::Exists(false)) => {
                self.learn(space, key, Known::Value(None), own);
            }
            (Effect::KeyIncrement { space, key, delta }, Answer::Number(sum)) => {
                let known = match sum.checked_sub(*delta) {
                    Some(0) | None => Known::Zero,
                    Some(before) => Known::Value(Some(before.to_string().into())),
                };
                self.learn(space, key, known, own);
                own.insert((space.clone(), key.clone()));
            }
            (Effect::KeySet { space, key, .. } | Effect::KeyDelete { space, key }, Answer::Done) => {
                own.insert((space.clone(), key.clone()));
            }
            (Effect::KeyList { space, after }, Answer::Keys { keys, next }) => {
                let own: BTreeSet<String> =
                    own.iter().filter(|(of, _)| of == space).map(|(_, key)| key.clone()).collect();
                let keys = keys.iter().filter(|key| !own.contains(*key)).cloned().collect();
                let page = Page { revision: 0, keys, next: next.clone() };
                self.pages.entry((space.clone(), after.clone())).or_insert(Listed { page, own });
            }
            _ => {}
        }
    }

    /// The first read counts, but for one that told less.
    fn learn(&mut self, space: &str, key: &str, known: Known, own: &BTreeSet<(String, String)>) {
        let place = (space.to_owned(), key.to_owned());
        if own.contains(&place) {
            return;
        }
        let before = self.keys.entry(place).or_insert_with(|| known.clone());
        if matches!((&*before, &known), (Known::Exists | Known::Zero, Known::Value(_))) {
            *before = known;
        }
    }

    /// Whether a page that was listed shows that a key is absent.
    fn is_listed_absent(&self, space: &str, key: &str) -> bool {
        let of_space = self.pages.iter().filter(|((own, _), _)| own == space);
        let mut around = of_space.filter(|((_, after), Listed { page, own })| {
            after.as_deref().is_none_or(|after| key > after)
                && page.next.as_deref().is_none_or(|next| key <= next)
                && !own.contains(key)
        });
        around.any(|(_, listed)| !listed.page.keys.iter().any(|known| known == key))
    }
}

impl Remembered {
    /// None: the recording does not tell.
    pub(super) fn value(&self, space: &str, key: &str, wanted: Wanted) -> Option<Versioned> {
        let known = self.keys.get(&(space.to_owned(), key.to_owned()));
        let value = match (known, wanted) {
            (Some(Known::Value(value)), _) => value.clone(),
            (Some(Known::Exists), Wanted::Existence) => Some(Bytes::new()),
            (Some(Known::Zero), Wanted::Number) => None,
            (None, _) if self.is_listed_absent(space, key) => None,
            (Some(Known::Exists | Known::Zero) | None, _) => return None,
        };
        Some(Versioned { revision: 0, value })
    }

    /// None: the recording does not tell, or not of keys that this run has not written itself.
    pub(super) fn page(&self, space: &str, after: Option<&str>, has_written: impl Fn(&str) -> bool) -> Option<Page> {
        let Listed { page, own } = self.pages.get(&(space.to_owned(), after.map(str::to_owned)))?;
        own.iter().all(|key| has_written(key)).then(|| page.clone())
    }
}
