//! Figures of this machine: what its disk and a bare store can do, beside what the runtime makes of them.
//!
//! Everything is measured in a folder of its own and on real parts: the log's settings, a real [`App`], the shipped
//! function `relay` as a component, recordings and fences as always. A figure is the median of several runs after one that
//! warms up.

mod disk;
mod flow;
mod machine;
mod native;
mod outside;
pub(crate) mod report;
mod sample;
mod scratch;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use flow::{Door, Ends, last_type};
pub use machine::{Machine, is_optimised};
pub use outside::OutsideReport;
pub use report::{AtOnce, CHAIN_EVENTS, Flows, HOPS, OF_STORE_CHAINS_MIN, Report, SLOWER_MAX, TIMES_STORE_CHAIN_MAX};
pub use sample::{Figures, RUNS, Run, closed_loop};
pub use store::measure as measure_store;

use crate::app::{App, AppError};
use crate::bus::embedded::OpenError;
use crate::bus::{BusError, PublishError};
use crate::clock::Clock;
use crate::project::{Project, ProjectError};
use crate::telemetry::Metrics;
use report::Stores;
use scratch::Scratch;

/// How many publish at once, or how many chains are in flight: alone, a few, and more than the machine can do at once.
pub const PRODUCERS: [usize; 3] = [1, 16, 256];
/// An event that is measured carries this much JSON.
pub const DATA_BYTES: usize = 1024;

/// How to measure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The disk that is measured: a folder is made here, and removed.
    pub folder: PathBuf,
    /// How long a run lasts.
    pub period: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("interrupted; nothing was measured to the end")]
    Interrupted,
    #[error("cannot {what} {}; run it in a folder that can be written", .path.display())]
    Folder {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("an event that was published did not come through in {seconds} s")]
    Stalled { seconds: u64 },
    #[error("the server did not take an event")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    App(#[from] AppError),
}

/// Measures everything, and leaves nothing behind. `progress` is told what comes next.
///
/// It takes about a minute with a period of a second. When `stop` is cancelled it ends early, as cleanly.
pub async fn run(
    settings: &Settings,
    stop: &CancellationToken,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Report, BenchError> {
    let scratch = Scratch::make(&settings.folder)?;
    let machine = Machine::of(scratch.path());
    progress("the disk: fdatasync");
    let fdatasync = until(stop, disk::measure(scratch.path(), settings.period)).await?;

    let mut stores = Vec::new();
    for producers in PRODUCERS {
        progress(&format!("the bare store: {producers} at once"));
        let figures = until(stop, store::measure(scratch.path(), producers, settings.period)).await?;
        stores.push(AtOnce { at_once: producers, figures });
    }
    let chains = async |at_once: usize| {
        progress(&format!("the bare store: chains, {at_once} at once"));
        until(stop, store::measure_chains(scratch.path(), at_once, settings.period)).await
    };
    let store_chain = chains(1).await?;
    let store_chains = AtOnce { at_once: flow::IN_FLIGHT, figures: chains(flow::IN_FLIGHT).await? };
    let stores = Stores { stores, store_chain, store_chains };

    let folder = scratch.folder("project")?;
    let path = folder.join(crate::project::PROJECT_FILE);
    let written = std::fs::write(&path, flow::project_file());
    written.map_err(|source| BenchError::Folder { what: "write", path, source })?;
    let app = App::spawn(&Project::open(&folder)?, Clock::system(), Metrics::new()).await?;
    let flows = until(stop, flow::measure_bus(app.bus(), settings.period, progress)).await;
    // Stopped whatever came of it: the folder goes, and nothing may write there any more.
    app.stop().await?;
    Ok(Report::new(machine, settings.period, fdatasync, stores, flows?))
}

/// Measures a server that runs `examples/chain`, or one like it, through a door of its own. Whoever sees an event of [`last_type`]
/// tells `ends`.
pub async fn run_outside(
    door: Arc<dyn Door>,
    ends: Ends,
    period: Duration,
    stop: &CancellationToken,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Flows, BenchError> {
    until(stop, flow::measure(door, ends, period, progress)).await
}

/// Ends early when it is told to.
async fn until<T>(
    stop: &CancellationToken,
    measured: impl Future<Output = Result<T, BenchError>>,
) -> Result<T, BenchError> {
    stop.run_until_cancelled(measured).await.unwrap_or(Err(BenchError::Interrupted))
}
