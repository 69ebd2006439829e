//! Of the events of one source and key, an older one is not run once a newer one was accepted.

use super::*;
use crate::bus::{PendingState, Superseded};
use crate::deployment::Supersede;

fn superseding() -> Function {
    let supersede = Supersede { key: KeyExpression::new("event.subject").unwrap(), by: None };
    Function { supersede: Some(supersede), ..function("f", "t") }
}

/// An event about `x`.
fn numbered(id: &str, sequence: &str) -> Event {
    with(Event { subject: Some("x".to_owned()), ..event(id, "t") }, "sequence", sequence)
}

impl Bench {
    /// Waits until an event is superseded; answers by which one.
    async fn superseded(&self, position: Position) -> Position {
        let mut commits = self.bus.commits();
        loop {
            if let [Superseded { by, .. }] = self.history.superseded(position).await.unwrap()[..] {
                return by;
            }
            tokio::time::timeout(Duration::from_secs(10), commits.changed()).await.expect("it is superseded").unwrap();
        }
    }
}

pub async fn an_older_event_that_comes_late_is_not_run(bench: Bench) {
    let handler = superseding();
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let newer = bench.publish_one(numbered("new", "2")).await;
    // Whether the newer one is under way or settled.
    let delivery = next(&mut subscription).await;
    let first = bench.publish_one(numbered("old", "1")).await;
    assert_eq!(bench.superseded(first).await, newer);
    bench.ack(delivery).await;
    let second = bench.publish_one(numbered("older", "0")).await;
    assert_eq!(bench.superseded(second).await, newer);
    let [superseded] = &bench.history.superseded(first).await.unwrap()[..] else { panic!("one function") };
    assert_eq!((superseded.function, superseded.deployment, superseded.at), (handler.id, 1, bench.now()));
    assert!(bench.history.pending(first).await.unwrap().is_empty());
    nothing(&mut subscription).await;
    // It is of this source, key and order that the newer one is newer.
    let other_source = Event { source: "other".to_owned(), ..numbered("source", "1") };
    let other_key = Event { subject: Some("y".to_owned()), ..numbered("key", "1") };
    let equal = numbered("equal", "2");
    let unordered = Event { subject: Some("x".to_owned()), ..event("unordered", "t") };
    bench.publish(vec![other_source, other_key, equal, unordered]).await;
    for expected in ["source", "key", "equal", "unordered"] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected);
        bench.ack(delivery).await;
    }
    let status = bench.history.functions().await.unwrap();
    assert_eq!((status[0].pending, status[0].lag, status[0].delivered), (0, 0, 5));
}

pub async fn what_waits_is_dropped_when_a_newer_event_comes(bench: Bench) {
    let handler = superseding();
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let retried = bench.publish_one(numbered("retried", "1")).await;
    let at = bench.now().plus(Duration::from_secs(60));
    bench.bus.settle(next(&mut subscription).await, failed(Decision::RetryAt(at))).await.unwrap();
    let running = bench.publish_one(numbered("running", "2")).await;
    let under_way = next(&mut subscription).await;
    assert_eq!(bench.superseded(retried).await, running);
    let ready = bench.publish_one(numbered("ready", "3")).await;
    let newest = bench.publish_one(numbered("newest", "4")).await;
    assert_eq!(bench.superseded(ready).await, newest);
    // What is under way goes on, but is not tried again.
    assert!(bench.history.superseded(running).await.unwrap().is_empty());
    bench.bus.settle(under_way, failed(Decision::RetryAt(at))).await.unwrap();
    assert_eq!(bench.superseded(running).await, newest);
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.event.event.id, "newest");
    bench.ack(delivery).await;
    bench.advance(Duration::from_secs(60));
    nothing(&mut subscription).await;
}

pub async fn what_is_superseded_holds_up_no_event_of_its_order_key(bench: Bench) {
    let handler = Function { order: ordered("f", "t").order, concurrency: 1, ..superseding() };
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let in_order = |id: &str, sequence: &str| with(numbered(id, sequence), "partitionkey", "k");
    let first = bench.publish_one(in_order("first", "1")).await;
    let at = bench.now().plus(Duration::from_secs(60));
    bench.bus.settle(next(&mut subscription).await, failed(Decision::RetryAt(at))).await.unwrap();
    let second = bench.publish_one(in_order("second", "2")).await;
    assert_eq!(bench.superseded(first).await, second);
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.event.event.id, "second");
    let behind = bench.publish_one(in_order("behind", "3")).await;
    let last = bench.publish_one(in_order("last", "4")).await;
    assert_eq!(bench.superseded(behind).await, last);
    assert_eq!(bench.history.pending(last).await.unwrap(), [(handler.id, PendingState::Behind { position: second })]);
    bench.ack(delivery).await;
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.event.event.id, "last");
}

pub async fn what_superseded_is_known_after_a_crash(bench: Bench) {
    let handler = superseding();
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let settled = bench.publish_one(numbered("settled", "5")).await;
    bench.ack(next(&mut subscription).await).await;
    drop(subscription);
    let bench = bench.crash();
    let old = bench.publish_one(numbered("old", "4")).await;
    assert_eq!(bench.superseded(old).await, settled);
    let dead = bench.publish_one(numbered("dead", "9")).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    bench.bus.settle(next(&mut subscription).await, failed(Decision::DeadLetter)).await.unwrap();
    drop(subscription);
    let bench = bench.crash();
    let older = bench.publish_one(numbered("older", "8")).await;
    assert_eq!(bench.superseded(older).await, dead, "a newer one in the dead letters counts too");
    let mut subscription = bench.bus.subscribe(handler.id);
    nothing(&mut subscription).await;
    drop(subscription);
    let bench = bench.crash();
    nothing(&mut bench.bus.subscribe(handler.id)).await;
}

pub async fn a_dead_letter_that_was_put_back_is_superseded_by_what_came_since(bench: Bench) {
    let handler = superseding();
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let dead = bench.publish_one(numbered("dead", "1")).await;
    bench.bus.settle(next(&mut subscription).await, failed(Decision::DeadLetter)).await.unwrap();
    let newer = bench.publish_one(numbered("newer", "2")).await;
    bench.ack(next(&mut subscription).await).await;
    assert_eq!(bench.put_back(&[(handler.id, dead)]).await, 1);
    assert_eq!(bench.superseded(dead).await, newer);
    nothing(&mut subscription).await;
}
