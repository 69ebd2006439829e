//! The extension attributes that a sender's file sets: what orders its events.

use std::collections::BTreeMap;

use super::payload::attribute_text;
use crate::event::{Extension, attribute};

/// `partitionkey` and `sequence`; one that cannot be an attribute is left out.
pub fn ordering(key: Option<String>, sequence: Option<String>) -> BTreeMap<String, Extension> {
    let pairs = [(attribute::PARTITION_KEY, key), (attribute::SEQUENCE, sequence)];
    pairs
        .into_iter()
        .filter_map(|(name, value)| {
            let value = value.filter(|value| attribute_text(value).is_some())?;
            Some((name.to_owned(), Extension::Text(value)))
        })
        .collect()
}
