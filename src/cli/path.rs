//! `tidegate why`, `releases`, `redeploy`, `lift` and `drift`: the path from commit to production.

use std::time::{Duration, Instant};

use clap::Args;

use super::client::{Client, ReadArgs, ServerArgs};
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{
    DriftView, ExplanationView, LiftRequest, Listing, ReceiptsView, RedeployRequest, ReleaseView, WhyView,
};

/// How long `lift` waits until functions have heard of it, and from one look to the next.
const HEARD_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Say where a commit, a digest or a release stands in an environment: the one thing in its way, since when, and how to
/// clear it; of what was released, the chain that released it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate why 9fceb02d --in production
  tidegate why sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
  tidegate why shop-3f2a9c1b7d40 --in staging -o json")]
pub struct WhyArgs {
    /// A commit or a digest, or its start (7 characters or more), a release, or #POSITION of an event that tells of one
    #[arg(value_name = "COMMIT|DIGEST|RELEASE")]
    pub of: String,
    /// The environment [default: the project's last one]
    #[arg(long = "in", value_name = "ENV")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub read: ReadArgs,
}

/// List releases, newest last, with where each one stands in every environment.
#[derive(Debug, Args)]
#[command(after_help = "\
Standings:
  blocked    its gate lacks something, or found what may not be
  passed     its gate let it through
  refused    it was not deployed there; a rule says why
  deploying  it is being deployed
  running    it runs, and nobody has judged yet what it does
  verified   it does what it should, and did not fail there since
  unproven   it runs, and was used too little to be judged
  failed     it did not do what it should
  drifted    it should run, and something else does
  replaced   it ran, and another release of its service does now

Example:
  tidegate releases")]
pub struct ReleasesArgs {
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Ask for a release of the record again, by the same path: what it needs is checked as ever.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate redeploy shop-3f2a9c1b7d40 --in production --reason drill")]
pub struct RedeployArgs {
    /// The release, as `tidegate releases` lists it
    #[arg(value_name = "RELEASE")]
    pub release: String,
    /// The environment
    #[arg(long = "in", value_name = "ENV")]
    pub environment: String,
    /// Why: it goes into the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Lift the quarantine of a digest that failed, so that it may be released again: who asks and why go into the record.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate lift sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --reason 'the database was down'")]
pub struct LiftArgs {
    /// The digest, whole, as `tidegate why` names it
    #[arg(value_name = "DIGEST")]
    pub digest: String,
    /// Why it was not at fault
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Compare what runs with what was released, by digest.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate drift\n\nExit status 1 where something runs that should not.")]
pub struct DriftArgs {
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn why(args: &WhyArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let mut query = vec![("of", args.of.clone())];
    query.extend(args.environment.iter().map(|environment| ("in", environment.clone())));
    let view: WhyView = client.get(&["why"], &query).await?;
    terminal.show(&view, render::why)?;
    Ok(Status::Done)
}

pub async fn releases(args: &ReleasesArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let mut listing: Listing<ReleaseView> = client.get(&["releases"], &[]).await?;
    listing.items.reverse();
    terminal.list(&listing.items, render::releases)?;
    Ok(Status::Done)
}

pub async fn redeploy(args: &RedeployArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_write(&args.server)?;
    let asked = RedeployRequest { environment: args.environment.clone(), reason: args.reason.clone() };
    let receipts: ReceiptsView = client.post(&["releases", &args.release, "redeploy"], &asked).await?;
    terminal.list(&receipts.receipts, |receipts, look| {
        let [release, environment] = [&args.release, &args.environment].map(|word| render::shell_word(word));
        let next = format!("see: tidegate why {release} --in {environment}\n");
        render::receipts(receipts, look) + &next
    })?;
    Ok(Status::Done)
}

pub async fn lift(args: &LiftArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_write(&args.server)?;
    let asked = LiftRequest { reason: args.reason.clone() };
    let receipts: ReceiptsView = client.post(&["quarantine", &args.digest, "lift"], &asked).await?;
    // What is asked for next builds on it.
    let started = Instant::now();
    for id in &receipts.ids {
        while !client.get::<ExplanationView>(&["events", id, "explain"], &[]).await?.settled {
            if started.elapsed() > HEARD_WITHIN {
                let within = render::duration(HEARD_WITHIN);
                terminal.warn(&format!("not every function heard it within {within}; see `tidegate explain {id}`"));
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    terminal.list(&receipts.receipts, |receipts, look| {
        render::receipts(receipts, look) + &format!("see: tidegate why {}\n", render::shell_word(&args.digest))
    })?;
    Ok(Status::Done)
}

pub async fn drift(args: &DriftArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    let listing: Listing<DriftView> = client.get(&["drift"], &[]).await?;
    terminal.list(&listing.items, render::drift)?;
    let drifted = listing.items.iter().any(|row| row.drifted);
    Ok(if drifted { Status::Failed } else { Status::Done })
}
