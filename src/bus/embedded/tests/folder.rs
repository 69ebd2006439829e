//! The folder: one process at a time, formats, reading a stopped project; and the rows that an event costs.

use std::collections::BTreeMap;
use std::time::Instant;

use super::*;
use crate::bus::conformance::{ack, deployment, event, failed, function, incoming, next};
use crate::bus::embedded::history::EmbeddedHistory;
use crate::bus::embedded::reader::CURSORS_EVERY;
use crate::bus::{EventQuery, PendingState};
use crate::deployment::{Function, Order};
use crate::filter::{Filter, KeyExpression};
use crate::outcome::Decision;

#[test]
fn a_second_process_is_refused_and_the_folder_is_free_after_the_first() {
    let storage = on_disk();
    let first = storage.try_open(Clock::system()).unwrap();
    let refused = storage.try_open(Clock::system()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("another process serves the project"), "{refused}");
    let project = first.project();
    drop(first);
    assert_eq!(storage.try_open(Clock::system()).unwrap().project(), project);
}

#[test]
fn a_newer_format_is_refused_with_a_sentence_and_left_as_it_is() {
    let storage = on_disk();
    drop(storage.try_open(Clock::system()).unwrap());
    let db = rusqlite::Connection::open(storage.path().join("log.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    let refused = storage.try_open(Clock::system()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("has format 99"), "{refused}");
    assert!(matches!(EmbeddedHistory::open(storage.path(), storage.blobs()), Err(OpenError::Newer { found: 99, .. })));
    assert_eq!(schema::found(&db).unwrap(), 99);
}

#[test]
fn an_older_format_is_read_once_it_was_brought_up_to_date() {
    let storage = on_disk();
    drop(storage.try_open(Clock::system()).unwrap());
    let db = rusqlite::Connection::open(storage.path().join("log.db")).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    let refused = EmbeddedHistory::open(storage.path(), storage.blobs()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Older { found: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("start it once with `tidegate up`"), "{refused}");
}

#[test]
fn every_older_format_is_migrated() {
    for version in 0..schema::version() {
        let mut db = rusqlite::Connection::open_in_memory().unwrap();
        schema::migrate_to(&mut db, version).unwrap();
        schema::migrate(&mut db).unwrap();
        assert_eq!(schema::found(&db).unwrap(), schema::version());
        schema::migrate(&mut db).unwrap();
    }
}

#[tokio::test]
async fn a_stopped_project_can_be_read_and_says_what_is_pending() {
    let storage = on_disk();
    assert!(matches!(EmbeddedHistory::open(storage.path(), storage.blobs()), Err(OpenError::Missing { .. })));
    let bus = storage.try_open(Clock::system()).unwrap();
    let handler = function("f", "t");
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    let events = ["done", "retried", "waiting"].map(|id| incoming(event(id, "t")));
    bus.publish(events.to_vec()).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    bus.settle(delivery, ack()).await.unwrap();
    let at = crate::clock::Timestamp::from_micros(4_000_000_000_000_000);
    let delivery = next(&mut subscription).await;
    bus.settle(delivery, failed(Decision::RetryAt(at))).await.unwrap();
    bus.close().await.unwrap();
    let history = EmbeddedHistory::open(storage.path(), storage.blobs()).unwrap();
    let all = history.events(EventQuery { max: 10, ..EventQuery::default() }).await.unwrap().events;
    assert_eq!(all.len(), 4);
    for (position, expected) in [
        (2, None),
        (3, Some(PendingState::Retrying { attempt: 2, at })),
        (4, Some(PendingState::Backlog { events_before: 0 })),
    ] {
        let pending = history.pending(position).await.unwrap();
        assert_eq!(pending, expected.map(|state| (handler.id, state)).into_iter().collect::<Vec<_>>(), "{position}");
    }
}

#[tokio::test]
async fn a_connection_that_only_reads_can_move_the_write_ahead_log() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    bus.publish(vec![incoming(event("a", "t"))]).await.unwrap();
    let db = Folder::new(storage.path()).open_reader().unwrap();
    let (pages, moved) = crate::bus::embedded::folder::checkpoint(&db, "PASSIVE").unwrap();
    assert!(pages > 0 && moved == pages, "{moved} of {pages}");
    assert!(db.execute("DELETE FROM events", []).is_err());
}

/// Rows that the writer changed since the file was opened, asked by the writer itself.
struct CountRows(tokio::sync::oneshot::Sender<u64>, u64);

impl Write for CountRows {
    fn bytes(&self) -> usize {
        0
    }

    fn when_full(&self) -> writer::WhenFull {
        writer::WhenFull::Waits
    }

    fn execute(&mut self, group: &mut writer::Group<'_>) -> rusqlite::Result<()> {
        self.1 = group.db.total_changes();
        Ok(())
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        self.0.send(self.1).unwrap();
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, fault: Fault) {
        panic!("{fault:?}");
    }
}

async fn rows(bus: &Embedded) -> u64 {
    let (answer, answered) = tokio::sync::oneshot::channel();
    bus.submit(Box::new(CountRows(answer, 0)), answered).await.unwrap()
}

/// Rows that ten published and settled events cost, with this many other functions deployed. Tried again where it took so
/// long that cursors were written between.
async fn rows_of_ten(others: usize) -> u64 {
    for _ in 0..10 {
        let began = Instant::now();
        let rows = try_rows_of_ten(others).await;
        if began.elapsed() < CURSORS_EVERY {
            return rows;
        }
    }
    panic!("ten events take longer than {CURSORS_EVERY:?} each time");
}

async fn try_rows_of_ten(others: usize) -> u64 {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    let handler = function("f", "t");
    let mut functions: Vec<Function> = (0..others).map(|index| function("other", &format!("other.{index}"))).collect();
    // Filtered by content: no row either.
    let none = Filter::new(vec!["t".parse().unwrap()], BTreeMap::new(), Some("event.subject == 'never'")).unwrap();
    functions.push(Function { filter: none, ..function("filtered", "t") });
    functions.push(handler.clone());
    bus.activate(deployment(functions), 0, Cause::ProjectFile).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let before = rows(&bus).await;
    for index in 0..10 {
        bus.publish(vec![incoming(event(&index.to_string(), "t"))]).await.unwrap();
        let delivery = next(&mut subscription).await;
        bus.settle(delivery, ack()).await.unwrap();
    }
    rows(&bus).await - before
}

#[tokio::test]
async fn one_function_of_a_thousand_that_matches_costs_the_rows_of_one() {
    let alone = rows_of_ten(0).await;
    assert_eq!(rows_of_ten(999).await, alone);
    // An event and the sizes; an attempt, its recording, the function's counts, statistics and the sizes.
    assert_eq!(alone, 10 * 7);
}

#[tokio::test]
async fn an_order_key_that_cannot_be_read_orders_nothing() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    let handler = Function { order: Order::Key(KeyExpression::new("data.missing").unwrap()), ..function("f", "t") };
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    bus.publish(vec![incoming(event("a", "t")), incoming(event("b", "t"))]).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let _both = (next(&mut subscription).await, next(&mut subscription).await);
}
