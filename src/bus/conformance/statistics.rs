//! Statistics: what counts, once, and in which window.

use super::*;
use crate::bus::{Bucket, Statistics, StatisticsQuery};

const MILLISECOND: Duration = Duration::from_millis(1);

fn query(function: FunctionId, from: Position, to: Option<Position>) -> StatisticsQuery {
    StatisticsQuery { function, component: Digest::of(b"component"), from, to }
}

/// What has ended so: delivered ones, those that trapped, each of one length.
fn statistics(delivered: u64, trapped: u64, ran: Duration, position: Position) -> Statistics {
    let mut statistics = Statistics { position, ..Statistics::default() };
    for (failure, count) in [(None, delivered), (Some(FailureKind::Trapped), trapped)] {
        if count > 0 {
            statistics.add(failure, Bucket::bound(ran), count);
        }
    }
    statistics
}

pub async fn statistics_count_what_is_final_in_the_window_and_of_the_component(bench: Bench) {
    let (handler, other) = (function("f", "t"), function("other", "t"));
    bench.activate(vec![handler.clone(), other.clone()]).await;
    let first = bench.publish((0..4).map(|index| event(&index.to_string(), "t")).collect()).await[0].position.unwrap();
    let tail = first + 3;
    let mut subscription = bench.bus.subscribe(handler.id);
    let long = |settlement| Settlement { duration: 50 * MILLISECOND, ..settlement };
    bench.bus.settle(next(&mut subscription).await, long(ack())).await.unwrap();
    let elsewhere = Settlement { component: Digest::of(b"another component"), ..long(ack()) };
    bench.bus.settle(next(&mut subscription).await, elsewhere).await.unwrap();
    bench.bus.settle(next(&mut subscription).await, long(failed(Decision::DeadLetter))).await.unwrap();
    bench.bus.settle(next(&mut subscription).await, long(failed(Decision::RetryAt(bench.now())))).await.unwrap();
    bench.ack(next(&mut bench.bus.subscribe(other.id)).await).await;

    let expected = |delivered, trapped| statistics(delivered, trapped, 50 * MILLISECOND, tail);
    let bench = bench.crash();
    for (from, to, counted) in [
        (0, None, expected(1, 1)),
        (first, Some(first), expected(1, 0)),
        (first + 1, Some(first + 1), expected(0, 0)),
        (first + 1, Some(first + 2), expected(0, 1)),
        (first, Some(Position::MAX), expected(1, 1)),
        (first + 2, None, expected(0, 1)),
        (first + 3, None, expected(0, 0)),
        (first + 2, Some(first), expected(0, 0)),
        (tail + 1, None, expected(0, 0)),
    ] {
        let found = bench.history.statistics(query(handler.id, from, to)).await.unwrap();
        assert_eq!(found, counted, "from {from} to {to:?}");
    }
    let nobody = bench.history.statistics(query(FunctionId::new(), 0, None)).await.unwrap();
    assert_eq!(nobody, expected(0, 0));
}

pub async fn statistics_count_a_retried_event_when_it_ends_and_a_redriven_one_again(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let position = bench.publish_one(event("a", "t")).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let counted = async || bench.history.statistics(query(handler.id, 0, None)).await.unwrap();
    let expected = |delivered, trapped| statistics(delivered, trapped, 3 * MILLISECOND, position);
    for attempt in 1..=2 {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.attempt, attempt);
        bench.bus.settle(delivery, failed(Decision::RetryAt(bench.now()))).await.unwrap();
        assert_eq!(counted().await, expected(0, 0), "attempt {attempt}");
    }
    bench.bus.settle(next(&mut subscription).await, failed(Decision::DeadLetter)).await.unwrap();
    assert_eq!(counted().await, expected(0, 1));
    bench.put_back(&[(handler.id, position)]).await;
    assert_eq!(counted().await, expected(0, 1), "what is put back has not ended");
    bench.ack(next(&mut subscription).await).await;
    assert_eq!(counted().await, expected(1, 1));
}

pub async fn statistics_count_what_died_with_its_process(mut bench: Bench) {
    let lost = Function {
        component: Component { reference: ComponentRef::Builtin("f".to_owned()), digest: Digest::of(b"component") },
        ..function("f", "t")
    };
    bench.activate(vec![lost.clone()]).await;
    let position = bench.publish_one(event("a", "t")).await;
    for _ in 0..3 {
        let mut subscription = bench.bus.subscribe(lost.id);
        // The process dies with it: nothing is given back.
        std::mem::forget(next(&mut subscription).await);
        drop(subscription);
        bench = bench.crash();
    }
    let counted = bench.history.statistics(query(lost.id, position, Some(position))).await.unwrap();
    let dead_lettered = BTreeMap::from([(FailureKind::HostLost, 1)]);
    assert_eq!(counted, Statistics { dead_lettered, position, ..Statistics::default() });
}
