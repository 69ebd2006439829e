//! `tidegate events`, `trace` and `explain`: what came in, what it led to, and what became of it.

use std::time::Instant;

use clap::Args;

use super::client::{Client, ReadArgs};
use super::input::Since;
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{EventView, ExplanationView, Listing, TraceView};
use crate::event::Position;

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
    /// At most so many, the newest: 1 to 1000
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
    /// Each function that hears other types too, with the types that it hears
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn events(args: &EventsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    if let Some(id) = &args.id {
        let event: EventView = client.get(&["events", id], &[]).await?;
        terminal.show(&event, render::event)?;
        return Ok(Status::Done);
    }
    let mut query = Vec::new();
    query.extend(args.r#type.iter().map(|pattern| ("type", pattern.clone())));
    query.extend(args.since.iter().map(|since| ("since", since.time(terminal.look.now).to_string())));
    let listing = newest(&client, &query, args.limit as usize).await?;
    if !args.follow || !listing.items.is_empty() {
        terminal.list(&listing.items, render::events)?;
    }
    if args.follow {
        follow(&client, listing.position, args, terminal).await?;
    }
    Ok(Status::Done)
}

pub async fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let trace: TraceView = client.get(&["events", &args.id, "trace"], &[]).await?;
    terminal.show(&trace, render::trace)?;
    Ok(Status::Done)
}

pub async fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let explanation: ExplanationView = client.get(&["events", &args.id, "explain"], &[]).await?;
    terminal.show(&explanation, if args.all { render::explanation_whole } else { render::explanation })?;
    Ok(Status::Done)
}

/// The chain of an event once all of it has settled, or as it stands at the deadline.
pub async fn settled_chain(
    client: &Client,
    id: &str,
    deadline: Instant,
    terminal: &Terminal,
) -> Result<TraceView, CliError> {
    let start = Instant::now();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = left.as_secs_f64().ceil().min(WAIT_SECONDS) as u64;
        let trace: TraceView = client.get(&["events", id, "trace"], &[("wait", wait.to_string())]).await?;
        if trace.settled || deadline <= Instant::now() {
            terminal.progress_done();
            return Ok(trace);
        }
        let (settled, all) = render::settled_runs(&trace);
        terminal.progress(&format!("waiting {}: {settled} of {all} settled", render::duration(start.elapsed())));
    }
}

/// The server answers as soon as the chain has settled; in between, whoever watches is told how far it is.
const WAIT_SECONDS: f64 = 1.0;

/// The newest events, at most `max`, in log order: the server answers fewer at a time where they are large.
async fn newest(client: &Client, query: &[(&str, String)], max: usize) -> Result<Listing<EventView>, CliError> {
    let page = async |max: usize, before: Option<Position>| {
        let mut query = query.to_vec();
        query.push(("limit", max.to_string()));
        query.extend(before.map(|before| ("before", before.to_string())));
        client.get::<Listing<EventView>>(&["events"], &query).await
    };
    let mut listing = page(max, None).await?;
    while listing.more && listing.items.len() < max {
        let before = listing.items.first().map(|event| event.position);
        let mut older = page(max - listing.items.len(), before).await?;
        older.items.append(&mut listing.items);
        listing = Listing { position: listing.position, ..older };
    }
    Ok(listing)
}

/// Prints each new event after a position, until the stream breaks off.
async fn follow(client: &Client, after: Position, args: &EventsArgs, terminal: &Terminal) -> Result<(), CliError> {
    let mut query = vec![("follow", "true".to_owned()), ("after", after.to_string())];
    query.extend(args.r#type.iter().map(|pattern| ("type", pattern.clone())));
    let mut messages = client.follow(&["events"], &query).await?;
    loop {
        let event: EventView = messages.next().await?;
        terminal.show(&event, render::event_line)?;
    }
}
