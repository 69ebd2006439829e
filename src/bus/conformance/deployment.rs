//! Who is deployed from where on, and what operators change.

use super::*;
use crate::bus::{ActivateError, BusError, DeadLetterState, JudgedRange, PendingState, PublishError};

pub async fn an_activation_is_an_event_and_switches_who_gets_what(bench: Bench) {
    let (old, new) = (function("old", "t"), function("new", "t"));
    assert_eq!(bench.activate(vec![old.clone()]).await, 1);
    let mut old_events = bench.bus.subscribe(old.id);
    let first = bench.publish_one(event("a", "t")).await;
    let delivery = next(&mut old_events).await;
    assert_eq!(delivery.function.deployment().number, 1);
    bench.ack(delivery).await;
    let latest = Function { start: Start::Latest, ..new.clone() };
    assert_eq!(bench.activate(vec![latest]).await, 2);
    nothing(&mut old_events).await;
    assert_eq!(bench.bus.active().borrow().as_ref().unwrap().number, 2);
    let mut new_events = bench.bus.subscribe(new.id);
    bench.publish_one(event("b", "t")).await;
    assert_eq!(next(&mut new_events).await.event.event.id, "b");
    let record = bench.history.event_at(first + 1).await.unwrap().unwrap();
    assert_eq!(record.event.ty, "dev.cdeventsx.tidegate-deployment.activated.0.1.0");
    assert_eq!((record.event.subject.as_deref(), record.origin.kind), (Some("2"), OriginKind::Runtime));
    let stored = bench.history.deployments().await.unwrap();
    assert_eq!((stored.len(), stored[1].position, &stored[1].cause), (2, first + 1, &Cause::ProjectFile));
    let judged = bench.history.judged(old.id).await.unwrap();
    let expected = [JudgedRange { from: 1, deployment: 1 }, JudgedRange { from: first + 2, deployment: 2 }];
    assert_eq!(judged, expected);
}

pub async fn an_activation_on_another_number_is_refused(bench: Bench) {
    bench.activate(vec![]).await;
    let refused = bench.bus.activate(deployment(vec![]), 0, Cause::ProjectFile).await;
    assert!(matches!(refused, Err(ActivateError::Moved { running: 1, expected: 0 })), "{refused:?}");
    assert_eq!(bench.history.tail().await.unwrap(), 1);
}

pub async fn a_new_function_starts_where_it_says(bench: Bench) {
    bench.publish(vec![event("1", "t")]).await;
    bench.advance(Duration::from_secs(10));
    let time = bench.now();
    bench.publish(vec![event("2", "t")]).await;
    bench.publish(vec![event("3", "t")]).await;
    let starts = [
        ("earliest", Start::Earliest, "1"),
        ("at", Start::At(time), "2"),
        ("position", Start::Position(3), "3"),
        ("latest", Start::Latest, "4"),
    ];
    let functions = starts.map(|(name, start, _)| Function { start, ..function(name, "t") });
    bench.activate(functions.to_vec()).await;
    bench.publish(vec![event("4", "t")]).await;
    for (function, (name, _, expected)) in functions.iter().zip(starts) {
        let first = next(&mut bench.bus.subscribe(function.id)).await;
        assert_eq!(first.event.event.id, expected, "{name}");
    }
}

pub async fn a_function_that_went_and_came_back_goes_on_where_it_was(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("done", "t"), event("waiting", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    bench.ack(next(&mut subscription).await).await;
    bench.activate(vec![]).await;
    bench.publish(vec![event("nobody", "t")]).await;
    nothing(&mut subscription).await;
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("after", "t")]).await;
    for expected in ["waiting", "after"] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected);
        bench.ack(delivery).await;
    }
    nothing(&mut subscription).await;
}

pub async fn what_is_out_while_its_function_went_and_came_back_is_not_delivered_twice(bench: Bench) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![keyed("out", "t", "x"), keyed("behind", "t", "x")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let out = next(&mut subscription).await;
    bench.activate(vec![]).await;
    bench.activate(vec![handler]).await;
    nothing(&mut subscription).await;
    let at = bench.now().plus(Duration::from_secs(60));
    bench.bus.settle(out, failed(Decision::RetryAt(at))).await.unwrap();
    nothing(&mut subscription).await;
    bench.advance(Duration::from_secs(60));
    for expected in [("out", 2), ("behind", 1)] {
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.event.event.id.as_str(), delivery.attempt), expected);
        bench.ack(delivery).await;
    }
    nothing(&mut subscription).await;
}

/// A function with one dead letter.
async fn dead_letter(bench: &Bench) -> (Function, Box<dyn Subscription>, Position) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let position = bench.publish_one(keyed("dead", "t", "x")).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
    (handler, subscription, position)
}

pub async fn a_redriven_dead_letter_comes_one_round_higher(bench: Bench) {
    let (handler, subscription, position) = dead_letter(&bench).await;
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.put_back(&[(handler.id, position), (handler.id, 999)]).await, 1);
    assert_eq!(bench.put_back(&[(handler.id, position)]).await, 0);
    drop(subscription);
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    assert_eq!((delivery.event.position, delivery.round, delivery.attempt), (position, 1, 1));
    let letter = bench.history.dead_letter(handler.id, position).await.unwrap().unwrap();
    assert_eq!(letter.state, DeadLetterState::Redriven { at: bench.now() });
    bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
    assert_eq!(bench.put_back(&[(handler.id, position)]).await, 1);
    let delivery = next(&mut subscription).await;
    assert_eq!(delivery.round, 2);
    assert!(matches!(bench.ack(delivery).await, Settled::Settled));
    nothing(&mut subscription).await;
    assert!(bench.history.pending(position).await.unwrap().is_empty());
}

pub async fn a_dead_letter_put_back_while_its_function_is_deployed_is_delivered(bench: Bench) {
    let (handler, mut subscription, position) = dead_letter(&bench).await;
    for round in 1..=20 {
        bench.activate(vec![]).await;
        let deployed = bench.activate(vec![handler.clone()]);
        let letter = [(handler.id, position)];
        let (_, put_back) = tokio::join!(deployed, bench.put_back(&letter));
        assert_eq!(put_back, 1);
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.event.position, delivery.round), (position, round));
        bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
        nothing(&mut subscription).await;
    }
}

pub async fn a_dead_letter_put_back_while_its_function_was_away_comes_in_log_order(bench: Bench) {
    let (handler, mut subscription, _) = dead_letter(&bench).await;
    bench.publish_one(keyed("dead too", "t", "x")).await;
    let position = bench.publish_one(keyed("waiting", "t", "x")).await - 1;
    bench.bus.settle(next(&mut subscription).await, failed(Decision::DeadLetter)).await.unwrap();
    bench.activate(vec![]).await;
    assert_eq!(bench.put_back(&[(handler.id, position)]).await, 1);
    bench.activate(vec![handler]).await;
    for expected in ["dead too", "waiting"] {
        let delivery = next(&mut subscription).await;
        assert_eq!(delivery.event.event.id, expected);
        bench.ack(delivery).await;
    }
}

pub async fn open_dead_letters_are_told_page_by_page_in_log_order(bench: Bench) {
    let (one, two) = (function("one", "t"), function("two", "t"));
    bench.activate(vec![one.clone(), two.clone()]).await;
    let first = bench.publish((0..5).map(|index| event(&index.to_string(), "t")).collect()).await[0].position.unwrap();
    for function in [&one, &two] {
        let mut subscription = bench.bus.subscribe(function.id);
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(next(&mut subscription).await);
        }
        for delivery in taken.into_iter().rev() {
            bench.bus.settle(delivery, failed(Decision::DeadLetter)).await.unwrap();
        }
    }
    bench.bus.drop_letters(vec![(one.id, first + 1)], "ann").await.unwrap();
    let listed = async |function: Option<FunctionId>| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = bench.history.open_letters(function, after, 2).await.unwrap();
            assert!(page.len() <= 2);
            let page: Vec<_> = page.into_iter().map(|letter| (letter.function, letter.position)).collect();
            let Some(last) = page.last().copied() else { return all };
            after = Some(last);
            all.extend(page);
        }
    };
    let of_one: Vec<_> = [0, 2, 3, 4].iter().map(|offset| (one.id, first + offset)).collect();
    let of_two: Vec<_> = (0..5).map(|offset| (two.id, first + offset)).collect();
    assert_eq!(listed(Some(one.id)).await, of_one);
    assert_eq!(listed(Some(two.id)).await, of_two);
    let of_both = match one.id < two.id {
        true => [of_one, of_two].concat(),
        false => [of_two, of_one].concat(),
    };
    assert_eq!(listed(None).await, of_both);
}

pub async fn dead_letters_that_are_put_back_run_when_they_are_due(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let mut letters = Vec::new();
    for (seconds, id) in [(10, "a"), (0, "b"), (20, "c")] {
        let position = bench.publish_one(event(id, "t")).await;
        bench.bus.settle(next(&mut subscription).await, failed(Decision::DeadLetter)).await.unwrap();
        letters.push(PutBack { function: handler.id, position, due: bench.now().plus(Duration::from_secs(seconds)) });
    }
    assert_eq!(bench.bus.redrive(letters).await.unwrap(), 3);
    drop(subscription);
    let bench = bench.crash();
    let mut subscription = bench.bus.subscribe(handler.id);
    for expected in ["b", "a", "c"] {
        let delivery = next(&mut subscription).await;
        assert_eq!((delivery.event.event.id.as_str(), delivery.round, delivery.attempt), (expected, 1, 1));
        bench.ack(delivery).await;
        nothing(&mut subscription).await;
        bench.advance(Duration::from_secs(10));
    }
}

pub async fn a_dropped_dead_letter_stays_dropped(bench: Bench) {
    let (handler, _subscription, position) = dead_letter(&bench).await;
    let letters = vec![(handler.id, position)];
    assert_eq!(bench.bus.drop_letters(letters.clone(), "ann").await.unwrap(), 1);
    assert_eq!(bench.bus.drop_letters(letters.clone(), "bob").await.unwrap(), 0);
    assert_eq!(bench.put_back(&letters).await, 0);
    let letters = bench.history.dead_letters(Some(handler.id), 10).await.unwrap();
    assert_eq!(letters[0].state, DeadLetterState::Dropped { at: bench.now(), by: "ann".to_owned() });
    assert_eq!(letters[0].event.event.id, "dead");
}

pub async fn what_is_pending_is_told(bench: Bench) {
    let handler = ordered("f", "t");
    bench.activate(vec![handler.clone()]).await;
    let first = bench.publish(vec![keyed("1", "t", "x"), keyed("2", "t", "x"), keyed("3", "t", "y")]).await[0].position;
    let first = first.unwrap();
    let mut subscription = bench.bus.subscribe(handler.id);
    let running = next(&mut subscription).await;
    let retried = next(&mut subscription).await;
    let at = bench.now().plus(Duration::from_secs(5));
    bench.bus.settle(retried, failed(Decision::RetryAt(at))).await.unwrap();
    let state = async |position| bench.history.pending(position).await.unwrap();
    assert_eq!(state(first).await, [(handler.id, PendingState::Running { attempt: 1 })]);
    assert_eq!(state(first + 1).await, [(handler.id, PendingState::Behind { position: first })]);
    assert_eq!(state(first + 2).await, [(handler.id, PendingState::Retrying { attempt: 2, at })]);
    assert_eq!(state(first - 1).await, [], "the activation is for nobody");
    bench.ack(running).await;
    assert_eq!(state(first).await, []);
    assert_eq!(state(first + 1).await, [(handler.id, PendingState::Ready)]);
}

pub async fn a_closed_bus_takes_and_gives_nothing(bench: Bench) {
    let handler = function("f", "t");
    bench.activate(vec![handler.clone()]).await;
    bench.publish(vec![event("a", "t"), event("b", "t")]).await;
    let mut subscription = bench.bus.subscribe(handler.id);
    let delivery = next(&mut subscription).await;
    bench.bus.close().await.unwrap();
    assert!(subscription.next().await.is_none());
    assert!(bench.bus.settle(delivery, ack()).await.is_err());
    let refused = bench.bus.publish(vec![incoming(event("c", "t"))]).await;
    assert!(matches!(refused, Err(PublishError::Bus(BusError::Closed))), "{refused:?}");
    bench.bus.close().await.unwrap();
}
