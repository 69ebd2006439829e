//! The binary: reads arguments, runs one command, and says by its exit status how that ended: 0 done, 1 failed, 2 usage.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tidegate::cli::{self, Cli, CliError, Status};
use tidegate::process::supervisor;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == supervisor::ARGUMENT) {
        return supervisor::main();
    }
    // Ends the process with status 2 where the arguments cannot be read, and with 0 after help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::Failed) => ExitCode::FAILURE,
        Err(error) => report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<Status> {
    // An `Err` means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    Ok(runtime.block_on(cli::run(cli))?)
}

fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<CliError>() {
        Some(error) if error.is_closed_pipe() => return ExitCode::SUCCESS,
        Some(error) if error.is_usage() => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
        _ => eprintln!("error: {error}"),
    }
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}
