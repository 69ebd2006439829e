//! The bare store under as many producers as the bus is measured with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::sample::{self, Figures};
use super::{BenchError, DATA_BYTES};
use crate::bus::embedded::bare::BareStore;
use crate::event::derive_uuid;

/// Durable events from producers that each wait for one before the next, in a new store below `folder`. Their ids are in no order,
/// as those of events that functions emit: ids in the order of time would be found in fewer pages.
pub async fn measure(folder: &Path, producers: usize, period: Duration) -> Result<Figures, BenchError> {
    let path = folder.join(format!("store-{producers}"));
    let store = Arc::new(BareStore::open(&path)?);
    let published = Arc::new(AtomicU64::new(0));
    sample::measure(async || {
        let (store, published) = (store.clone(), published.clone());
        let publish = move || {
            let (store, number) = (store.clone(), published.fetch_add(1, Ordering::Relaxed));
            async move {
                let id = derive_uuid(&[b"bench", &number.to_be_bytes()]).to_string();
                let begun = Instant::now();
                store.publish(id, vec![b'x'; DATA_BYTES]).await?;
                Ok(begun.elapsed())
            }
        };
        sample::closed_loop(producers, period, publish).await
    })
    .await
}
