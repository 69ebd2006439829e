//! One step: which rows go next.

use rusqlite::{Connection, params};

use super::super::rows::{self, sql};
use super::super::shared::Shared;
use super::super::sizes::{ATTEMPT, EVENT, RECORDING, Sizes};
use super::super::statistics::{Final, OUTCOME, outcome};
use super::holds::{Along, Hold, Needs};
use crate::clock::Timestamp;
use crate::deployment::{BucketTrigger, FunctionId, Rule};
use crate::event::{OriginKind, Position};

/// Rows of a step, and bytes of them. What goes together may pass both.
const ROWS_MAX: usize = 500;
/// Of these, so that none of the kinds keeps another from its bound.
const LETTERS_MAX: usize = ROWS_MAX / 4;
const RECORDINGS_MAX: usize = ROWS_MAX / 2;
const BYTES_MAX: i64 = 4 * 1024 * 1024;
/// Events that are looked at in one step where `removed_to` stands, so many at a time, and among those that were held.
const FRONT_MAX: usize = 256;
const FRONT_AT_A_TIME: usize = 64;
const KEPT_MAX: usize = 1_000;
/// The part of a size by which it may be passed before events are removed as quickly as they can be.
const BEHIND_PART: i64 = 8;
/// Free pages that are left to be filled again, at least, and as a part of the file's; more are given back.
const FREE_PAGES_MIN: u64 = 1_024;
const FREE_PAGES_PART: u64 = 8;
/// Pages that are given back in one step.
const GIVEN_BACK_MAX: u64 = 64;

/// What goes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub events: Vec<Going>,
    /// How far the log was looked through then.
    pub removed_to: Position,
    found_removed_to: Position,
    /// Where to look next among the events that were held.
    pub kept_after: Position,
    /// Sequences, and what each counts.
    pub recordings: Vec<(i64, i64)>,
    pub recordings_to: i64,
    /// Resolved dead letters that are listed no more, and what each counts.
    pub letters: Vec<(FunctionId, Position, i64)>,
    /// Free pages to be given back.
    pub pages: u64,
    /// Whether what is left of events is larger than their rule says, by more than a little.
    pub behind: bool,
    /// Whether the log was looked through no further only because that was enough for one step.
    more: bool,
    rows: usize,
    bytes: i64,
}

/// An event that goes, with what goes along.
#[derive(Debug)]
pub(super) struct Going {
    pub event: Candidate,
    pub attempts: Vec<Attempt>,
    pub along: Along,
}

#[derive(Debug)]
pub(super) struct Candidate {
    pub position: Position,
    pub accepted_at: Timestamp,
    pub ty: String,
    pub bytes: i64,
    /// Id and source of an event that must be known for ever.
    pub remembered: Option<(String, String)>,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub sequence: i64,
    /// How it was settled; counted if that is final.
    pub settled: Final,
    pub is_final: bool,
    pub bytes: i64,
    /// None: it is removed already.
    pub recording_bytes: Option<i64>,
}

impl Going {
    fn bytes(&self) -> i64 {
        self.event.bytes + self.attempts.iter().map(|attempt| attempt.bytes).sum::<i64>()
    }

    fn rows(&self) -> usize {
        let recordings = self.attempts.iter().filter(|attempt| attempt.recording_bytes.is_some()).count();
        1 + self.attempts.len() + recordings + self.along.pending.len() + self.along.letters.len()
    }
}

/// How far the log was looked through, by position and by sequence.
pub(super) struct Removed {
    pub events_to: Position,
    pub recordings_to: i64,
}

impl Removed {
    pub fn read(db: &Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("SELECT removed_to, recordings_removed_to FROM retention")?
            .query_row([], |row| Ok(Removed { events_to: rows::unsigned(row, 0)?, recordings_to: row.get(1)? }))
    }
}

/// What a rule says now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// What is not younger goes.
    pub aged: Option<Timestamp>,
    /// So much goes whatever its age.
    pub over: i64,
}

impl Due {
    pub fn of(rule: &Rule, now: Timestamp, bytes: i64) -> Self {
        let over = rule.bytes_max.map_or(0, |max| bytes.saturating_sub(sql(max)).max(0));
        Due { aged: rule.age.map(|age| now.minus(age)), over }
    }

    pub fn takes(&self, at: Timestamp) -> bool {
        self.over > 0 || self.aged.is_some_and(|aged| at <= aged)
    }
}

impl Plan {
    /// Looks for what goes next; `kept_after` is where the last plan stopped among the events that were held.
    pub fn make(db: &Connection, shared: &Shared, now: Timestamp, kept_after: Position) -> rusqlite::Result<Self> {
        let (removed, sizes) = (Removed::read(db)?, Sizes::read(db)?);
        let rules = &shared.retention;
        let mut plan = Plan {
            removed_to: removed.events_to,
            found_removed_to: removed.events_to,
            recordings_to: removed.recordings_to,
            ..Plan::default()
        };
        plan.plan_letters(db, Due::of(&rules.dead_letters, now, sizes.letters))?;
        plan.plan_recordings(db, Due::of(&rules.recordings, now, sizes.recordings))?;
        if rules.events.removes()
            && let Some(needs) = Needs::read(db, shared, now)?
        {
            let due = Due::of(&rules.events, now, sizes.events);
            // Whatever the rule says, what came again must be known.
            let known_until = now.minus(rules.dedupe);
            plan.behind = rules.events.bytes_max.is_some_and(|max| due.over > sql(max) / BEHIND_PART);
            plan.plan_front(db, &needs, due, known_until)?;
            plan.plan_kept(db, &needs, kept_after)?;
        }
        let events = &plan.events;
        let with_event = |sequence: &i64| {
            events.iter().any(|going| going.attempts.iter().any(|attempt| attempt.sequence == *sequence))
        };
        plan.recordings.retain(|(sequence, _)| !with_event(sequence));
        plan.pages = pages_to_give_back(db)?;
        Ok(plan)
    }

    pub fn is_empty(&self) -> bool {
        let moves_on = self.removed_to > self.found_removed_to;
        !moves_on && self.events.is_empty() && self.recordings.is_empty() && self.letters.is_empty() && self.pages == 0
    }

    /// Whether one step was not enough, as far as can be told.
    pub fn is_full(&self) -> bool {
        self.more || self.pages > 0 || self.letters.len() == LETTERS_MAX || self.recordings.len() == RECORDINGS_MAX
    }

    fn has_room(&self) -> bool {
        self.rows < ROWS_MAX && self.bytes < BYTES_MAX
    }

    fn count(&mut self, rows: usize, bytes: i64) {
        self.rows += rows;
        self.bytes += bytes;
    }

    /// Events in log order, from where the log was looked through to; those that are held stay behind.
    fn plan_front(
        &mut self,
        db: &Connection,
        needs: &Needs,
        mut due: Due,
        known_until: Timestamp,
    ) -> rusqlite::Result<()> {
        for _ in 0..FRONT_MAX / FRONT_AT_A_TIME {
            let next = candidates(db, self.removed_to, needs.handled, FRONT_AT_A_TIME)?;
            let is_end = next.len() < FRONT_AT_A_TIME;
            for (hold, going) in judge(db, needs, next)? {
                let at = going.event.accepted_at;
                if at > known_until || !due.takes(at) {
                    return Ok(());
                }
                self.more = !self.has_room();
                if self.more {
                    return Ok(());
                }
                self.removed_to = going.event.position;
                if hold.is_none() {
                    due.over -= going.bytes();
                    self.take(going);
                }
            }
            if is_end {
                return Ok(());
            }
        }
        self.more = true;
        Ok(())
    }

    /// Events that were held when the log was looked through, and are no more.
    fn plan_kept(&mut self, db: &Connection, needs: &Needs, after: Position) -> rusqlite::Result<()> {
        let until = self.found_removed_to.min(needs.handled);
        let kept = candidates(db, after, until, KEPT_MAX)?;
        let all = kept.len() < KEPT_MAX;
        self.kept_after = if all { 0 } else { kept.last().map_or(0, |last| last.position) };
        for (hold, going) in judge(db, needs, kept)? {
            if !self.has_room() {
                (self.kept_after, self.more) = (going.event.position - 1, true);
                break;
            }
            if hold.is_none() {
                self.take(going);
            }
        }
        Ok(())
    }

    fn take(&mut self, going: Going) {
        let recordings: i64 = going.attempts.iter().filter_map(|attempt| attempt.recording_bytes).sum();
        self.count(going.rows(), going.bytes() + recordings);
        self.events.push(going);
    }

    /// Recordings in the order of their settlements, which is that of time.
    fn plan_recordings(&mut self, db: &Connection, mut due: Due) -> rusqlite::Result<()> {
        if due.aged.is_none() && due.over == 0 {
            return Ok(());
        }
        let text = format!(
            "SELECT r.sequence, {RECORDING}, i.settled_at FROM recordings r JOIN invocations i ON i.sequence = r.sequence
             WHERE r.sequence > ? ORDER BY r.sequence LIMIT ?"
        );
        let mut select = db.prepare_cached(&text)?;
        let mut rows = select.query(params![self.recordings_to, RECORDINGS_MAX as i64])?;
        while let Some(row) = rows.next()? {
            let (sequence, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
            if self.bytes > BYTES_MAX / 2 || !due.takes(rows::time(row, 2)?) {
                break;
            }
            due.over -= bytes;
            self.count(1, bytes);
            self.recordings_to = sequence;
            self.recordings.push((sequence, bytes));
        }
        Ok(())
    }

    /// Dead letters in the order in which they were put back or dropped.
    fn plan_letters(&mut self, db: &Connection, mut due: Due) -> rusqlite::Result<()> {
        if due.aged.is_none() && due.over == 0 {
            return Ok(());
        }
        let mut select = db.prepare_cached(
            "SELECT function, position, event_bytes, changed_at FROM dead_letters WHERE state <> 0 AND expired = 0
             ORDER BY changed_at LIMIT ?",
        )?;
        let mut rows = select.query([LETTERS_MAX as i64])?;
        while let Some(row) = rows.next()? {
            if !due.takes(rows::time(row, 3)?) {
                break;
            }
            let bytes = row.get(2)?;
            due.over -= bytes;
            self.count(1, 0);
            self.letters.push((rows::function(row, 0)?, rows::unsigned(row, 1)?, bytes));
        }
        Ok(())
    }
}

/// The next events after a position.
pub(super) fn candidates(
    db: &Connection,
    after: Position,
    until: Position,
    max: usize,
) -> rusqlite::Result<Vec<Candidate>> {
    let text = format!(
        "SELECT position, accepted_at, type, {EVENT}, id, source, origin_kind, origin_name FROM events
         WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
    );
    db.prepare_cached(&text)?
        .query_map(params![sql(after), sql(until), sql(max as u64)], |row| {
            let is_trigger = row.get_ref(6)?.as_str()? == OriginKind::Trigger.as_str();
            let remembered = is_trigger && row.get_ref(7)?.as_str()?.starts_with(BucketTrigger::NAME_PREFIX);
            Ok(Candidate {
                position: rows::unsigned(row, 0)?,
                accepted_at: rows::time(row, 1)?,
                ty: row.get(2)?,
                bytes: row.get(3)?,
                remembered: if remembered { Some((row.get(4)?, row.get(5)?)) } else { None },
            })
        })?
        .collect()
}

/// Each event with what holds it, and with what goes along if nothing does.
pub(super) fn judge(
    db: &Connection,
    needs: &Needs,
    events: Vec<Candidate>,
) -> rusqlite::Result<Vec<(Option<Hold>, Going)>> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(Vec::new()) };
    let (first, last) = (first.position, last.position);
    let mut held = needs.held(db, first, last)?;
    let mut judged: Vec<(Option<Hold>, Going)> = Vec::with_capacity(events.len());
    for event in events {
        let hold = held.holds.get(&event.position).copied();
        let hold = hold.or_else(|| needs.is_tick(&event.ty, event.position).then_some(Hold::Tick));
        let along = held.along.remove(&event.position).unwrap_or_default();
        judged.push((hold, Going { event, attempts: Vec::new(), along }));
    }
    if judged.iter().all(|(hold, _)| hold.is_some()) {
        return Ok(judged);
    }
    for attempt in attempts(db, first, last)? {
        if let Ok(index) = judged.binary_search_by_key(&attempt.settled.position, |(_, going)| going.event.position) {
            judged[index].1.attempts.push(attempt);
        }
    }
    Ok(judged)
}

/// Attempts on the events of a stretch. By functions, as their index begins with one.
fn attempts(db: &Connection, first: Position, last: Position) -> rusqlite::Result<Vec<Attempt>> {
    let text = format!(
        "SELECT i.sequence, i.function, i.position, i.verdict <> 1, i.component, {OUTCOME}, i.duration_micros, {ATTEMPT},
         (SELECT {RECORDING} FROM recordings r WHERE r.sequence = i.sequence)
         FROM functions f CROSS JOIN invocations i ON i.function = f.id AND i.position BETWEEN ? AND ?"
    );
    db.prepare_cached(&text)?
        .query_map([sql(first), sql(last)], |row| {
            Ok(Attempt {
                sequence: row.get(0)?,
                settled: Final {
                    function: rows::function(row, 1)?,
                    position: rows::unsigned(row, 2)?,
                    component: rows::digest(row, 4)?,
                    failure: outcome(row, 5)?,
                    duration: rows::duration(row, 6)?,
                },
                is_final: row.get(3)?,
                bytes: row.get(7)?,
                recording_bytes: row.get(8)?,
            })
        })?
        .collect()
}

fn pages_to_give_back(db: &Connection) -> rusqlite::Result<u64> {
    let (all, free) = rows::pages(db)?;
    Ok(free.saturating_sub(FREE_PAGES_MIN.max(all / FREE_PAGES_PART)).min(GIVEN_BACK_MAX))
}
