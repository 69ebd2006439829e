//! `tidegate events`, `trace` and `explain`: what came in, what it led to, and what became of it.

use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Client, ReadArgs};
use super::input::Since;
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{EventView, ExplanationView, Listing, TraceView};

/// List events, newest last, or show one whole.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate events --since 15m --type 'com.github.*'
  tidegate events last
  tidegate events --follow -o json")]
pub struct EventsArgs {
    /// Show this event: an id or the start of one, #POSITION, or last
    #[arg(value_name = "ID", conflicts_with_all = ["type", "since", "limit", "follow"])]
    pub id: Option<String>,
    /// Only types that match: a full type, or its start with * at the end
    #[arg(long, value_name = "PATTERN")]
    pub r#type: Option<String>,
    /// Only events accepted since then: 90s, 15m, 2h, 7d, or a time like 2026-11-23T04:45:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Since>,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Go on with each new event until interrupted; needs a running project
    #[arg(long, conflicts_with = "dir")]
    pub follow: bool,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Show the causal tree that an event stands in: what it led to, at which functions, and what became of that.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate trace last")]
pub struct TraceArgs {
    /// Any event of the chain: an id or the start of one, #POSITION, or last
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Print every function's verdict on an event, and why.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate explain '#12'")]
pub struct ExplainArgs {
    /// The event: an id or the start of one, #POSITION, or last
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn events(args: &EventsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read).await?;
    if let Some(id) = &args.id {
        let event: EventView = client.get(&["events", id], &[]).await?;
        terminal.show(&event, render::event)?;
        return Ok(Status::Done);
    }
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.r#type.iter().map(|pattern| ("type", pattern.clone())));
    query.extend(args.since.iter().map(|since| ("since", since.time(terminal.look.now).to_string())));
    let mut listing: Listing<EventView> = client.get(&["events"], &query).await?;
    listing.items.sort_by_key(|event| event.position);
    terminal.list(&listing.items, render::events)?;
    if args.follow {
        follow(&client, listing.position, args, terminal).await?;
    }
    Ok(Status::Done)
}

pub async fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read).await?;
    let trace: TraceView = client.get(&["events", &args.id, "trace"], &[]).await?;
    terminal.show(&trace, render::trace)?;
    Ok(Status::Done)
}

pub async fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read).await?;
    let explanation: ExplanationView = client.get(&["events", &args.id, "explain"], &[]).await?;
    terminal.show(&explanation, render::explanation)?;
    Ok(Status::Done)
}

/// The chain of an event once all of it has settled, or as it stands at the deadline.
pub async fn follow_chain(
    client: &Client,
    id: &str,
    deadline: Instant,
    terminal: &Terminal,
) -> Result<TraceView, CliError> {
    let start = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        let trace: TraceView = client.get(&["events", id, "trace"], &[]).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if trace.settled || left.is_zero() {
            terminal.progress_done();
            return Ok(trace);
        }
        let (settled, all) = render::settled_runs(&trace);
        terminal.progress(&format!("waiting {}: {settled} of {all} settled", render::duration(start.elapsed())));
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// A chain settles in milliseconds or takes seconds: asks soon at first, and then ever less often.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

async fn follow(_client: &Client, _after: u64, _args: &EventsArgs, _terminal: &Terminal) -> Result<(), CliError> {
    unimplemented!()
}
