//! A bus that fails as the world does: answers are lost, calls come twice, deliveries go and come again, all late.
//!
//! What it does follows from a seed alone, so a test that prints it can be repeated. It never breaks a promise of the
//! traits: what it says was accepted or settled, was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::sync::watch;

use super::{
    ActivateError, Bus, BusError, Cause, Delivery, Incoming, PublishError, PutBack, Receipt, Revision, SettleError,
    Settled, Settlement, Subscription, Versioned,
};
use crate::deployment::{Deployment, FunctionId};
use crate::event::Position;

pub(crate) struct Faulty {
    bus: Arc<dyn Bus>,
    faults: Arc<Faults>,
}

struct Faults(Mutex<ChaCha8Rng>);

enum Fault {
    None,
    /// Nothing was done, and the answer says so.
    Lost,
    /// It was done, and the answer says that it was not.
    AnswerLost,
    Repeated,
}

impl Faults {
    fn number(&self) -> u32 {
        self.0.lock().unwrap().next_u32()
    }

    /// Decides, and is late now and then.
    async fn strike(&self) -> Fault {
        let number = self.number();
        if number.is_multiple_of(3) {
            tokio::time::sleep(Duration::from_micros(u64::from(number >> 8) % 500)).await;
        }
        match number % 16 {
            0 | 1 => Fault::Lost,
            2 | 3 => Fault::AnswerLost,
            4 => Fault::Repeated,
            _ => Fault::None,
        }
    }
}

fn lost() -> BusError {
    BusError::Store { what: "reach the bus", source: "the connection was lost".into() }
}

impl Faulty {
    pub fn new(bus: Arc<dyn Bus>, seed: u64) -> Self {
        Faulty { bus, faults: Arc::new(Faults(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))) }
    }
}

#[async_trait]
impl Bus for Faulty {
    async fn publish(&self, batch: Vec<Incoming>) -> Result<Vec<Receipt>, PublishError> {
        match self.faults.strike().await {
            Fault::None => self.bus.publish(batch).await,
            Fault::Lost => Err(lost().into()),
            Fault::AnswerLost => self.bus.publish(batch).await.and(Err(lost().into())),
            Fault::Repeated => {
                self.bus.publish(batch.clone()).await?;
                self.bus.publish(batch).await
            }
        }
    }

    fn subscribe(&self, function: FunctionId) -> Box<dyn Subscription> {
        Box::new(FaultySubscription { subscription: self.bus.subscribe(function), faults: self.faults.clone() })
    }

    async fn settle(&self, delivery: Delivery, settlement: Settlement) -> Result<Settled, SettleError> {
        match self.faults.strike().await {
            Fault::None | Fault::Repeated => self.bus.settle(delivery, settlement).await,
            Fault::Lost => Err(lost().into()),
            Fault::AnswerLost => match self.bus.settle(delivery, settlement).await {
                Ok(Settled::Settled | Settled::AlreadySettled) => Err(lost().into()),
                other => other,
            },
        }
    }

    async fn read_key(&self, space: &str, key: &str) -> Result<Versioned, BusError> {
        match self.faults.strike().await {
            Fault::Lost | Fault::AnswerLost => Err(lost()),
            Fault::None | Fault::Repeated => self.bus.read_key(space, key).await,
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
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Before the delivery is taken, so that whoever stops waiting loses nothing.
            let fault = self.faults.strike().await;
            let delivery = self.subscription.next().await?;
            match fault {
                Fault::None | Fault::Repeated => return Some(delivery),
                Fault::Lost | Fault::AnswerLost => drop(delivery),
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
