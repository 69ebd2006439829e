//! `tidegate emit`: publishes events, and waits for what follows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Client, ServerArgs};
use super::events::settled_chain;
use super::terminal::Terminal;
use super::{CliError, Status, input, render};
use crate::api::model::ReceiptsView;
use crate::clock::Clock;
use crate::event::BATCH;

mod batch;

/// Publish CloudEvents and print their ids; what an event lacks of id, source and specversion is filled in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate emit event.json --wait
  tidegate emit --type shop.order.paid --subject order/7 --data '{\"total\": 12}'
  generate-events | tidegate emit -

With --wait the exit status is 1 if anything in a chain was dead-lettered or time ran out.")]
pub struct EmitArgs {
    /// File of one event, an array or JSON lines in CloudEvents JSON; - for standard input
    #[arg(value_name = "FILE", required_unless_present = "type")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub event: EventArgs,
    /// Wait until all that follows is settled, at most this long [default: 30]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30")]
    pub wait: Option<u32>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// One event, told by options.
#[derive(Debug, Clone, Default, Args)]
pub struct EventArgs {
    /// Type of the event, like shop.order.paid, or a short name that `tidegate types` lists
    #[arg(long, value_name = "TYPE", conflicts_with = "file")]
    pub r#type: Option<String>,
    /// What the event is about
    #[arg(long, value_name = "TEXT", requires = "type")]
    pub subject: Option<String>,
    /// Where it comes from, a URI reference [default: /tidegate/emit]
    #[arg(long, value_name = "URI", requires = "type")]
    pub source: Option<String>,
    /// Its id; the same id and source again is the same event [default: a new UUID]
    #[arg(long, value_name = "ID", requires = "type")]
    pub id: Option<String>,
    /// Its data: JSON, or @FILE to read it from a file (@- from standard input)
    #[arg(long, value_name = "JSON|@FILE", requires = "type")]
    pub data: Option<String>,
    /// An extension attribute; may be given several times
    #[arg(long, value_name = "NAME=TEXT", requires = "type")]
    pub ext: Vec<String>,
}

/// Publishes, prints the receipts, and with `--wait` the chains.
pub async fn emit(args: &EmitArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    let body = match &args.file {
        Some(file) => batch::from_text(&input::read_text(file)?, &file.display().to_string())?,
        None => batch::from_args(&args.event, &data(args.event.data.as_deref())?)?,
    };
    let client = Client::to_write(&args.server)?;
    let receipts = client.post_bytes(&["events"], BATCH, body).await;
    let receipts: ReceiptsView = receipts.map_err(|error| match &args.file {
        Some(file) => of_file(file, error),
        None => error,
    })?;
    terminal.list(&receipts.receipts, render::receipts)?;
    match args.wait {
        Some(seconds) => wait(&client, &receipts, Duration::from_secs(seconds.into()), terminal, clock).await,
        None => Ok(Status::Done),
    }
}

/// What the server says of one event, said of the file that it stands in.
fn of_file(file: &Path, error: CliError) -> CliError {
    match error {
        CliError::Refused(mut detail) if detail.index.is_some() => {
            detail.message = format!("{}: {}", file.display(), detail.message);
            CliError::Refused(detail)
        }
        error => error,
    }
}

/// The text of `--data`, read from where it says.
fn data(argument: Option<&str>) -> Result<Option<String>, CliError> {
    match argument {
        Some(text) => match text.strip_prefix('@') {
            Some(path) => input::read_text(Path::new(path)).map(Some),
            None => Ok(Some(text.to_owned())),
        },
        None => Ok(None),
    }
}

async fn wait(
    client: &Client,
    receipts: &ReceiptsView,
    at_most: Duration,
    terminal: &Terminal,
    clock: &Clock,
) -> Result<Status, CliError> {
    let deadline = Instant::now() + at_most;
    let mut status = Status::Done;
    let mut shown = std::collections::BTreeSet::new();
    for id in &receipts.ids {
        let trace = settled_chain(client, id, deadline, terminal).await?;
        // Events of one batch may stand in one chain; it is shown once.
        if !shown.insert(trace.correlation.clone()) {
            continue;
        }
        let look = render::Look { now: clock.now(), ..terminal.look };
        terminal.show(&trace, |trace, _| render::trace(trace, &look))?;
        if !trace.settled {
            terminal.warn(&format!(
                "the chain of {id} has not settled within {}; `tidegate trace {}` shows it later",
                render::duration(at_most),
                render::shell_word(id)
            ));
        }
        if !trace.settled || render::has_dead_letter(&trace) {
            status = Status::Failed;
        }
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::ErrorDetail;

    #[test]
    fn what_is_refused_of_a_file_names_the_file() {
        let refused = |index| {
            let (code, message) = ("invalid".to_owned(), "event 1: attribute id: is empty".to_owned());
            CliError::Refused(Box::new(ErrorDetail { code, message, index, ..ErrorDetail::default() }))
        };
        let said = |index| of_file(Path::new("two.json"), refused(index)).to_string();
        assert_eq!(said(Some(1)), "two.json: event 1: attribute id: is empty");
        // What is no event's fault is not the file's.
        assert_eq!(said(None), "event 1: attribute id: is empty");
    }
}
