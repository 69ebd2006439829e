//! `tidegate dlq`: what ended in a dead letter, and what to do with it.

use clap::{Args, Subcommand};

use super::client::{Client, ReadArgs, ServerArgs};
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{DeadLetterView, LettersRequest, LettersView, Listing};

/// List dead letters, show one, run them again or give them up.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate dlq list --function gate
  tidegate dlq show 12.gate
  tidegate dlq redrive 12.gate")]
pub struct DlqArgs {
    #[command(subcommand)]
    pub command: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters with why each one is there, newest last
    List(ListArgs),
    /// Show one whole: reason, attempts, backtrace
    Show(ShowArgs),
    /// Run dead letters again, in log order, with their attempts counted anew
    Redrive(LettersArgs),
    /// Give dead letters up: their verdict becomes dropped, by the token's name
    Drop(LettersArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate dlq list --function gate")]
pub struct ListArgs {
    /// Only of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate dlq show 12.gate")]
pub struct ShowArgs {
    /// A dead letter, as POSITION.FUNCTION
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate dlq redrive 12.gate 15.gate
  tidegate dlq drop --all --function gate")]
pub struct LettersArgs {
    /// Dead letters, each as POSITION.FUNCTION
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All that are open
    #[arg(long)]
    pub all: bool,
    /// With --all: only those of this function
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    pub function: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
}

pub async fn dlq(args: &DlqArgs, terminal: &Terminal) -> Result<Status, CliError> {
    match &args.command {
        DlqCommand::List(args) => list(args, terminal).await,
        DlqCommand::Show(args) => {
            let client = Client::to_read(&args.read)?;
            let letter: DeadLetterView = client.get(&["dlq", &args.id], &[]).await?;
            terminal.show(&letter, render::dead_letter)?;
            Ok(Status::Done)
        }
        DlqCommand::Redrive(args) => change(args, "redrive", "put back", terminal).await,
        DlqCommand::Drop(args) => change(args, "drop", "dropped", terminal).await,
    }
}

async fn list(args: &ListArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.function.iter().map(|name| ("function", name.clone())));
    let mut listing: Listing<DeadLetterView> = client.get(&["dlq"], &query).await?;
    listing.items.sort_by_key(|letter| letter.invocation.settledat);
    terminal.list(&listing.items, render::dead_letters)?;
    Ok(Status::Done)
}

async fn change(args: &LettersArgs, route: &str, done: &str, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_write(&args.server)?;
    let request = LettersRequest { ids: args.ids.clone(), all: args.all, function: args.function.clone() };
    let changed: LettersView = client.post(&["dlq", route], &request).await?;
    terminal.show(&changed, |view, _| match view.changed {
        1 => format!("1 dead letter {done}\n"),
        count => format!("{count} dead letters {done}\n"),
    })?;
    Ok(Status::Done)
}
