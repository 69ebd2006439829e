//! `tidegate dlq`: what ended in a dead letter, and what to do with it.

use clap::{ArgGroup, Args, Subcommand};

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
    /// Run dead letters again, each function's in log order, with their attempts counted anew
    Redrive(RedriveArgs),
    /// Give dead letters up: their verdict becomes dropped, by the token's name
    Drop(DropArgs),
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
  tidegate dlq redrive --error 3f2a9c017be4 --first 1
  tidegate dlq redrive --all --function gate --rate 10")]
pub struct RedriveArgs {
    #[command(flatten)]
    pub letters: LettersArgs,
    /// Run so many a second, evenly, and not all at once
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<f64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate dlq drop 12.gate
  tidegate dlq drop --all --function gate")]
pub struct DropArgs {
    #[command(flatten)]
    pub letters: LettersArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["ids", "all", "error"]).required(true).multiple(true))]
pub struct LettersArgs {
    /// Dead letters, each as POSITION.FUNCTION
    #[arg(value_name = "ID", conflicts_with_all = ["all", "error", "function", "first"])]
    pub ids: Vec<String>,
    /// All that are open
    #[arg(long)]
    pub all: bool,
    /// All of this error, as `dlq list` shows it
    #[arg(long, value_name = "ERROR")]
    pub error: Option<String>,
    /// Of these only those of one function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Of these only so many: function by function, those that came first
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub first: Option<u64>,
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
        DlqCommand::Redrive(args) => change(&args.letters, args.rate, "redrive", "put back", terminal).await,
        DlqCommand::Drop(args) => change(&args.letters, None, "drop", "dropped", terminal).await,
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

async fn change(
    args: &LettersArgs,
    rate: Option<f64>,
    route: &str,
    done: &str,
    terminal: &Terminal,
) -> Result<Status, CliError> {
    let client = Client::to_write(&args.server)?;
    let LettersArgs { ids, function, error, first, .. } = args;
    let request = LettersRequest {
        ids: ids.clone(),
        all: ids.is_empty(),
        function: function.clone(),
        error: error.clone(),
        first: *first,
        rate,
    };
    let changed: LettersView = client.post(&["dlq", route], &request).await?;
    terminal.show(&changed, |view, _| match (view.changed, &args.error) {
        (0, Some(error)) => {
            format!("0 dead letters {done}: none that is open has the error {error:?}; `tidegate dlq list` shows each one's\n")
        }
        (1, _) => format!("1 dead letter {done}\n"),
        (count, _) => format!("{count} dead letters {done}\n"),
    })?;
    Ok(Status::Done)
}
