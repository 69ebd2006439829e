//! `tidegate bench`: the machine's limits beside the runtime's figures; or a running server, from outside.

mod outside;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
  tidegate bench --url http://127.0.0.1:7117      # a server that runs examples/chain, over HTTP

Every event carries 1 KiB of JSON and is durable; every figure is the median of three runs after one that warms up. It
works in a folder of its own in the current one, so on that disk, and removes it. Let nothing else run meanwhile.

With --url nothing is measured but the server there, which keeps the events. With --sink too it may be any server that takes
CloudEvents by POST and sends what passed five handlers to ADDR: examples/chain says more.")]
pub struct BenchArgs {
    /// How long each run lasts
    #[arg(long, value_name = "N", default_value = "1", value_parser = period)]
    pub seconds: Duration,
    /// Measure with a dev build too, whose figures say nothing of a release
    #[arg(long, conflicts_with = "url")]
    pub unoptimised: bool,
    /// The same as `-o json`: one object, times in microseconds
    #[arg(long)]
    pub json: bool,
    /// Measure the server at this address, over HTTP
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File with the server's API token on its first line [default: the token in TIDEGATE_TOKEN]
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// Listen here for what passed the server's last handler
    #[arg(long, value_name = "ADDR", requires = "url")]
    pub sink: Option<SocketAddr>,
}

pub async fn bench(args: &BenchArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let mut terminal = terminal.clone();
    if args.json {
        terminal.format = Format::Json;
    }
    match &args.url {
        Some(url) => outside::bench(url, args, &terminal).await,
        None => bench_here(args, &terminal).await,
    }
}

async fn bench_here(args: &BenchArgs, terminal: &Terminal) -> Result<Status, CliError> {
    if !bench::is_optimised() {
        terminal.warn("this is a dev build, many times slower than a release; measure with `make bench`");
        if !args.unoptimised {
            return Ok(Status::Failed);
        }
    }
    let settings = Settings { folder: ".".into(), period: args.seconds };
    if bench::Machine::of(Path::new(".")).is_in_memory() {
        terminal.warn("this folder is in memory, where a sync costs nothing; measure in one that is on a disk");
    }
    let progress = |what: &str| terminal.progress(&format!("measuring {what}"));
    let report = until_interrupted(terminal, async |stop| bench::run(&settings, stop, &progress).await).await?;
    terminal.show(&report, render::bench)?;
    Ok(Status::Done)
}

/// A length of a run, within reason.
fn period(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.1..=60.0) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it is a number from 0.1 to 60".to_owned()),
    }
}

/// Measures until it is done or the user has seen enough.
async fn until_interrupted<T>(
    terminal: &Terminal,
    measure: impl AsyncFnOnce(&CancellationToken) -> Result<T, BenchError>,
) -> Result<T, CliError> {
    let mut signals = Signals::listen().map_err(|source| failed("cannot listen for signals", source))?;
    let stop = CancellationToken::new();
    let interrupted = async {
        signals.next().await;
        stop.cancel();
        std::future::pending().await
    };
    // Only the first ends; the other says when it is to end early.
    let measured = tokio::select! {
        measured = measure(&stop) => measured,
        never = interrupted => never,
    };
    terminal.progress_done();
    measured.map_err(|error| failed("cannot measure", error))
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> CliError {
    CliError::Failed { what: what.to_owned(), source: source.into() }
}
