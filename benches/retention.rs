//! `cargo bench --bench retention`: the same load on two logs by turns, one that is kept whole and one of which as much is
//! removed as comes, on the disk of the current folder.

mod load;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use load::{Log, by_turns};
use tidegate::bus::History;
use tidegate::bus::embedded::Settings;
use tidegate::deployment::{Retention, Rule};

const PERIOD: Duration = Duration::from_secs(2);
/// Runs that count, after one that warms up.
const RUNS: usize = 5;
/// The most first: they fill the log up to its size.
const AT_ONCE: [usize; 3] = [128, 16, 1];
/// What the log that is removed keeps of events.
const KEPT_BYTES: u64 = 8 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(".")?;
    let rule = Rule { age: None, bytes_max: Some(KEPT_BYTES) };
    let removed = Retention { events: rule, dedupe: Duration::ZERO, ..Retention::default() };
    let logs = [
        ("kept", open(&folder.path().join("kept"), Retention::default()).await?),
        ("removed", open(&folder.path().join("removed"), removed).await?),
    ];
    for at_once in AT_ONCE {
        let figures = by_turns(logs.each_ref().map(|(_, log)| log), at_once, PERIOD, RUNS).await?;
        for ((name, log), figures) in logs.iter().zip(figures) {
            let storage = log.bus.storage().await?;
            println!(
                "{at_once:>3} at once, {name:>7}: {:>6.0} published and settled/s, p50 {:>6} us, p99 {:>6} us; \
                 #{} is the first, {:.1} MiB of events, {:.1} MiB on disk",
                figures.per_second,
                figures.p50.as_micros(),
                figures.p99.as_micros(),
                storage.first.map_or(0, |(first, _)| first),
                storage.event_bytes as f64 / f64::from(1 << 20),
                (storage.used_bytes + storage.free_bytes) as f64 / f64::from(1 << 20),
            );
        }
    }
    Ok(())
}

async fn open(folder: &Path, retention: Retention) -> Result<Log, Box<dyn Error>> {
    Log::open(folder, Settings { retention, ..Settings::default() }, 0).await
}
