//! How functions read the log: at the tail, and from behind.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::*;
use crate::bus::conformance::{ack, deployment, event, function, incoming, next};
use crate::deployment::Function;
use crate::event::Event;
use crate::filter::Filter;

/// Events that fill a function's queue, and more.
const MANY: usize = 1_500;

async fn publish(bus: &Embedded, events: impl IntoIterator<Item = Event>) {
    bus.publish(events.into_iter().map(incoming).collect()).await.unwrap();
}

fn with_data(id: &str, data: &'static str) -> Event {
    Event { data: Some(Bytes::from_static(data.as_bytes())), ..event(id, "t") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_is_counted_once_whether_the_function_follows_or_catches_up() {
    let (storage, metrics) = (on_disk(), Metrics::new());
    let bus = storage.try_open_counting(Clock::system(), metrics.clone()).unwrap();
    let filter = Filter::new(vec!["t".parse().unwrap()], BTreeMap::new(), Some("data.n > 0")).unwrap();
    let handler = Function { filter, ..function("f", "t") };
    publish(&bus, [with_data("before the function", "{}"), with_data("passes", r#"{"n":1}"#)]).await;
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    let mut subscription = bus.subscribe(handler.id);
    let failures = || {
        let text = metrics.text(&[], &StorageGauges::default());
        let line = text.lines().find(|line| line.starts_with("tidegate_filter_failures_total{"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    bus.settle(next(&mut subscription).await, ack()).await.unwrap();
    assert_eq!(failures(), 1, "while it caught up");
    publish(&bus, [with_data("fresh", "{}"), with_data("passes too", r#"{"n":1}"#)]).await;
    bus.settle(next(&mut subscription).await, ack()).await.unwrap();
    assert_eq!(failures(), 2, "while it followed");
    publish(&bus, (0..MANY).map(|index| with_data(&index.to_string(), r#"{"n":1}"#))).await;
    publish(&bus, [with_data("while it lags", "{}"), with_data("last", r#"{"n":1}"#)]).await;
    for _ in 0..=MANY {
        bus.settle(next(&mut subscription).await, ack()).await.unwrap();
    }
    assert_eq!(failures(), 3, "while it lagged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_many_types_gets_those_of_its_pattern_in_order() {
    let storage = on_disk();
    let bus = storage.try_open(Clock::system()).unwrap();
    // More than are read one by one, or only a few.
    let (many, few) = (function("many", "t.*"), function("few", "t.1*"));
    publish(&bus, (0..300).map(|index| event(&index.to_string(), &format!("t.{}", index % 40)))).await;
    publish(&bus, (0..300).map(|index| event(&format!("u{index}"), &format!("u.{index}")))).await;
    bus.activate(deployment(vec![many.clone(), few.clone()]), 0, Cause::ProjectFile).await.unwrap();
    let is_few = |index: &usize| (index % 40).to_string().starts_with('1');
    for (function, expected) in [(many, (0..300).collect()), (few, (0..300).filter(is_few).collect::<Vec<_>>())] {
        let mut subscription = bus.subscribe(function.id);
        for index in expected {
            let delivery = next(&mut subscription).await;
            assert_eq!(delivery.event.event.id, index.to_string(), "{}", function.name);
            bus.settle(delivery, ack()).await.unwrap();
        }
    }
}
