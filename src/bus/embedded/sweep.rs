//! Blobs that nothing names any more: the data of events that were removed, what a death of the process left before the commit
//! that would have named it. Whoever names a blob puts it first, so one that was not put for a day and is not named is nobody's.
//!
//! A blob is named by a column, or by the hex digits of its digest anywhere in an event, a key's value or a deployment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, params};

use super::log::{Log, blob_failed};
use super::shared::Shared;
use crate::blob::BlobError;
use crate::bus::BusError;
use crate::deployment::Digest;

/// How long a blob is left that nothing names, and how often blobs are looked through.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A process that lives for a moment reads nothing for this.
const FIRST: Duration = Duration::from_secs(10 * 60);
/// Rows that are read in one transaction.
const PAGE_ROWS_MAX: i64 = 500;
const LOOK: &str = "look for names of blobs";
const HEX_DIGITS: usize = 64;

/// Sweeps once a day, until the bus closes.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut pause = FIRST;
    while shared.housekeeping.wait(pause) {
        pause = DAY;
        match sweep(&shared.log, SystemTime::now() - DAY, || !shared.closing.is_cancelled()) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "blobs were removed that nothing names"),
            Err(error) => tracing::warn!(%error, "blobs that nothing names stay"),
        }
    }
}

/// Removes what was not put since a time and is not named. Answers how many; none when it is told to end before.
pub(super) fn sweep(log: &Log, put_before: SystemTime, goes_on: impl Fn() -> bool) -> Result<u64, BusError> {
    let failed = |error| blob_failed("sweep the blobs", error);
    let unnamed = log.blobs.put_before(put_before).map_err(failed)?.into_iter().collect();
    let mut search = Search { log, unnamed, goes_on };
    let read_to = search.in_rows(EVENTS, 0)?;
    for select in [WAITING, RECORDINGS, DEPLOYMENTS] {
        search.in_rows(select, 0)?;
    }
    search.in_keys()?;
    // What a function made meanwhile of an event that was removed before it was looked at is in a key's value, which was
    // looked at after the events, or in an event of its own.
    search.in_rows(EVENTS, read_to)?;
    let mut removed = 0;
    if search.goes_on() {
        for digest in search.unnamed {
            removed += u64::from(log.blobs.remove(digest, put_before).map_err(failed)?);
        }
    }
    Ok(removed)
}

/// Rows by a number: that, a text that may name blobs, and the blob that a column names.
const EVENTS: &str = "SELECT position, body, data_digest FROM events WHERE position > ? ORDER BY position LIMIT ?";
const WAITING: &str = "SELECT rowid, body, data_digest FROM delayed WHERE rowid > ? ORDER BY rowid LIMIT ?";
const RECORDINGS: &str = "SELECT sequence, x'', digest FROM recordings WHERE sequence > ? ORDER BY sequence LIMIT ?";
const DEPLOYMENTS: &str =
    "SELECT number, CAST(body AS BLOB), NULL FROM deployments WHERE number > ? ORDER BY number LIMIT ?";

/// Looks for names, and keeps the digests that were not found. Each page is a transaction of its own.
struct Search<'a, F> {
    log: &'a Log,
    unnamed: HashSet<Digest>,
    goes_on: F,
}

impl<F: Fn() -> bool> Search<'_, F> {
    /// Goes through rows after a number. Answers the last one.
    fn in_rows(&mut self, select: &str, mut after: i64) -> Result<i64, BusError> {
        while self.goes_on() {
            let page = self.log.read(LOOK, |db| page(db, select, after))?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            for (_, text, data) in page {
                strike(&text, &mut self.unnamed);
                if let Some(digest) = data {
                    self.strike_blob(digest)?;
                }
            }
        }
        Ok(after)
    }

    fn in_keys(&mut self) -> Result<(), BusError> {
        let mut after = KeyName::default();
        while self.goes_on() {
            let page = self.log.read(LOOK, |db| keys(db, &after))?;
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            for (_, value) in page {
                strike(&value, &mut self.unnamed);
            }
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        !self.unnamed.is_empty() && (self.goes_on)()
    }

    /// A column names it, and it may name others itself.
    fn strike_blob(&mut self, digest: Digest) -> Result<(), BusError> {
        self.unnamed.remove(&digest);
        match self.log.blobs.get(digest) {
            Ok(data) => strike(&data, &mut self.unnamed),
            Err(BlobError::Missing { .. } | BlobError::Corrupt { .. }) => {}
            Err(error) => return Err(blob_failed("read a blob", error)),
        }
        Ok(())
    }
}

/// Of a key: its space, and its own.
type KeyName = (String, String);

type Numbered = (i64, Vec<u8>, Option<Digest>);

fn page(db: &Connection, select: &str, after: i64) -> rusqlite::Result<Vec<Numbered>> {
    let digest = |bytes: Option<[u8; 32]>| bytes.map(Digest::from_bytes);
    db.prepare_cached(select)?
        .query_map(params![after, PAGE_ROWS_MAX], |row| Ok((row.get(0)?, row.get(1)?, digest(row.get(2)?))))?
        .collect()
}

fn keys(db: &Connection, after: &KeyName) -> rusqlite::Result<Vec<(KeyName, Vec<u8>)>> {
    db.prepare_cached("SELECT space, key, value FROM keyvalue WHERE (space, key) > (?, ?) ORDER BY space, key LIMIT ?")?
        .query_map(params![after.0, after.1, PAGE_ROWS_MAX], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect()
}

/// Takes out the digests whose digits stand in a text.
fn strike(text: &[u8], unnamed: &mut HashSet<Digest>) {
    let mut digits = 0;
    for (index, byte) in text.iter().enumerate() {
        digits = if matches!(byte, b'0'..=b'9' | b'a'..=b'f') { digits + 1 } else { 0 };
        if digits < HEX_DIGITS {
            continue;
        }
        let hex = String::from_utf8_lossy(&text[index + 1 - HEX_DIGITS..=index]);
        if let Ok(digest) = format!("sha256:{hex}").parse() {
            unnamed.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_named_by_its_digits_wherever_they_stand() {
        let digest = Digest::of(b"a");
        let named = |text: String| {
            let mut unnamed = HashSet::from([digest]);
            strike(text.as_bytes(), &mut unnamed);
            unnamed.is_empty()
        };
        for around in ["{}", "sha256:{}", "\"blob:sha256:{}\"", "ff{}00", "é{}"] {
            assert!(named(around.replace("{}", &digest.hex())), "{around}");
        }
        assert!(!named(digest.hex()[1..].to_owned()) && !named(Digest::of(b"b").hex()) && !named(String::new()));
    }
}
