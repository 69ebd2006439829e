//! Type patterns, and the index of them by which an event finds its functions.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A full type, perhaps with a trailing `*` that matches any rest.
///
/// Invariant: not empty, and no `*` but the last character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypePattern(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is no type pattern; write a full type, perhaps with one * at its end")]
pub struct PatternError {
    pattern: String,
}

impl TypePattern {
    pub fn matches(&self, ty: &str) -> bool {
        matches(&self.0, ty)
    }

    /// Whether there is a type that both match.
    pub fn overlaps(&self, other: &TypePattern) -> bool {
        overlap(&self.0, &other.0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text before the `*`; none for a full type.
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }
}

/// Whether a `*` stands nowhere but at the end, where it means any rest.
pub(super) fn is_valid(pattern: &str) -> bool {
    !pattern.strip_suffix('*').unwrap_or(pattern).contains('*')
}

/// Whether `text` is `pattern`, or begins with what stands before the pattern's trailing `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    }
}

/// Whether two patterns, each a full type or a beginning and `*`, have a type in common.
pub fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (None, None) => a == b,
        (Some(start), None) => b.starts_with(start),
        (None, Some(start)) => a.starts_with(start),
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
    }
}

impl FromStr for TypePattern {
    type Err = PatternError;

    fn from_str(pattern: &str) -> Result<Self, PatternError> {
        let plain = !pattern.contains(|c: char| c.is_whitespace() || c.is_control());
        let valid = !pattern.is_empty() && plain && is_valid(pattern);
        if valid { Ok(TypePattern(pattern.to_owned())) } else { Err(PatternError { pattern: pattern.to_owned() }) }
    }
}

impl TryFrom<String> for TypePattern {
    type Error = PatternError;

    fn try_from(pattern: String) -> Result<Self, PatternError> {
        pattern.parse()
    }
}

impl From<TypePattern> for String {
    fn from(pattern: TypePattern) -> String {
        pattern.0
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds, by an event's type, what was filed under patterns that match it. A look-up costs one probe for the full type
/// and one for each length of prefix in the index, however many entries there are.
#[derive(Debug, Clone)]
pub struct TypeIndex<T> {
    entries: Vec<T>,
    exact: HashMap<String, Vec<usize>>,
    /// Prefix patterns by their length in bytes.
    prefixes: BTreeMap<usize, HashMap<String, Vec<usize>>>,
    /// Entries without a pattern: every type is theirs.
    any: Vec<usize>,
}

impl<T> TypeIndex<T> {
    /// Files each value under its patterns; one without patterns is found by every type.
    pub fn new<P: AsRef<[TypePattern]>>(filed: impl IntoIterator<Item = (P, T)>) -> Self {
        let mut index =
            TypeIndex { entries: Vec::new(), exact: HashMap::new(), prefixes: BTreeMap::new(), any: Vec::new() };
        for (patterns, value) in filed {
            let entry = index.entries.len();
            index.entries.push(value);
            let patterns = patterns.as_ref();
            if patterns.is_empty() {
                index.any.push(entry);
            }
            for pattern in patterns {
                let (map, text) = match pattern.prefix() {
                    Some(prefix) => (index.prefixes.entry(prefix.len()).or_default(), prefix),
                    None => (&mut index.exact, pattern.as_str()),
                };
                map.entry(text.to_owned()).or_default().push(entry);
            }
        }
        index
    }

    /// The values filed under a pattern that matches `ty`: each once, in the order in which they were filed.
    pub fn lookup(&self, ty: &str) -> impl Iterator<Item = &T> {
        let by_prefix = self.prefixes.iter().filter_map(|(length, map)| map.get(ty.get(..*length)?));
        let mut found: Vec<usize> =
            self.exact.get(ty).into_iter().chain(by_prefix).flatten().chain(&self.any).copied().collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|entry| &self.entries[entry])
    }
}

impl<T> Default for TypeIndex<T> {
    fn default() -> Self {
        TypeIndex::new(std::iter::empty::<([TypePattern; 0], T)>())
    }
}
