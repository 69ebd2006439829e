//! `tidegate filter` and `types`: what a filter says of an event, and what it could read.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use super::client::{Client, ReadArgs};
use super::terminal::Terminal;
use super::{CliError, Status, input, render};
use crate::api::model::{EventView, FilterReport, FilterVerdictView, TypeView};
use crate::deployment::{catalogue, event_type};
use crate::event::{Accepted, Event, Origin, OriginKind, from_json};
use crate::filter::{Filter, FilterError, Subject};

/// Try a filter on an event: print every clause with the value it saw. Exit status 0: it passes; 1: it does not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate filter 'data.total > 10' event.json
  tidegate filter 'event.subject.startsWith(\"pkg:oci/\")' last")]
pub struct FilterArgs {
    /// CEL over event, data and origin, as in a function's `when`
    #[arg(value_name = "EXPR")]
    pub expression: String,
    /// A file of one event in CloudEvents JSON, - for standard input, or an id, #POSITION or last of a project
    #[arg(value_name = "EVENT")]
    pub event: String,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// List the event types that have short names, or show one with a sample and what a filter can read of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidegate types\n  tidegate types artifact.published")]
pub struct TypesArgs {
    /// A short name, or a full type
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

pub async fn filter(args: &FilterArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let usage = |error: FilterError| CliError::Usage(format!("the filter cannot be read: {error}"));
    let filter = Filter::new(Vec::new(), BTreeMap::new(), Some(&args.expression)).map_err(usage)?;
    let event = event(args, terminal).await?;
    let subject = Subject::new(&event);
    let clauses = filter.explain(&subject).into_iter().map(Into::into).collect();
    let report = FilterReport { verdict: filter.judge(&subject).into(), clauses };
    terminal.show(&report, render::filter_report)?;
    match report.verdict {
        FilterVerdictView::Pass => Ok(Status::Done),
        FilterVerdictView::Filtered { .. } | FilterVerdictView::FilterFailed { .. } => Ok(Status::Failed),
    }
}

/// The event from a file where there is one of that name, else from the project.
async fn event(args: &FilterArgs, terminal: &Terminal) -> Result<Accepted, CliError> {
    let path = Path::new(&args.event);
    if args.event == "-" || path.exists() {
        let malformed = |reason: String| CliError::Malformed { path: args.event.clone(), reason };
        let event = from_json(input::read_text(path)?.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        return Ok(as_from_file(event, terminal));
    }
    let client = Client::to_read(&args.read)?;
    let asked = client.get(&["events", &args.event], &[]).await;
    let view: EventView = asked.map_err(|error| no_file_either(&args.event, error))?;
    let event =
        view.parse().map_err(|error| CliError::Malformed { path: args.event.clone(), reason: error.to_string() })?;
    let EventView { position, acceptedat: accepted_at, origin, hops, .. } = view;
    Ok(Accepted { position, accepted_at, origin, hops, event })
}

/// Whoever meant a file hears first that there is none.
fn no_file_either(event: &str, error: CliError) -> CliError {
    if event == "last" || event.starts_with('#') {
        return error;
    }
    let what = format!("there is no file {event}, and as the id of an event it is not to be had");
    CliError::Failed { what, source: Box::new(error) }
}

/// As if a token had just published it.
fn as_from_file(event: Event, terminal: &Terminal) -> Accepted {
    let origin = Origin { kind: OriginKind::Api, name: "filter".to_owned(), verified: false };
    Accepted { position: 0, accepted_at: terminal.look.now, origin, hops: 0, event }
}

pub fn types(args: &TypesArgs, terminal: &Terminal) -> Result<Status, CliError> {
    match &args.name {
        Some(name) => {
            let known = event_type(name).ok_or_else(|| {
                CliError::NotFound(format!("{name:?} is no type of the catalogue; `tidegate types` lists them"))
            })?;
            terminal.show(&TypeView::from(known), render::event_type)?;
        }
        None => {
            let all: Vec<TypeView> = catalogue().iter().map(TypeView::from).collect();
            terminal.list(&all, render::event_types)?;
        }
    }
    Ok(Status::Done)
}
