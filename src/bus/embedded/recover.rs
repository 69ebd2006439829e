//! What a process that died left in flight: each start without an end counts one failed attempt, `host lost`.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::item::Item;
use super::rows::{self, sql};
use super::sizes::{self, Sizes};
use super::starts::Started;
use super::statistics::{Final, RollUp};
use super::superseded;
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest, Succession};
use crate::filter::Subject;
use crate::outcome::{Failure, LOST_MAX};

/// Counts the losses, in one transaction.
pub(super) fn count_lost(db: &mut Connection, started: &[Started], now: Timestamp) -> rusqlite::Result<()> {
    if started.is_empty() {
        return Ok(());
    }
    let transaction = db.transaction()?;
    let deployment = rows::deployment(&transaction, rows::last_deployment(&transaction)?)?;
    for start in started {
        let known =
            transaction.query_row("SELECT 1 FROM functions WHERE id = ?", [start.function.as_bytes()], |_| Ok(()));
        if known.optional()?.is_some()
            && rows::event_at(&transaction, start.position)?.is_some()
            && !rows::is_settled(&transaction, start.function, start.position, start.round, start.attempt)?
        {
            count(&transaction, start, deployment.as_ref(), now)?;
        }
    }
    transaction.commit()
}

/// The event's place among those that supersede each other, as far as it can be told without data of the blob store.
fn succession(
    db: &Connection,
    start: &Started,
    deployment: Option<&Deployment>,
) -> rusqlite::Result<Option<Succession>> {
    let function = deployment.and_then(|deployment| deployment.function_by_id(start.function));
    let Some(supersede) = function.and_then(|function| function.supersede.as_ref()) else { return Ok(None) };
    let stored = rows::event_at(db, start.position)?;
    Ok(stored.and_then(|stored| supersede.succession(&Subject::new(&stored.accepted))))
}

fn count(db: &Connection, start: &Started, deployment: Option<&Deployment>, now: Timestamp) -> rusqlite::Result<()> {
    let (function, position) = (start.function.as_bytes(), sql(start.position));
    let before: Option<u32> = db
        .query_row("SELECT lost FROM pending WHERE function = ? AND position = ?", params![function, position], |row| {
            row.get(0)
        })
        .optional()?;
    let lost = before.unwrap_or(0) + 1;
    let is_dead = lost >= LOST_MAX;
    let failure = Failure::host_lost(lost);
    let component = deployment
        .and_then(|deployment| deployment.function_by_id(start.function))
        .map_or(Digest::from_bytes([0; 32]), |function| function.component.digest);
    let failure_text = rows::to_json(&failure)?;
    Sizes { events: sizes::of_attempt(Some(&failure_text)), ..Sizes::default() }.write(db)?;
    db.execute(
        "INSERT INTO invocations (function, position, round, attempt, verdict, retry_at, failure, settled_at,
         duration_micros, deployment, component, emitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0)",
        params![
            function,
            position,
            start.round,
            start.attempt,
            if is_dead { 2 } else { 1 },
            (!is_dead).then_some(now.as_micros()),
            failure_text,
            now.as_micros(),
            sql(deployment.map_or(0, |deployment| deployment.number)),
            component.as_bytes(),
        ],
    )?;
    let sequence = db.last_insert_rowid();
    db.execute("UPDATE functions SET failed = failed + 1 WHERE id = ?", [function])?;
    if is_dead {
        let mut statistics = RollUp::default();
        let (function, position, failure) = (start.function, start.position, Some(failure.kind));
        statistics.count(&Final { function, component, position, failure, duration: Duration::ZERO });
        statistics.write(db)?;
        rows::delete_pending(db, start.function, start.position)?;
        if let Some(succession) = succession(db, start, deployment)? {
            superseded::write_newest(db, start.function, &succession, start.position)?;
        }
        return rows::write_dead_letter(db, start.function, start.position, start.round, sequence);
    }
    let again = Item {
        round: start.round,
        attempt: start.attempt + 1,
        lost,
        first_attempt_at: Some(start.first_attempt_at),
        ..Item::first(start.position)
    };
    rows::write_pending(db, start.function, &again, now)
}
