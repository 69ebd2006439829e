//! Events whose data cannot be read: the blob store lost it, or fails. Such an event holds nobody up and is not lost: it
//! waits, with a row of its own, and is read again until it can be.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::feed::wanted;
use super::log::blob_failed;
use super::queue::Item;
use super::rows::{self, sql};
use super::shared::Shared;
use super::subscription::Guard;
use super::writer::{Fault, Group, Write};
use crate::blob::BlobError;
use crate::bus::BusError;
use crate::clock::Timestamp;
use crate::deployment::{Digest, Function, FunctionId, Judgement};
use crate::event::{Accepted, Extension, attribute};
use crate::filter::Subject;

const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// An event without its data.
pub(super) struct Unread {
    pub accepted: Accepted,
    pub data: Digest,
    pub error: BlobError,
}

impl Unread {
    /// The event as filters see it: those that read the data fail, the others say what they always say.
    pub fn subject(&self) -> Subject<'_> {
        Subject::without_data(&self.accepted, self.error.to_string())
    }

    /// What a function's queue takes in; none: the filter does not want it, whatever its data says. A filter that failed may
    /// have missed the data, and so may the order key: it is judged when that can be read.
    pub fn wanted(&self, function: &Function) -> Option<Item> {
        let key = match function.judge(&self.subject()) {
            Judgement::Filtered { .. } => return None,
            Judgement::Deliver { order_key } => order_key.map(Arc::from),
            Judgement::FilterFailed { .. } => None,
        };
        Some(Item { judged: false, ..Item::first(self.accepted.position, key) })
    }

    /// What stands for it where events are listed: it names the blob that its data should be in.
    pub fn into_listed(self) -> Accepted {
        let mut accepted = self.accepted;
        let place = Extension::Text(format!("blob:{}", self.data));
        accepted.event.extensions.insert(attribute::DATA_REF.to_owned(), place);
        accepted
    }

    pub fn into_error(self) -> BusError {
        blob_failed("read the data of an event", self.error)
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
    pub fn judged(self, wanted: Option<Item>) {
        let Taken { shared, function, item, guard } = self;
        match wanted {
            Some(wanted) => guard.judged(wanted.key),
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
pub(super) fn judge(shared: &Shared, id: FunctionId, event: &Accepted) -> Result<Option<Item>, BusError> {
    let number = shared.log.read("read who judged", |db| {
        db.prepare_cached(
            "SELECT deployment FROM judged WHERE function = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        )?
        .query_row(params![id.as_bytes(), sql(event.position)], |row| rows::unsigned(row, 0))
        .optional()
    })?;
    let deployment = number.map_or(Ok(None), |number| shared.log.deployment(number))?;
    let function = deployment.as_ref().and_then(|deployment| deployment.function_by_id(id));
    Ok(function.and_then(|function| wanted(function, event.position, &Subject::new(event), &shared.metrics)))
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

    fn is_intake(&self) -> bool {
        false
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
