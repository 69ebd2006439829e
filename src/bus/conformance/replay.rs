//! Events that are said again: what they are, who gets them, and that nobody else can claim to bring one.

use super::*;
use crate::bus::PublishError;
use crate::event::{REPLAY_ATTRIBUTES, Replay, attribute};

/// The event at a position, to be said again.
async fn again(bench: &Bench, position: Position, to: Option<FunctionId>, label: &str) -> Replay {
    let original = bench.history.event_at(position).await.unwrap().unwrap();
    Replay::of(&original, to, label, bench.now()).unwrap()
}

async fn positions(bench: &Bench, batch: Vec<Replay>) -> Vec<(Position, bool)> {
    let receipts = bench.bus.replay(batch).await.unwrap();
    receipts.iter().map(|receipt| (receipt.position.unwrap(), receipt.duplicate)).collect()
}

pub async fn a_live_replay_is_in_its_original_s_chain_once_and_keeps_its_origin(bench: Bench) {
    bench.activate(vec![]).await;
    let origin = Origin { kind: OriginKind::Trigger, name: "/hooks/shop".to_owned(), verified: true };
    let large = Event { data: Some(vec![b'x'; 300_000].into()), ..keyed("large", "t", "k") };
    let batch = vec![Incoming { event: with(event("a", "t"), "correlationid", "chain"), origin: origin.clone() }];
    bench.bus.publish(batch).await.unwrap();
    let large_at = bench.publish_one(large.clone()).await;
    bench.advance(Duration::from_secs(60));
    let (first, second) = (again(&bench, 2, None, "").await, again(&bench, large_at, None, "").await);
    let both = vec![first.clone(), second.clone()];
    assert_eq!(positions(&bench, both.clone()).await, [(4, false), (5, false)]);
    assert_eq!(positions(&bench, both.clone()).await, [(4, true), (5, true)]);
    assert_eq!(positions(&bench, vec![again(&bench, 2, None, "more").await]).await, [(6, false)], "another label");
    let bench = bench.crash();
    assert_eq!(positions(&bench, both).await, [(4, true), (5, true)]);
    let said = bench.history.event_at(4).await.unwrap().unwrap();
    assert_eq!((said.origin, said.event.replay_of(), said.event.correlation()), (origin, Some("a"), Some("chain")));
    let said = bench.history.event_at(5).await.unwrap().unwrap();
    assert_eq!((said.event.data.clone(), said.event.partition_key()), (large.data, Some("k")));
    let twice = vec![again(&bench, 2, None, "twice").await, again(&bench, 2, None, "twice").await];
    assert_eq!(positions(&bench, twice).await, [(7, false), (7, true)]);
}

pub async fn a_live_replay_for_one_function_comes_to_that_one_alone_and_in_order(bench: Bench) {
    let (one, other) = (ordered("one", "t"), ordered("other", "t"));
    bench.activate(vec![one.clone(), other.clone()]).await;
    let (mut ones, mut others) = (bench.bus.subscribe(one.id), bench.bus.subscribe(other.id));
    let first = bench.publish(vec![keyed("a", "t", "k"), keyed("b", "t", "k")]).await[0].position.unwrap();
    for subscription in [&mut ones, &mut others] {
        for position in [first, first + 1] {
            let delivery = next(subscription).await;
            assert_eq!(delivery.event.position, position);
            bench.ack(delivery).await;
        }
    }
    let batch = vec![again(&bench, first, Some(one.id), "").await, again(&bench, first + 1, Some(one.id), "").await];
    bench.bus.replay(batch).await.unwrap();
    let held = next(&mut ones).await;
    assert_eq!(held.event.event.replay_of(), Some("a"));
    nothing(&mut ones).await;
    nothing(&mut others).await;
    assert!(bench.history.pending(first + 2).await.unwrap().iter().all(|(function, _)| *function == one.id));
    bench.ack(held).await;
    let delivery = next(&mut ones).await;
    assert_eq!(delivery.event.event.replay_of(), Some("b"));
    bench.ack(delivery).await;
    drop((ones, others));
    // Whoever reads the log later, or again, is told the same.
    let late = function("late", "t");
    bench.activate(vec![one.clone(), other.clone(), late.clone()]).await;
    let bench = bench.crash();
    let mut lates = bench.bus.subscribe(late.id);
    for id in ["a", "b"] {
        let delivery = next(&mut lates).await;
        assert_eq!(delivery.event.event.id, id);
        bench.ack(delivery).await;
    }
    nothing(&mut lates).await;
    nothing(&mut bench.bus.subscribe(other.id)).await;
    bench.bus.replay(vec![again(&bench, first, None, "").await]).await.unwrap();
    for function in [one.id, other.id, late.id] {
        let delivery = next(&mut bench.bus.subscribe(function)).await;
        assert_eq!((delivery.event.event.replay_of(), delivery.event.position > first + 3), (Some("a"), true));
        bench.ack(delivery).await;
    }
}

pub async fn nobody_outside_says_that_an_event_is_of_a_live_replay(bench: Bench) {
    for name in REPLAY_ATTRIBUTES {
        for kind in [OriginKind::Api, OriginKind::Trigger, OriginKind::Function, OriginKind::Runtime] {
            let origin = Origin { kind, name: "test".to_owned(), verified: true };
            let forged = Incoming { event: with(event("forged", "t"), name, "a"), origin };
            let refused = bench.bus.publish(vec![incoming(event("a", "t")), forged]).await;
            let Err(PublishError::Refused { index: 1, reason }) = refused else {
                panic!("{name} {kind:?}: {refused:?}")
            };
            assert!(reason.contains(name) && reason.contains("leave it out"), "{reason}");
        }
    }
    assert_eq!(bench.history.tail().await.unwrap(), 0);
    // Nor does what is said again pass on what its original claimed.
    bench.publish(vec![event("a", "t")]).await;
    bench.bus.replay(vec![again(&bench, 1, None, "").await]).await.unwrap();
    let second = again(&bench, 2, None, "").await;
    assert_eq!(second.event().text(attribute::REPLAY_OF), Some(again(&bench, 1, None, "").await.event().id.as_str()));
}
