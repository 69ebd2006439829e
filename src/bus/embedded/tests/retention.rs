//! What is removed from the log, and what never is.

mod model;

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::bus::conformance::{ack, clock, deployment, event, failed, function, incoming, next, nothing, with};
use crate::bus::embedded::retention::at_rest;
use crate::bus::embedded::sizes::Sizes;
use crate::bus::{
    DeadLetterState, EventQuery, HeldBy, InvocationQuery, PutBack, Statistics, StatisticsQuery, Storage as Stored,
    Subscription,
};
use crate::clock::Timestamp;
use crate::deployment::{
    BucketTrigger, Digest, Function, FunctionId, MissedTicks, Rule, Schedule, ScheduleTrigger, Supersede, Trigger,
    time_zone,
};
use crate::event::{Event, Origin, OriginKind};
use crate::filter::KeyExpression;
use crate::outcome::Decision;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn by_age(days: u32) -> Rule {
    Rule { age: Some(days * DAY), bytes_max: None }
}

fn by_size(bytes: u64) -> Rule {
    Rule { age: None, bytes_max: Some(bytes) }
}

/// Events go when they are 30 days old.
fn a_month() -> Retention {
    Retention { events: by_age(30), ..Retention::default() }
}

/// A bus with a given clock, whose log is removed.
struct Stage {
    disk: OnDisk,
    micros: Arc<AtomicI64>,
    bus: Embedded,
}

impl Stage {
    fn new(retention: Retention) -> Self {
        Stage::open(OnDisk { retention, ..on_disk() }, Arc::new(AtomicI64::new(1_800_000_000_000_000)))
    }

    fn open(disk: OnDisk, micros: Arc<AtomicI64>) -> Self {
        let bus = disk.try_open(clock(&micros)).unwrap();
        Stage { disk, micros, bus }
    }

    /// Puts dead letters back to run at once. Answers how many were.
    async fn put_back(&self, letters: Vec<(FunctionId, Position)>) -> u64 {
        let due = Timestamp::from_micros(self.micros.load(Ordering::SeqCst));
        let letters = letters.into_iter().map(|(function, position)| PutBack { function, position, due });
        self.bus.redrive(letters.collect()).await.unwrap()
    }

    /// As after the death of the process.
    fn reopen(self) -> Self {
        let Stage { disk, micros, bus } = self;
        drop(bus);
        Stage::open(disk, micros)
    }

    fn advance(&self, by: Duration) {
        self.micros.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    async fn activate(&self, functions: Vec<Function>) {
        let expected = self.bus.active().borrow().as_ref().map_or(0, |active| active.number);
        self.bus.activate(deployment(functions), expected, Cause::ProjectFile).await.unwrap();
    }

    async fn publish(&self, id: &str, ty: &str) -> Position {
        self.bus.publish(vec![incoming(event(id, ty))]).await.unwrap()[0].position.unwrap()
    }

    /// Settles the next event of a function.
    async fn settle(&self, subscription: &mut Box<dyn Subscription>, settlement: Settlement) -> Position {
        let delivery = next(subscription).await;
        let position = delivery.event.position;
        assert!(matches!(self.bus.settle(delivery, settlement).await.unwrap(), Settled::Settled));
        position
    }

    /// Waits until nothing more may be removed, and answers what is left.
    async fn left(&self) -> Vec<Position> {
        let shared = &self.bus.0.shared;
        let waited = async {
            while !at_rest(shared) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect("what may go goes");
        let all = EventQuery { max: 100_000, ..EventQuery::default() };
        self.bus.events(all).await.unwrap().events.iter().map(|event| event.position).collect()
    }

    async fn storage(&self) -> Stored {
        self.bus.storage().await.unwrap()
    }

    async fn held_by(&self) -> Vec<(HeldBy, Position)> {
        self.storage().await.held.iter().map(|held| (held.by, held.position)).collect()
    }

    /// That the sums of the sizes are those of what is there.
    fn check_sizes(&self) {
        let (kept, measured) =
            self.bus.0.shared.log.read("measure", |db| Ok((Sizes::read(db)?, Sizes::measure(db)?))).unwrap();
        assert_eq!(kept, measured);
    }

    fn rows(&self, table: &str) -> u64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.bus.0.shared.log.read("count", |db| db.query_row(&count, [], |row| rows::unsigned(row, 0))).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_rule_nothing_is_removed() {
    let stage = Stage::new(Retention::default());
    for id in ["a", "b", "c"] {
        stage.publish(id, "t").await;
    }
    stage.advance(10_000 * DAY);
    assert_eq!(stage.left().await, [1, 2, 3]);
    assert_eq!(stage.storage().await.removed_to, 0);
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_by_age_with_all_that_was_settled_on_it_and_the_last_one_stays() {
    let stage = Stage::new(a_month());
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for id in ["a", "b", "c"] {
        stage.publish(id, "t").await;
        stage.settle(&mut subscription, failed(Decision::RetryAt(Timestamp::EPOCH))).await;
        stage.settle(&mut subscription, ack()).await;
        stage.advance(10 * DAY);
    }
    assert_eq!(stage.left().await, [1, 3, 4], "the record of the deployment, and what is younger than 30 days");
    assert_eq!((stage.rows("invocations"), stage.rows("recordings")), (4, 4));
    assert!(stage.bus.event_at(2).await.unwrap().is_none());
    assert!(stage.bus.attempts(2).await.unwrap().is_empty());
    let storage = stage.storage().await;
    assert_eq!((storage.removed_to, storage.first.map(|(first, _)| first), storage.events_held), (2, Some(3), 1));
    assert_eq!(storage.held, [], "what stays by its nature is no news");
    stage.advance(100 * DAY);
    assert_eq!(stage.left().await, [1, 4]);
    stage.check_sizes();
    // What is left is known when it comes again, and what is gone is new.
    assert!(stage.bus.publish(vec![incoming(event("c", "t"))]).await.unwrap()[0].duplicate);
    assert_eq!(stage.publish("a", "t").await, 5);
    assert_eq!(stage.reopen().bus.tail().await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_has_not_handled_stays_and_the_function_is_named() {
    let stage = Stage::new(a_month());
    let (slow, idle) = (function("slow", "t"), function("idle", "never"));
    stage.activate(vec![slow.clone(), idle]).await;
    for id in ["a", "b", "c"] {
        stage.publish(id, "t").await;
    }
    stage.advance(31 * DAY);
    assert_eq!(stage.left().await, [1, 2, 3, 4]);
    assert_eq!(stage.held_by().await, [(HeldBy::Lag(slow.id), 2)]);
    let mut subscription = stage.bus.subscribe(slow.id);
    // Out of order: what is not settled holds what comes after it too.
    let first = next(&mut subscription).await;
    stage.settle(&mut subscription, ack()).await;
    assert_eq!(stage.left().await, [1, 2, 3, 4]);
    stage.bus.settle(first, ack()).await.unwrap();
    assert_eq!(stage.left().await, [1, 4]);
    drop(subscription);
    let stage = stage.reopen();
    let mut subscription = stage.bus.subscribe(slow.id);
    assert_eq!(next(&mut subscription).await.event.event.id, "c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_tried_again_and_open_dead_letters_stay_until_they_are_settled() {
    let stage = Stage::new(a_month());
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for id in ["retried", "dead", "dropped", "done", "last"] {
        stage.publish(id, "t").await;
    }
    let later = Timestamp::from_micros(stage.micros.load(Ordering::SeqCst)).plus(40 * DAY);
    let retried = stage.settle(&mut subscription, failed(Decision::RetryAt(later))).await;
    let dead = stage.settle(&mut subscription, failed(Decision::DeadLetter)).await;
    let dropped = stage.settle(&mut subscription, failed(Decision::DeadLetter)).await;
    for _ in 0..2 {
        stage.settle(&mut subscription, ack()).await;
    }
    stage.advance(31 * DAY);
    assert_eq!(stage.left().await, [1, 2, 3, 4, 6]);
    let held = stage.storage().await.held;
    let told: Vec<_> = held.iter().map(|held| (held.by, held.position, held.events)).collect();
    let (retry, letter) = (HeldBy::Retry(handler.id), HeldBy::DeadLetter(handler.id));
    assert_eq!(told, [(retry, retried, Some(1)), (letter, dead, Some(2))]);
    // Without a rule of their own, dead letters that were dropped go with their events.
    assert_eq!(stage.bus.drop_letters(vec![(handler.id, dropped)], "ops").await.unwrap(), 1);
    assert_eq!(stage.left().await, [1, 2, 3, 6]);
    assert_eq!(stage.put_back(vec![(handler.id, dead)]).await, 1);
    let redriven = next(&mut subscription).await;
    assert_eq!((redriven.event.position, redriven.round), (dead, 1));
    assert_eq!(stage.left().await, [1, 2, 3, 6]);
    let stage = {
        drop((redriven, subscription));
        stage.reopen()
    };
    let mut subscription = stage.bus.subscribe(handler.id);
    assert_eq!(stage.settle(&mut subscription, ack()).await, dead);
    assert_eq!(stage.left().await, [1, 2, 6]);
    stage.advance(10 * DAY);
    assert_eq!(stage.settle(&mut subscription, ack()).await, retried);
    assert_eq!(stage.left().await, [1, 6]);
    assert_eq!((stage.rows("pending"), stage.rows("dead_letters"), stage.rows("invocations")), (0, 0, 1));
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resolved_dead_letters_have_a_rule_of_their_own() {
    let stage = Stage::new(Retention { dead_letters: by_age(90), ..a_month() });
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for id in ["open", "dropped", "last"] {
        stage.publish(id, "t").await;
        stage.settle(&mut subscription, failed(Decision::DeadLetter)).await;
    }
    stage.bus.drop_letters(vec![(handler.id, 3), (handler.id, 4)], "ops").await.unwrap();
    stage.advance(89 * DAY);
    assert_eq!(stage.left().await, [1, 2, 3, 4]);
    assert!(stage.bus.dead_letter(handler.id, 3).await.unwrap().is_some());
    stage.advance(2 * DAY);
    assert_eq!(stage.left().await, [1, 2, 4]);
    let listed = stage.bus.dead_letters(Some(handler.id), 10).await.unwrap();
    assert_eq!(listed.iter().map(|letter| letter.event.position).collect::<Vec<_>>(), [2]);
    // As long as the event is there, what became of it is told.
    let last = stage.bus.dead_letter(handler.id, 4).await.unwrap().unwrap();
    assert!(matches!(last.state, DeadLetterState::Dropped { ref by, .. } if by == "ops"), "{last:?}");
    stage.advance(10_000 * DAY);
    assert_eq!(stage.left().await, [1, 2, 4], "an open one stays for ever");
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resolved_dead_letters_go_by_size_in_the_order_in_which_they_were_resolved() {
    let stage = Stage::new(Retention { dead_letters: by_size(1_000), ..a_month() });
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for id in ["a", "b", "c", "d"] {
        stage.publish(id, "t").await;
        stage.settle(&mut subscription, failed(Decision::DeadLetter)).await;
    }
    for position in [3, 2, 5, 4] {
        stage.advance(DAY);
        stage.bus.drop_letters(vec![(handler.id, position)], "ops").await.unwrap();
    }
    assert_eq!(stage.left().await, [1, 2, 3, 4, 5]);
    let letters = stage.bus.dead_letters(None, 10).await.unwrap();
    let mut kept: Vec<Position> = letters.iter().map(|letter| letter.event.position).collect();
    kept.sort_unstable();
    let each = stage.storage().await.letter_bytes / kept.len() as u64;
    assert_eq!(kept.len() as u64, 1_000 / each, "as many as fit, of {each} bytes each");
    assert!(kept.contains(&4) && !kept.contains(&3), "{kept:?}");
    // Put back after it was removed: it is not there to be put back.
    assert_eq!(stage.put_back(vec![(handler.id, 3)]).await, 0);
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_left_holds_what_it_needs_for_a_time_and_goes_on_with_what_is_there() {
    let stage = Stage::new(Retention { functions: 40 * DAY, ..a_month() });
    let (left, stays) = (function("left", "t"), function("stays", "u"));
    stage.activate(vec![left.clone(), stays.clone()]).await;
    stage.publish("retried", "t").await;
    stage.publish("unread", "t").await;
    let later = Timestamp::from_micros(stage.micros.load(Ordering::SeqCst)).plus(200 * DAY);
    stage.settle(&mut stage.bus.subscribe(left.id), failed(Decision::RetryAt(later))).await;
    stage.activate(vec![stays.clone()]).await;
    stage.publish("after", "t").await;
    stage.publish("last", "v").await;
    stage.advance(39 * DAY);
    assert_eq!(stage.left().await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(stage.held_by().await, [(HeldBy::Lag(left.id), 3), (HeldBy::Retry(left.id), 2)]);
    stage.advance(2 * DAY);
    assert_eq!(stage.left().await, [1, 4, 6]);
    assert_eq!(stage.rows("pending"), 0);
    stage.activate(vec![left.clone(), stays]).await;
    stage.publish("again", "t").await;
    let mut subscription = stage.bus.subscribe(left.id);
    assert_eq!(next(&mut subscription).await.event.event.id, "again");
    stage.check_sizes();
}

fn trigger_event(id: &str, ty: &str, name: &str) -> Incoming {
    let origin = Origin { kind: OriginKind::Trigger, name: name.to_owned(), verified: true };
    Incoming { event: event(id, ty), origin }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_ticks_of_a_schedule_stay_and_states_of_a_bucket_stay_known() {
    let stage = Stage::new(a_month());
    let schedule = ScheduleTrigger {
        schedule: Schedule::new("0 0 1 1 *", time_zone("UTC").unwrap()).unwrap(),
        missed: MissedTicks::One,
        ty: "tick".to_owned(),
        subject: None,
        data: None,
    };
    let with_schedule = Deployment { triggers: vec![Trigger::Schedule(schedule)], ..deployment(Vec::new()) };
    stage.bus.activate(with_schedule, 0, Cause::ProjectFile).await.unwrap();
    let bucket = format!("{}images/", BucketTrigger::NAME_PREFIX);
    let ticks = ScheduleTrigger::LOOKED_BACK_MAX + 2;
    stage.bus.publish((0..ticks).map(|tick| incoming(event(&format!("tick-{tick}"), "tick"))).collect()).await.unwrap();
    stage.bus.publish(vec![trigger_event("state", "object", &bucket)]).await.unwrap();
    stage.publish("other", "object").await;
    stage.publish("last", "t").await;
    stage.advance(400 * DAY);
    let left = stage.left().await;
    let expected: Vec<Position> =
        [1].into_iter().chain(4..=ticks as Position + 1).chain([ticks as Position + 4]).collect();
    assert_eq!(left, expected);
    assert!(stage.bus.has("state", "test").await.unwrap());
    assert!(!stage.bus.has("other", "test").await.unwrap());
    stage.activate(Vec::new()).await;
    assert_eq!(stage.left().await, [1, ticks as Position + 5], "a schedule that is gone holds nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_size_removes_the_oldest_but_nothing_that_must_be_known_when_it_comes_again() {
    let stage = Stage::new(Retention { events: by_size(100_000), ..Retention::default() });
    let large = |id: u32| {
        let data = Some(bytes::Bytes::from(vec![b'x'; 10_000]));
        incoming(Event { data, ..event(&id.to_string(), "t") })
    };
    stage.bus.publish((0..20).map(large).collect()).await.unwrap();
    assert_eq!(stage.left().await.len(), 20);
    let storage = stage.storage().await;
    assert!(storage.event_bytes > 200_000, "{storage:?}");
    let until = storage.first.unwrap().1.plus(7 * DAY);
    assert_eq!(stage.held_by().await, [(HeldBy::Dedupe { until }, 1)]);
    stage.advance(7 * DAY);
    let left = stage.left().await;
    assert_eq!(left, (12..=20).collect::<Vec<_>>());
    assert!(stage.storage().await.event_bytes <= 100_000);
    assert_eq!(stage.held_by().await, []);
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_go_by_age_and_by_size_and_leave_the_attempts() {
    let recordings = Rule { age: Some(10 * DAY), bytes_max: Some(250_000) };
    let stage = Stage::new(Retention { recordings, ..Retention::default() });
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    let mut ids = Vec::new();
    for id in ["a", "b", "c", "d"] {
        stage.publish(id, "t").await;
        let recording = bytes::Bytes::from(vec![7; 100_000]);
        stage.settle(&mut subscription, Settlement { recording: Some(recording), ..ack() }).await;
        stage.advance(DAY);
    }
    for invocation in stage.bus.invocations(InvocationQuery { max: 10, ..InvocationQuery::default() }).await.unwrap() {
        ids.push(invocation.id);
    }
    let kept = async |stage: &Stage| {
        stage.left().await;
        let mut kept = Vec::new();
        for id in &ids {
            if stage.bus.recording(id).await.unwrap().is_some() {
                kept.push(id.position);
            }
        }
        kept
    };
    assert_eq!(kept(&stage).await, [5, 4], "as many as fit");
    assert_eq!(stage.storage().await.recordings_removed_to, 2);
    stage.advance(8 * DAY);
    assert_eq!(kept(&stage).await, [5]);
    stage.advance(8 * DAY);
    assert_eq!(kept(&stage).await, [] as [Position; 0]);
    assert_eq!(stage.left().await, [1, 2, 3, 4, 5]);
    assert_eq!((stage.rows("invocations"), stage.rows("recordings")), (4, 0));
    stage.check_sizes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_forget_what_is_removed_in_whole_stretches_and_at_their_edges() {
    let stage = Stage::new(a_month());
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for round in 0..3 {
        let events =
            (0..700).map(|index| incoming(event(&format!("{round}-{index}"), if index % 10 == 0 { "t" } else { "u" })));
        stage.bus.publish(events.collect()).await.unwrap();
        for index in 0..70 {
            let settlement = if index % 7 == 0 { failed(Decision::DeadLetter) } else { ack() };
            let position = stage.settle(&mut subscription, settlement).await;
            if index % 7 == 0 {
                stage.bus.drop_letters(vec![(handler.id, position)], "ops").await.unwrap();
            }
        }
        stage.advance(20 * DAY);
    }
    stage.left().await;
    assert_eq!(stage.storage().await.removed_to, 1_401);
    for from in [0, 1, 1_000, 1_024, 1_500] {
        let query = StatisticsQuery { function: handler.id, component: ack().component, from, to: None };
        let all = InvocationQuery { max: 10_000, ..InvocationQuery::default() };
        let left = stage.bus.invocations(all).await.unwrap();
        let expected = Statistics::of(&left, &query, stage.bus.tail().await.unwrap());
        assert_eq!(stage.bus.statistics(query).await.unwrap(), expected, "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_disk_max_nothing_new_is_accepted_settlements_go_on_and_room_is_taken_again() {
    const MAX: u64 = 2 * 1024 * 1024;
    let rules = Retention { events: by_age(30), recordings: by_age(1), ..Retention::default() };
    let disk = OnDisk { retention: rules, disk_bytes_max: Some(MAX), ..on_disk() };
    let stage = Stage::open(disk, Arc::new(AtomicI64::new(1_800_000_000_000_000)));
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    stage.publish("a", "t").await;
    stage.publish("b", "t").await;
    for _ in 0..2 {
        let recording = bytes::Bytes::from(vec![7; 500_000]);
        let large = Event { data: Some(bytes::Bytes::from(vec![b'x'; 60_000])), ..Event::default() };
        let emitted = (0..10).map(|index| Event {
            id: uuid::Uuid::now_v7().to_string(),
            source: format!("s{index}"),
            ty: "emitted".to_owned(),
            ..large.clone()
        });
        // What settles may pass it.
        let settlement = Settlement { recording: Some(recording), emitted: emitted.collect(), ..ack() };
        stage.settle(&mut subscription, settlement).await;
    }
    let refused = stage.bus.publish(vec![incoming(event("c", "t"))]).await.unwrap_err();
    assert!(matches!(refused, PublishError::Bus(BusError::AtMax)), "{refused:?}");
    assert!(stage.storage().await.is_at_max());
    // What was accepted is known all the same.
    assert!(stage.bus.publish(vec![incoming(event("a", "t"))]).await.unwrap()[0].duplicate);
    stage.advance(2 * DAY);
    stage.left().await;
    assert!(!stage.storage().await.is_at_max());
    stage.publish("c", "t").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_that_are_held_do_not_keep_those_after_them() {
    let stage = Stage::new(a_month());
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    for batch in 0..3 {
        let events = (0..400).map(|index| incoming(event(&format!("{batch}-{index}"), "t")));
        stage.bus.publish(events.collect()).await.unwrap();
    }
    let mut letters = Vec::new();
    for index in 0..1_200 {
        let settlement = if index < 1_100 { failed(Decision::DeadLetter) } else { ack() };
        let position = stage.settle(&mut subscription, settlement).await;
        if index < 1_100 {
            letters.push((handler.id, position));
        }
    }
    stage.advance(31 * DAY);
    let held: Vec<Position> = (1..=1_101).chain([1_201]).collect();
    assert_eq!(stage.left().await, held);
    // More than are looked at in one step, and the last of them first.
    letters.drain(..40);
    stage.bus.drop_letters(letters, "ops").await.unwrap();
    assert_eq!(stage.left().await, (1..=41).chain([1_201]).collect::<Vec<_>>());
    stage.check_sizes();
}

#[test]
fn a_log_of_the_first_format_is_measured_once_and_then_kept_count_of() {
    let disk = on_disk();
    std::fs::write(disk.path().join("log.db"), include_bytes!("../../../../tests/fixtures/log-1.db")).unwrap();
    let stage = Stage::open(disk, Arc::new(AtomicI64::new(1_800_000_000_000_000)));
    stage.check_sizes();
    assert!(stage.rows("invocations") > 0);
}

/// The length of the log's file.
fn file_bytes(stage: &Stage) -> u64 {
    std::fs::metadata(stage.disk.path().join("log.db")).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_steady_load_the_file_stops_growing_and_what_is_free_is_given_back() {
    const KEPT: u64 = 4 * 1024 * 1024;
    let rules = Retention { events: by_size(KEPT), dedupe: Duration::from_secs(1), ..Retention::default() };
    let stage = Stage::new(rules);
    let mut longest = Vec::new();
    for round in 0..12 {
        for batch in 0..16 {
            let data = Some(bytes::Bytes::from(vec![b'x'; 16_000]));
            let events = (0..16)
                .map(|index| incoming(Event { data: data.clone(), ..event(&format!("{round}-{batch}-{index}"), "t") }));
            stage.bus.publish(events.collect()).await.unwrap();
        }
        stage.advance(Duration::from_secs(2));
        stage.left().await;
        let storage = stage.storage().await;
        assert!(storage.event_bytes <= KEPT, "{storage:?}");
        longest.push(storage.used_bytes + storage.free_bytes);
    }
    assert!(longest[11] <= longest[5] + 1024 * 1024, "{longest:?}");
    // A rule that keeps less, from the next start on.
    let Stage { mut disk, micros, bus } = stage;
    bus.close().await.unwrap();
    drop(bus);
    let before = std::fs::metadata(disk.path().join("log.db")).unwrap().len();
    disk.retention.events = by_size(1024 * 1024);
    let stage = Stage::open(disk, micros);
    stage.advance(Duration::from_secs(2));
    stage.left().await;
    stage.check_sizes();
    stage.bus.close().await.unwrap();
    let after = file_bytes(&stage);
    assert!(after < before && after <= 6 * 1024 * 1024, "{before} to {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_function_from_the_earliest_gets_what_is_left() {
    let stage = Stage::new(a_month());
    for id in ["a", "b"] {
        stage.publish(id, "t").await;
        stage.advance(20 * DAY);
    }
    assert_eq!(stage.left().await, [2]);
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    assert_eq!(stage.settle(&mut subscription, ack()).await, 2);
    nothing(&mut subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_nothing_names_any_more_are_swept_and_no_other() {
    let stage = Stage::new(a_month());
    let handler = function("f", "t");
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    let blobs = stage.bus.0.shared.log.blobs.clone();
    let put = |text: &'static str| blobs.put(&bytes::Bytes::from_static(text.as_bytes())).unwrap();
    let large = |id: &str, text: String| {
        let data = bytes::Bytes::from(format!("{}{text}", "x".repeat(100_000)));
        (Digest::of(&data), incoming(Event { data: Some(data), ..event(id, "t") }))
    };
    // The last one is the function's component.
    let (orphan, of_key, of_large, component) = (put("orphan"), put("key"), put("in large data"), put("f"));
    assert_eq!(component, handler.component.digest);
    let (old, first) = large("old", String::new());
    let (young, last) = large("young", format!("see {of_large}"));
    stage.bus.publish(vec![first]).await.unwrap();
    stage.advance(40 * DAY);
    let writes = vec![crate::bus::conformance::write("k", &format!("[{of_key}]"))];
    stage.settle(&mut subscription, Settlement { writes, ..ack() }).await;
    stage.bus.publish(vec![last]).await.unwrap();
    let recording = bytes::Bytes::from(vec![7; 600_000]);
    let of_recording = Digest::of(&recording);
    stage.settle(&mut subscription, Settlement { recording: Some(recording), ..ack() }).await;
    assert_eq!(stage.left().await, [1, 3]);
    let sweep = |before| super::super::sweep::sweep(&stage.bus.0.shared.log, before, || true).unwrap();
    let now = std::time::SystemTime::now();
    assert_eq!(sweep(now - DAY), 0, "none was put longer than a day ago");
    assert_eq!(sweep(now + DAY), 2);
    for gone in [orphan, old] {
        assert!(!blobs.has(gone).unwrap(), "{gone}");
    }
    for kept in [of_key, of_large, component, young, of_recording] {
        assert!(blobs.has(kept).unwrap(), "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_superseded_goes_with_its_event_and_what_superseded_it_is_known_on() {
    let stage = Stage::new(a_month());
    let supersede = Supersede { key: KeyExpression::new("event.source").unwrap(), by: None };
    let handler = Function { supersede: Some(supersede), ..function("f", "t") };
    stage.activate(vec![handler.clone()]).await;
    let mut subscription = stage.bus.subscribe(handler.id);
    let publish = async |id: &str, sequence: &str| {
        let event = with(event(id, "t"), "sequence", sequence);
        stage.bus.publish(vec![incoming(event)]).await.unwrap()[0].position.unwrap()
    };
    let superseded = async |position: Position| {
        let mut commits = stage.bus.commits();
        while stage.bus.superseded(position).await.unwrap().is_empty() {
            commits.changed().await.unwrap();
        }
    };
    publish("newest", "9").await;
    stage.settle(&mut subscription, ack()).await;
    let older = publish("older", "8").await;
    superseded(older).await;
    publish("last", "x").await;
    stage.settle(&mut subscription, ack()).await;
    assert_eq!(stage.rows("superseded"), 1);
    stage.advance(40 * DAY);
    stage.publish("now", "u").await;
    stage.left().await;
    assert_eq!((stage.rows("superseded"), stage.rows("newest")), (0, 1));
    let late = publish("late", "7").await;
    superseded(late).await;
    stage.check_sizes();
}
