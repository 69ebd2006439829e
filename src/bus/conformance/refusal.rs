//! What was refused at a door.

use super::*;
use crate::bus::{IdQuery, Named, Refusal, RefusalQuery, Shown};

fn refusal(bench: &Bench, ids: &[&str]) -> Refusal {
    let named = |id: &&str| Named { id: (*id).to_owned(), source: Some("test".to_owned()), ty: None };
    Refusal {
        at: bench.now(),
        door: "/hooks/a".to_owned(),
        status: Some(401),
        code: "unauthorized".to_owned(),
        reason: "the signature is wrong".to_owned(),
        sender: Some("github".to_owned()),
        proof: Shown::Unverified,
        named: ids.iter().map(named).collect(),
    }
}

async fn asked(bench: &Bench, query: RefusalQuery) -> Vec<Refusal> {
    bench.history.refusals(query).await.unwrap().items
}

/// All of them, once there are so many.
async fn kept(bench: &Bench, count: usize) -> Vec<Refusal> {
    loop {
        let found = asked(bench, RefusalQuery { max: count + 1, ..RefusalQuery::default() }).await;
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn a_refusal_is_kept_and_found_by_what_it_is_known_by(bench: Bench) {
    let first = refusal(&bench, &["delivery-1", "event-1"]);
    bench.bus.keep_refusal(first.clone());
    kept(&bench, 1).await;
    bench.advance(Duration::from_secs(1));
    let second = refusal(&bench, &["delivery-2", "delivery-2"]);
    bench.bus.keep_refusal(second.clone());
    assert_eq!(kept(&bench, 2).await, [second.clone(), first.clone()]);

    let all = RefusalQuery { max: 10, ..RefusalQuery::default() };
    let named = |named: IdQuery| RefusalQuery { named: Some(named), ..all.clone() };
    let starts = |id: &str| named(IdQuery::StartsWith(id.to_owned()));
    let is = |id: &str| named(IdQuery::Is(id.to_owned()));
    for (query, expected) in [
        (starts("delivery"), vec![&second, &first]),
        (starts("delivery-1"), vec![&first]),
        (starts("event"), vec![&first]),
        (starts("other"), vec![]),
        (is("delivery-2"), vec![&second]),
        (is("delivery"), vec![]),
        (RefusalQuery { since: Some(second.at), ..all.clone() }, vec![&second]),
        (RefusalQuery { max: 1, ..all.clone() }, vec![&second]),
    ] {
        let found = asked(&bench, query.clone()).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query:?}");
    }
    let bench = bench.restart().await;
    assert_eq!(kept(&bench, 2).await, [second, first]);
    assert_eq!(bench.history.tail().await.unwrap(), 0, "a refusal is no event");
}
