//! What comes in.

use super::*;
use crate::bus::{EventQuery, PublishError};

pub async fn a_published_event_has_a_position_and_what_every_event_has(bench: Bench) {
    let receipts = bench.publish(vec![event("a", "t.one"), event("b", "t.one")]).await;
    assert_eq!(receipts[0], Receipt { id: "a".to_owned(), position: Some(1), duplicate: false });
    assert_eq!(receipts[1].position, Some(2));
    assert_eq!(bench.history.tail().await.unwrap(), 2);
    let accepted = bench.history.event_at(1).await.unwrap().unwrap();
    assert_eq!((accepted.position, accepted.accepted_at, accepted.hops), (1, bench.now(), 0));
    assert_eq!(accepted.origin, incoming(event("a", "t")).origin);
    assert_eq!(accepted.event.correlation(), Some("a"));
    assert!(accepted.event.traceparent().is_some() && accepted.event.time.is_some());
    assert!(bench.history.event_at(3).await.unwrap().is_none());
}

pub async fn the_same_event_again_is_a_duplicate_and_tells_of_the_first(bench: Bench) {
    bench.publish(vec![event("a", "t"), event("b", "t")]).await;
    bench.advance(Duration::from_secs(60));
    let again = bench.publish(vec![event("b", "t")]).await;
    assert_eq!(again, [Receipt { id: "b".to_owned(), position: Some(2), duplicate: true }]);
    let other_source = Event { source: "other".to_owned(), ..event("b", "t") };
    assert!(!bench.history.has("b", "other").await.unwrap());
    assert_eq!(bench.publish_one(other_source).await, 3);
    assert!(bench.history.has("b", "other").await.unwrap() && bench.history.has("b", "test").await.unwrap());
}

pub async fn the_same_id_with_other_content_is_refused(bench: Bench) {
    bench.publish(vec![event("a", "t")]).await;
    let changed = Event { data: Some(Bytes::from_static(b"{}")), ..event("a", "t") };
    let refused = bench.bus.publish(vec![incoming(event("b", "t")), incoming(changed)]).await;
    assert!(matches!(refused, Err(PublishError::ContentDiffers { index: 1 })), "{refused:?}");
    assert_eq!(bench.history.tail().await.unwrap(), 1);
}

pub async fn a_batch_is_accepted_as_a_whole_or_not_at_all(bench: Bench) {
    let invalid = Event { source: String::new(), ..event("c", "t") };
    let refused = bench.bus.publish(vec![incoming(event("a", "t")), incoming(invalid)]).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 1, .. })), "{refused:?}");
    let far = with(event("far", "t"), "deliverat", "2099-01-01T00:00:00Z");
    let refused = bench.bus.publish(vec![incoming(far)]).await;
    assert!(matches!(refused, Err(PublishError::Refused { index: 0, .. })), "{refused:?}");
    assert_eq!(bench.history.tail().await.unwrap(), 0);
}

pub async fn an_event_twice_in_a_batch_is_one_event(bench: Bench) {
    let receipts = bench.publish(vec![event("a", "t"), event("b", "t"), event("a", "t")]).await;
    assert_eq!(receipts[2], Receipt { id: "a".to_owned(), position: Some(1), duplicate: true });
    let differing = vec![incoming(event("c", "t")), incoming(event("c", "u"))];
    assert!(matches!(bench.bus.publish(differing).await, Err(PublishError::ContentDiffers { index: 1 })));
    assert_eq!(bench.history.tail().await.unwrap(), 2);
}

pub async fn deduplication_outlives_the_process(bench: Bench) {
    bench.publish(vec![event("a", "t")]).await;
    let bench = bench.crash();
    assert!(bench.publish(vec![event("a", "t")]).await[0].duplicate);
    let bench = bench.restart().await;
    assert!(bench.publish(vec![event("a", "t")]).await[0].duplicate);
    assert_eq!(bench.publish_one(event("b", "t")).await, 2);
}

pub async fn large_data_comes_back_whole(bench: Bench) {
    let handler = function("f", "t");
    let mut subscription = {
        bench.activate(vec![handler.clone()]).await;
        bench.bus.subscribe(handler.id)
    };
    let large = Event { data: Some(Bytes::from(vec![b'x'; 300_000])), ..event("large", "t") };
    let position = bench.publish_one(large.clone()).await;
    assert_eq!(next(&mut subscription).await.event.event.data, large.data);
    assert!(bench.publish(vec![large.clone()]).await[0].duplicate);
    drop(subscription);
    let bench = bench.crash();
    assert_eq!(bench.history.event_at(position).await.unwrap().unwrap().event.data, large.data);
    assert!(bench.publish(vec![large.clone()]).await[0].duplicate);
    let other = Event { data: Some(Bytes::from(vec![b'y'; 300_000])), ..large };
    let refused = bench.bus.publish(vec![incoming(other)]).await;
    assert!(matches!(refused, Err(PublishError::ContentDiffers { index: 0 })), "{refused:?}");
}

pub async fn events_are_found_by_type_time_chain_and_beginning_of_the_id(bench: Bench) -> () {
    for (id, ty) in [("abc-1", "t.one"), ("abc-2", "t.two"), ("xyz", "u")] {
        bench.publish(vec![with(event(id, ty), "correlationid", "chain")]).await;
        bench.advance(Duration::from_secs(10));
    }
    let listed = async |query: EventQuery| -> Vec<Position> {
        bench.history.events(query).await.unwrap().events.iter().map(|event| event.position).collect()
    };
    let all = EventQuery { max: 10, ..EventQuery::default() };
    assert_eq!(listed(all.clone()).await, [1, 2, 3]);
    assert_eq!(listed(EventQuery { newest_first: true, max: 2, ..all.clone() }).await, [3, 2]);
    assert_eq!(listed(EventQuery { ty: Some("t.*".parse().unwrap()), ..all.clone() }).await, [1, 2]);
    assert_eq!(listed(EventQuery { ty: Some("u".parse().unwrap()), ..all.clone() }).await, [3]);
    let since = bench.now().minus(Duration::from_secs(20));
    assert_eq!(listed(EventQuery { since: Some(since), ..all.clone() }).await, [2, 3]);
    assert_eq!(listed(EventQuery { after: Some(2), ..all.clone() }).await, [3]);
    assert_eq!(listed(EventQuery { before: Some(3), newest_first: true, ..all }).await, [2, 1]);
    let found: Vec<_> = bench.history.find("abc", 10).await.unwrap().iter().map(|event| event.position).collect();
    assert_eq!(found, [2, 1]);
    let chain = bench.history.chain("chain", 2).await.unwrap();
    assert_eq!((chain.events.len(), chain.truncated), (2, true));
}

pub async fn a_page_of_events_ends_by_count_or_by_size_and_the_next_one_goes_on(bench: Bench) {
    const DATA_BYTES: usize = 100_000;
    let events = (0..5).map(|id| Event { data: Some(vec![b'x'; DATA_BYTES].into()), ..event(&id.to_string(), "t") });
    bench.publish(events.collect()).await;
    let query = EventQuery { max: 3, bytes_max: Some(5 * DATA_BYTES / 2), ..EventQuery::default() };
    let mut pages = Vec::new();
    for newest_first in [false, true] {
        let mut query = EventQuery { newest_first, ..query.clone() };
        loop {
            let page = bench.history.events(query.clone()).await.unwrap();
            assert!(page.events.iter().all(|event| event.event.data_bytes() == DATA_BYTES));
            let positions: Vec<Position> = page.events.iter().map(|event| event.position).collect();
            match newest_first {
                false => query.after = positions.last().copied(),
                true => query.before = positions.last().copied(),
            }
            pages.push(positions);
            if !page.more {
                break;
            }
        }
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5], vec![5, 4], vec![3, 2], vec![1]]);
    let small = async |max, bytes_max| {
        let page = bench.history.events(EventQuery { max, bytes_max, ..query.clone() }).await.unwrap();
        (page.events.len(), page.more)
    };
    assert_eq!(small(5, None).await, (5, false), "all there are");
    assert_eq!(small(4, None).await, (4, true));
    assert_eq!(small(5, Some(0)).await, (1, true), "one event alone may be larger");
}

pub async fn lists_of_events_go_without_their_data(bench: Bench) {
    let large = Event { data: Some(vec![b'x'; 1 << 20].into()), ..event("large", "t") };
    bench.publish(vec![with(large, "correlationid", "chain")]).await;
    let chain = bench.history.chain("chain", 10).await.unwrap();
    let found = bench.history.find("large", 10).await.unwrap();
    assert_eq!((chain.events[0].event.data.as_ref(), found[0].event.data.as_ref()), (None, None));
    let whole = bench.history.event_at(found[0].position).await.unwrap().unwrap();
    assert_eq!(whole.event.data_bytes(), 1 << 20);
}

pub async fn nobody_outside_speaks_as_this_project_and_another_s_events_can_be_forwarded(bench: Bench) {
    bench.activate(vec![]).await;
    let bench = bench.crash();
    let from = |source: &str| Event { source: source.to_owned(), ..event(source, "t") };
    let by = |kind| Origin { kind, name: "test".to_owned(), verified: true };
    for source in ["tidegate/other/gate", "tidegate/other", "tidegate/test-2/gate", "tidegate"] {
        assert!(bench.publish_one(from(source)).await > 0, "{source}");
    }
    for source in ["tidegate/test/gate", "tidegate/test/a-function-that-comes-later", "tidegate/test"] {
        for kind in [OriginKind::Api, OriginKind::Trigger] {
            let batch = vec![incoming(event(source, "t")), Incoming { event: from(source), origin: by(kind) }];
            let refused = bench.bus.publish(batch).await;
            assert!(matches!(refused, Err(PublishError::Refused { index: 1, .. })), "{source} {kind:?}: {refused:?}");
        }
        let own = Incoming { event: from(source), origin: by(OriginKind::Runtime) };
        assert!(!bench.bus.publish(vec![own]).await.unwrap()[0].duplicate, "{source}");
    }
}
