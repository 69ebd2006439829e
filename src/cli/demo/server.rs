//! The demo's project as a process of its own, as `tidegate up` runs it; killed and started again where the story is to be
//! disturbed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::super::CliError;
use super::super::client::{Client, ServerArgs};
use super::failed;
use super::sender::Request;
use crate::api::model::{InvocationView, Listing};

const REQUEST_SECONDS_MAX: u64 = 30;
/// A sender sends again for this long while the project is not there.
const SEND_SECONDS_MAX: u64 = 60;
/// More than are under way at once.
const INVOCATIONS_MAX: usize = 500;
const SEND_AGAIN: Duration = Duration::from_millis(50);
/// Far beyond what a start, and a stop, take on a busy machine.
const START_SECONDS_MAX: u64 = 120;
const STOP_SECONDS_MAX: u64 = 60;

/// Where the project is, and what it needs to start.
pub struct Place {
    pub folder: PathBuf,
    /// `http://ADDRESS`
    pub hooks: String,
    pub api: String,
    pub env: Vec<(&'static str, String)>,
}

/// Killed when it is dropped.
pub struct Server {
    place: Place,
    http: reqwest::Client,
    process: Mutex<Child>,
}

impl Server {
    pub async fn start(place: Place) -> Result<Self, CliError> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(REQUEST_SECONDS_MAX)).build();
        let http = http.map_err(failed("cannot set up HTTP"))?;
        let process = Mutex::new(spawn(&place).await?);
        Ok(Server { place, http, process })
    }

    pub fn folder(&self) -> &Path {
        &self.place.folder
    }

    pub fn api(&self) -> &str {
        &self.place.api
    }

    /// SIGKILL, and another start on the same folder.
    pub async fn crash(&self) -> Result<(), CliError> {
        let mut process = self.process.lock().await;
        process.kill().await.map_err(failed("cannot kill the project"))?;
        *process = spawn(&self.place).await?;
        Ok(())
    }

    /// The last attempts.
    pub async fn invocations(&self) -> Result<Vec<InvocationView>, CliError> {
        let client = Client::to_write(&ServerArgs { url: Some(self.place.api.clone()), token_file: None })?;
        let newest = [("limit", INVOCATIONS_MAX.to_string())];
        let listing: Listing<InvocationView> = client.get(&["invocations"], &newest).await?;
        Ok(listing.items)
    }

    /// Sends a webhook's request as a patient sender does: again until it is answered. The answer's status.
    pub async fn send(&self, request: Request) -> Result<u16, CliError> {
        let started = Instant::now();
        loop {
            let mut builder =
                self.http.post(format!("{}{}", self.place.hooks, request.path)).body(request.body.clone());
            for (name, value) in &request.headers {
                builder = builder.header(*name, value);
            }
            match builder.send().await {
                Ok(answer) => return Ok(answer.status().as_u16()),
                Err(_) if started.elapsed().as_secs() < SEND_SECONDS_MAX => tokio::time::sleep(SEND_AGAIN).await,
                Err(error) => return Err(failed("cannot reach the project's webhooks")(error)),
            }
        }
    }

    /// Ends it as an operator would; its folder is kept.
    pub async fn stop(self) -> Result<(), CliError> {
        let mut process = self.process.into_inner();
        if let Some(id) = process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            let told = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            told.map_err(|error| failed("cannot stop the project")(std::io::Error::from(error)))?;
        }
        let ended = within(STOP_SECONDS_MAX, "stop", process.wait()).await?;
        ended.map_err(failed("cannot stop the project"))?;
        Ok(())
    }
}

/// Starts the project and waits until it listens.
async fn spawn(place: &Place) -> Result<Child, CliError> {
    let binary = std::env::current_exe().map_err(failed("cannot find this binary"))?;
    let mut process = Command::new(binary)
        .args(["up", "-o", "json"])
        .arg(&place.folder)
        .envs(place.env.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("cannot start the project"))?;
    let output = process.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    let line = within(START_SECONDS_MAX, "start", lines.next_line()).await?;
    match line.map_err(failed("cannot start the project"))? {
        Some(_) => Ok(process),
        None => Err(failed("the project did not start")(std::io::Error::other("it ended, and said why above"))),
    }
}

async fn within<T>(seconds: u64, what: &str, done: impl Future<Output = T>) -> Result<T, CliError> {
    tokio::time::timeout(Duration::from_secs(seconds), done).await.map_err(|source| CliError::Failed {
        what: format!("the project did not {what} within {seconds} s"),
        source: source.into(),
    })
}
