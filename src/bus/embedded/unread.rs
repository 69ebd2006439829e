//! Events whose large data cannot be read: the blob store lost it, or is away. Such an event holds nobody up and is not
//! lost: it waits, with a row of its own, and is read again until it can be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, params};

use super::feed::wanted;
use super::function_queue::FunctionQueue;
use super::item::Item;
use super::log::{Log, blob_failed};
use super::queue::Judged;
use super::rows::{self, Stored, sql};
use super::shared::Shared;
use super::subscription::Guard;
use super::writer::{Fault, Group, WhenFull, Write};
use crate::blob::BlobError;
use crate::bus::{BusError, UNREAD_PLACE};
use crate::clock::Timestamp;
use crate::deployment::{Digest, Function, FunctionId, Judgement, Keys};
use crate::event::{Accepted, Extension, attribute};
use crate::filter::Subject;

/// How often the time that a read of a store that is away took passes before the next.
const AWAY_PART: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// An event without its data, and why.
pub(super) struct Unread {
    pub accepted: Accepted,
    pub error: BlobError,
}

impl Unread {
    pub fn into_error(self) -> BusError {
        blob_failed("read the data of an event", self.error)
    }
}

/// What an event is for a function, as far as that can be told without its data.
pub(super) enum Told {
    /// Whatever the data says; none: the filter does not want it.
    Surely(Option<Item>),
    /// The filter or a key reads the data. Until that can be read this stands for it, to be judged then.
    Perhaps(Item),
}

impl Told {
    pub fn into_item(self) -> Option<Item> {
        match self {
            Told::Surely(item) => item,
            Told::Perhaps(item) => Some(item),
        }
    }
}

/// Judges an event without its data: where that is asked for, a filter fails, and a key is not to be had.
pub(super) fn without_data(event: &Accepted, function: &Function) -> Told {
    let unjudged = |keys: Keys| {
        // It may not be wanted at all, and then supersedes nothing.
        let keys = Keys { succession: None, ..keys };
        Told::Perhaps(Item { judged: false, keys, ..Item::first(event.position) })
    };
    match function.judge(&Subject::without_data(event, "it was not read".to_owned())) {
        Judgement::Filtered { .. } => Told::Surely(None),
        Judgement::Deliver(keys) if function.lacks_key(&keys) => unjudged(keys),
        Judgement::Deliver(keys) => Told::Surely(Some(Item { keys, ..Item::first(event.position) })),
        Judgement::FilterFailed { .. } => unjudged(Keys::default()),
    }
}

/// An event, with its data or without.
pub(super) enum Read {
    Whole(Accepted),
    WithoutData(Accepted),
}

/// Reads data for a thread that serves everybody: of a store that is away, it takes but a small part of the thread's time.
#[derive(Default)]
pub(super) struct Patience {
    not_before: Option<Instant>,
}

impl Patience {
    pub fn read(&mut self, log: &Log, stored: Stored) -> Read {
        let began = Instant::now();
        if self.not_before.is_some_and(|not_before| began < not_before) {
            return Read::WithoutData(stored.accepted);
        }
        let read = log.with_data(stored);
        let is_away = read.as_ref().is_err_and(|unread| unread.error.may_pass());
        self.not_before = is_away.then(|| Instant::now() + AWAY_PART * began.elapsed());
        match read {
            Ok(event) => Read::Whole(event),
            Err(unread) => Read::WithoutData(unread.accepted),
        }
    }
}

/// Reads events to show them: one whose data cannot be read is shown too, and names the blob that it should be in.
#[derive(Default)]
pub(super) struct Shown {
    /// A store that is away is not waited for again and again.
    is_away: bool,
}

impl Shown {
    pub fn read(&mut self, log: &Log, stored: Stored) -> Accepted {
        let with_place = |mut accepted: Accepted, data: Digest| {
            let place = Extension::Text(format!("{UNREAD_PLACE}{data}"));
            accepted.event.extensions.insert(attribute::DATA_REF.to_owned(), place);
            accepted
        };
        match stored.data {
            Some(data) if self.is_away => with_place(stored.accepted, data),
            Some(data) => log.with_data(stored).unwrap_or_else(|unread| {
                self.is_away = unread.error.may_pass();
                with_place(unread.accepted, data)
            }),
            None => stored.accepted,
        }
    }
}

/// What was taken out of a function's queue, and whose event could not be read, or not before.
pub(super) struct Taken<'a> {
    pub shared: &'a Arc<Shared>,
    pub function: &'a Function,
    pub item: Item,
    pub guard: Guard,
}

impl Taken<'_> {
    /// Lets it wait. That is no attempt.
    pub fn set_aside(self, error: &BusError) {
        let Taken { shared, function, item, guard } = self;
        if item.unread == 0 {
            shared.metrics.unreadable(function.name.as_str(), item.position, error);
        }
        let due = shared.clock.now().plus(pause_after(item.unread + 1));
        if item.durable {
            guard.set_aside(due);
        } else {
            submit(shared, Row { guard, function: function.id, item, change: Change::Wait(due) });
        }
    }

    /// Takes in what the filter said when the event could be read at last: it goes on to be delivered, or is done with.
    pub fn judged(self, wanted: Option<Judged>) {
        let Taken { shared, function, item, guard } = self;
        match wanted {
            Some(judged) => guard.judged(judged),
            None if item.durable => submit(shared, Row { guard, function: function.id, item, change: Change::Remove }),
            None => guard.settled(),
        }
    }
}

/// How long to wait after this many failures in a row.
fn pause_after(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

/// Judges an event that could be read at last, by the function as it was deployed when the event came.
pub(super) fn judge(shared: &Shared, queue: &FunctionQueue, event: &Accepted) -> Result<Option<Judged>, BusError> {
    let id = queue.function;
    let number = shared.log.read("read who judged", |db| {
        db.prepare_cached(
            "SELECT deployment FROM judged WHERE function = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        )?
        .query_row(params![id.as_bytes(), sql(event.position)], |row| rows::unsigned(row, 0))
        .optional()
    })?;
    let deployment = number.map_or(Ok(None), |number| shared.log.deployment(number))?;
    let function = deployment.as_ref().and_then(|deployment| deployment.function_by_id(id));
    let wanted = function.and_then(|function| wanted(function, event.position, &Subject::new(event), &shared.metrics));
    let Some(Item { keys, .. }) = wanted else { return Ok(None) };
    let newest = queue.newest(shared, &keys)?;
    Ok(Some(Judged { keys, newest }))
}

/// The row of an item whose event could not be read, so that the cursor may pass it.
struct Row {
    guard: Guard,
    function: FunctionId,
    item: Item,
    change: Change,
}

enum Change {
    Wait(Timestamp),
    Remove,
}

fn submit(shared: &Arc<Shared>, row: Row) {
    if let Err(row) = shared.inbox.submit(Box::new(row)) {
        row.failed(shared, Fault::Closed);
    }
}

impl Write for Row {
    fn bytes(&self) -> usize {
        128
    }

    fn when_full(&self) -> WhenFull {
        WhenFull::Waits
    }

    fn execute(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        match self.change {
            Change::Wait(due) => rows::write_pending(group.db, self.function, &self.item, due),
            Change::Remove => rows::delete_pending(group.db, self.function, self.item.position),
        }
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        match self.change {
            Change::Wait(due) => {
                self.guard.keep();
                self.guard.set_aside(due);
            }
            Change::Remove => self.guard.settled(),
        }
    }

    fn failed(self: Box<Self>, shared: &Arc<Shared>, _fault: Fault) {
        // It waits all the same, and holds the cursor back meanwhile; or is judged again.
        match self.change {
            Change::Wait(due) => self.guard.set_aside(due),
            Change::Remove => self.guard.set_aside(shared.clock.now().plus(PAUSE_FIRST)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_second_to_a_minute() {
        let seconds: Vec<u64> = (1..=9).map(|failures| pause_after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(u32::MAX), PAUSE_MAX);
    }
}
