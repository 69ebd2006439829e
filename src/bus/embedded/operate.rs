//! What operators and the reconciler change: the active deployment, dead letters; and the cursors.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::intake::Prepared;
use super::item::Item;
use super::rows::{self, sql};
use super::shared::Shared;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::bus::{ACTIVATED, ActivateError, BusError, Cause, PutBack, what_runs};
use crate::deployment::{Deployment, Function, FunctionId, Start};
use crate::event::{
    Event, Extension, Origin, OriginKind, Position, attribute, cdevent, cdevent_content, derive_uuid, follow,
    hops_after, runtime_source,
};

/// Appends a deployment and the record that makes it active.
pub(super) struct Activate {
    pub project: Uuid,
    pub deployment: Deployment,
    pub expected: u64,
    pub cause: Cause,
    pub answer: oneshot::Sender<Result<u64, ActivateError>>,
    pub result: Result<u64, ActivateError>,
}

impl Activate {
    /// The record, and how many hops stand before it.
    fn record(&self, group: &Group<'_>) -> rusqlite::Result<(Event, u32)> {
        let deployment = &self.deployment;
        let number = deployment.number.to_string();
        let parent = match self.cause {
            Cause::Event(position) => rows::event_at(group.db, position)?.map(|parent| parent.accepted),
            Cause::ProjectFile | Cause::Operator(_) | Cause::Rollback { .. } => None,
        };
        let request = parent.as_ref().and_then(|parent| cdevent_content(&parent.event));
        let mut event = Event {
            id: derive_uuid(&[self.project.as_bytes(), b"deployment", number.as_bytes()]).to_string(),
            source: runtime_source(&deployment.project),
            ..cdevent(ACTIVATED, &number, &what_runs(deployment, &self.cause, request, None))
        };
        let Some(parent) = parent else { return Ok((event, 0)) };
        follow(&mut event, &parent.event);
        if let Some(key) = parent.event.partition_key() {
            event.extensions.insert(attribute::PARTITION_KEY.to_owned(), Extension::Text(key.to_owned()));
        }
        Ok((event, hops_after(&parent, group.now)))
    }

    /// One range for each function that came, went or changed; a function that is new starts where it says.
    fn write_ranges(&self, group: &Group<'_>, record: Position) -> rusqlite::Result<()> {
        let before = rows::deployment(group.db, self.expected)?;
        let old = |id: FunctionId| before.as_ref().and_then(|deployment| deployment.function_by_id(id));
        for function in &self.deployment.functions {
            let mut from = record + 1;
            if !group.db.prepare_cached("SELECT 1 FROM functions WHERE id = ?")?.exists([function.id.as_bytes()])? {
                let cursor = start(group, function, record)?;
                from = from.min(cursor + 1);
                group
                    .db
                    .prepare_cached("INSERT INTO functions (id, position) VALUES (?, ?)")?
                    .execute(params![function.id.as_bytes(), sql(cursor)])?;
            }
            if old(function.id) != Some(function) {
                self.write_range(group, function.id, from)?;
            }
        }
        let gone = before.iter().flat_map(|deployment| &deployment.functions).map(|function| function.id);
        for function in gone.filter(|id| self.deployment.function_by_id(*id).is_none()) {
            self.write_range(group, function, record + 1)?;
        }
        Ok(())
    }

    fn write_range(&self, group: &Group<'_>, function: FunctionId, from: Position) -> rusqlite::Result<()> {
        group
            .db
            .prepare_cached("INSERT OR REPLACE INTO judged (function, position, deployment) VALUES (?, ?, ?)")?
            .execute(params![function.as_bytes(), sql(from), sql(self.deployment.number)])?;
        Ok(())
    }
}

/// The cursor of a new function.
fn start(group: &Group<'_>, function: &Function, record: Position) -> rusqlite::Result<Position> {
    Ok(match function.start {
        Start::Latest => record,
        Start::Earliest => 0,
        Start::Position(first) => first.saturating_sub(1).min(record),
        Start::At(time) => rows::first_since(group.db, time)?.map_or(record, |first| first - 1),
    })
}

impl Write for Activate {
    fn bytes(&self) -> usize {
        16 * 1024
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Tried
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        let running = rows::last_deployment(group.db)?;
        if running != self.expected {
            self.result = Err(ActivateError::Moved { running, expected: self.expected });
            return Ok(());
        }
        self.deployment.number = running + 1;
        let (event, hops) = self.record(group)?;
        let source = event.source.clone();
        let prepared = Prepared::whole(event, group.now);
        let origin = Origin { kind: OriginKind::Runtime, name: source, verified: true };
        let record = group.insert(&prepared, &origin, hops)?.unwrap_or_default();
        self.write_ranges(group, record)?;
        group.known.projects.insert(self.deployment.project.clone());
        group
            .db
            .prepare_cached("INSERT INTO deployments (number, position, at, cause, body) VALUES (?, ?, ?, ?, ?)")?
            .execute(params![
                sql(self.deployment.number),
                sql(record),
                group.now.as_micros(),
                rows::to_json(&self.cause)?,
                rows::to_json(&self.deployment)?,
            ])?;
        self.result = Ok(self.deployment.number);
        Ok(())
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        let _ = self.answer.send(self.result);
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        let _ = self.answer.send(Err(fault.into_error("append a deployment").into()));
    }
}

impl Group<'_> {
    /// The round of an open dead letter.
    fn open_letter(&self, function: FunctionId, position: Position) -> rusqlite::Result<Option<u32>> {
        self.db
            .prepare_cached("SELECT round FROM dead_letters WHERE function = ? AND position = ? AND state = 0")?
            .query_row(params![function.as_bytes(), sql(position)], |row| row.get(0))
            .optional()
    }

    /// Takes a dead letter out of those that are open: its `state` says how.
    fn resolve_letter(
        &mut self,
        function: FunctionId,
        position: Position,
        state: i64,
        by: Option<&str>,
    ) -> rusqlite::Result<()> {
        let bytes = rows::event_bytes(self.db, position)?;
        self.sizes.letters += bytes;
        self.db
            .prepare_cached(
                "UPDATE dead_letters SET state = ?, changed_at = ?, dropped_by = ?, event_bytes = ?
                 WHERE function = ? AND position = ?",
            )?
            .execute(params![state, self.now.as_micros(), by, bytes, function.as_bytes(), sql(position)])?;
        Ok(())
    }
}

/// Puts dead letters back, one round higher.
pub(super) struct Redrive {
    pub letters: Vec<PutBack>,
    pub answer: oneshot::Sender<Result<u64, BusError>>,
    pub put_back: Vec<(FunctionId, Position)>,
}

impl Write for Redrive {
    fn bytes(&self) -> usize {
        self.letters.len() * 64
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Tried
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.put_back.clear();
        for PutBack { function, position, due } in &self.letters {
            let Some(round) = group.open_letter(*function, *position)? else { continue };
            group.resolve_letter(*function, *position, 1, None)?;
            let item = Item { round: round + 1, ..Item::first(*position) };
            rows::write_pending(group.db, *function, &item, *due)?;
            self.put_back.push((*function, *position));
        }
        Ok(())
    }

    fn committed(self: Box<Self>, shared: &Arc<Shared>) {
        let count = self.put_back.len() as u64;
        // The reader alone offers: what a function that is just deployed has read of its rows is not offered twice, and what
        // it has not is not left out.
        shared.expect_redriven(self.put_back);
        let _ = self.answer.send(Ok(count));
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        let _ = self.answer.send(Err(fault.into_error("put dead letters back")));
    }
}

/// Gives dead letters up.
pub(super) struct DropLetters {
    pub letters: Vec<(FunctionId, Position)>,
    pub by: String,
    pub answer: oneshot::Sender<Result<u64, BusError>>,
    pub dropped: u64,
}

impl Write for DropLetters {
    fn bytes(&self) -> usize {
        self.letters.len() * 64
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Tried
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.dropped = 0;
        for (function, position) in &self.letters {
            let is_open = group.open_letter(*function, *position)?.is_some();
            if is_open {
                group.resolve_letter(*function, *position, 2, Some(&self.by))?;
                self.dropped += 1;
            }
        }
        Ok(())
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        let _ = self.answer.send(Ok(self.dropped));
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        let _ = self.answer.send(Err(fault.into_error("drop dead letters")));
    }
}

/// Writes how far functions have come.
pub(super) struct Cursors(pub Vec<(FunctionId, Position)>);

impl Write for Cursors {
    fn bytes(&self) -> usize {
        self.0.len() * 32
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        for (function, position) in &self.0 {
            group
                .db
                .prepare_cached("UPDATE functions SET position = ?2 WHERE id = ?1 AND position < ?2")?
                .execute(params![function.as_bytes(), sql(*position)])?;
        }
        Ok(())
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {}

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, _fault: Fault) {
        // Without it the next start reads a little more.
    }
}
