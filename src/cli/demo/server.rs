//! The demo's project as a process of its own, as `tidegate up` runs it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::super::CliError;
use super::super::client::{Client, ServerArgs};
use super::sender::Request;
use crate::api::model::ReceiptsView;

/// The project: the same files as the example.
const FILES: [(&str, &str); 4] = [
    ("tidegate.toml", include_str!("../../../examples/gate/tidegate.toml")),
    ("admission.toml", include_str!("../../../examples/gate/admission.toml")),
    ("gate.toml", include_str!("../../../examples/gate/gate.toml")),
    ("plan.toml", include_str!("../../../examples/gate/plan.toml")),
];
const REQUEST_SECONDS_MAX: u64 = 30;

/// Killed when it is dropped.
pub struct Server {
    pub client: Client,
    pub github_secret: String,
    pub ci_token: String,
    folder: PathBuf,
    hooks: String,
    http: reqwest::Client,
    process: Child,
}

/// The first line of `tidegate up -o json`.
#[derive(Deserialize)]
struct Listening {
    hooks: String,
    api: String,
}

impl Server {
    pub async fn start(folder: Option<PathBuf>) -> Result<Self, CliError> {
        let folder = folder.unwrap_or_else(|| std::env::temp_dir().join(format!("tidegate-demo-{}", Uuid::now_v7())));
        write_project(&folder).map_err(failed("cannot write the demo's project"))?;
        let (github_secret, ci_token) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
        let binary = std::env::current_exe().map_err(failed("cannot find this binary"))?;
        let mut process = Command::new(binary)
            .args(["up", "-o", "json"])
            .arg(&folder)
            .env("GITHUB_WEBHOOK_SECRET", &github_secret)
            .env("CI_WEBHOOK_TOKEN", &ci_token)
            // The story tells what happened; the log would tell it twice.
            .env("TIDEGATE_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("cannot start the project"))?;
        let output = process.stdout.take().expect("its output is piped");
        let line = BufReader::new(output).lines().next_line().await.map_err(failed("cannot start the project"))?;
        let listening: Listening =
            serde_json::from_str(line.as_deref().unwrap_or_default()).map_err(failed("the project did not start"))?;
        let client = Client::to_write(&ServerArgs { url: Some(listening.api), token_file: None })?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(REQUEST_SECONDS_MAX)).build();
        let http = http.map_err(failed("cannot set up HTTP"))?;
        Ok(Server { client, github_secret, ci_token, folder, hooks: listening.hooks, http, process })
    }

    /// Sends a webhook's request. Its status, and the receipts where it was accepted.
    pub async fn send(&self, request: Request) -> Result<(u16, Option<ReceiptsView>), CliError> {
        let mut builder = self.http.post(format!("{}{}", self.hooks, request.path)).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let answer = builder.send().await.map_err(failed("cannot reach the project's webhooks"))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed("the project's webhooks broke off"))?;
        let receipts = if status.is_success() { serde_json::from_slice(&body).ok() } else { None };
        Ok((status.as_u16(), receipts))
    }

    /// Ends it as an operator would; its folder is kept.
    pub async fn stop(mut self) -> Result<PathBuf, CliError> {
        if let Some(id) =
            self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            let told = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            told.map_err(|error| failed("cannot stop the project")(std::io::Error::from(error)))?;
        }
        self.process.wait().await.map_err(failed("cannot stop the project"))?;
        Ok(self.folder)
    }
}

/// Any free port will do: the demo must run beside whatever else runs.
fn write_project(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    for (name, text) in FILES {
        let text = text.replace("127.0.0.1:7118", "127.0.0.1:0").replace("127.0.0.1:7117", "127.0.0.1:0");
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> CliError {
    move |source| CliError::Failed { what: what.to_owned(), source: source.into() }
}
