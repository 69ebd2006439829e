//! A bus that fails as the world does: calls and answers are lost, calls come twice, deliveries go and come again, come twice,
//! and overtake each other, all late; and the process may die in the middle of it.
//!
//! What it does follows from a seed alone, so a test that prints it can be repeated. It never breaks a promise of the
//! traits: what it says was accepted or settled, was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ActivateError, Bus, BusError, Cause, Delivery, Incoming, PublishError, PutBack, Receipt, Refusal, Revision,
    SettleError, Settled, Settlement, Subscription, Versioned,
};
use crate::deployment::{Deployment, FunctionId};
use crate::event::{Position, Replay};

pub(crate) struct Faulty {
    bus: Arc<dyn Bus>,
    faults: Arc<Faults>,
}

struct Faults {
    random: Mutex<ChaCha8Rng>,
    late_max: Duration,
    dead: CancellationToken,
}

enum Fault {
    None,
    /// Nothing was done, and the answer says so.
    Lost,
    /// It was done, and the answer says that it was not.
    AnswerLost,
    Repeated,
    /// What came later is there before.
    Overtaken,
}

impl Faults {
    fn number(&self) -> u32 {
        self.random.lock().unwrap().next_u32()
    }

    fn lateness(&self) -> Duration {
        let micros = u32::try_from(self.late_max.as_micros()).expect("it is short");
        Duration::from_micros(u64::from(self.number() % micros))
    }

    /// Decides, and is late now and then. Of a process that is dead, nothing is heard again.
    async fn strike(&self) -> Fault {
        let number = self.number();
        if number.is_multiple_of(3) {
            tokio::time::sleep(self.lateness()).await;
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
        match number % 16 {
            0 | 1 => Fault::Lost,
            2 | 3 => Fault::AnswerLost,
            4 => Fault::Repeated,
            5 => Fault::Overtaken,
            _ => Fault::None,
        }
    }
}

fn lost() -> BusError {
    BusError::Store { what: "reach the bus", source: "the connection was lost".into() }
}

/// A delivery once more: dropped, it gives nothing back.
fn again(delivery: &Delivery) -> Delivery {
    let Delivery { ref event, ref function, attempt, round, first_attempt_at, lost, guard: _ } = *delivery;
    let (event, function) = (event.clone(), function.clone());
    Delivery { event, function, attempt, round, first_attempt_at, lost, guard: Box::new(()) }
}

impl Faulty {
    pub fn new(bus: Arc<dyn Bus>, seed: u64) -> Self {
        Faulty::late(bus, seed, Duration::from_micros(500))
    }

    /// One on which everything may be this late.
    pub fn late(bus: Arc<dyn Bus>, seed: u64, late_max: Duration) -> Self {
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Faulty { bus, faults: Arc::new(Faults { random, late_max, dead: CancellationToken::new() }) }
    }

    /// The process that uses it dies: none of its calls comes to the bus or to an end any more, and it gets nothing.
    pub fn die(&self) {
        self.faults.dead.cancel();
    }
}

#[async_trait]
impl Bus for Faulty {
    async fn publish(&self, batch: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError> {
        match self.faults.strike().await {
            Fault::None | Fault::Overtaken => self.bus.publish(batch).await,
            Fault::Lost => Err(lost().into()),
            Fault::AnswerLost => self.bus.publish(batch).await.and(Err(lost().into())),
            Fault::Repeated => {
                self.bus.publish(batch.clone()).await?;
                self.bus.publish(batch).await
            }
        }
    }

    async fn replay(&self, batch: Vec<Replay>) -> Result<Vec<Receipt>, PublishError> {
        match self.faults.strike().await {
            Fault::None | Fault::Overtaken => self.bus.replay(batch).await,
            Fault::Lost => Err(lost().into()),
            Fault::AnswerLost => self.bus.replay(batch).await.and(Err(lost().into())),
            Fault::Repeated => {
                self.bus.replay(batch.clone()).await?;
                self.bus.replay(batch).await
            }
        }
    }

    fn subscribe(&self, function: FunctionId) -> Box<dyn Subscription> {
        let (subscription, faults) = (self.bus.subscribe(function), self.faults.clone());
        Box::new(FaultySubscription { subscription, faults, late: Vec::new() })
    }

    async fn settle(&self, delivery: Delivery, settlement: Settlement) -> Result<Settled, SettleError> {
        match self.faults.strike().await {
            Fault::None | Fault::Overtaken => self.bus.settle(delivery, settlement).await,
            Fault::Lost => Err(lost().into()),
            Fault::AnswerLost => match self.bus.settle(delivery, settlement).await {
                Ok(Settled::Settled | Settled::AlreadySettled) => Err(lost().into()),
                other => other,
            },
            Fault::Repeated => {
                // Whatever is answered the first time, nobody hears it.
                let _ = self.bus.settle(again(&delivery), settlement.clone()).await;
                self.bus.settle(delivery, settlement).await
            }
        }
    }

    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError> {
        match self.faults.strike().await {
            Fault::Lost | Fault::AnswerLost => Err(lost()),
            Fault::None | Fault::Repeated | Fault::Overtaken => self.bus.read_key(space, key).await,
        }
    }

    async fn list_keys(
        &self,
        space: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<(Revision, Vec<String>), BusError> {
        self.bus.list_keys(space, after, max).await
    }

    async fn activate(&self, deployment: Deployment, expected: u64, cause: Cause) -> Result<u64, ActivateError> {
        self.bus.activate(deployment, expected, cause).await
    }

    fn active(&self) -> watch::Receiver<Option<Arc<Deployment>>> {
        self.bus.active()
    }

    async fn redrive(&self, letters: Vec<PutBack>) -> Result<u64, BusError> {
        self.bus.redrive(letters).await
    }

    async fn drop_letters(&self, letters: Vec<(FunctionId, Position)>, by: &str) -> Result<u64, BusError> {
        self.bus.drop_letters(letters, by).await
    }

    fn keep_refusal(&self, refusal: Refusal) {
        self.bus.keep_refusal(refusal);
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.bus.commits()
    }

    async fn close(&self) -> Result<(), BusError> {
        self.bus.close().await
    }
}

struct FaultySubscription {
    subscription: Box<dyn Subscription>,
    faults: Arc<Faults>,
    /// What was held back, or comes a second time; the last one first.
    late: Vec<(Instant, Delivery)>,
}

impl FaultySubscription {
    fn put_off(&mut self, delivery: Delivery) {
        let due = Instant::now() + self.faults.lateness();
        let before = self.late.partition_point(|(other, _)| *other > due);
        self.late.insert(before, (due, delivery));
    }

    /// The next one from the bus or of those that are late, and whether it was.
    async fn pull(&mut self) -> Option<(Delivery, bool)> {
        let dead = self.faults.dead.clone();
        let due = self.late.last().map_or_else(Instant::now, |(due, _)| *due);
        // All are cancel-safe, and one is asked after the other, so that chance has no say.
        tokio::select! {
            biased;
            () = dead.cancelled() => std::future::pending().await,
            () = tokio::time::sleep_until(due), if !self.late.is_empty() => {
                self.late.pop().map(|(_, delivery)| (delivery, true))
            }
            delivery = self.subscription.next() => Some((delivery?, false)),
        }
    }
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Before the delivery is taken, so that whoever stops waiting loses nothing.
            let fault = self.faults.strike().await;
            let (delivery, is_late) = self.pull().await?;
            match fault {
                Fault::Lost | Fault::AnswerLost => drop(delivery),
                Fault::Overtaken if !is_late => self.put_off(delivery),
                Fault::Repeated if !is_late => {
                    self.put_off(again(&delivery));
                    return Some(delivery);
                }
                Fault::None | Fault::Repeated | Fault::Overtaken => return Some(delivery),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::InvocationQuery;
    use crate::bus::conformance::{Bench, ack, event, function, incoming, next, read, write};
    use crate::bus::embedded::tests::on_disk;

    const EVENTS: usize = 40;

    /// Publishes until it is told that it was accepted.
    async fn publish(bus: &dyn Bus, id: &str) {
        while bus.publish(vec![incoming(event(id, "t"))]).await.is_err() {}
    }

    /// Counts one up and settles; what was lost is given back and comes again.
    async fn count(bus: &dyn Bus, mut delivery: Delivery) {
        loop {
            let Ok(before) = bus.read_key("space", "n").await else { return };
            let count = before.value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
            let reads = vec![read("n", before.revision)];
            let settlement = Settlement { reads, writes: vec![write("n", &(count + 1).to_string())], ..ack() };
            match bus.settle(delivery, settlement).await {
                Ok(Settled::Conflict(back)) => delivery = back,
                Ok(Settled::Settled | Settled::AlreadySettled) | Err(_) => return,
            }
        }
    }

    async fn run(seed: u64) {
        let bench = Bench::new(on_disk());
        let handler = function("f", "t");
        bench.activate(vec![handler.clone()]).await;
        let bus: Arc<dyn Bus> = Arc::new(Faulty::new(bench.bus.clone(), seed));
        for index in 0..EVENTS {
            publish(&*bus, &index.to_string()).await;
        }
        let mut subscription = bus.subscribe(handler.id);
        let mut running = tokio::task::JoinSet::new();
        let settled = async || {
            let query = InvocationQuery { function: Some(handler.id), max: 2 * EVENTS, ..InvocationQuery::default() };
            bench.history.invocations(query).await.unwrap().len()
        };
        while settled().await < EVENTS {
            if running.len() == 4 {
                running.join_next().await.unwrap().unwrap();
            }
            let wait = Duration::from_millis(50);
            if let Ok(Some(delivery)) = tokio::time::timeout(wait, subscription.next()).await {
                let bus = bus.clone();
                running.spawn(async move { count(&*bus, delivery).await });
            }
        }
        running.join_all().await;
        assert_eq!(settled().await, EVENTS);
        assert_eq!(bench.value("n").await.unwrap(), EVENTS.to_string());
        assert_eq!(bench.history.tail().await.unwrap(), EVENTS as u64 + 1);
        bench.publish_one(event("last", "t")).await;
        assert_eq!(next(&mut bench.bus.subscribe(handler.id)).await.event.event.id, "last");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn over_a_faulty_bus_each_event_counts_once() {
        for seed in 1..=4 {
            println!("seed {seed}");
            run(seed).await;
        }
    }
}
