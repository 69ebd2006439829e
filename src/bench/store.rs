//! The bare store under as many producers as the bus is measured with, and as many chains.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::native::Handlers;
use super::sample::{self, Figures};
use super::{BenchError, DATA_BYTES};
use crate::bus::embedded::bare::BareStore;
use crate::event::derive_uuid;

/// Durable events from producers that each wait for one before the next, in a new store below `folder`. Their ids are in no order,
/// as those of events that functions emit: ids in the order of time would be found in fewer pages.
pub async fn measure(folder: &Path, producers: usize, period: Duration) -> Result<Figures, BenchError> {
    let store = Arc::new(BareStore::open(&folder.join(format!("store-{producers}")))?);
    let published = Arc::new(AtomicU64::new(0));
    sample::measure(async || {
        let (store, published) = (store.clone(), published.clone());
        let publish = move || {
            let (store, published) = (store.clone(), published.clone());
            async move {
                let number = published.fetch_add(1, Ordering::Relaxed);
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

/// Chains through native handlers, in a new store below `folder`.
pub async fn measure_chains(folder: &Path, at_once: usize, period: Duration) -> Result<Figures, BenchError> {
    let handlers = Arc::new(Handlers::start(BareStore::open(&folder.join(format!("chains-{at_once}")))?));
    sample::measure(async || {
        let handlers = handlers.clone();
        let chain = move || {
            let handlers = handlers.clone();
            async move { handlers.run_chain().await }
        };
        sample::closed_loop(at_once, period, chain).await
    })
    .await
}
