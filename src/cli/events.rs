//! `tidegate events`, `trace` and `explain`: what came in, what it led to, and what became of it.

use std::time::Instant;

use clap::Args;

use super::client::{Client, ReadArgs};
use super::input::Since;
use super::terminal::{Format, Terminal};
use super::{CliError, Status, render};
use crate::api::model::{EventView, ExplanationView, Listing, RefusalView, TraceView, WhyNotAnswer, WhyNotView};
use crate::event::Position;

/// List events, newest last, or show one whole.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate events --since 15m --type 'com.github.*'
  tidegate events last
  tidegate events --follow -o json
  tidegate events --refused --since 1h")]
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
    /// What came and was not taken in instead, the newest of it: neither bodies nor proofs of who sent it are kept
    #[arg(long, conflicts_with_all = ["id", "type", "follow"])]
    pub refused: bool,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Show the causal tree that an event stands in: what it led to, at which functions, and what became of that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate trace last
  tidegate trace '#12' --as mermaid
  tidegate trace '#12' --as otlp > spans.json")]
pub struct TraceArgs {
    /// Any event of the chain: an id or the start of one, #POSITION, or last
    #[arg(value_name = "ID")]
    pub id: String,
    /// For another program to draw, instead of text
    #[arg(long, value_name = "FORM")]
    pub r#as: Option<TraceForm>,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// How another program takes a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TraceForm {
    /// A flow chart, as Markdown pages embed it
    Mermaid,
    /// Spans as OTLP/JSON, which every collector takes at /v1/traces
    Otlp,
}

/// Print every function's verdict on an event, and why; or why an event of a type did not follow from another.
#[derive(Debug, Args)]
#[command(after_help = "\
With --why-not the exit status is 0 if there is such an event, and 1 if there is none or it waits for its time.

Examples:
  tidegate explain '#12'
  tidegate explain --why-not gate.passed --after '#12'")]
pub struct ExplainArgs {
    /// The event: an id or the start of one, #POSITION, or last
    #[arg(value_name = "ID", required_unless_present = "why_not", conflicts_with = "why_not")]
    pub id: Option<String>,
    /// Each function that hears other types too, with the types that it hears
    #[arg(long, conflicts_with = "why_not")]
    pub all: bool,
    /// Where what followed from --after stopped short of this type: a short name, a full type, or its start with * at the end
    #[arg(long, value_name = "TYPE", requires = "after")]
    pub why_not: Option<String>,
    /// The event that it should have followed from: an id or the start of one, #POSITION, or last
    #[arg(long, value_name = "EVENT", requires = "why_not", conflicts_with = "id")]
    pub after: Option<String>,
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
    if args.refused {
        return refused(&client, args, terminal).await;
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

async fn refused(client: &Client, args: &EventsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.since.iter().map(|since| ("since", since.time(terminal.look.now).to_string())));
    let listing: Listing<RefusalView> = client.get(&["refusals"], &query).await?;
    terminal.list(&listing.items, render::refusals)?;
    Ok(Status::Done)
}

pub async fn trace(args: &TraceArgs, terminal: &Terminal) -> Result<Status, CliError> {
    if args.r#as == Some(TraceForm::Mermaid) && terminal.format == Format::Json {
        return Err(CliError::Usage("--as mermaid is no JSON; leave out -o json".to_owned()));
    }
    let client = Client::to_read(&args.read)?;
    let trace: TraceView = client.get(&["events", &args.id, "trace"], &[]).await?;
    match args.r#as {
        None => terminal.show(&trace, render::trace)?,
        Some(TraceForm::Mermaid) => terminal.print(&render::mermaid(&trace))?,
        Some(TraceForm::Otlp) => terminal.print(&format!("{}\n", render::otlp(&trace)))?,
    }
    Ok(Status::Done)
}

pub async fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    if let (Some(wanted), Some(after)) = (&args.why_not, &args.after) {
        return why_not(&client, wanted, after, terminal).await;
    }
    let id = args.id.as_deref().unwrap_or_default();
    let explanation: ExplanationView = client.get(&["events", id, "explain"], &[]).await?;
    terminal.show(&explanation, if args.all { render::explanation_whole } else { render::explanation })?;
    Ok(Status::Done)
}

async fn why_not(client: &Client, wanted: &str, after: &str, terminal: &Terminal) -> Result<Status, CliError> {
    let query = [("type", wanted.to_owned())];
    let view: WhyNotView = client.get(&["events", after, "why-not"], &query).await?;
    terminal.show(&view, render::why_not)?;
    match view.answer {
        WhyNotAnswer::Happened { .. } => Ok(Status::Done),
        WhyNotAnswer::Waits { .. }
        | WhyNotAnswer::Stopped { .. }
        | WhyNotAnswer::Unheard
        | WhyNotAnswer::Nobody { .. } => Ok(Status::Failed),
    }
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
