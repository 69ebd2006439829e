//! The bare store under as many producers as the bus is measured with.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::sample::{self, Figures};
use super::{BenchError, DATA_BYTES};
use crate::bus::embedded::bare::BareStore;

/// Durable events from producers that each wait for one before the next, in a new store below `folder`.
pub async fn measure(folder: &Path, producers: usize, period: Duration) -> Result<Figures, BenchError> {
    let path = folder.join(format!("store-{producers}"));
    let store = Arc::new(BareStore::open(&path)?);
    sample::measure(async || {
        let store = store.clone();
        let publish = move || {
            let store = store.clone();
            async move {
                let begun = Instant::now();
                store.publish(Uuid::now_v7().to_string(), vec![b'x'; DATA_BYTES]).await?;
                Ok(begun.elapsed())
            }
        };
        sample::closed_loop(producers, period, publish).await
    })
    .await
}
