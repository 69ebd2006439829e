//! How large what is kept is: bytes of the rows, with about what their indexes add. The sums are kept in the transaction that
//! adds or removes rows, so that nobody has to read what they are of.
//!
//! Invariant: the row of `retention` holds the sums of the expressions below. Blobs are not counted.

use rusqlite::{Connection, params};

use super::rows::sql;

/// Of an event's row `events`, whose texts stand in indexes too.
pub(super) const EVENT: &str = "(160 + octet_length(body) + 2 * (octet_length(id) + octet_length(source) + octet_length(type) + octet_length(correlation)))";
/// Of an attempt, a row `i` of `invocations`. It counts as part of its event.
pub(super) const ATTEMPT: &str = "(200 + coalesce(octet_length(i.failure), 0))";
/// Of a row `r` of `recordings`.
pub(super) const RECORDING: &str = "(48 + coalesce(octet_length(r.bytes), 0))";

/// As `EVENT`: `texts` are id, source, type and correlation.
pub(super) fn of_event(body: &[u8], texts: [&str; 4]) -> i64 {
    bytes(160 + body.len() + 2 * texts.iter().map(|text| text.len()).sum::<usize>())
}

/// As `ATTEMPT`.
pub(super) fn of_attempt(failure: Option<&str>) -> i64 {
    bytes(200 + failure.map_or(0, str::len))
}

/// As `RECORDING`.
pub(super) fn of_recording(inline: Option<&[u8]>) -> i64 {
    bytes(48 + inline.map_or(0, <[u8]>::len))
}

fn bytes(bytes: usize) -> i64 {
    sql(bytes as u64)
}

/// What a transaction adds to the sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Of events and attempts.
    pub events: i64,
    pub recordings: i64,
    /// Of the events of dead letters that are resolved and listed.
    pub letters: i64,
}

impl Sizes {
    /// Adds them, and starts anew.
    pub fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let Sizes { events, recordings, letters } = std::mem::take(self);
        if (events, recordings, letters) == (0, 0, 0) {
            return Ok(());
        }
        db.prepare_cached(
            "UPDATE retention SET event_bytes = event_bytes + ?, recording_bytes = recording_bytes + ?,
             letter_bytes = letter_bytes + ?",
        )?
        .execute(params![events, recordings, letters])?;
        Ok(())
    }

    /// The sums as they stand.
    pub fn read(db: &Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("SELECT event_bytes, recording_bytes, letter_bytes FROM retention")?
            .query_row([], |row| Ok(Sizes { events: row.get(0)?, recordings: row.get(1)?, letters: row.get(2)? }))
    }

    /// The sums over all that is there, for a file whose sums nobody kept.
    pub fn measure(db: &Connection) -> rusqlite::Result<Self> {
        let sum = |text: String| db.query_row(&text, [], |row| row.get::<_, i64>(0));
        let events = sum(format!("SELECT coalesce(sum({EVENT}), 0) FROM events"))?;
        let attempts = sum(format!("SELECT coalesce(sum({ATTEMPT}), 0) FROM invocations i"))?;
        Ok(Sizes {
            events: events + attempts,
            recordings: sum(format!("SELECT coalesce(sum({RECORDING}), 0) FROM recordings r"))?,
            letters: sum(
                "SELECT coalesce(sum(event_bytes), 0) FROM dead_letters WHERE state <> 0 AND expired = 0".to_owned()
            )?,
        })
    }
}

/// Begins to keep the sums of a file that an older program wrote.
pub(super) fn begin(db: &Connection) -> rusqlite::Result<()> {
    let update = format!(
        "UPDATE dead_letters SET event_bytes = coalesce((SELECT {EVENT} FROM events e WHERE e.position = dead_letters.position), 0)
         WHERE state <> 0"
    );
    db.execute(&update, [])?;
    let Sizes { events, recordings, letters } = Sizes::measure(db)?;
    db.execute("INSERT INTO retention VALUES (0, 0, ?, ?, ?)", params![events, recordings, letters])?;
    Ok(())
}
