//! `tidegate new`, `build` and `check`: what is done with a project's folder.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::against::against;
use super::client::ServerArgs;
use super::input::Since;
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::ProblemView;
use crate::clock::Clock;
use crate::deployment::{FunctionName, Severity};
use crate::project::Project;
use crate::scaffold::{self, Purpose};

/// Make a folder with a project file, a function and a sample event; it builds without a network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate new shop && cd shop && tidegate build && tidegate up")]
pub struct NewArgs {
    /// Name of the project and of its folder: 1 to 63 of a-z, 0-9 and -, starting with a letter
    #[arg(value_name = "NAME")]
    pub name: FunctionName,
}

/// Build the project's functions to WebAssembly components with cargo.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate build shop")]
pub struct BuildArgs {
    /// Build components for the debugger, with lines and variables: components/NAME.debug.wasm
    #[arg(long)]
    pub debug_info: bool,
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Check the project file, its filters and components, and print every problem; nothing is run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidegate check shop
  tidegate check shop --against 1d

Exit status 1 if there is an error, or if more events than --max-changed lets are gained and lost; warnings are allowed.")]
pub struct CheckArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Tell which events since then each filter would gain and lose, beside those that are deployed: a length like 2d, or a
    /// time
    #[arg(long, value_name = "TIME")]
    pub against: Option<Since>,
    /// With --against: how many may be gained and lost
    #[arg(long, value_name = "COUNT", requires = "against")]
    pub max_changed: Option<u64>,
    /// With --against: the server to ask [default: what DIR itself has kept]
    #[command(flatten)]
    pub server: ServerArgs,
}

pub async fn check(args: &CheckArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    let (manifest, problems) = Project::check(&args.dir)?;
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    if let (Some(since), Some(manifest), false) = (args.against, &manifest, failed) {
        let compared = against(manifest, &args.dir, &args.server, since.time(clock.now())).await?;
        terminal.show(&compared, render::against)?;
        let kept = compared.changed() <= args.max_changed.unwrap_or(u64::MAX);
        return Ok(if kept { Status::Done } else { Status::Failed });
    }
    let functions = manifest.map(|manifest| manifest.functions.len());
    let views: Vec<ProblemView> = problems.into_iter().map(ProblemView::from).collect();
    terminal.list(&views, |views, look| render::problems(views, functions, look))?;
    Ok(if failed { Status::Failed } else { Status::Done })
}

pub fn new(args: &NewArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let folder = PathBuf::from(args.name.as_str());
    let files = scaffold::write_project(&folder, &args.name)
        .map_err(|source| CliError::Failed { what: format!("cannot make {}", args.name), source: source.into() })?;
    terminal.show(&Made { project: args.name.to_string(), folder, files }, |made, _| {
        let name = &made.project;
        format!("made {name}: {} files\nnext: cd {name} && tidegate build && tidegate up\n", made.files.len())
    })?;
    Ok(Status::Done)
}

/// What `new` made.
#[derive(Debug, Serialize)]
struct Made {
    project: String,
    folder: PathBuf,
    /// From the folder.
    files: Vec<PathBuf>,
}

pub fn build(args: &BuildArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let mut unseen = Vec::new();
    let mut told = |line: &str| {
        if !terminal.detail(line) {
            unseen.push(line.to_owned());
        }
    };
    let purpose = if args.debug_info { Purpose::Debugging } else { Purpose::Deployment };
    let built = scaffold::build_project(&args.dir, purpose, &mut told);
    let components = built.map_err(|source| {
        unseen.iter().for_each(|line| eprintln!("{line}"));
        CliError::Failed { what: format!("cannot build {}", args.dir.display()), source: source.into() }
    })?;
    terminal.show(&Built { components }, |built, _| {
        built.components.iter().map(|path| format!("built {}\n", path.display())).collect()
    })?;
    Ok(Status::Done)
}

/// What `build` built.
#[derive(Debug, Serialize)]
struct Built {
    /// From the project's folder.
    components: Vec<PathBuf>,
}
