//! Who gets what, in which order, and what a crash leaves.

use super::*;

pub async fn each_function_gets_the_events_of_its_types_once(bench: Bench) {
    let (one, all) = (function("one", "t.one"), function("all", "t.*"));
    bench.activate(vec![one.clone(), all.clone()]).await;
    let published = [event("a", "t.one"), event("b", "t.two"), event("c", "other"), event("d", "t.one")];
    let first = bench.publish(published.to_vec()).await[0].position.unwrap();
    for (function, expected) in [(one, vec![first, first + 3]), (all, vec![first, first + 1, first + 3])] {
        let mut subscription = bench.bus.subscribe(function.id);
        let mut got = Vec::new();
        for _ in &expected {
            let delivery = next(&mut subscription).await;
            assert_eq!((delivery.attempt, delivery.round, delivery.lost), (1, 0, 0));
            got.push(delivery.event.position);
            bench.ack(delivery).await;
        }
        assert_eq!(got, expected);
        nothing(&mut subscription).await;
    }
}

pub async fn a_dropped_delivery_comes_again_and_is_no_attempt(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("a", "t"), event("b", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let dropped = next(&mut subscription).await;
    let (position, first_attempt_at) = (dropped.event.position, dropped.first_attempt_at);
    drop(dropped);
    bench.advance(Duration::from_secs(1));
    let again = next(&mut subscription).await;
    assert_eq!((again.event.position, again.attempt, again.lost), (position, 1, 0));
    assert_eq!(again.first_attempt_at, first_attempt_at);
}

pub async fn events_of_a_key_come_one_at_a_time_in_log_order(bench: Bench) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let events = [("1", "x"), ("2", "x"), ("3", "y"), ("4", "x")].map(|(id, key)| keyed(id, "t", key));
    bench.publish(events.to_vec()).await;
    bench.publish(vec![event("5", "t"), event("6", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let mut out = Vec::new();
    for expected in ["1", "3", "5", "6"] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected);
        out.push(delivery);
    }
    nothing(&mut subscription).await;
    for expected in ["2", "4"] {
        bench.ack(out.remove(0)).await;
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected);
        nothing(&mut subscription).await;
        out.insert(0, delivery);
    }
}

pub async fn a_retry_holds_its_key_only_and_a_dead_letter_releases_it(bench: Bench) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![keyed("1", "t", "x"), keyed("2", "t", "x"), keyed("3", "t", "y")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let first = next(&mut subscription).await;
    let later = bench.now().plus(Duration::from_secs(60));
    bench.bus.settle(first, failed(Decision::RetryAt(later))).await.unwrap();
    let other = next(&mut subscription).await;
    assert_eq!(other.event.event.id, "3");
    nothing(&mut subscription).await;
    bench.advance(Duration::from_secs(60));
    let retried = next(&mut subscription).await;
    assert_eq!((retried.event.event.id.as_str(), retried.attempt), ("1", 2));
    nothing(&mut subscription).await;
    bench.bus.settle(retried, failed(Decision::DeadLetter)).await.unwrap();
    assert_eq!(next(&mut subscription).await.event.event.id, "2");
}

pub async fn what_was_not_settled_is_delivered_after_a_restart(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("a", "t"), event("b", "t"), event("c", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let (a, b) = (next(&mut subscription).await, next(&mut subscription).await);
    bench.ack(b).await;
    drop((a, subscription));
    let bench = bench.restart().await;
    let mut subscription = bench.bus.subscribe(handler.id);
    for expected in ["a", "c"] {
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.event.event.id.as_str(), delivery.attempt, delivery.lost), (expected, 1, 0));
        bench.ack(delivery).await;
    }
    nothing(&mut subscription).await;
}

pub async fn what_was_settled_is_not_delivered_after_a_crash(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish((0..20).map(|index| event(&index.to_string(), "t")).collect()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    for index in 0..20 {
        let delivery = next(&mut subscription).await;
        if index % 3 != 0 {
            bench.ack(delivery).await;
        } else {
            bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
        }
    }
    drop(subscription);
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    nothing(&mut subscription).await;
    bench.publish_one(event("more", "t")).await;
    assert_eq!(next(&mut subscription).await.event.event.id, "more");
}

pub async fn a_loss_counts_one_attempt_and_the_third_is_a_dead_letter(mut bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let position = bench.publish_one(event("a", "t")).await;
    for lost in 0..3 {
        let mut subscription = bench.bus.subscribe(handler.id);
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.attempt, delivery.lost), (lost + 1, lost));
        // The process dies with it: nothing is given back.
        std::mem::forget(delivery);
        drop(subscription);
        bench = bench.crash();
    }
    let mut subscription = bench.bus.subscribe(handler.id);
    nothing(&mut subscription).await;
    let letter = bench.history.dead_letter(handler.id, position).await.unwrap().unwrap();
    assert_eq!(letter.invocation.failure.unwrap().kind, FailureKind::HostLost);
    assert_eq!(bench.history.attempts(position).await.unwrap().len(), 3);
}

pub async fn a_function_that_lags_gets_everything_in_order(bench: Bench) {
    const EVENTS: usize = 3_000;
    let (slow, quick) = (function("slow", "t"), function("quick", "u"));
    bench.activate(vec![slow.clone(), quick.clone()]).await;
    for batch in 0..EVENTS / 500 {
        let id = |index: usize| (batch * 500 + index).to_string();
        bench.publish((0..500).map(|index| event(&id(index), "t")).collect()).await;
    }
    bench.publish_one(event("quick", "u")).await;
    let delivery = next(&mut bench.bus.subscribe(quick.id)).await;
    bench.ack(delivery).await;
    let mut subscription = bench.bus.subscribe(slow.id);
    let mut settling = tokio::task::JoinSet::new();
    for index in 0..EVENTS {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, index.to_string());
        let bus = bench.bus.clone();
        settling.spawn(async move { bus.settle(delivery, ack()).await.unwrap() });
    }
    settling.join_all().await;
    nothing(&mut subscription).await;
    let status = bench.history.functions().await.unwrap();
    assert!(status.iter().all(|status| status.lag == 0 && status.pending == 0), "{status:?}");
}

pub async fn waiting_for_a_delivery_can_be_given_up(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    nothing(&mut subscription).await;
    nothing(&mut subscription).await;
    bench.publish_one(event("a", "t")).await;
    assert_eq!(next(&mut subscription).await.event.event.id, "a");
}
