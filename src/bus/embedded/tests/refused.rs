//! What is kept of refusals, and what is let go of.

use super::*;
use crate::bus::conformance::{event, incoming};
use crate::bus::{IdQuery, REFUSALS_BYTES_MAX, REFUSALS_MAX, Refusal, RefusalQuery, Refusals, Shown};
use crate::clock::Timestamp;

fn at(number: u64) -> Timestamp {
    // Later than any file that a test makes.
    Timestamp::from_micros(4_000_000_000_000_000).plus(Duration::from_secs(number))
}

fn refusal(number: u64, reason: &str) -> Refusal {
    let named = crate::bus::Named { id: format!("event-{number}"), ..Default::default() };
    Refusal {
        at: at(number),
        door: "api".to_owned(),
        status: Some(400),
        code: "invalid".to_owned(),
        reason: reason.to_owned(),
        sender: None,
        proof: Shown::Nothing,
        named: vec![named],
    }
}

/// What is kept once nothing more waits: whatever is written after it was written after them.
async fn all(bus: &Embedded) -> Refusals {
    bus.publish(vec![incoming(event(&uuid::Uuid::now_v7().to_string(), "t"))]).await.unwrap();
    bus.refusals(RefusalQuery { max: usize::MAX, ..RefusalQuery::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_refusals_are_kept_and_it_is_said_since_when() {
    const MORE: u64 = 100;
    let disk = on_disk();
    let bus = disk.try_open(Clock::system()).unwrap();
    let mut number = 0;
    while number < REFUSALS_MAX + MORE {
        for _ in 0..50 {
            bus.keep_refusal(refusal(number, "bad"));
            number += 1;
        }
        all(&bus).await;
    }
    let kept = all(&bus).await;
    assert_eq!(kept.items.len() as u64, REFUSALS_MAX);
    assert_eq!(kept.items.first().map(|newest| newest.at), Some(at(REFUSALS_MAX + MORE - 1)));
    assert_eq!((kept.items.last().map(|oldest| oldest.at), kept.since), (Some(at(MORE)), at(MORE - 1)));
    let gone =
        RefusalQuery { named: Some(IdQuery::StartsWith("event-99".to_owned())), max: 1000, ..RefusalQuery::default() };
    let named = bus.refusals(gone).await.unwrap().items;
    assert!(named.iter().all(|refusal| refusal.at > at(99)), "nothing is found by the id of what was removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_bounded_by_their_bytes_too() {
    let disk = on_disk();
    let bus = disk.try_open(Clock::system()).unwrap();
    // As large as one can be: some KiB.
    let long = "\u{1}".repeat(1_000);
    let named = crate::bus::Named { id: long.clone(), source: Some(long.clone()), ty: Some(long.clone()) };
    for number in 0..300 {
        let largest = Refusal { named: vec![named.clone(); 16], ..refusal(number, &long) };
        bus.keep_refusal(largest);
        if number % 50 == 0 {
            all(&bus).await;
        }
    }
    let kept = all(&bus).await;
    let bytes: u64 = kept.items.iter().map(|refusal| serde_json::to_string(refusal).unwrap().len() as u64).sum();
    assert!(bytes <= REFUSALS_BYTES_MAX && bytes > REFUSALS_BYTES_MAX / 2, "{bytes}");
    assert!(kept.items.iter().all(|refusal| refusal.at > kept.since));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_cut_off_and_says_so() {
    let disk = on_disk();
    let bus = disk.try_open(Clock::system()).unwrap();
    for number in 0..100_000 {
        bus.keep_refusal(refusal(number, "flood"));
    }
    let kept = all(&bus).await;
    assert!(!kept.items.is_empty());
    // The last that was let go of: what came after it is all there.
    let after: Vec<Timestamp> = kept.items.iter().map(|one| one.at).filter(|at| *at > kept.since).rev().collect();
    let first = after.first().copied().unwrap_or(at(100_000));
    assert_eq!(after, (0..after.len() as u64).map(|more| first.plus(Duration::from_secs(more))).collect::<Vec<_>>());
    assert!(kept.since > at(0), "{}", kept.since);
}
