//! What was measured, as one value.

use std::time::Duration;

use serde::Serialize;

use super::machine::Machine;
use super::sample::{Figures, RUNS};

/// Functions that an event of the chain passes, one after the other.
pub const HOPS: usize = 5;
/// The event that was published, and one for each hop.
pub const CHAIN_EVENTS: usize = HOPS + 1;
/// Chains may make this many times fewer events in a second than the bare store takes.
pub const SLOWER_MAX: f64 = 5.0;
/// There are to be at least so many chains for each on the bare store ..
pub const OF_STORE_CHAINS_MIN: f64 = 0.4;
/// .. and one alone is to take at most so many times as long.
pub const TIMES_STORE_CHAIN_MAX: f64 = 1.3;

/// Figures, with how many there were at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtOnce {
    pub at_once: usize,
    pub figures: Figures,
}

/// What was measured of events on their way, through the runtime's own door or a server's.
#[derive(Debug, Clone)]
pub struct Flows {
    /// One event: from the call until it is durable.
    pub publishes: Vec<AtOnce>,
    /// From an event that is durable until one function's settlement of it is. Of a server, the end may be seen before the answer.
    pub hop: Figures,
    /// From publishing an event until the fifth function's settlement is durable, with nothing else in flight.
    pub chain: Figures,
    /// The same with as many in flight as `at_once` says.
    pub chains: AtOnce,
}

impl Flows {
    /// Events that became durable in a second while chains ran at saturation.
    pub fn events_per_second(&self) -> f64 {
        self.chains.figures.per_second * CHAIN_EVENTS as f64
    }
}

/// What was measured of the bare store.
pub(super) struct Stores {
    pub stores: Vec<AtOnce>,
    pub store_chain: Figures,
    pub store_chains: AtOnce,
}

/// Everything. Its JSON is one flat object whose keys stay as they are; times are microseconds.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Flat")]
pub struct Report {
    pub machine: Machine,
    /// How long each run lasted.
    pub period: Duration,
    /// A page written and synced, alone.
    pub fdatasync: Figures,
    /// One event into the bare store.
    pub stores: Vec<AtOnce>,
    /// From publishing an event into the bare store until the fifth native handler's is durable, with nothing else in flight.
    pub store_chain: Figures,
    /// The same with as many in flight as `at_once` says.
    pub store_chains: AtOnce,
    pub flows: Flows,
}

impl Report {
    pub(super) fn new(machine: Machine, period: Duration, fdatasync: Figures, stores: Stores, flows: Flows) -> Self {
        let Stores { stores, store_chain, store_chains } = stores;
        Report { machine, period, fdatasync, stores, store_chain, store_chains, flows }
    }

    /// Chains in a second for each on the bare store, where handlers are native and nothing is fenced or recorded.
    pub fn of_store_chains(&self) -> f64 {
        self.flows.chains.figures.per_second / self.store_chains.figures.per_second
    }

    /// How many times longer a chain takes alone than on the bare store.
    pub fn times_store_chain(&self) -> f64 {
        self.flows.chain.p50.as_secs_f64() / self.store_chain.p50.as_secs_f64()
    }

    /// Processor time of a hop at saturation, its part of the publish included.
    pub fn hop_cpu(&self) -> Duration {
        self.flows.chains.figures.cpu / HOPS as u32
    }

    /// How many times more events the bare store takes.
    pub fn times_slower(&self) -> f64 {
        most(&self.stores).per_second / self.flows.events_per_second()
    }
}

fn least(figures: &[AtOnce]) -> Figures {
    figures.first().expect("it was measured").figures
}

fn most(figures: &[AtOnce]) -> Figures {
    figures.last().expect("it was measured").figures
}

/// The form of a report in JSON. Rates are those of the most producers, times those of one alone.
#[derive(Serialize)]
struct Flat {
    #[serde(flatten)]
    machine: Machine,
    runs: usize,
    run_seconds: f64,
    fdatasync_p50_us: u64,
    fdatasync_p99_us: u64,
    store_publishes_per_second: u64,
    store_publish_p50_us: u64,
    store_publish_p99_us: u64,
    store_chain_p50_us: u64,
    store_chain_p99_us: u64,
    store_chains_per_second: u64,
    hop_cpu_us: u64,
    times_slower_than_store: f64,
    times_slower_than_store_max: f64,
    chains_of_store_chains: f64,
    chains_of_store_chains_min: f64,
    chain_p50_times_store: f64,
    chain_p50_times_store_max: f64,
    /// The same figures at each number of producers.
    store_publishes: Vec<FlatAtOnce>,
    #[serde(flatten)]
    flows: FlatFlows,
}

#[derive(Serialize)]
pub(super) struct FlatFlows {
    publish_per_second: u64,
    publish_p50_us: u64,
    publish_p99_us: u64,
    hop_p50_us: u64,
    hop_p99_us: u64,
    chain_p50_us: u64,
    chain_p99_us: u64,
    chains_per_second: u64,
    chains_in_flight: usize,
    chains_p50_us: u64,
    chains_p99_us: u64,
    chain_events_per_second: u64,
    publishes: Vec<FlatAtOnce>,
}

#[derive(Serialize)]
struct FlatAtOnce {
    producers: usize,
    per_second: u64,
    p50_us: u64,
    p99_us: u64,
}

impl From<AtOnce> for FlatAtOnce {
    fn from(AtOnce { at_once, figures }: AtOnce) -> Self {
        FlatAtOnce {
            producers: at_once,
            per_second: whole(figures.per_second),
            p50_us: micros(figures.p50),
            p99_us: micros(figures.p99),
        }
    }
}

impl From<Report> for Flat {
    fn from(report: Report) -> Self {
        let store = least(&report.stores);
        Flat {
            runs: RUNS,
            run_seconds: report.period.as_secs_f64(),
            fdatasync_p50_us: micros(report.fdatasync.p50),
            fdatasync_p99_us: micros(report.fdatasync.p99),
            store_publishes_per_second: whole(most(&report.stores).per_second),
            store_publish_p50_us: micros(store.p50),
            store_publish_p99_us: micros(store.p99),
            store_chain_p50_us: micros(report.store_chain.p50),
            store_chain_p99_us: micros(report.store_chain.p99),
            store_chains_per_second: whole(report.store_chains.figures.per_second),
            hop_cpu_us: micros(report.hop_cpu()),
            times_slower_than_store: hundredths(report.times_slower()),
            times_slower_than_store_max: SLOWER_MAX,
            chains_of_store_chains: hundredths(report.of_store_chains()),
            chains_of_store_chains_min: OF_STORE_CHAINS_MIN,
            chain_p50_times_store: hundredths(report.times_store_chain()),
            chain_p50_times_store_max: TIMES_STORE_CHAIN_MAX,
            machine: report.machine,
            store_publishes: report.stores.into_iter().map(FlatAtOnce::from).collect(),
            flows: report.flows.into(),
        }
    }
}

impl From<Flows> for FlatFlows {
    fn from(flows: Flows) -> Self {
        let chain_events_per_second = whole(flows.events_per_second());
        let Flows { publishes, hop, chain, chains } = flows;
        let publish = least(&publishes);
        FlatFlows {
            publish_per_second: whole(most(&publishes).per_second),
            publish_p50_us: micros(publish.p50),
            publish_p99_us: micros(publish.p99),
            hop_p50_us: micros(hop.p50),
            hop_p99_us: micros(hop.p99),
            chain_p50_us: micros(chain.p50),
            chain_p99_us: micros(chain.p99),
            chains_per_second: whole(chains.figures.per_second),
            chains_in_flight: chains.at_once,
            chains_p50_us: micros(chains.figures.p50),
            chains_p99_us: micros(chains.figures.p99),
            chain_events_per_second,
            publishes: publishes.into_iter().map(FlatAtOnce::from).collect(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn hundredths(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use expect_test::expect;

    use super::*;
    use crate::bench::PRODUCERS;

    /// A report whose figures are easy to recognise.
    pub fn report() -> Report {
        let figures = |per_second: f64| Figures {
            per_second,
            p50: Duration::from_micros(per_second as u64 / 100),
            p99: Duration::from_micros(per_second as u64 / 10),
            cpu: Duration::from_micros(per_second as u64 / 5),
        };
        let at_once = |rates: [f64; 3]| {
            let measured = PRODUCERS.into_iter().zip(rates);
            measured.map(|(at_once, rate)| AtOnce { at_once, figures: figures(rate) }).collect::<Vec<_>>()
        };
        let machine =
            Machine { cores: 2, kernel: "Linux 6.18.5".to_owned(), filesystem: "ext4".to_owned(), profile: "release" };
        let flows = Flows {
            publishes: at_once([4_000.0, 15_000.0, 30_000.0]),
            hop: figures(2_000.0),
            chain: figures(500.0),
            chains: AtOnce { at_once: 256, figures: figures(2_500.0) },
        };
        let stores = Stores {
            stores: at_once([5_000.0, 19_000.0, 42_000.0]),
            store_chain: figures(400.0),
            store_chains: AtOnce { at_once: 256, figures: figures(5_000.0) },
        };
        Report::new(machine, Duration::from_secs(1), figures(7_800.0), stores, flows)
    }

    #[test]
    fn its_json_is_one_object_with_keys_that_stay() {
        let json = serde_json::to_string_pretty(&report()).unwrap();
        expect![[r#"
            {
              "cores": 2,
              "kernel": "Linux 6.18.5",
              "filesystem": "ext4",
              "profile": "release",
              "runs": 3,
              "run_seconds": 1.0,
              "fdatasync_p50_us": 78,
              "fdatasync_p99_us": 780,
              "store_publishes_per_second": 42000,
              "store_publish_p50_us": 50,
              "store_publish_p99_us": 500,
              "store_chain_p50_us": 4,
              "store_chain_p99_us": 40,
              "store_chains_per_second": 5000,
              "hop_cpu_us": 100,
              "times_slower_than_store": 2.8,
              "times_slower_than_store_max": 5.0,
              "chains_of_store_chains": 0.5,
              "chains_of_store_chains_min": 0.4,
              "chain_p50_times_store": 1.25,
              "chain_p50_times_store_max": 1.3,
              "store_publishes": [
                {
                  "producers": 1,
                  "per_second": 5000,
                  "p50_us": 50,
                  "p99_us": 500
                },
                {
                  "producers": 16,
                  "per_second": 19000,
                  "p50_us": 190,
                  "p99_us": 1900
                },
                {
                  "producers": 256,
                  "per_second": 42000,
                  "p50_us": 420,
                  "p99_us": 4200
                }
              ],
              "publish_per_second": 30000,
              "publish_p50_us": 40,
              "publish_p99_us": 400,
              "hop_p50_us": 20,
              "hop_p99_us": 200,
              "chain_p50_us": 5,
              "chain_p99_us": 50,
              "chains_per_second": 2500,
              "chains_in_flight": 256,
              "chains_p50_us": 25,
              "chains_p99_us": 250,
              "chain_events_per_second": 15000,
              "publishes": [
                {
                  "producers": 1,
                  "per_second": 4000,
                  "p50_us": 40,
                  "p99_us": 400
                },
                {
                  "producers": 16,
                  "per_second": 15000,
                  "p50_us": 150,
                  "p99_us": 1500
                },
                {
                  "producers": 256,
                  "per_second": 30000,
                  "p50_us": 300,
                  "p99_us": 3000
                }
              ]
            }"#]]
        .assert_eq(&json);
    }

    #[test]
    fn a_chain_counts_as_the_events_that_it_makes() {
        assert_eq!(report().flows.events_per_second(), 15_000.0);
        assert_eq!(report().times_slower(), 2.8);
        assert_eq!(report().of_store_chains(), 0.5);
        assert_eq!(hundredths(report().times_store_chain()), 1.25);
        assert_eq!(report().hop_cpu(), Duration::from_micros(100));
    }
}
