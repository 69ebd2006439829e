//! The command line: reads arguments, asks a project, prints the answer.
//!
//! One file for each group of commands; `client` finds the project and speaks with it, `render` makes text. A command
//! knows no rule of delivery: it shows what the API says.

mod against;
mod bench;
mod client;
pub mod debugger;
pub mod demo;
mod deploy;
mod dlq;
mod emit;
mod error;
mod events;
mod filter;
mod functions;
mod input;
mod invocations;
mod offline;
mod path;
mod project;
mod render;
mod replay;
mod terminal;
mod up;

use clap::{Parser, Subcommand};

pub use error::CliError;
pub use terminal::Format;

use crate::clock::Clock;
use terminal::Terminal;

/// An event-driven serverless runtime: events on a durable log, WebAssembly functions, one commit for all a function did.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// Form of what is printed: text for people, or JSON lines with stable keys
    #[arg(short, long, global = true, value_name = "FORM", default_value = "text")]
    pub output: Format,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
A client command finds the project's API by --url, then TIDEGATE_URL, then http://127.0.0.1:7117,
and its token by TIDEGATE_TOKEN or --token-file.
An ID is an event id or the start of one, #POSITION, or last.
Exit status: 0 done, 1 failed, 2 wrong usage.

Start with: tidegate new shop";

/// What can be done, in the order in which one comes to it.
#[derive(Debug, Subcommand)]
pub enum Command {
    New(project::NewArgs),
    Build(project::BuildArgs),
    Check(project::CheckArgs),
    Up(up::UpArgs),
    Emit(emit::EmitArgs),
    Events(events::EventsArgs),
    Trace(events::TraceArgs),
    Explain(events::ExplainArgs),
    Invocations(invocations::InvocationsArgs),
    Replay(Box<replay::ReplayArgs>),
    Bundle(replay::BundleArgs),
    Dlq(dlq::DlqArgs),
    Functions(functions::FunctionsArgs),
    Deployments(deploy::DeploymentsArgs),
    Deploy(deploy::DeployArgs),
    Rollback(deploy::RollbackArgs),
    Why(path::WhyArgs),
    Releases(path::ReleasesArgs),
    Redeploy(path::RedeployArgs),
    Lift(path::LiftArgs),
    Drift(path::DriftArgs),
    Filter(filter::FilterArgs),
    Types(filter::TypesArgs),
    Demo(demo::DemoArgs),
    DemoBuild(demo::BuildArgs),
    Bench(bench::BenchArgs),
}

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done,
    /// The answer is no, and has been printed: problems were found, a filter did not pass, a chain did not end well.
    Failed,
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> Result<Status, CliError> {
    let clock = Clock::system();
    let terminal = Terminal::open(cli.output, clock.now());
    match cli.command {
        Command::New(args) => project::new(&args, &terminal),
        Command::Build(args) => project::build(&args, &terminal),
        Command::Check(args) => project::check(&args, &terminal, &clock).await,
        Command::Up(args) => up::up(&args, &terminal, &clock).await,
        Command::Emit(args) => emit::emit(&args, &terminal, &clock).await,
        Command::Events(args) => events::events(&args, &terminal).await,
        Command::Trace(args) => events::trace(&args, &terminal).await,
        Command::Explain(args) => events::explain(&args, &terminal).await,
        Command::Invocations(args) => invocations::invocations(&args, &terminal).await,
        Command::Replay(args) => replay::replay(&args, &terminal, &clock).await,
        Command::Bundle(args) => replay::bundle(&args, &terminal).await,
        Command::Dlq(args) => dlq::dlq(&args, &terminal).await,
        Command::Functions(args) => functions::functions(&args, &terminal).await,
        Command::Deployments(args) => deploy::deployments(&args, &terminal).await,
        Command::Deploy(args) => deploy::deploy(&args, &terminal).await,
        Command::Rollback(args) => deploy::rollback(&args, &terminal).await,
        Command::Why(args) => path::why(&args, &terminal).await,
        Command::Releases(args) => path::releases(&args, &terminal).await,
        Command::Redeploy(args) => path::redeploy(&args, &terminal).await,
        Command::Lift(args) => path::lift(&args, &terminal).await,
        Command::Drift(args) => path::drift(&args, &terminal).await,
        Command::Filter(args) => filter::filter(&args, &terminal).await,
        Command::Types(args) => filter::types(&args, &terminal),
        Command::Demo(args) => demo::demo(&args, &terminal).await,
        Command::DemoBuild(args) => demo::build(&args, &terminal).await,
        Command::Bench(args) => bench::bench(&args, &terminal).await,
    }
}

#[cfg(test)]
mod tests;
