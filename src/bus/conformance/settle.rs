//! One atomic point.

use super::*;
use crate::bus::{InvocationId, InvocationQuery, RecordedQuery, StoredVerdict};

/// A function for type `t`, with one event of it delivered.
async fn delivered(bench: &Bench) -> (Function, Box<dyn Subscription>, Delivery) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish_one(event("parent", "t")).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    (handler, subscription, delivery)
}

pub async fn emitted_events_keys_and_recording_are_one_step(bench: Bench) {
    let (handler, _subscription, delivery) = delivered(&bench).await;
    let id = InvocationId { position: delivery.event.position, function: handler.id, round: 0, attempt: 1 };
    let emitted = vec![with(event("child", "u"), "correlationid", "parent")];
    let settlement = Settlement { emitted, writes: vec![write("k", "1")], ..ack() };
    assert!(matches!(bench.bus.settle(delivery, settlement).await.unwrap(), Settled::Settled));
    let bench = bench.crash();
    let child = bench.history.event_at(id.position + 1).await.unwrap().unwrap();
    assert_eq!((child.event.id.as_str(), child.hops), ("child", 1));
    assert_eq!((child.origin.kind, child.origin.name.as_str()), (OriginKind::Function, "f"));
    assert_eq!(bench.value("k").await.unwrap(), "1");
    let invocation = bench.history.invocation(&id).await.unwrap().unwrap();
    assert_eq!((invocation.verdict, invocation.emitted), (StoredVerdict::Delivered, 1));
    assert_eq!(invocation.component, Digest::of(b"component"));
    assert_eq!(bench.history.recording(&id).await.unwrap().unwrap(), "recording");
    assert_eq!(bench.history.attempts(id.position).await.unwrap().len(), 1);
    assert_eq!(id.to_string().parse(), Ok(id));
}

pub async fn an_attempt_without_a_recording_is_settled_and_told_as_any_other(bench: Bench) {
    let (handler, _subscription, delivery) = delivered(&bench).await;
    let id = InvocationId { position: delivery.event.position, function: handler.id, round: 0, attempt: 1 };
    let settlement = Settlement { recording: None, ..ack() };
    assert!(matches!(bench.bus.settle(delivery, settlement).await.unwrap(), Settled::Settled));
    let bench = bench.crash();
    let invocation = bench.history.invocation(&id).await.unwrap().unwrap();
    assert_eq!(invocation.verdict, StoredVerdict::Delivered);
    assert_eq!(bench.history.recording(&id).await.unwrap(), None);
    let page = bench.history.recorded(recorded_of(handler.id)).await.unwrap();
    assert_eq!((page.attempts.len(), page.unrecorded, page.next), (0, 1, None));
}

/// The first page of a function's recorded attempts.
fn recorded_of(function: FunctionId) -> RecordedQuery {
    RecordedQuery {
        function,
        since: None,
        until: None,
        ty: None,
        failed_only: false,
        after: None,
        max: 10,
        bytes_max: usize::MAX,
    }
}

pub async fn recorded_attempts_come_page_by_page_in_log_order_each_once(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone(), function("other", "t")]).await;
    let sent: Vec<Position> = {
        let receipts = bench.publish((0..25).map(|number| event(&number.to_string(), "t")).collect()).await;
        receipts.iter().map(|receipt| receipt.position.unwrap()).collect()
    };
    let mut subscription = bench.bus.subscribe(handler.id);
    let mut deliveries = Vec::new();
    for _ in &sent {
        deliveries.push(next(&mut subscription).await);
    }
    // Settled in another order than the log's.
    deliveries.reverse();
    bench.ack_all(deliveries).await;
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = bench.history.recorded(RecordedQuery { after, ..recorded_of(handler.id) }).await.unwrap();
        found.extend(page.attempts.iter().map(|attempt| attempt.event.position));
        (after, pages) = (page.next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (sent, 3));
}

pub async fn a_second_settlement_changes_nothing(bench: Bench) {
    let (handler, subscription, delivery) = delivered(&bench).await;
    let position = delivery.event.position;
    // Another bus on the same log settles first: here the delivery outlives a crash of its bus.
    bench.ack(delivery).await;
    drop(subscription);
    let settled = bench.history.attempts(position).await.unwrap();
    assert_eq!(settled.len(), 1);
    let emitted = vec![event("child", "u"), event("child", "u")];
    bench.publish(vec![event("again", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    bench.bus.settle(delivery, Settlement { emitted, ..ack() }).await.unwrap();
    let children = bench.history.find("child", 10).await.unwrap();
    assert_eq!(children.len(), 1, "an event that is there already is not emitted again");
}

pub async fn a_key_that_moved_is_a_conflict_and_the_delivery_comes_back(bench: Bench) {
    let (handler, mut subscription, first) = delivered(&bench).await;
    bench.publish_one(event("second", "t")).await;
    let second = next(&mut subscription).await;
    let settlement = |value| Settlement { reads: vec![read("k", 0)], writes: vec![write("k", value)], ..ack() };
    assert!(matches!(bench.bus.settle(second, settlement("2")).await.unwrap(), Settled::Settled));
    let Settled::Conflict(first) = bench.bus.settle(first, settlement("1")).await.unwrap() else {
        panic!("the key has moved")
    };
    assert_eq!((first.attempt, bench.value("k").await.unwrap()), (1, Bytes::from("2")));
    let invocations =
        bench.history.invocations(InvocationQuery { function: Some(handler.id), max: 9, ..InvocationQuery::default() });
    assert_eq!(invocations.await.unwrap().len(), 1, "a conflict is no attempt");
    let revision = bench.bus.read_key("space", "k").await.unwrap().revision;
    let again = Settlement { reads: vec![read("k", revision)], writes: vec![write("k", "3")], ..ack() };
    assert!(matches!(bench.bus.settle(first, again).await.unwrap(), Settled::Settled));
    assert_eq!(bench.value("k").await.unwrap(), "3");
}

pub async fn absence_is_a_revision_too(bench: Bench) {
    let (_handler, mut subscription, first) = delivered(&bench).await;
    bench.bus.settle(first, Settlement { writes: vec![write("k", "1")], ..ack() }).await.unwrap();
    for (index, conflicts) in [(1, true), (2, false)] {
        bench.publish_one(event(&format!("e{index}"), "t")).await;
        let delivery = next(&mut subscription).await;
        if index == 2 {
            let delete = KeyWrite { value: None, ..write("k", "") };
            bench.bus.settle(delivery, Settlement { writes: vec![delete], ..ack() }).await.unwrap();
            assert_eq!(bench.bus.read_key("space", "k").await.unwrap().revision, 0);
            continue;
        }
        let absent = Settlement { reads: vec![read("k", 0)], ..ack() };
        let settled = bench.bus.settle(delivery, absent).await.unwrap();
        let Settled::Conflict(delivery) = settled else { panic!("it is there: {conflicts}") };
        bench.ack(delivery).await;
    }
}

pub async fn a_listing_is_a_read_of_the_whole_space(bench: Bench) {
    let (_handler, mut subscription, first) = delivered(&bench).await;
    bench.bus.settle(first, Settlement { writes: vec![write("b", "1"), write("a", "1")], ..ack() }).await.unwrap();
    let (revision, keys) = bench.bus.list_keys("space", None, 10).await.unwrap();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(bench.bus.list_keys("space", Some("a"), 10).await.unwrap().1, ["b"]);
    assert_eq!(bench.bus.list_keys("space", None, 1).await.unwrap().1, ["a"]);
    bench.publish(vec![event("e1", "t"), event("e2", "t")]).await;
    let (writer, lister) = (next(&mut subscription).await, next(&mut subscription).await);
    bench.bus.settle(writer, Settlement { writes: vec![write("c", "1")], ..ack() }).await.unwrap();
    let listed = KeyRead { space: "space".to_owned(), scope: ReadScope::Space, revision };
    let settled = bench.bus.settle(lister, Settlement { reads: vec![listed], ..ack() }).await.unwrap();
    assert!(matches!(settled, Settled::Conflict(_)));
}

pub async fn a_failed_attempt_writes_nothing_but_itself(bench: Bench) {
    let (handler, mut subscription, delivery) = delivered(&bench).await;
    let position = delivery.event.position;
    bench.bus.settle(delivery, failed(Decision::RetryAt(bench.now()))).await.unwrap();
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.attempt, 2);
    bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
    let verdicts: Vec<_> =
        bench.history.attempts(position).await.unwrap().into_iter().map(|invocation| invocation.verdict).collect();
    assert_eq!(verdicts, [StoredVerdict::Retried(bench.now()), StoredVerdict::DeadLettered]);
    assert_eq!(bench.history.tail().await.unwrap(), position);
    let letter = bench.history.dead_letter(handler.id, position).await.unwrap().unwrap();
    assert_eq!(letter.invocation.failure.unwrap().kind, FailureKind::Trapped);
    let status = bench.history.functions().await.unwrap().remove(0);
    assert_eq!((status.delivered, status.failed_attempts, status.dead_letters_open), (0, 2, 1));
}

/// Reads, adds and settles until it did not conflict.
async fn add_one(bus: Arc<dyn Bus>, mut delivery: Delivery) {
    loop {
        let before = bus.read_key("space", "n").await.unwrap();
        let count: u32 = before.value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
        let reads = vec![read("n", before.revision)];
        let settlement = Settlement { reads, writes: vec![write("n", &(count + 1).to_string())], ..ack() };
        match bus.settle(delivery, settlement).await.unwrap() {
            Settled::Conflict(back) => delivery = back,
            Settled::Settled => return,
            Settled::AlreadySettled => panic!("settled once"),
        }
    }
}

pub async fn concurrent_counters_lose_no_update(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish((0..60).map(|index| event(&index.to_string(), "t")).collect()).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..60 {
        if running.len() == 8 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(add_one(bench.bus.clone(), next(&mut subscription).await));
    }
    running.join_all().await;
    assert_eq!(bench.value("n").await.unwrap(), "60");
}
