//! `tidegate new`, `build` and `check`: what is done with a project's folder.

use std::path::PathBuf;

use clap::Args;

use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::ProblemView;
use crate::deployment::Severity;
use crate::project::Project;

/// Make a folder with a project file, a function and a sample event; it builds without a network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate new shop && cd shop && tidegate build && tidegate up")]
pub struct NewArgs {
    /// Name of the project and of its folder: 1 to 63 of a-z, 0-9 and -, starting with a letter
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Build the project's functions to WebAssembly components with cargo.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate build shop")]
pub struct BuildArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// Check the project file, its filters and components, and print every problem; nothing is run.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate check shop

Exit status 1 if there is an error; warnings are allowed.")]
pub struct CheckArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

pub fn check(args: &CheckArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let (manifest, problems) = Project::check(&args.dir)?;
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    let functions = manifest.map(|manifest| manifest.functions.len());
    let views: Vec<ProblemView> = problems.into_iter().map(ProblemView::from).collect();
    terminal.list(&views, |views, look| render::problems(views, functions, look))?;
    Ok(if failed { Status::Failed } else { Status::Done })
}

pub fn new(_args: &NewArgs, _terminal: &Terminal) -> Result<Status, CliError> {
    unimplemented!()
}
pub fn build(_args: &BuildArgs, _terminal: &Terminal) -> Result<Status, CliError> {
    unimplemented!()
}
