//! What the traits mean, as tests: every bus runs them all, by `conformance!(storage)`.

pub mod delivery;
pub mod deployment;
pub mod model;
pub mod pace;
pub mod publish;
pub mod refusal;
pub mod replay;
pub mod settle;
pub mod statistics;
pub mod supersede;
pub mod time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::{
    Bus, Cause, Delivery, History, Incoming, KeyRead, KeyWrite, PutBack, ReadScope, Receipt, Settled, Settlement,
    Subscription,
};
use crate::clock::{Clock, Timestamp};
use crate::deployment::{Component, ComponentRef, Deployment, Digest, Function, FunctionId, Grants, Order, Start};
use crate::event::{Event, Extension, Origin, OriginKind, Position};
use crate::filter::{Filter, KeyExpression};
use crate::outcome::{Decision, Failure, FailureKind};

/// What keeps a log beyond the life of a bus.
pub(super) trait Storage: Send {
    /// Opens the bus on this storage, as a new process would.
    fn open(&self, clock: Clock) -> (Arc<dyn Bus>, Arc<dyn History>);

    /// Lets it remove events that nobody needs once they are so old, where it can.
    fn remove_after(&mut self, _age: Duration) {}
}

/// A bus under test, and its clock.
pub(super) struct Bench {
    storage: Box<dyn Storage>,
    micros: Arc<AtomicI64>,
    pub bus: Arc<dyn Bus>,
    pub history: Arc<dyn History>,
}

impl Bench {
    pub fn new(storage: impl Storage + 'static) -> Self {
        // Some instant that is not the epoch, so that a forgotten time shows.
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_000));
        let (bus, history) = storage.open(clock(&micros));
        Bench { storage: Box::new(storage), micros, bus, history }
    }

    /// Another bus that has the same clock.
    pub fn beside(&self, storage: impl Storage + 'static) -> Self {
        let (bus, history) = storage.open(clock(&self.micros));
        Bench { storage: Box::new(storage), micros: self.micros.clone(), bus, history }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        self.micros.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Ends the bus in good order and opens it again.
    pub async fn restart(self) -> Bench {
        self.bus.close().await.unwrap();
        self.crash()
    }

    /// Lets the bus go as a dead process does, and opens it again. No delivery may be held.
    pub fn crash(self) -> Bench {
        let Bench { storage, micros, bus, history } = self;
        drop((bus, history));
        let (bus, history) = storage.open(clock(&micros));
        Bench { storage, micros, bus, history }
    }

    pub async fn activate(&self, functions: Vec<Function>) -> u64 {
        let expected = self.bus.active().borrow().as_ref().map_or(0, |active| active.number);
        self.bus.activate(deployment(functions), expected, Cause::ProjectFile).await.unwrap()
    }

    pub async fn publish(&self, events: Vec<Event>) -> Vec<Receipt> {
        self.bus.publish(events.into_iter().map(incoming).collect()).await.unwrap()
    }

    pub async fn publish_one(&self, event: Event) -> Position {
        self.publish(vec![event]).await[0].position.unwrap()
    }

    pub async fn ack(&self, delivery: Delivery) -> Settled {
        self.bus.settle(delivery, ack()).await.unwrap()
    }

    /// Puts dead letters back to run at once. Answers how many were.
    pub async fn put_back(&self, letters: &[(FunctionId, Position)]) -> u64 {
        let due = self.now();
        let letters =
            letters.iter().map(|(function, position)| PutBack { function: *function, position: *position, due });
        self.bus.redrive(letters.collect()).await.unwrap()
    }

    pub async fn ack_all(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.ack(delivery).await;
        }
    }

    pub async fn value(&self, key: &str) -> Option<Bytes> {
        self.bus.read_key("space", key).await.unwrap().value
    }
}

pub(super) fn clock(micros: &Arc<AtomicI64>) -> Clock {
    let micros = micros.clone();
    Clock::given(move || Timestamp::from_micros(micros.load(Ordering::SeqCst)))
}

pub(super) fn incoming(event: Event) -> Incoming {
    Incoming { event, origin: Origin { kind: OriginKind::Api, name: "test".to_owned(), verified: true } }
}

pub(super) fn event(id: &str, ty: &str) -> Event {
    Event { id: id.to_owned(), source: "test".to_owned(), ty: ty.to_owned(), ..Event::default() }
}

pub(super) fn keyed(id: &str, ty: &str, key: &str) -> Event {
    with(event(id, ty), "partitionkey", key)
}

pub(super) fn with(mut event: Event, name: &str, value: &str) -> Event {
    event.extensions.insert(name.to_owned(), Extension::Text(value.to_owned()));
    event
}

pub(super) fn deployment(functions: Vec<Function>) -> Deployment {
    Deployment::new("test".to_owned(), functions)
}

/// A function for one type (or a pattern), not ordered, from the start of the log.
pub(super) fn function(name: &str, on: &str) -> Function {
    let component =
        Component { reference: ComponentRef::Builtin(name.to_owned()), digest: Digest::of(name.as_bytes()) };
    let filter = Filter::new(vec![on.parse().unwrap()], BTreeMap::new(), None).unwrap();
    Function { start: Start::Earliest, ..Function::new(name.parse().unwrap(), component, filter) }
}

pub(super) fn ordered(name: &str, on: &str) -> Function {
    Function { order: Order::Key(KeyExpression::new("partitionkey").unwrap()), ..function(name, on) }
}

pub(super) fn ack() -> Settlement {
    Settlement {
        decision: Decision::Ack,
        failure: None,
        emitted: Vec::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        recording: Some(Bytes::from_static(b"recording")),
        component: Digest::of(b"component"),
        duration: Duration::from_millis(3),
    }
}

pub(super) fn failed(decision: Decision) -> Settlement {
    Settlement { decision, failure: Some(Failure::new(FailureKind::Trapped, "unreachable")), ..ack() }
}

pub(super) fn write(key: &str, value: &str) -> KeyWrite {
    KeyWrite { space: "space".to_owned(), key: key.to_owned(), value: Some(Bytes::copy_from_slice(value.as_bytes())) }
}

pub(super) fn read(key: &str, revision: u64) -> KeyRead {
    KeyRead { space: "space".to_owned(), scope: ReadScope::Key(key.to_owned()), revision }
}

/// The next delivery; a bus that has none fails the test instead of hanging it.
pub(super) async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next());
    next.await.expect("a delivery comes").expect("the subscription goes on")
}

/// A delivery, if there is one, as far as one can see.
pub(super) async fn try_next(subscription: &mut Box<dyn Subscription>) -> Option<Delivery> {
    tokio::time::timeout(Duration::from_millis(20), subscription.next()).await.ok().flatten()
}

/// That nothing comes, as far as one can see.
pub(super) async fn nothing(subscription: &mut Box<dyn Subscription>) {
    let next = try_next(subscription).await;
    assert!(next.is_none(), "delivered {next:?}");
}

/// Makes a test of each sentence, for one kind of storage, and one that does as the reference does. `$quick`: the same kind,
/// where thousands are opened in no time.
macro_rules! conformance {
    ($storage:expr, $quick:expr) => {
        #[test]
        fn whatever_happens_it_does_as_the_reference_does() {
            $crate::bus::conformance::model::check(|| $quick);
        }

        $crate::bus::conformance::meaning!($storage);
        $crate::bus::conformance::sentences!($storage;
            pace: a_rate_gives_a_burst_and_then_one_at_a_time,
            pace: a_rate_that_is_taken_away_holds_nothing_back,
            pace: a_limit_holds_its_key_and_no_other,
            pace: a_key_has_a_rate_of_its_own,
            pace: a_backlog_has_a_bound_that_senders_are_told_of,
            pace: order_and_limit_hold_together_through_a_crash,
        );
    };
}

/// What a bus is asked for that takes no account of pace.
macro_rules! meaning {
    ($storage:expr) => {
        $crate::bus::conformance::sentences!($storage;
            publish: a_published_event_has_a_position_and_what_every_event_has,
            publish: the_same_event_again_is_a_duplicate_and_tells_of_the_first,
            publish: the_same_id_with_other_content_is_refused,
            publish: a_batch_is_accepted_as_a_whole_or_not_at_all,
            publish: an_event_twice_in_a_batch_is_one_event,
            publish: deduplication_outlives_the_process,
            publish: large_data_comes_back_whole,
            publish: nobody_outside_speaks_as_this_project_and_another_s_events_can_be_forwarded,
            publish: events_are_found_by_type_time_chain_and_beginning_of_the_id,
            publish: a_page_of_events_ends_by_count_or_by_size_and_the_next_one_goes_on,
            publish: lists_of_events_go_without_their_data,
            replay: a_live_replay_is_in_its_original_s_chain_once_and_keeps_its_origin,
            replay: a_live_replay_for_one_function_comes_to_that_one_alone_and_in_order,
            replay: nobody_outside_says_that_an_event_is_of_a_live_replay,
            settle: emitted_events_keys_and_recording_are_one_step,
            settle: an_attempt_without_a_recording_is_settled_and_told_as_any_other,
            settle: a_second_settlement_changes_nothing,
            settle: a_key_that_moved_is_a_conflict_and_the_delivery_comes_back,
            settle: absence_is_a_revision_too,
            settle: a_listing_is_a_read_of_the_whole_space,
            settle: a_failed_attempt_writes_nothing_but_itself,
            settle: recorded_attempts_come_page_by_page_in_log_order_each_once,
            settle: concurrent_counters_lose_no_update,
            statistics: statistics_count_what_is_final_in_the_window_and_of_the_component,
            statistics: statistics_count_a_retried_event_when_it_ends_and_a_redriven_one_again,
            statistics: statistics_count_what_died_with_its_process,
            delivery: each_function_gets_the_events_of_its_types_once,
            delivery: a_dropped_delivery_comes_again_and_is_no_attempt,
            delivery: events_of_a_key_come_one_at_a_time_in_log_order,
            delivery: a_retry_holds_its_key_only_and_a_dead_letter_releases_it,
            delivery: what_was_not_settled_is_delivered_after_a_restart,
            delivery: what_was_settled_is_not_delivered_after_a_crash,
            delivery: a_loss_counts_one_attempt_and_the_third_is_a_dead_letter,
            delivery: a_function_that_lags_gets_everything_in_order,
            delivery: waiting_for_a_delivery_can_be_given_up,
            time: a_retry_comes_at_its_time_and_keeps_its_first_start,
            time: a_retry_outlives_the_process,
            time: a_delayed_event_gets_its_position_when_it_is_due,
            time: a_delayed_event_is_known_before_it_is_due,
            time: what_waits_for_its_time_is_no_hop,
            supersede: an_older_event_that_comes_late_is_not_run,
            supersede: what_waits_is_dropped_when_a_newer_event_comes,
            supersede: what_is_superseded_holds_up_no_event_of_its_order_key,
            supersede: what_superseded_is_known_after_a_crash,
            supersede: a_dead_letter_that_was_put_back_is_superseded_by_what_came_since,
            refusal: a_refusal_is_kept_and_found_by_what_it_is_known_by,
            deployment: an_activation_is_an_event_and_switches_who_gets_what,
            deployment: an_activation_on_another_number_is_refused,
            deployment: a_new_function_starts_where_it_says,
            deployment: a_function_that_went_and_came_back_goes_on_where_it_was,
            deployment: what_is_out_while_its_function_went_and_came_back_is_not_delivered_twice,
            deployment: a_redriven_dead_letter_comes_one_round_higher,
            deployment: a_dead_letter_put_back_while_its_function_is_deployed_is_delivered,
            deployment: a_dead_letter_put_back_while_its_function_was_away_comes_in_log_order,
            deployment: open_dead_letters_are_told_page_by_page_in_log_order,
            deployment: dead_letters_that_are_put_back_run_when_they_are_due,
            deployment: a_dropped_dead_letter_stays_dropped,
            deployment: what_is_pending_is_told,
            deployment: a_closed_bus_takes_and_gives_nothing,
        );
    };
}

macro_rules! sentences {
    ($storage:expr; $($module:ident: $name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::bus::conformance::$module::$name($crate::bus::conformance::Bench::new($storage)).await;
            }
        )*
    };
}

pub(super) use {conformance, meaning, sentences};
