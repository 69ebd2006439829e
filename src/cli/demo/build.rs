//! `tidegate demo-build`: what the demo's pipeline runs. It stamps a release into the shipped component and pushes it to a
//! registry as a wasm OCI artifact, by the distribution protocol.
//!
//! Source of the format: OCI image spec 1.1, and the CNCF's guidance for wasm OCI artifacts.

use std::io::Write as _;

use bytes::Bytes;
use clap::Args;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::json;

use super::super::terminal::Terminal;
use super::super::{CliError, Status};
use super::failed;
use crate::deployment::Digest;

const SERVICE: &str = "storefront";
/// What the component carries where nothing was stamped yet.
const STAMP: &[u8; 32] = b"storefront-release:000;sound....";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";

/// Stamp a release of the demo's service and push it to a registry.
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Example:\n  tidegate demo-build --release 1 127.0.0.1:5000/acme/storefront")]
pub struct BuildArgs {
    /// The release's number
    #[arg(long, value_name = "NUMBER")]
    pub release: u16,
    /// Build one that fails orders which are not in euros
    #[arg(long)]
    pub defect: bool,
    /// Where it is pushed to: HOST:PORT/NAME, spoken to over plain HTTP
    #[arg(value_name = "REPOSITORY")]
    pub repository: String,
}

pub async fn build(args: &BuildArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let component = stamp(args)?;
    let revision = std::env::var("TIDEGATE_COMMIT").unwrap_or_default();
    let registry = Push::to(&args.repository)?;
    let config = Bytes::from(json!({ "architecture": "wasm", "os": "wasip2" }).to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": WASM,
        "config": { "mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len() },
        "layers": [{ "mediaType": WASM, "digest": Digest::of(&component), "size": component.len() }],
        "annotations": { "org.opencontainers.image.revision": revision },
    });
    let manifest = Bytes::from(manifest.to_string());
    registry.blob(config).await?;
    registry.blob(component).await?;
    let digest = Digest::of(&manifest);
    registry.manifest(&format!("release-{}", args.release), manifest).await?;
    results(&args.repository, digest)?;
    terminal.print(&format!("pushed {}@{digest}\n", args.repository))?;
    Ok(Status::Done)
}

/// The component with its release in it: other bytes, and so another digest.
fn stamp(args: &BuildArgs) -> Result<Bytes, CliError> {
    let mut component = crate::builtin::component(SERVICE).expect("the demo's service is shipped").to_vec();
    let kind = if args.defect { "fault" } else { "sound" };
    let stamp = format!("storefront-release:{:03};{kind}....", args.release % 1000);
    let at = memchr::memmem::find(&component, STAMP).ok_or_else(|| CliError::Failed {
        what: "cannot stamp the component".to_owned(),
        source: "it has no place for a stamp".into(),
    })?;
    component[at..at + STAMP.len()].copy_from_slice(stamp.as_bytes());
    Ok(component.into())
}

/// What later tasks, and whoever follows the run, are told.
fn results(repository: &str, digest: Digest) -> Result<(), CliError> {
    let Some(path) = std::env::var_os("TIDEGATE_RESULTS") else { return Ok(()) };
    let write = || {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
        writeln!(file, "artifact={repository}\ndigest={digest}")
    };
    write().map_err(failed("cannot write the task's results"))
}

/// One repository of a registry.
struct Push {
    http: reqwest::Client,
    /// `http://HOST:PORT`
    host: String,
    name: String,
}

impl Push {
    fn to(repository: &str) -> Result<Self, CliError> {
        let usage =
            || CliError::Usage(format!("{repository:?} is no repository; write one like 127.0.0.1:5000/acme/shop"));
        let (host, name) = repository.split_once('/').ok_or_else(usage)?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(failed("cannot set up HTTP"))?;
        Ok(Push { http, host: format!("http://{host}"), name: name.to_owned() })
    }

    /// One upload, opened and closed with all bytes (distribution spec, "pushing a blob monolithically").
    async fn blob(&self, bytes: Bytes) -> Result<(), CliError> {
        let digest = Digest::of(&bytes);
        let open = self.http.post(format!("{}/v2/{}/blobs/uploads/", self.host, self.name));
        let opened = sent(open).await?;
        let location = opened.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let location = if location.starts_with('/') { format!("{}{location}", self.host) } else { location.to_owned() };
        let mark = if location.contains('?') { '&' } else { '?' };
        let put = self.http.put(format!("{location}{mark}digest={digest}"));
        sent(put.header(CONTENT_TYPE, "application/octet-stream").body(bytes)).await?;
        Ok(())
    }

    async fn manifest(&self, tag: &str, bytes: Bytes) -> Result<(), CliError> {
        let put = self.http.put(format!("{}/v2/{}/manifests/{tag}", self.host, self.name));
        sent(put.header(CONTENT_TYPE, MANIFEST).body(bytes)).await?;
        Ok(())
    }
}

async fn sent(request: reqwest::RequestBuilder) -> Result<reqwest::Response, CliError> {
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    answer.map_err(failed("the registry did not take what was pushed"))
}
