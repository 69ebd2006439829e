//! `tidegate demo`: a git host and a build system drive a running project from outside, over HTTP, and every step must end as
//! it should.

pub mod registry;
mod sender;
mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::sender::{Request, Scan};
use self::server::Server;
use super::events::settled_chain;
use super::render::Look;
use super::terminal::{Format, Terminal};
use super::{CliError, Status, render};
use crate::api::model::{ReceiptsView, TraceView};
use crate::clock::{Clock, Timestamp};

/// Far beyond what a chain takes on a busy machine.
const CHAIN_SECONDS_MAX: u64 = 60;

/// From a signed push to a verdict: start a project, drive it over HTTP as a git host and a build system do, and show the
/// causal trees.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate demo

Exit status 0 only if every step ended as it should. The project's folder is kept.")]
pub struct DemoArgs {
    /// Folder of the project, which must not exist [default: a new one in the system's temporary folder]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// One step of the story.
struct Step {
    what: &'static str,
    request: Request,
    status: u16,
    duplicate: bool,
    /// Types that its chain must have beside the first event, short names.
    chain: &'static [&'static str],
    dead_letter: bool,
}

/// What one step came to.
#[derive(Serialize)]
struct Told {
    step: &'static str,
    status: u16,
    expected: bool,
    ids: Vec<String>,
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<TraceView>,
    duration_micros: u64,
}

pub async fn demo(args: &DemoArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let server = Server::start(args.dir.clone()).await?;
    let mut told = Vec::new();
    for step in story(&server, Clock::system().now()) {
        terminal.progress(step.what);
        let step = play(step, &server, terminal).await?;
        terminal.progress_done();
        tell(&step, terminal)?;
        told.push(step);
    }
    let folder = server.stop().await?;
    let expected = told.iter().all(|step| step.expected);
    if let Format::Text = terminal.format {
        let look = &terminal.look;
        let verdict =
            if expected { look.good("every step ended as it should") } else { look.bad("a step ended otherwise") };
        let first = told.iter().rfind(|step| step.trace.is_some()).and_then(|step| step.ids.first());
        let id = first.map_or("last", String::as_str);
        let dir = folder.display();
        terminal.print(&format!(
            "{verdict}; the project is kept in {dir}\n\nlook further:\n  tidegate explain {id} --dir {dir}\n  \
             tidegate invocations --dir {dir}\n  tidegate dlq list --dir {dir}\n"
        ))?;
    }
    Ok(if expected { Status::Done } else { Status::Failed })
}

/// A commit that goes the wrong way, one that goes the right way, and what the gate lacks at first.
fn story(server: &Server, now: Timestamp) -> Vec<Step> {
    let step = |what, request, chain| Step { what, request, status: 202, duplicate: false, chain, dead_letter: false };
    let (secret, token) = (&server.github_secret, &server.ci_token);
    let scan = |scan| sender::report(token, scan, now);
    vec![
        Step { status: 401, ..step("a push that nobody signed is turned away", sender::unsigned_push(), &[]) },
        step("a signed push straight to main is refused", sender::direct_push(secret), &["tidegate-change.refused"]),
        step("a merged pull request is accepted", sender::merge(secret), &["tidegate-change.accepted"]),
        Step { duplicate: true, ..step("the host delivers the merge again: one event", sender::merge(secret), &[]) },
        step(
            "the build system names what it made of the commit, and the gate what is missing",
            sender::packaged(token),
            &["gate.blocked"],
        ),
        step(
            "a scan finds a critical fault, and the gate blocks by it",
            scan(Scan::Critical),
            &["scan.completed", "gate.blocked"],
        ),
        step(
            "the next scan of the same digest is clean, and the gate passes",
            scan(Scan::Clean),
            &["scan.completed", "gate.passed"],
        ),
        Step {
            dead_letter: true,
            ..step("a report that names no digest goes to the dead letters", scan(Scan::Unbound), &[])
        },
    ]
}

async fn play(step: Step, server: &Server, terminal: &Terminal) -> Result<Told, CliError> {
    let started = Instant::now();
    let (status, receipts) = server.send(step.request).await?;
    let ReceiptsView { ids, duplicate, .. } = receipts.unwrap_or_default();
    let mut expected = status == step.status && duplicate == step.duplicate;
    let mut trace = None;
    if let (Some(id), false) = (ids.first(), duplicate) {
        let deadline = Instant::now() + Duration::from_secs(CHAIN_SECONDS_MAX);
        let chain = settled_chain(&server.client, id, deadline, terminal).await?;
        let types = types(&chain);
        expected &= chain.settled && render::has_dead_letter(&chain) == step.dead_letter;
        expected &= types.len() == step.chain.len() + 1;
        expected &= step.chain.iter().all(|name| types.iter().any(|ty| ty.contains(name)));
        trace = Some(chain);
    }
    let duration_micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Told { step: step.what, status, expected, ids, duplicate, trace, duration_micros })
}

/// Every type of a chain, the first event's too.
fn types(chain: &TraceView) -> Vec<&str> {
    let mut types = Vec::new();
    let mut left: Vec<_> = chain.roots.iter().collect();
    while let Some(node) = left.pop() {
        types.push(node.ty.as_str());
        left.extend(&node.children);
    }
    types
}

fn tell(told: &Told, terminal: &Terminal) -> Result<(), CliError> {
    terminal.show(told, |told, look| {
        // The command runs on: what is shown as past is past now.
        let look = &Look { now: Clock::system().now(), ..*look };
        let mark = if told.expected { look.good("ok") } else { look.bad("not as expected") };
        let duplicate = if told.duplicate { ", known before" } else { "" };
        let took = render::duration(Duration::from_micros(told.duration_micros));
        let mut text = format!("{mark}  {}  ({}{duplicate}, {took})\n", look.strong(told.step), told.status);
        if let Some(trace) = &told.trace {
            let tree = render::trace(trace, look);
            text += &tree.lines().map(|line| format!("    {line}\n")).collect::<String>();
        }
        text + "\n"
    })
}
