//! How quickly a function is given events: by its rate, and by its limit for each key.

use super::*;
use crate::bus::{PendingState, PublishError};
use crate::deployment::{KeyLimit, Rate};

fn limited(concurrency: Option<u32>, rate: Option<Rate>) -> Function {
    let limit = KeyLimit { key: KeyExpression::new("partitionkey").unwrap(), concurrency, rate };
    Function { limit: Some(limit), ..function("f", "t") }
}

pub async fn a_backlog_has_a_bound_that_senders_are_told_of(bench: Bench) {
    const BOUND: u64 = 1_500;
    let handler = Function { backlog_max: Some(BOUND), ..function("bounded", "t") };
    bench.activate(vec![handler.clone(), function("other", "u")]).await;
    let publish = async |bench: &Bench, ty: &str, number: u64| {
        bench.bus.publish(vec![incoming(event(&number.to_string(), ty))]).await.map(drop)
    };
    // A few may come in before the first of them are counted.
    let mut accepted = 0;
    let refused = loop {
        match publish(&bench, "t", accepted).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 3 * BOUND);
    };
    assert!(matches!(refused, PublishError::Backlog { events_max: BOUND, .. }), "{refused}");
    assert!(accepted >= BOUND);
    publish(&bench, "u", u64::MAX).await.unwrap();
    let bench = bench.crash();
    assert!(publish(&bench, "t", accepted).await.is_err(), "it is known after a crash");
    let mut subscription = bench.bus.subscribe(handler.id);
    for expected in 0..accepted {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected.to_string(), "what was accepted is not lost");
        bench.ack(delivery).await;
    }
    publish(&bench, "t", accepted).await.unwrap();
    assert_eq!(next(&mut subscription).await.event.event.id, accepted.to_string());
}

/// That these come now, and no more.
async fn come(subscription: &mut Box<dyn Subscription>, ids: &[&str]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for expected in ids {
        let delivery = next(subscription).await;
        assert_eq!(delivery.event.event.id, *expected);
        deliveries.push(delivery);
    }
    nothing(subscription).await;
    deliveries
}

pub async fn a_rate_gives_a_burst_and_then_one_at_a_time(bench: Bench) {
    let handler = Function { rate: Some(Rate::new(0.1, 2).unwrap()), ..function("f", "t") };
    bench.activate(vec![handler.clone()]).await;
    let receipts = bench.publish(["a", "b", "c", "d"].map(|id| event(id, "t")).to_vec()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let deliveries = come(&mut subscription, &["a", "b"]).await;
    let at = bench.now().plus(Duration::from_secs(10));
    let states = bench.history.pending(receipts[2].position.unwrap()).await.unwrap();
    assert_eq!(states, [(handler.id, PendingState::Rate { key: None, at })]);
    // What ends makes no room: it is starts that are counted.
    bench.ack_all(deliveries).await;
    nothing(&mut subscription).await;
    for expected in ["c", "d"] {
        bench.advance(Duration::from_secs(10));
        let deliveries = come(&mut subscription, &[expected]).await;
        bench.ack_all(deliveries).await;
    }
}

pub async fn a_rate_that_is_taken_away_holds_nothing_back(bench: Bench) {
    let handler = Function { rate: Some(Rate::new(0.001, 1).unwrap()), ..function("f", "t") };
    bench.activate(vec![handler.clone()]).await;
    bench.publish(["a", "b", "c"].map(|id| event(id, "t")).to_vec()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let _held = come(&mut subscription, &["a"]).await;
    bench.activate(vec![Function { rate: None, ..handler.clone() }]).await;
    come(&mut subscription, &["b", "c"]).await;
}

pub async fn a_limit_holds_its_key_and_no_other(bench: Bench) {
    let handler = limited(Some(1), None);
    bench.activate(vec![handler.clone()]).await;
    let events = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")].map(|(id, key)| keyed(id, "t", key));
    let receipts = bench.publish([events.to_vec(), vec![event("free", "t"), event("free too", "t")]].concat()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let mut deliveries = come(&mut subscription, &["a", "c", "free", "free too"]).await;
    let states = bench.history.pending(receipts[1].position.unwrap()).await.unwrap();
    assert_eq!(states, [(handler.id, PendingState::Limit { key: "x".to_owned() })]);
    // One that is to be retried is not in flight meanwhile: its key goes on.
    let at = bench.now().plus(Duration::from_secs(10));
    bench.bus.settle(deliveries.remove(0), failed(Decision::RetryAt(at))).await.unwrap();
    let second = come(&mut subscription, &["b"]).await;
    bench.advance(Duration::from_secs(10));
    nothing(&mut subscription).await;
    bench.ack_all(second).await;
    let retried = come(&mut subscription, &["a"]).await;
    bench.ack_all(retried).await;
    come(&mut subscription, &["d"]).await;
}

pub async fn a_key_has_a_rate_of_its_own(bench: Bench) {
    let handler = limited(None, Some(Rate::new(1.0, 1).unwrap()));
    bench.activate(vec![handler.clone()]).await;
    let events = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")].map(|(id, key)| keyed(id, "t", key));
    let receipts = bench.publish(events.to_vec()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let _held = come(&mut subscription, &["a", "c"]).await;
    let at = bench.now().plus(Duration::from_secs(1));
    let states = bench.history.pending(receipts[1].position.unwrap()).await.unwrap();
    assert_eq!(states, [(handler.id, PendingState::Rate { key: Some("x".to_owned()), at })]);
    for expected in ["b", "d"] {
        bench.advance(Duration::from_secs(1));
        let deliveries = come(&mut subscription, &[expected]).await;
        bench.ack_all(deliveries).await;
    }
}

pub async fn order_and_limit_hold_together_through_a_crash(bench: Bench) {
    let handler = Function { order: ordered("f", "t").order, ..limited(Some(1), None) };
    bench.activate(vec![handler.clone()]).await;
    bench.publish([("a", "x"), ("b", "x"), ("c", "y")].map(|(id, key)| keyed(id, "t", key)).to_vec()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let deliveries = come(&mut subscription, &["a", "c"]).await;
    drop((deliveries, subscription));
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    for expected in [&["a", "c"][..], &["b"], &[]] {
        let deliveries = come(&mut subscription, expected).await;
        bench.ack_all(deliveries).await;
    }
}
