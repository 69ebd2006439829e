//! The bare store under as many producers as the bus is measured with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::report::CHAIN_EVENTS;
use super::sample::{self, Figures};
use super::{BenchError, DATA_BYTES};
use crate::bus::embedded::bare::BareStore;
use crate::event::derive_uuid;

/// Durable events from producers that each wait for one before the next, in a new store below `folder`. Their ids are in no order,
/// as those of events that functions emit: ids in the order of time would be found in fewer pages.
pub async fn measure(folder: &Path, producers: usize, period: Duration) -> Result<Figures, BenchError> {
    measure_rows(folder, producers, 1, period).await
}

/// What a chain comes to at the least: its events one after the other, each durable before the next. Its handlers are native,
/// and there is nothing to deliver, to fence or to record.
pub async fn measure_chains(folder: &Path, at_once: usize, period: Duration) -> Result<Figures, BenchError> {
    measure_rows(folder, at_once, CHAIN_EVENTS, period).await
}

async fn measure_rows(
    folder: &Path,
    producers: usize,
    in_a_row: usize,
    period: Duration,
) -> Result<Figures, BenchError> {
    let path = folder.join(format!("store-{producers}-{in_a_row}"));
    let store = Arc::new(BareStore::open(&path)?);
    let published = Arc::new(AtomicU64::new(0));
    sample::measure(async || {
        let (store, published) = (store.clone(), published.clone());
        let publish = move || {
            let (store, published) = (store.clone(), published.clone());
            async move {
                let begun = Instant::now();
                for _ in 0..in_a_row {
                    let number = published.fetch_add(1, Ordering::Relaxed);
                    let id = derive_uuid(&[b"bench", &number.to_be_bytes()]).to_string();
                    store.publish(id, vec![b'x'; DATA_BYTES]).await?;
                }
                Ok(begun.elapsed())
            }
        };
        sample::closed_loop(producers, period, publish).await
    })
    .await
}
