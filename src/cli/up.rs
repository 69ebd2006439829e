//! `tidegate up`: runs a project until a signal ends it.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::render::Listening;
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::app::App;
use crate::clock::Clock;
use crate::project::Project;
use crate::telemetry::{self, Metrics};

/// Run a project until it is interrupted: triggers, bus, functions and API.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate up shop --log json

What it keeps is in DIR/.tidegate, and in the store that `[blob]` of the project file names.

Ctrl-C or SIGTERM lets invocations finish first; a second one ends it at once, and what was in
flight is delivered again at the next start.")]
pub struct UpArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object on each line
    Json,
}

impl From<LogFormat> for telemetry::Format {
    fn from(form: LogFormat) -> Self {
        match form {
            LogFormat::Text => telemetry::Format::Text,
            LogFormat::Json => telemetry::Format::Json,
        }
    }
}

/// The first thing printed is where it listens.
pub async fn up(args: &UpArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    let project = Project::open(&args.dir)?;
    for warning in &project.warnings {
        terminal.note(&warning.to_string());
    }
    let settings = telemetry::Settings::from_env(&|name| std::env::var(name).ok(), args.log.into());
    let _flushed_when_dropped = telemetry::init(&settings).map_err(failed("cannot set up logs and traces"))?;
    let mut signals = Signals::listen().map_err(failed("cannot listen for signals"))?;

    let mut app = App::spawn(&project, clock.clone(), Metrics::new()).await.map_err(failed("cannot start"))?;
    let listening = Listening {
        project: project.manifest.project.clone(),
        hooks: format!("http://{}", app.hooks),
        api: format!("http://{}", app.api),
        functions: project.manifest.functions.len() as u64,
    };
    // A project runs on when nobody reads where it listens.
    let _ = terminal.show(&listening, render::listening);

    // Both are cancel-safe: one waits for a state, the other for a signal.
    let failure = tokio::select! {
        failure = app.failed() => Some(failure),
        () = signals.next() => None,
    };
    let grace = App::grace().as_secs();
    terminal.note(&format!("stopping: invocations have {grace} s to finish; interrupt again to end at once"));
    // Dropping `stop` is what the second signal asks for: the process ends, and the next start takes up the rest.
    let stopped = tokio::select! {
        stopped = app.stop() => stopped,
        () = signals.next() => Ok(()),
    };
    match failure {
        // Why it failed is what counts; that stopping failed too follows from it.
        Some(failure) => Err(failed("the project stopped")(failure)),
        None => stopped.map(|()| Status::Done).map_err(failed("cannot stop cleanly")),
    }
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> CliError {
    move |source| CliError::Failed { what: what.to_owned(), source: source.into() }
}

/// What asks a process to end.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancel-safe.
    pub async fn next(&mut self) {
        // Both take a signal or nothing.
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
