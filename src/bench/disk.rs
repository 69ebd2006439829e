//! The disk: how long a sync takes that has little to write, as every group of the log has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::BenchError;
use super::sample::{self, Figures, Run, Watch};

/// A page of the log.
const PAGE: [u8; 4096] = [7; 4096];
/// Pages of the file, which is written over and over as the write-ahead log is: 4 MiB.
const PAGES: usize = 1024;

/// Writes a page and syncs it, one after the other.
pub(super) async fn measure(folder: &Path, period: Duration) -> Result<Figures, BenchError> {
    let path = folder.join("fdatasync");
    let failed = |source| BenchError::Folder { what: "write", path: path.clone(), source };
    sample::measure(async || {
        let path = path.clone();
        let run = tokio::task::spawn_blocking(move || run(&path, period)).await;
        run.expect("writing does not panic").map_err(failed)
    })
    .await
}

fn run(path: &Path, period: Duration) -> std::io::Result<Run> {
    let file = File::create(path)?;
    file.write_all_at(&PAGE.repeat(PAGES), 0)?;
    file.sync_all()?;
    let (watch, mut latencies) = (Watch::start(), Vec::new());
    for page in (0..PAGES).cycle() {
        if watch.elapsed() >= period {
            break;
        }
        let begun = Instant::now();
        file.write_all_at(&PAGE, (page * PAGE.len()) as u64)?;
        file.sync_data()?;
        latencies.push(begun.elapsed());
    }
    Ok(watch.end(latencies))
}
