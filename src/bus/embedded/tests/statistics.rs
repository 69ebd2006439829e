//! Statistics against a direct count over the attempts: of a random log, and of one that an older program left.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::bus::conformance::try_next;
use crate::bus::conformance::{Bench, ack, event, function};
use crate::bus::embedded::statistics::STRETCH;
use crate::bus::{InvocationQuery, Statistics, StatisticsQuery};
use crate::deployment::{Digest, Function};
use crate::event::Position;
use crate::outcome::{Decision, Failure, FailureKind};

/// A project of the first format, as the program of that time left it.
const FIRST_FORMAT: &[u8] = include_bytes!("../../../../tests/fixtures/log-1.db");

const COMPONENTS: [&[u8]; 2] = [b"one", b"two"];
const KINDS: [FailureKind; 4] =
    [FailureKind::Retry, FailureKind::Trapped, FailureKind::TimedOut, FailureKind::NotPermitted];

struct Run {
    bench: Bench,
    random: ChaCha8Rng,
    functions: [Function; 2],
    published: u32,
}

impl Run {
    fn chance(&mut self, of: u32) -> u32 {
        self.random.next_u32() % of
    }

    /// Publishes events that both functions take among many that nobody takes, so that the log has several stretches.
    async fn publish(&mut self) {
        let (count, every) = (400 + self.chance(200), 6 + self.chance(20));
        let first = self.published;
        self.published += count;
        let ty = |index: u32| if index.is_multiple_of(every) { "t" } else { "u" };
        let events = (first..first + count).map(|index| event(&index.to_string(), ty(index)));
        self.bench.publish(events.collect()).await;
    }

    fn settlement(&mut self) -> Settlement {
        let kind = KINDS[self.chance(4) as usize];
        let decision = match self.chance(8) {
            0 => Decision::RetryAt(self.bench.now()),
            1 | 2 => Decision::DeadLetter,
            _ => Decision::Ack,
        };
        let micros = u64::from(self.random.next_u32()) >> self.chance(32);
        Settlement {
            decision,
            failure: (decision != Decision::Ack).then(|| Failure::new(kind, "why")),
            component: Digest::of(COMPONENTS[self.chance(2) as usize]),
            duration: Duration::from_micros(micros),
            ..ack()
        }
    }

    /// Settles all that waits, many at once, so that a group holds several settlements.
    async fn settle_all(&mut self) {
        for function in self.functions.clone() {
            let mut subscription = self.bench.bus.subscribe(function.id);
            loop {
                let mut taken = Vec::new();
                while taken.len() < 40
                    && let Some(delivery) = try_next(&mut subscription).await
                {
                    taken.push(delivery);
                }
                if taken.is_empty() {
                    break;
                }
                let mut settling = tokio::task::JoinSet::new();
                for delivery in taken {
                    let (bus, settlement) = (self.bench.bus.clone(), self.settlement());
                    settling.spawn(async move { bus.settle(delivery, settlement).await.unwrap() });
                }
                settling.join_all().await;
            }
        }
    }

    async fn redrive_some(&mut self) {
        let letters = self.bench.history.dead_letters(None, 10_000).await.unwrap();
        let letters = letters.iter().map(|letter| (letter.invocation.id.function, letter.event.position));
        let some: Vec<_> = letters.filter(|_| self.random.next_u32().is_multiple_of(3)).collect();
        self.bench.put_back(&some).await;
    }

    /// A bound of a window: anywhere, or where stretches meet.
    fn bound(&mut self, tail: Position) -> Position {
        let anywhere = u64::from(self.random.next_u32()) % (tail + 10);
        match self.chance(3) {
            0 => anywhere,
            _ => (anywhere.next_multiple_of(STRETCH) + 1).saturating_sub(u64::from(self.chance(3))),
        }
    }

    async fn check(&mut self) {
        let all = InvocationQuery { max: 1_000_000, ..InvocationQuery::default() };
        let attempts = self.bench.history.invocations(all).await.unwrap();
        let tail = self.bench.history.tail().await.unwrap();
        assert!(attempts.iter().any(|attempt| attempt.id.round > 0 && attempt.id.attempt > 1), "a poor log");
        for _ in 0..300 {
            let query = StatisticsQuery {
                function: self.functions[self.chance(2) as usize].id,
                component: Digest::of(COMPONENTS[self.chance(2) as usize]),
                from: self.bound(tail),
                to: (self.chance(4) > 0).then(|| self.bound(tail)),
            };
            assert_eq!(
                counted(&*self.bench.history, &query).await,
                Statistics::of(&attempts, &query, tail),
                "{query:?}"
            );
        }
    }
}

async fn counted(history: &dyn History, query: &StatisticsQuery) -> Statistics {
    history.statistics(*query).await.unwrap()
}

async fn run(seed: u64) {
    let bench = Bench::new(on_disk());
    let functions = ["a", "b"].map(|name| function(name, "t"));
    bench.activate(functions.to_vec()).await;
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut run = Run { bench, random, functions, published: 0 };
    while u64::from(run.published) < 4 * STRETCH {
        run.publish().await;
        run.settle_all().await;
        run.redrive_some().await;
        if run.chance(4) == 0 {
            run.bench = run.bench.crash();
        }
    }
    run.settle_all().await;
    run.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stretches_and_edges_say_what_a_direct_count_says() {
    let first: u64 = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + 2 {
        println!("seed {seed}: TIDEGATE_SEED={seed} repeats it");
        run(seed).await;
    }
}

/// What a folder says of each function that ran in it, oldest first, held against a direct count.
async fn counted_of_each(bus: &Embedded) -> Vec<(u64, BTreeMap<FailureKind, u64>)> {
    let all = InvocationQuery { max: 1_000, ..InvocationQuery::default() };
    let attempts = bus.invocations(all).await.unwrap();
    let tail = bus.tail().await.unwrap();
    let mut found = BTreeMap::new();
    for attempt in &attempts {
        let (function, component) = (attempt.id.function, attempt.component);
        let query = StatisticsQuery { function, component, from: 0, to: None };
        let statistics = counted(bus, &query).await;
        assert_eq!(statistics, Statistics::of(&attempts, &query, tail));
        found.insert(function, (statistics.delivered, statistics.dead_lettered));
    }
    found.into_values().collect()
}

#[tokio::test]
async fn what_was_settled_under_the_first_format_counts() {
    let storage = on_disk();
    std::fs::write(storage.path().join("log.db"), FIRST_FORMAT).unwrap();
    let db = rusqlite::Connection::open(storage.path().join("log.db")).unwrap();
    assert_eq!(schema::found(&db).unwrap(), 1);
    drop(db);
    // One function failed in four ways, in one of them again after a redrive; the other took what it emitted.
    let failed = [
        (FailureKind::Rejected, 2),
        (FailureKind::Trapped, 1),
        (FailureKind::Retry, 1),
        (FailureKind::NotPermitted, 1),
    ];
    for _ in 0..2 {
        let bus = storage.try_open(Clock::system()).unwrap();
        assert_eq!(counted_of_each(&bus).await, [(8, failed.into()), (8, BTreeMap::new())]);
    }
}
