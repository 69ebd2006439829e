//! A disk that is full, or fails.

use rusqlite::{ErrorCode, ffi};

use super::*;
use crate::bus::RefusalQuery;
use crate::bus::conformance::{ack, deployment, event, function, incoming, next};
use crate::event::Event;

/// Runs a statement in the writer's own transaction, or fails there.
struct Inject {
    action: Action,
    answer: oneshot::Sender<bool>,
}

enum Action {
    /// Pages that the file may have; none: any number.
    Pages(Option<u32>),
    Fail(std::ffi::c_int),
    Panic,
    /// Appends an event whose stored form cannot be read.
    AppendDamaged,
}

impl Write for Inject {
    fn bytes(&self) -> usize {
        0
    }

    fn when_full(&self) -> writer::WhenFull {
        writer::WhenFull::Waits
    }

    fn execute(&mut self, group: &mut writer::Group<'_>) -> rusqlite::Result<()> {
        match self.action {
            Action::Pages(pages) => group.db.query_row(
                &format!("PRAGMA max_page_count = {}", pages.unwrap_or(u32::MAX - 1)),
                [],
                |_| Ok(()),
            ),
            Action::Panic => panic!("injected"),
            Action::AppendDamaged => {
                group.db.execute(
                    "INSERT INTO events (id, source, type, correlation, accepted_at, hops, origin_kind, origin_name,
                     origin_verified, body) VALUES ('damaged', 's', 't', 'c', 0, 0, 'api', 'n', 1, x'')",
                    [],
                )?;
                group.tail = u64::try_from(group.db.last_insert_rowid()).unwrap();
                Ok(())
            }
            Action::Fail(code) => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
        }
    }

    fn committed(self: Box<Self>, _shared: &Arc<Shared>) {
        let _ = self.answer.send(true);
    }

    fn failed(self: Box<Self>, _shared: &Arc<Shared>, _fault: Fault) {
        let _ = self.answer.send(false);
    }
}

fn refusal(at: crate::clock::Timestamp) -> Refusal {
    Refusal {
        at,
        door: "api".to_owned(),
        status: Some(400),
        code: "invalid".to_owned(),
        reason: "bad".to_owned(),
        sender: None,
        proof: crate::bus::Shown::Nothing,
        named: Vec::new(),
    }
}

async fn inject(bus: &Embedded, action: Action) -> bool {
    let (answer, answered) = oneshot::channel();
    bus.submit(Box::new(Inject { action, answer }), answered).await.unwrap()
}

fn large(id: &str) -> Incoming {
    incoming(Event { data: Some(bytes::Bytes::from(vec![b'x'; 60_000])), ..event(id, "t") })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_is_new_keeps_settlements_waiting_and_goes_on_when_there_is_room() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    let handler = function("f", "t");
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    bus.publish(vec![large("before")]).await.unwrap();
    let delivery = next(&mut bus.subscribe(handler.id)).await;
    // A settlement that needs more room than there is.
    assert!(inject(&bus, Action::Pages(Some(1))).await);
    let recording = bytes::Bytes::from(vec![7; 400_000]);
    let settling = tokio::spawn({
        let bus = bus.clone();
        async move { bus.settle(delivery, Settlement { recording: Some(recording), ..ack() }).await }
    });
    let refused = bus.publish(vec![large("during")]).await.unwrap_err();
    assert!(matches!(refused, PublishError::Bus(BusError::Full)), "{refused:?}");
    assert!(!settling.is_finished());
    assert!(inject(&bus, Action::Pages(None)).await);
    assert!(matches!(settling.await.unwrap().unwrap(), Settled::Settled));
    while bus.0.shared.inbox.is_full() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let receipts = bus.publish(vec![large("after")]).await.unwrap();
    assert_eq!(receipts[0].position, Some(3), "nothing of what was refused is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_go_of_what_was_refused_and_says_so() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    assert!(inject(&bus, Action::Pages(Some(1))).await);
    // More than the pages that are there have room for.
    let at = crate::clock::Timestamp::from_micros(4_000_000_000_000_000);
    let reason = "\u{1}".repeat(300);
    let named = crate::bus::Named { id: reason.clone(), source: Some(reason.clone()), ty: Some(reason) };
    bus.keep_refusal(Refusal { named: vec![named; 16], ..refusal(at) });
    let lost = async || bus.refusals(RefusalQuery { max: 10, ..RefusalQuery::default() }).await.unwrap();
    while lost().await.since < at {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lost().await.items, []);
    assert!(inject(&bus, Action::Pages(None)).await);
    while bus.0.shared.inbox.is_full() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let next = refusal(at.plus(Duration::from_secs(1)));
    bus.keep_refusal(next.clone());
    bus.publish(vec![large("after")]).await.unwrap();
    assert_eq!((lost().await.items, lost().await.since), (vec![next], at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_at_its_bounds_lets_go_of_what_was_refused() {
    let storage = OnDisk { disk_bytes_max: Some(1), ..on_disk() };
    let bus = storage.try_open(Clock::system()).unwrap();
    let at = crate::clock::Timestamp::from_micros(4_000_000_000_000_000);
    bus.keep_refusal(refusal(at));
    let refused = bus.publish(vec![large("a")]).await.unwrap_err();
    assert!(matches!(refused, PublishError::Bus(BusError::AtMax)), "{refused:?}");
    let kept = bus.refusals(RefusalQuery { max: 10, ..RefusalQuery::default() }).await.unwrap();
    assert_eq!((kept.items, kept.since), (vec![], at));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_asks_for_on_a_full_disk_is_refused_and_not_left_waiting() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    assert!(inject(&bus, Action::Pages(Some(1))).await);
    // More than the pages that are there have room for.
    let functions: Vec<_> = (0..1_000).map(|index| function("f", &format!("t.{index}"))).collect();
    let refused = bus.activate(deployment(functions.clone()), 0, Cause::ProjectFile).await.unwrap_err();
    assert!(matches!(refused, crate::bus::ActivateError::Bus(BusError::Full)), "{refused:?}");
    assert!(inject(&bus, Action::Pages(None)).await);
    assert_eq!(bus.activate(deployment(functions), 0, Cause::ProjectFile).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_writer_and_the_next_start_has_all_that_was_accepted() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    let handler = function("f", "t");
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    bus.publish(vec![incoming(event("a", "t"))]).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    assert!(!inject(&bus, Action::Fail(ffi::SQLITE_IOERR_FSYNC)).await);
    bus.failed().await;
    let refused = bus.publish(vec![incoming(event("b", "t"))]).await;
    assert!(matches!(refused, Err(PublishError::Bus(BusError::Closed))), "{refused:?}");
    assert!(subscription.next().await.is_none());
    drop((delivery, subscription, bus));
    let bus = storage.try_open(Clock::system()).unwrap();
    assert_eq!(next(&mut bus.subscribe(handler.id)).await.event.event.id, "a");
    assert_eq!(bus.publish(vec![incoming(event("b", "t"))]).await.unwrap()[0].position, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_store_refuses_does_not_spoil_its_group() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    let bad = inject(&bus, Action::Fail(ffi::SQLITE_TOOBIG));
    let good = bus.publish(vec![incoming(event("a", "t"))]);
    let (bad, good) = tokio::join!(bad, good);
    assert!(!bad);
    assert_eq!(good.unwrap()[0].position, Some(1));
    assert_eq!(ffi::Error::new(ffi::SQLITE_TOOBIG).code, ErrorCode::TooBig);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_panics_fails_the_bus_and_leaves_nobody_waiting() {
    let disk = on_disk();
    let bus = disk.try_open(Clock::system()).unwrap();
    let handler = function("f", "t");
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let (answer, answered) = oneshot::channel();
    let panicked = bus.submit(Box::new(Inject { action: Action::Panic, answer }), answered).await;
    assert!(matches!(panicked, Err(BusError::Closed)), "{panicked:?}");
    assert!(bus.failed().await.contains("bus-writer"));
    assert!(subscription.next().await.is_none());
    let refused = bus.publish(vec![incoming(event("1", "t"))]).await;
    assert!(matches!(refused, Err(PublishError::Bus(BusError::Closed))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_read_fails_the_bus_and_whoever_waits_for_an_activation_is_told() {
    let (disk, metrics) = (on_disk(), Metrics::new());
    let bus = disk.try_open_counting(Clock::system(), metrics.clone()).unwrap();
    assert!(inject(&bus, Action::AppendDamaged).await);
    let refused = bus.activate(deployment(vec![function("f", "t")]), 0, Cause::ProjectFile).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("the log failed (it cannot be read: "), "{told}");
    assert!(bus.failed().await.contains("cannot be read"));
    assert!(
        metrics.text(&[], &StorageGauges::default()).contains("tidegate_faults_total 30\n"),
        "{}",
        metrics.text(&[], &StorageGauges::default())
    );
    let refused = bus.publish(vec![incoming(event("1", "t"))]).await;
    assert!(matches!(refused, Err(PublishError::Bus(BusError::Closed))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_is_waited_for_ends_when_the_bus_is_closed() {
    let disk = on_disk();
    let settings = Settings { poll: Duration::from_secs(1), ..Settings::default() };
    let bus = Embedded::open(disk.path(), disk.blobs(), Clock::system(), settings).unwrap();
    assert!(inject(&bus, Action::AppendDamaged).await);
    let activation = tokio::spawn({
        let bus = bus.clone();
        async move { bus.activate(deployment(vec![function("f", "t")]), 0, Cause::ProjectFile).await }
    });
    // In the log, and not reached by the reader. One receiver: a new one would have seen a commit since the look.
    let mut commits = bus.commits();
    while bus.tail().await.unwrap() < 2 {
        commits.changed().await.unwrap();
    }
    bus.close().await.unwrap();
    let ended = activation.await.unwrap();
    assert!(matches!(ended, Err(crate::bus::ActivateError::Bus(BusError::Closed))), "{ended:?}");
}
