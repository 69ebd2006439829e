//! The counters, and the log lines that go with them.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing::{Span, debug, error, info, warn};

use super::Causes;
use crate::bus::{Delivery, Receipt};
use crate::clock::Timestamp;
use crate::event::Position;
use crate::outcome::{Decision, Outcome};
use crate::record::Ran;

/// Label sets are functions, trigger paths and closed sets of codes: what a sender writes is never a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    door: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FunctionLabel {
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    function: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabel {
    start: Start,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Start {
    Cold,
    Warm,
}

/// Counts and logs. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    registry: Registry,
    accepted: Family<DoorLabel, Counter>,
    deduplicated: Family<DoorLabel, Counter>,
    rejected: Family<RejectionLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    delivered: Family<FunctionLabel, Counter>,
    retries: Family<FunctionLabel, Counter>,
    dead_letters: Family<FunctionLabel, Counter>,
    filter_failures: Family<FunctionLabel, Counter>,
    superseded: Family<FunctionLabel, Counter>,
    unreadable: Family<FunctionLabel, Counter>,
    faults: Counter,
    running: Family<FunctionLabel, Gauge>,
    invoke: Family<FunctionLabel, Histogram>,
    start: Family<StartLabel, Histogram>,
    settle: Histogram,
    hop: Family<FunctionLabel, Histogram>,
}

/// What is read from the log when metrics are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionGauges {
    pub function: String,
    /// Events of its types past its cursor.
    pub lag: u64,
    pub pending: u64,
    pub dead_letters_open: u64,
}

/// The log as bytes, read when metrics are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageGauges {
    pub events: u64,
    pub recordings: u64,
    /// Of the log's file, without what is free in it.
    pub used: u64,
    pub free: u64,
    pub write_ahead: u64,
}

/// 0.1 ms to about 90 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.5, 16))
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut counters = Counters {
            registry: Registry::with_prefix("tidegate"),
            accepted: Family::default(),
            deduplicated: Family::default(),
            rejected: Family::default(),
            outcomes: Family::default(),
            delivered: Family::default(),
            retries: Family::default(),
            dead_letters: Family::default(),
            filter_failures: Family::default(),
            superseded: Family::default(),
            unreadable: Family::default(),
            faults: Counter::default(),
            running: Family::default(),
            invoke: Family::new_with_constructor(histogram),
            start: Family::new_with_constructor(histogram),
            settle: histogram(),
            hop: Family::new_with_constructor(histogram),
        };
        counters.register();
        Metrics(Arc::new(counters))
    }

    /// Events that a door took in; they are durable.
    pub fn accepted(&self, door: &str, receipts: &[Receipt]) {
        let label = DoorLabel { door: door.to_owned() };
        let duplicates = receipts.iter().filter(|receipt| receipt.duplicate).count() as u64;
        let accepted = receipts.len() as u64 - duplicates;
        self.0.accepted.get_or_create(&label).inc_by(accepted);
        self.0.deduplicated.get_or_create(&label).inc_by(duplicates);
        debug!(door, accepted, duplicates, "events accepted");
    }

    /// A request that was refused; `reason` is what the sender was told.
    pub fn rejected(&self, door: &str, code: &'static str, reason: &str) {
        self.0.rejected.get_or_create(&RejectionLabels { door: door.to_owned(), code }).inc();
        warn!(door, code, reason, "request rejected");
    }

    /// One attempt that ran, on the span of its invocation. Whether it counts is seen when it is settled.
    pub fn attempt(&self, delivery: &Delivery, ran: &Ran, decision: Decision) {
        let name = delivery.function.name.as_str();
        let label = FunctionLabel { function: name.to_owned() };
        let start = if ran.cold { Start::Cold } else { Start::Warm };
        self.0.invoke.get_or_create(&label).observe(ran.duration.as_secs_f64());
        self.0.start.get_or_create(&StartLabel { start }).observe(ran.duration.as_secs_f64());
        let span = Span::current();
        span.record("faas.coldstart", ran.cold);
        let (position, attempt) = (delivery.event.position, delivery.attempt);
        let kind = match &ran.outcome {
            Outcome::Completed { emitted } => {
                span.record("otel.status_code", "OK");
                debug!(function = name, position, attempt, emitted = emitted.len(), "invocation completed");
                "completed"
            }
            Outcome::Failed(failure) => {
                let kind = failure.kind.as_str();
                span.record("otel.status_code", "ERROR");
                span.record("error.type", kind);
                let next = match decision {
                    Decision::Ack => "acknowledged".to_owned(),
                    Decision::RetryAt(at) => format!("again at {at}"),
                    Decision::DeadLetter => "dead-lettered".to_owned(),
                };
                warn!(function = name, position, attempt, kind, reason = failure.reason, next, "invocation failed");
                kind
            }
        };
        self.0.outcomes.get_or_create(&OutcomeLabels { function: name.to_owned(), kind }).inc();
    }

    /// A settlement that was committed `took` after it was handed in, for an event accepted at `accepted_at`.
    pub fn settled(&self, function: &str, decision: Decision, took: Duration, accepted_at: Timestamp, now: Timestamp) {
        let label = FunctionLabel { function: function.to_owned() };
        self.0.settle.observe(took.as_secs_f64());
        match decision {
            Decision::Ack => {
                self.0.delivered.get_or_create(&label).inc();
                self.0.hop.get_or_create(&label).observe(now.since(accepted_at).as_secs_f64());
            }
            Decision::RetryAt(_) => {
                self.0.retries.get_or_create(&label).inc();
            }
            Decision::DeadLetter => {
                self.0.dead_letters.get_or_create(&label).inc();
            }
        }
    }

    /// A filter that could not be evaluated: a verdict of its own.
    pub fn filter_failed(&self, function: &str, position: Position, clause: &str, reason: &str) {
        self.0.filter_failures.get_or_create(&FunctionLabel { function: function.to_owned() }).inc();
        warn!(function, position, clause, reason, "filter failed");
    }

    /// An event that is not run, since a newer one of its key was accepted.
    pub fn superseded(&self, function: &str) {
        self.0.superseded.get_or_create(&FunctionLabel { function: function.to_owned() }).inc();
    }

    /// An event whose data cannot be read for a function: it waits, and is read again. Told once, until it could be read.
    pub fn unreadable(&self, function: &str, position: Position, error: &(dyn Error + 'static)) {
        self.0.unreadable.get_or_create(&FunctionLabel { function: function.to_owned() }).inc();
        error!(function, position, error = %Causes(error), "an event cannot be read; it waits and is read again");
    }

    /// The log cannot be read: nothing is delivered meanwhile, and after `failures_max` times in a row the bus fails.
    pub fn log_unreadable(&self, error: &(dyn Error + 'static), failures: u32, failures_max: u32) {
        self.0.faults.inc();
        error!(error = %Causes(error), failures, failures_max, "the log cannot be read; nothing is delivered");
    }

    /// A fault of ours: no attempt was counted, and the event comes again.
    pub fn fault(&self, fault: &(dyn Error + Send + Sync + 'static)) {
        self.0.faults.inc();
        error!(error = %Causes(fault), "a fault of the runtime; the event will be tried again");
    }

    /// A deployment's webhooks could not be had, and those that stood before it are kept.
    pub fn webhooks_kept(&self, deployment: u64, error: &(dyn Error + 'static)) {
        self.0.faults.inc();
        error!(deployment, error = %Causes(error), "webhooks kept as before the deployment");
    }

    /// A door is open.
    pub fn listening(&self, door: &str, address: std::net::SocketAddr) {
        info!(door, %address, "listening");
    }

    /// Counts an invocation as running until the answer is dropped, from when its component is fetched and compiled.
    pub fn running(&self, function: &str) -> Running {
        let gauge = self.0.running.get_or_create_owned(&FunctionLabel { function: function.to_owned() });
        gauge.inc();
        Running(gauge)
    }

    /// How many invocations of a function run now.
    pub fn running_now(&self, function: &str) -> u64 {
        let label = FunctionLabel { function: function.to_owned() };
        self.0.running.get(&label).map_or(0, |gauge| u64::try_from(gauge.get()).unwrap_or(0))
    }

    /// All metrics as OpenMetrics text, which Prometheus' own text format can be read from too.
    pub fn text(&self, functions: &[FunctionGauges], storage: &StorageGauges) -> String {
        let mut text = String::new();
        let write = encode_registry(&mut text, &self.0.registry)
            .and_then(|()| encode_registry(&mut text, &gauges(functions, storage)))
            .and_then(|()| encode_eof(&mut text));
        write.expect("writing to a string cannot fail");
        text
    }
}

impl Counters {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("events_accepted", "Events taken in and durable", self.accepted.clone());
        registry.register("events_deduplicated", "Events that were here before", self.deduplicated.clone());
        registry.register("requests_rejected", "Requests refused, by code", self.rejected.clone());
        registry.register("outcomes", "Attempts that ran, by how they ended", self.outcomes.clone());
        registry.register("delivered", "Events that a function acknowledged", self.delivered.clone());
        registry.register("retries", "Failed attempts that are tried again", self.retries.clone());
        registry.register("dead_letters", "Events given up for a function", self.dead_letters.clone());
        registry.register(
            "superseded",
            "Events that were not run, since a newer one was there",
            self.superseded.clone(),
        );
        registry.register("filter_failures", "Filters that could not be evaluated", self.filter_failures.clone());
        let help = "Events that a function waits for, because their data cannot be read";
        registry.register("events_unreadable", help, self.unreadable.clone());
        registry.register("faults", "Faults of the runtime, which count as no attempt", self.faults.clone());
        registry.register(
            "invocations_running",
            "Invocations in flight, those that wait for their component included",
            self.running.clone(),
        );
        let mut seconds = |name: &str, help: &str, histogram: Family<FunctionLabel, Histogram>| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram);
        };
        seconds("invoke_duration", "Time of one attempt", self.invoke.clone());
        seconds("hop_duration", "From accepted to acknowledged by a function", self.hop.clone());
        let help = "Time of one attempt, those that had to compile or load their component apart";
        registry.register_with_unit("start_duration", help, Unit::Seconds, self.start.clone());
        registry.register_with_unit("settle_duration", "Time of one commit", Unit::Seconds, self.settle.clone());
    }
}

fn gauges(functions: &[FunctionGauges], storage: &StorageGauges) -> Registry {
    let (lag, pending, dead_letters) = (Family::default(), Family::default(), Family::default());
    for function in functions {
        let set = |family: &Family<FunctionLabel, Gauge>, value: u64| {
            let label = FunctionLabel { function: function.function.clone() };
            family.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&lag, function.lag);
        set(&pending, function.pending);
        set(&dead_letters, function.dead_letters_open);
    }
    let mut registry = Registry::with_prefix("tidegate");
    registry.register("function_lag_events", "Events of its types past the function's cursor", lag);
    registry.register("function_pending_events", "Events at or below the cursor that are not settled", pending);
    registry.register("function_dead_letters_open", "Dead letters neither redriven nor dropped", dead_letters);
    let bytes = Family::<PartLabel, Gauge>::default();
    let StorageGauges { events, recordings, used, free, write_ahead } = *storage;
    for (part, value) in
        [("events", events), ("recordings", recordings), ("used", used), ("free", free), ("write-ahead", write_ahead)]
    {
        bytes.get_or_create(&PartLabel { part }).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    registry.register_with_unit("log_size", "Size of the log, by part", Unit::Bytes, bytes);
    registry
}

/// An invocation in flight.
#[derive(Debug)]
pub struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
