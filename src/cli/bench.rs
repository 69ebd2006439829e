//! `tidegate bench`: the machine's limits beside the runtime's figures.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::terminal::Terminal;
use super::up::Signals;
use super::{CliError, Format, Status, render};
use crate::bench::{self, BenchError, Settings};

/// Measure this machine and the runtime on it: syncs, the bare store, publishing, one hop, a chain of five.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate bench --seconds 5 -o json

Every event carries 1 KiB of JSON and is durable; every figure is the median of three runs after one that warms up. It
works in a folder of its own in the current one, so on that disk, and removes it. Let nothing else run meanwhile.")]
pub struct BenchArgs {
    /// How long each run lasts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
    /// Measure with a dev build too, whose figures say nothing of a release
    #[arg(long)]
    pub unoptimised: bool,
    /// The same as `-o json`: one object, times in microseconds
    #[arg(long)]
    pub json: bool,
}

pub async fn bench(args: &BenchArgs, terminal: &Terminal) -> Result<Status, CliError> {
    if !bench::is_optimised() {
        terminal.warn("this is a dev build, many times slower than a release; measure with `make bench`");
        if !args.unoptimised {
            return Ok(Status::Failed);
        }
    }
    let mut signals = Signals::listen().map_err(|source| failed("cannot listen for signals", source))?;
    let settings = Settings { folder: ".".into(), period: Duration::from_secs(args.seconds) };
    if bench::Machine::of(Path::new(".")).is_in_memory() {
        terminal.warn("this folder is in memory, where a sync costs nothing; measure in one that is on a disk");
    }
    let stop = CancellationToken::new();
    let progress = |what: &str| terminal.progress(&format!("measuring {what}"));
    let interrupted = async {
        signals.next().await;
        stop.cancel();
        std::future::pending().await
    };
    // Only the first ends; the other says when it is to end early.
    let measured = tokio::select! {
        measured = bench::run(&settings, &stop, &progress) => measured,
        never = interrupted => never,
    };
    terminal.progress_done();
    let report = measured.map_err(|error: BenchError| failed("cannot measure", error))?;
    let mut terminal = terminal.clone();
    if args.json {
        terminal.format = Format::Json;
    }
    terminal.show(&report, render::bench)?;
    Ok(Status::Done)
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Failed { what: what.to_owned(), source: source.into() }
}
