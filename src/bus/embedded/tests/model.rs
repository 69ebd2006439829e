//! The bus against a small model: random steps, crashes among them, and what must come out of them.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::bus::conformance::{Bench, ack, event, failed, function, keyed, nothing, ordered, read, with, write};
use crate::bus::{Delivery, Subscription};
use crate::deployment::{Function, Supersede};
use crate::event::Position;
use crate::filter::KeyExpression;
use crate::outcome::Decision;

/// What must hold: every event is settled once for each function, those of a key in log order. For the function that
/// supersedes, an event is settled or superseded, the newest of each key is settled, and none comes after a newer one was.
#[derive(Default)]
struct Model {
    published: BTreeMap<Position, String>,
    /// By key and number.
    numbers: BTreeMap<Position, (String, u32)>,
    settled: BTreeMap<&'static str, Vec<Position>>,
    counted: u32,
}

struct Run {
    bench: Bench,
    random: ChaCha8Rng,
    functions: [(&'static str, Function); 3],
    model: Model,
    next_id: u32,
}

impl Run {
    fn chance(&mut self, of: u32) -> u32 {
        self.random.next_u32() % of
    }

    async fn publish(&mut self) {
        for _ in 0..=self.chance(4) {
            let key = format!("key-{}", self.chance(3));
            let id = format!("event-{}", self.next_id);
            self.next_id += 1;
            let event = if self.chance(5) == 0 { event(&id, "t") } else { keyed(&id, "t", &key) };
            let number = self.chance(10);
            let event = with(event, "sequence", &number.to_string());
            let receipt = self.bench.publish(vec![event.clone()]).await.remove(0);
            assert!(self.bench.publish(vec![event.clone()]).await[0].duplicate);
            let key = event.partition_key().unwrap_or(&id).to_owned();
            if event.partition_key().is_some() {
                self.model.numbers.insert(receipt.position.unwrap(), (key.clone(), number));
            }
            self.model.published.insert(receipt.position.unwrap(), key);
        }
    }

    /// Takes a few deliveries and does something with each, in any order.
    async fn work(&mut self, which: usize) {
        let (name, function) = self.functions[which].clone();
        let mut subscription = self.bench.bus.subscribe(function.id);
        let mut out = Vec::new();
        for _ in 0..=self.chance(4) {
            match try_next(&mut subscription).await {
                Some(delivery) => {
                    if name == "superseding" {
                        self.check_newest(delivery.event.position);
                    }
                    out.push(delivery);
                }
                None => break,
            }
        }
        while !out.is_empty() {
            let index = self.chance(out.len() as u32) as usize;
            let delivery = out.swap_remove(index);
            match self.chance(4) {
                0 => drop(delivery),
                1 => {
                    let at = self.bench.now().plus(Duration::from_secs(u64::from(self.chance(3))));
                    self.bench.bus.settle(delivery, failed(Decision::RetryAt(at))).await.unwrap();
                }
                _ => self.settle(name, delivery).await,
            }
        }
    }

    /// Settles with a counter, so that a second settlement would show.
    async fn settle(&mut self, name: &'static str, delivery: Delivery) {
        let before = self.bench.bus.read_key("space", "n").await.unwrap();
        let position = delivery.event.position;
        let settlement = Settlement {
            reads: vec![read("n", before.revision)],
            writes: vec![write("n", &(self.model.counted + 1).to_string())],
            ..ack()
        };
        assert!(matches!(self.bench.bus.settle(delivery, settlement).await.unwrap(), Settled::Settled));
        self.model.counted += 1;
        self.model.settled.entry(name).or_default().push(position);
    }

    /// No newer one was settled before.
    fn check_newest(&self, position: Position) {
        let mut settled = self.model.settled.get("superseding").into_iter().flatten();
        let newer = settled.find(|settled| self.is_newer(**settled, position));
        assert_eq!(newer, None, "{position} comes after it");
    }

    fn is_newer(&self, one: Position, other: Position) -> bool {
        match (self.model.numbers.get(&one), self.model.numbers.get(&other)) {
            (Some((key, number)), Some((other_key, other_number))) => key == other_key && number > other_number,
            _ => false,
        }
    }

    /// Lets the function that supersedes do the rest.
    async fn check_superseding(&mut self) {
        let function = self.functions[2].1.clone();
        let mut subscription = self.bench.bus.subscribe(function.id);
        for position in self.model.published.keys().copied().collect::<Vec<_>>() {
            for look in 0.. {
                assert!(look < 200, "{position} comes to no end");
                let is_settled = self.model.settled.entry("superseding").or_default().contains(&position);
                let superseded = self.bench.history.superseded(position).await.unwrap();
                match (is_settled, &superseded[..]) {
                    (true, []) => break,
                    (false, [superseded]) => {
                        assert!(self.is_newer(superseded.by, position), "{position} {superseded:?}");
                        break;
                    }
                    (false, []) => {
                        if let Some(delivery) = try_next(&mut subscription).await {
                            self.check_newest(delivery.event.position);
                            self.settle("superseding", delivery).await;
                        }
                    }
                    (is_settled, superseded) => panic!("{position}: settled {is_settled}, superseded {superseded:?}"),
                }
            }
        }
        nothing(&mut subscription).await;
        let settled = &self.model.settled["superseding"];
        assert_eq!(settled.iter().collect::<BTreeSet<_>>().len(), settled.len(), "once");
    }

    fn check(&self) {
        let all: BTreeSet<Position> = self.model.published.keys().copied().collect();
        for (name, settled) in self.model.settled.iter().filter(|(name, _)| **name != "superseding") {
            assert_eq!(settled.iter().copied().collect::<BTreeSet<_>>(), all, "{name}: each event");
            assert_eq!(settled.len(), all.len(), "{name}: once");
        }
        let mut last: BTreeMap<&String, Position> = BTreeMap::new();
        for position in self.model.settled.get("ordered").into_iter().flatten() {
            let key = &self.model.published[position];
            assert!(last.insert(key, *position).is_none_or(|before| before < *position), "{key} in log order");
        }
    }
}

/// A delivery, if there is one.
pub async fn try_next(subscription: &mut Box<dyn Subscription>) -> Option<Delivery> {
    tokio::time::timeout(Duration::from_millis(20), subscription.next()).await.ok().flatten()
}

async fn run(seed: u64) {
    let bench = Bench::new(on_disk());
    let supersede = Supersede { key: KeyExpression::new("partitionkey").unwrap(), by: None };
    let superseding = Function { supersede: Some(supersede), ..function("superseding", "t") };
    let functions =
        [("ordered", ordered("ordered", "t")), ("free", function("free", "t")), ("superseding", superseding)];
    bench.activate(functions.iter().map(|(_, function)| function.clone()).collect()).await;
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut run = Run { bench, random, functions, model: Model::default(), next_id: 0 };
    for _ in 0..25 {
        match run.chance(8) {
            0 | 1 => run.publish().await,
            2..=5 => {
                let which = run.chance(3) as usize;
                run.work(which).await;
            }
            6 => run.bench.advance(Duration::from_secs(1)),
            _ => run.bench = run.bench.crash(),
        }
    }
    run.bench.advance(Duration::from_secs(10));
    run.check_superseding().await;
    let [ordered, free, _] = run.functions.clone();
    for (name, function) in [ordered, free] {
        let mut subscription = run.bench.bus.subscribe(function.id);
        let left = |run: &Run| run.model.published.len() - run.model.settled.get(name).map_or(0, Vec::len);
        while left(&run) > 0 {
            let delivery = crate::bus::conformance::next(&mut subscription).await;
            run.settle(name, delivery).await;
        }
        nothing(&mut subscription).await;
    }
    run.check();
    let counted = (run.model.counted > 0).then(|| run.model.counted.to_string().into());
    assert_eq!(run.bench.value("n").await, counted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_event_is_settled_once_and_a_key_in_order() {
    let first: u64 = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + 6 {
        println!("seed {seed}: TIDEGATE_SEED={seed} repeats it");
        run(seed).await;
    }
}
