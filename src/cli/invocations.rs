//! `tidegate invocations`: attempts to run functions.

use clap::Args;

use super::client::{Client, ReadArgs};
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{ExplanationView, InvocationView, Listing};

/// List attempts, newest last, those on one event, or show one with all that it asked of the host.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate invocations --failed
  tidegate invocations last
  tidegate invocations 12.gate.0.1")]
pub struct InvocationsArgs {
    /// An event (an id or the start of one, #POSITION, last), or an attempt as POSITION.FUNCTION.ROUND.ATTEMPT
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Only of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only those that failed
    #[arg(long)]
    pub failed: bool,
    /// At most so many, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn invocations(args: &InvocationsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    match &args.id {
        Some(id) if is_invocation(id) => {
            let invocation: InvocationView = client.get(&["invocations", id], &[]).await?;
            terminal.show(&invocation, render::invocation)?;
        }
        Some(event) => {
            let explanation: ExplanationView = client.get(&["events", event, "explain"], &[]).await?;
            let attempts = explanation.functions.into_iter().flat_map(|function| function.attempts);
            let chosen: Vec<_> = attempts.filter(|attempt| is_asked_for(attempt, args)).collect();
            terminal.list(&chosen, render::invocations)?;
        }
        None => {
            let mut query = vec![("limit", args.limit.to_string())];
            query.extend(args.function.iter().map(|name| ("function", name.clone())));
            if args.failed {
                query.push(("failed", "true".to_owned()));
            }
            let mut listing: Listing<InvocationView> = client.get(&["invocations"], &query).await?;
            listing.items.reverse();
            terminal.list(&listing.items, render::invocations)?;
        }
    }
    Ok(Status::Done)
}

fn is_asked_for(attempt: &InvocationView, args: &InvocationsArgs) -> bool {
    args.function.as_ref().is_none_or(|name| *name == attempt.function) && !(args.failed && attempt.failure.is_none())
}

/// Whether it names an attempt: `POSITION.FUNCTION.ROUND.ATTEMPT`. No event id has three dots between such parts by
/// accident, and one that does can be written as `#POSITION`.
pub fn is_invocation(id: &str) -> bool {
    let parts: Vec<&str> = id.split('.').collect();
    let number = |part: &str| part.parse::<u64>().is_ok();
    matches!(parts[..], [position, _, round, attempt] if number(position) && number(round) && number(attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_told_from_an_event() {
        for (id, expected) in [
            ("12.gate.0.1", true),
            ("12", false),
            ("#12", false),
            ("last", false),
            ("gate.12.0.1", false),
            ("12.gate.0", false),
            ("01932a", false),
        ] {
            assert_eq!(is_invocation(id), expected, "{id}");
        }
    }
}
