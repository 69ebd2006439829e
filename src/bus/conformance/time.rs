//! Timers: of one (event, function) for a retry, of an event for all.

use super::*;
use crate::event::{HOPS_MAX, derive};

pub async fn a_retry_comes_at_its_time_and_keeps_its_first_start(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("a", "t"), event("b", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let started = bench.now();
    for seconds in [20, 10] {
        let delivery = next(&mut subscription).await;
        let at = started.plus(Duration::from_secs(seconds));
        bench.bus.settle(delivery, failed(Decision::RetryAt(at))).await.unwrap();
    }
    nothing(&mut subscription).await;
    for expected in ["b", "a"] {
        bench.advance(Duration::from_secs(10));
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.event.event.id.as_str(), delivery.attempt), (expected, 2));
        assert_eq!(delivery.first_attempt_at, started);
        bench.ack(delivery).await;
    }
}

pub async fn a_retry_outlives_the_process(bench: Bench) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![keyed("a", "t", "x"), keyed("b", "t", "x"), keyed("c", "t", "y")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let started = bench.now();
    let delivery = next(&mut subscription).await;
    let at = started.plus(Duration::from_secs(60));
    bench.bus.settle(delivery, failed(Decision::RetryAt(at))).await.unwrap();
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.event.event.id, "c");
    bench.ack(delivery).await;
    drop(subscription);
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    nothing(&mut subscription).await;
    bench.advance(Duration::from_secs(60));
    let delivery = next(&mut subscription).await;
    assert_eq!((delivery.event.event.id.as_str(), delivery.attempt), ("a", 2));
    assert_eq!(delivery.first_attempt_at, started);
    bench.ack(delivery).await;
    let delivery = next(&mut subscription).await;
    assert_eq!((delivery.event.event.id.as_str(), delivery.attempt), ("b", 1));
}

pub async fn a_delayed_event_gets_its_position_when_it_is_due(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let due = bench.now().plus(Duration::from_secs(60));
    let receipts = bench.publish(vec![with(event("later", "t"), "deliverat", &due.to_string())]).await;
    assert_eq!((receipts[0].position, receipts[0].duplicate), (None, false));
    let past = with(event("past", "t"), "deliverat", "2001-01-01T00:00:00Z");
    let before = bench.publish_one(past).await;
    let waiting = bench.history.chain("later", 10).await.unwrap().waiting;
    assert_eq!(waiting.iter().map(|(at, event)| (*at, event.id.as_str())).collect::<Vec<_>>(), [(due, "later")]);
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.event.event.id, "past");
    bench.ack(delivery).await;
    nothing(&mut subscription).await;
    bench.advance(Duration::from_secs(60));
    let delivery = next(&mut subscription).await;
    assert_eq!((delivery.event.event.id.as_str(), delivery.event.position), ("later", before + 1));
    assert!(delivery.event.accepted_at >= due);
    assert!(bench.history.chain("later", 10).await.unwrap().waiting.is_empty());
}

pub async fn a_delayed_event_is_known_before_it_is_due(bench: Bench) {
    let later = with(event("later", "t"), "deliverat", &bench.now().plus(Duration::from_secs(60)).to_string());
    bench.publish(vec![later.clone()]).await;
    let again = bench.publish(vec![later.clone()]).await;
    assert_eq!(again, [Receipt { id: "later".to_owned(), position: None, duplicate: true }]);
    let refused = bench.bus.publish(vec![incoming(Event { subject: Some("s".to_owned()), ..later.clone() })]).await;
    assert!(refused.is_err());
    let mut commits = bench.bus.commits();
    bench.advance(Duration::from_secs(60));
    while bench.history.tail().await.unwrap() == 0 {
        commits.changed().await.unwrap();
    }
    assert_eq!(
        bench.publish(vec![later]).await[0],
        Receipt { id: "later".to_owned(), position: Some(1), duplicate: true }
    );
}

pub async fn what_waits_for_its_time_is_no_hop(bench: Bench) {
    let handler =
        Function { grants: Grants { emits: vec!["*".to_owned()], ..Grants::default() }, ..function("f", "t") };
    bench.activate(vec![handler.clone()]).await;
    bench.publish_one(event("first", "t")).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let later = |ty: &str, millis: u64| {
        let due = bench.now().plus(Duration::from_millis(millis));
        with(Event { ty: ty.to_owned(), ..Event::default() }, "deliverat", &due.to_string())
    };
    // A function that reminds itself goes on for as long as it likes.
    for _ in 0..=HOPS_MAX {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.hops, 0);
        let emitted = derive(&delivery.event, "test", &handler, vec![later("t", 1_000)], bench.now()).unwrap();
        bench.bus.settle(delivery, Settlement { emitted, ..ack() }).await.unwrap();
        bench.advance(Duration::from_secs(1));
    }
    // Less than a second is no wait, and neither is that of another event.
    let delivery = next(&mut subscription).await;
    let position = delivery.event.position;
    let returned = vec![later("t", 999), later("u", 0), later("t", 1_000)];
    let emitted = derive(&delivery.event, "test", &handler, returned, bench.now()).unwrap();
    bench.bus.settle(delivery, Settlement { emitted, ..ack() }).await.unwrap();
    assert_eq!(bench.history.event_at(position + 1).await.unwrap().unwrap().hops, 1);
    bench.advance(Duration::from_secs(1));
    for hops in [1, 0] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.hops, hops);
        bench.ack(delivery).await;
    }
}
