//! `tidegate deploy`, `rollback` and `deployments`: which set of functions is active, and which were.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use super::client::{Client, ReadArgs, ServerArgs};
use super::terminal::Terminal;
use super::{CliError, Status, render};
use crate::api::model::{DeployedView, DeploymentView, Listing, ProjectUpload};
use crate::deployment::{Manifest, PROJECT_FILE, Severity, Sources};
use crate::project::{self, Folder, ProjectError};

/// Check a project's folder here, send it to the running project, and make it active.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate deploy shop --url http://10.0.0.7:7117")]
pub struct DeployArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Make an earlier deployment active again, as a new one.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate rollback 3")]
pub struct RollbackArgs {
    /// The deployment to go back to [default: the one before the active one]
    #[arg(value_name = "NUMBER")]
    pub number: Option<u64>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// List deployments, newest last, or show one whole.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidegate deployments 3")]
pub struct DeploymentsArgs {
    /// Show this one
    #[arg(value_name = "NUMBER")]
    pub number: Option<u64>,
    #[command(flatten)]
    pub read: ReadArgs,
}

pub async fn deploy(args: &DeployArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let upload = pack(&args.dir)?;
    let client = Client::to_write(&args.server)?;
    terminal.progress(&format!("deploying {} files", upload.files.len()));
    let deployed: Result<DeployedView, _> = client.post(&["deployments"], &upload).await;
    terminal.progress_done();
    terminal.show(&deployed?, render::deployed)?;
    Ok(Status::Done)
}

pub async fn rollback(args: &RollbackArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_write(&args.server)?;
    let number = match args.number {
        Some(number) => number,
        None => before_active(&client).await?,
    };
    let deployed: DeployedView =
        client.post(&["deployments", &number.to_string(), "rollback"], &serde_json::json!({})).await?;
    terminal.show(&deployed, |deployed, look| render::rolled_back(deployed, number, look))?;
    Ok(Status::Done)
}

async fn before_active(client: &Client) -> Result<u64, CliError> {
    let listing: Listing<DeploymentView> = client.get(&["deployments"], &[]).await?;
    let active = listing.items.iter().find(|deployment| deployment.active).map(|deployment| deployment.number);
    let before = listing.items.iter().map(|deployment| deployment.number).filter(|number| Some(*number) < active);
    before.max().ok_or_else(|| {
        CliError::NotFound("no deployment is before the active one; see `tidegate deployments`".to_owned())
    })
}

pub async fn deployments(args: &DeploymentsArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let client = Client::to_read(&args.read)?;
    match args.number {
        Some(number) => {
            let deployment: DeploymentView = client.get(&["deployments", &number.to_string()], &[]).await?;
            terminal.show(&deployment, render::deployment)?;
        }
        None => {
            let mut listing: Listing<DeploymentView> = client.get(&["deployments"], &[]).await?;
            listing.items.sort_by_key(|deployment| deployment.number);
            terminal.list(&listing.items, render::deployments)?;
        }
    }
    Ok(Status::Done)
}

/// The project file and every file that it names, and no other: a folder may hold secrets beside them.
fn pack(dir: &Path) -> Result<ProjectUpload, CliError> {
    let text = project::read_project_file(dir)?;
    let packer = Packer { folder: Folder { root: dir.to_owned() }, files: RefCell::default() };
    let (_, problems) = Manifest::parse(&text, &packer);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(ProjectError::Invalid { folder: dir.display().to_string(), problems }.into());
    }
    let mut files = packer.files.into_inner();
    files.insert(PROJECT_FILE.to_owned(), STANDARD.encode(text));
    Ok(ProjectUpload { files })
}

/// Keeps what a manifest reads while it is checked.
struct Packer {
    folder: Folder,
    files: RefCell<BTreeMap<String, String>>,
}

impl Sources for Packer {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let bytes = self.folder.file(path)?;
        self.files.borrow_mut().insert(project::normal(path)?, STANDARD.encode(&bytes));
        Ok(bytes)
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        self.folder.builtin(name)
    }

    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String> {
        self.folder.imports(component)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.folder.env(name)
    }
}
