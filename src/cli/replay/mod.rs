//! `tidegate replay` and `bundle`: recorded attempts, run again in this process.
//!
//! Nothing is committed and nothing leaves: every effect is answered from the recording, unless `--missing` says otherwise.
//! With `--live` it is another thing: the events themselves, for real again, on the running project.

mod backtest;
mod changes;
mod decisions;
mod inside;
mod junit;
mod live;
mod missing;
mod one;
mod report;
mod source;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;

use self::live::LiveArgs;
use super::client::ReadArgs;
use super::input::{self, Since};
use super::terminal::Terminal;
use super::{CliError, Status};
use crate::clock::Clock;
use crate::deployment::Digest;
use crate::invoke::{Compiled, Engine, EngineSettings};
use crate::project::cache_folder;
use crate::record::{BUNDLE_BYTES_MAX, Bundle, Edit};

pub use decisions::DecisionView;
pub use live::{LiveView, RefusedView};
pub use missing::MissingPolicy;
pub use report::{
    BacktestView, BundleView, ChangeView, EffectView, KindView, OutcomeView, ReplayView, UsedView, ValueView,
    WrittenView,
};

/// Instances of all replays at once: two for each of many cores.
const INVOCATIONS_MAX: u32 = 64;

/// Run recorded attempts again, with the same code or with other code, without touching the world.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate replay 12.gate.0.1
  tidegate replay last --with target/wasm32-wasip2/release/gate.wasm
  tidegate replay 12.gate.0.1 --edit 'data.order.total = 12'
  tidegate replay case.tgz
  tidegate replay 12.gate.0.1 --debug --with components/gate.debug.wasm
  tidegate replay --function gate --since 1d --config policy=policy.toml
  tidegate replay --since 1h --max-changed 0 --junit replay.xml
  tidegate replay --live 12.gate.0.1
  tidegate replay --live --failed --since 1d --function gate --yes

Without a change, the recorded run must come out of it again: a difference is a determinism fault,
unless the recording is redacted: then nobody can tell, and it does not count.
Exit status 1 if one attempt differs, or more than --max-changed of many; 1 too if it cannot be run again.
Of many without --max-changed, only a determinism fault is a failure.

With --live nothing is run here: the events are counted, and after a confirmation published again
in log order, each as a new event with the origin of the first, marked `replayof`. Functions run it
as any event, by their own filters, order, rates and limits; with --function that one alone does.
What live replays led to is no part of another one. The same command again does what is left, and
nothing twice.")]
pub struct ReplayArgs {
    /// An attempt as POSITION.FUNCTION.ROUND.ATTEMPT, an event with all its attempts, or a bundle's file; absent: many, by
    /// --since, --until, --function, --type and --failed
    #[arg(value_name = "ID|FILE")]
    pub id: Option<String>,
    #[command(flatten)]
    pub range: RangeArgs,
    #[command(flatten)]
    pub changes: ChangeArgs,
    /// What becomes of an effect that the recording cannot answer
    #[arg(long, value_name = "fail|ask|live:GRANT", default_value = "fail")]
    pub missing: MissingPolicy,
    /// Of many: how many may differ
    #[arg(long, value_name = "COUNT")]
    pub max_changed: Option<u64>,
    /// Of many: write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Step through it: forward, back, to a function, a line, an effect or its trap
    #[arg(long, requires = "id", conflicts_with_all = ["profile", "coredump"])]
    pub debug: bool,
    /// With --debug: read commands from this file instead of standard input
    #[arg(long, value_name = "FILE", requires = "debug")]
    pub commands: Option<PathBuf>,
    /// With --debug: the folder that paths of sources start from
    #[arg(long, value_name = "DIR", requires = "debug")]
    pub source: Option<PathBuf>,
    /// Write where its time goes, as the Firefox profiler reads it; an existing file stays
    #[arg(long, value_name = "FILE", requires = "id", conflicts_with = "coredump")]
    pub profile: Option<PathBuf>,
    /// Write the WebAssembly core dump of its trap; an existing file stays
    #[arg(long, value_name = "FILE", requires = "id")]
    pub coredump: Option<PathBuf>,
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Which of many attempts.
#[derive(Debug, Clone, Default, Args)]
pub struct RangeArgs {
    /// Of events accepted since: a length like 15m or 2d, or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// Of events accepted before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Since>,
    /// Only of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only on events of this type: a short name, or a full type, perhaps with a trailing *
    #[arg(long, value_name = "PATTERN")]
    pub r#type: Option<String>,
    /// Only those that failed
    #[arg(long)]
    pub failed: bool,
    /// About so many, spread evenly
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub sample: Option<u64>,
}

/// What is otherwise than was recorded.
#[derive(Debug, Clone, Default, Args)]
pub struct ChangeArgs {
    /// Run this instead: a component's file, or its digest if the project has it
    #[arg(long, value_name = "FILE.wasm|DIGEST")]
    pub with: Option<String>,
    /// Set a value of the event first, like 'data.order.total = 12'; may be given again
    #[arg(long, value_name = "PATH = VALUE")]
    pub edit: Vec<Edit>,
    /// Use the CloudEvent in this file instead of the recorded event
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Give the function this file's text as the value of a configuration key; may be given again
    #[arg(long, value_name = "KEY=FILE")]
    pub config: Vec<String>,
}

/// Put an attempt into one file that is run again anywhere: event, component, recording, deployment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate bundle 12.gate.0.1 -O case.tgz
  tidegate replay case.tgz

It holds the event and the answers that the function got, as they were recorded, and the deployment with all its
configuration: give it to whom you may show those.")]
pub struct BundleArgs {
    /// An attempt as POSITION.FUNCTION.ROUND.ATTEMPT, or an event with one
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where to write it; an existing file stays
    #[arg(short = 'O', long = "to", value_name = "FILE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn replay(args: &ReplayArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    match &args.id {
        _ if args.live.live => live::replay(args, terminal, clock).await,
        Some(id) if args.debug || args.profile.is_some() || args.coredump.is_some() => {
            inside::look(id, args, terminal).await
        }
        Some(id) => one::replay(id, args, terminal).await,
        None => backtest::backtest(args, terminal, clock).await,
    }
}

pub async fn bundle(args: &BundleArgs, terminal: &Terminal) -> Result<Status, CliError> {
    one::bundle(args, terminal).await
}

/// An engine for what runs here. `cache`: whether compiled code of other runs may be used.
fn engine(cache: bool) -> Result<Arc<Engine>, CliError> {
    let cache = cache_folder().filter(|_| cache);
    let engine = Engine::new(EngineSettings::of_machine(INVOCATIONS_MAX, cache));
    engine
        .map(Arc::new)
        .map_err(|source| CliError::Failed { what: "cannot set up the engine".to_owned(), source: source.into() })
}

async fn compile(engine: &Engine, digest: Digest, bytes: Bytes) -> Result<Compiled, CliError> {
    engine
        .compile(digest, bytes)
        .await
        .map_err(|source| CliError::Failed { what: format!("component {digest} cannot be run"), source: source.into() })
}

/// The bundle in a file, if the argument names one: `.tgz` or `.tar.gz`, or a file that is there.
fn bundle_file(id: &str) -> Option<PathBuf> {
    let named = id.ends_with(".tgz") || id.ends_with(".tar.gz");
    let path = PathBuf::from(id);
    (named || path.is_file()).then_some(path)
}

fn read_bundle(path: &std::path::Path) -> Result<Bundle, CliError> {
    let packed = input::read_bytes(path, BUNDLE_BYTES_MAX)?;
    Bundle::unpack(&packed).map_err(|source| CliError::Failed {
        what: format!("{} is no bundle that can be read", path.display()),
        source: source.into(),
    })
}
