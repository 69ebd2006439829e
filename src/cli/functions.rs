//! `tidegate functions`: what is deployed, and how far each function has come.

use clap::{Args, Subcommand};

use super::client::{Client, ReadArgs};
use super::terminal::{Format, Terminal};
use super::{CliError, Status, render};
use crate::api::model::{FunctionView, Listing, StorageView};

/// List functions with where each one stands, or show one whole.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  tidegate functions\n  tidegate functions show gate"
)]
pub struct FunctionsArgs {
    #[command(subcommand)]
    pub command: Option<FunctionsCommand>,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Subcommand)]
pub enum FunctionsCommand {
    /// List functions: component, lag, what is pending, delivered, failed and dead-lettered; under them, how large the log is
    List(ListArgs),
    /// Show one function: filter, grants, limits, component, progress
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate functions list")]
pub struct ListArgs {
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate functions show gate")]
pub struct ShowArgs {
    /// The function
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn functions(args: &FunctionsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    match &args.command {
        None => list(&args.read, terminal).await,
        Some(FunctionsCommand::List(args)) => list(&args.read, terminal).await,
        Some(FunctionsCommand::Show(args)) => {
            let client = Client::to_read(&args.read)?;
            let function: FunctionView = client.get(&["functions", &args.name], &[]).await?;
            terminal.show(&function, render::function)?;
            Ok(Status::Done)
        }
    }
}

async fn list(read: &ReadArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(read)?;
    let listing: Listing<FunctionView> = client.get(&["functions"], &[]).await?;
    match terminal.format {
        Format::Json => terminal.list(&listing.items, render::functions)?,
        Format::Text => {
            let storage: StorageView = client.get(&["storage"], &[]).await?;
            let look = &terminal.look;
            terminal.print(&format!(
                "{}\n{}",
                render::functions(&listing.items, look),
                render::storage(&storage, look)
            ))?;
        }
    }
    Ok(Status::Done)
}
