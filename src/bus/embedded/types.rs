//! The types in the log, by steps through their index: senders choose them, so that nobody keeps them all in memory.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use crate::filter::TypePattern;

/// Types that one of `patterns` matches, no pattern being every type; at most `max`, for the log may have any number.
/// A full type counts whether or not the log has it.
pub(super) fn matching(db: &Connection, patterns: &[TypePattern], max: usize) -> rusqlite::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    if patterns.is_empty() {
        step_through(db, "", max, &mut found)?;
    }
    for pattern in patterns {
        match pattern.prefix() {
            Some(prefix) => step_through(db, prefix, max, &mut found)?,
            None => {
                if found.len() < max {
                    found.insert(pattern.as_str().to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// Adds the types that begin with `prefix`, each by one look into the index, until there are `max`.
fn step_through(db: &Connection, prefix: &str, max: usize, found: &mut BTreeSet<String>) -> rusqlite::Result<()> {
    let mut first = db.prepare_cached("SELECT type FROM events WHERE type >= ? ORDER BY type LIMIT 1")?;
    let mut following = db.prepare_cached("SELECT type FROM events WHERE type > ? ORDER BY type LIMIT 1")?;
    let mut next: Option<String> = first.query_row([prefix], |row| row.get(0)).optional()?;
    while let Some(ty) = next.take_if(|ty| ty.starts_with(prefix) && found.len() < max) {
        next = following.query_row([&ty], |row| row.get(0)).optional()?;
        found.insert(ty);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::embedded::schema;

    #[test]
    fn types_are_found_by_pattern_each_once_and_no_more_than_asked_for() {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        for (number, ty) in ["a.b", "a.b", "a.b.c", "a.bé", "a.c", "ab", "b"].into_iter().enumerate() {
            let id = number.to_string();
            db.execute(
                "INSERT INTO events (id, source, type, correlation, accepted_at, hops, origin_kind, origin_name,
                 origin_verified, body) VALUES (?, 's', ?, 'c', 0, 0, 'api', 'n', 1, x'')",
                [id.as_str(), ty],
            )
            .unwrap();
        }
        let check = |patterns: &[&str], max: usize, expected: &[&str]| {
            let parsed: Vec<TypePattern> = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
            let found: Vec<String> = matching(&db, &parsed, max).unwrap().into_iter().collect();
            assert_eq!(found, expected, "{patterns:?} {max}");
        };
        check(&[], 10, &["a.b", "a.b.c", "a.bé", "a.c", "ab", "b"]);
        check(&["*"], 2, &["a.b", "a.b.c"]);
        check(&["a.b*"], 10, &["a.b", "a.b.c", "a.bé"]);
        check(&["a.*", "a.b*", "b"], 10, &["a.b", "a.b.c", "a.bé", "a.c", "b"]);
        check(&["z", "b"], 1, &["z"]);
        check(&["z.*"], 10, &[]);
    }
}
