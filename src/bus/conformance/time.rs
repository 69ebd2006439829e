//! Timers: of one (event, function) for a retry, of an event for all.

use super::*;

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
