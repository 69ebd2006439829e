//! The world around the project: a git host, a registry and an object store, each a server of this process on a port of its
//! own, and the project's folder.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::Router;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::super::CliError;
use super::githost::{self, GitHost};
use super::registry::Registry;
use super::server::Place;
use super::{failed, store};
use crate::api;
use crate::tasks::Tasks;

/// The project: the same files as the example, but for addresses.
const FILES: [(&str, &str); 6] = [
    ("tidegate.toml", include_str!("../../../examples/path/tidegate.toml")),
    ("plan.toml", include_str!("../../../examples/path/plan.toml")),
    ("gate-staging.toml", include_str!("../../../examples/path/gate-staging.toml")),
    ("gate-production.toml", include_str!("../../../examples/path/gate-production.toml")),
    ("verify.toml", include_str!("../../../examples/path/verify.toml")),
    ("README.md", include_str!("../../../examples/path/README.md")),
];
/// What lies beside the code, at every commit.
const REPOSITORY_FILES: [(&str, &str); 2] = [
    (".tidegate/admission.toml", include_str!("../../../examples/path/repository/admission.toml")),
    (".tidegate/pipeline.toml", include_str!("../../../examples/path/repository/pipeline.toml")),
];

/// Below those that Linux gives to whoever asks for any (`net.ipv4.ip_local_port_range`).
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES_MAX: u32 = 100;

/// Ends its servers when it is dropped.
pub struct World {
    pub githost: GitHost,
    pub registry: Registry,
    /// `HOST:PORT` of the registry.
    pub registry_host: String,
    /// `http://ADDRESS` of the object store.
    pub store: String,
    pub secrets: Secrets,
    tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// Made anew for each demo.
pub struct Secrets {
    pub github: String,
    pub token: String,
}

impl World {
    /// Starts the servers and writes the project; answers where to start it.
    pub async fn make(folder: Option<PathBuf>) -> Result<(Self, Place), CliError> {
        let folder = folder.unwrap_or_else(|| std::env::temp_dir().join(format!("tidegate-demo-{}", Uuid::now_v7())));
        make_folder(&folder)?;
        let secrets = Secrets { github: Uuid::now_v7().to_string(), token: Uuid::now_v7().to_string() };
        let (hooks, api) = (free_port().await?, free_port().await?);
        let files = REPOSITORY_FILES.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let githost = GitHost::new(BTreeMap::from(files));
        let tasks = Tasks::new();
        let webhook = format!("http://{hooks}/hooks/registry");
        let registry = Registry::new(webhook, format!("Bearer {}", secrets.token), &tasks);
        let git_address = serve(githost.router(), &tasks).await?;
        let registry_address = serve(registry.router(), &tasks).await?;
        let store_address = serve(store::router(&folder.join("object-store"))?, &tasks).await?;
        let addresses = [
            ("127.0.0.1:7118", hooks),
            ("127.0.0.1:7117", api),
            ("127.0.0.1:8080", git_address),
            ("127.0.0.1:5000", registry_address),
            ("127.0.0.1:9000", store_address),
        ];
        write_project(&folder, &addresses)?;
        let place = Place {
            env: vec![
                ("GITHUB_TOKEN", githost::TOKEN.to_owned()),
                ("GITHUB_WEBHOOK_SECRET", secrets.github.clone()),
                ("HOOKS_TOKEN", secrets.token.clone()),
                ("S3_ACCESS_KEY", store::ACCESS_KEY.to_owned()),
                ("S3_SECRET_KEY", store::SECRET_KEY.to_owned()),
                // The story tells what happened; the log would tell it twice.
                ("TIDEGATE_LOG", "error".to_owned()),
            ],
            folder,
            hooks: format!("http://{hooks}"),
            api: format!("http://{api}"),
        };
        let world = World {
            githost,
            registry,
            registry_host: registry_address.to_string(),
            store: format!("http://{store_address}"),
            secrets,
            tasks,
        };
        Ok((world, place))
    }
}

impl World {
    /// The pipeline's definition at the commit of a release.
    pub fn pipeline(&self, number: u64, options: &[&str]) -> String {
        let (_, text) = REPOSITORY_FILES.iter().find(|(path, _)| path.ends_with("pipeline.toml")).expect("it is there");
        let options: String = options.iter().map(|option| format!(", \"{option}\"")).collect();
        let release = format!("\"--release\", \"{number}\"{options}");
        text.replace("\"--release\", \"1\"", &release).replace("127.0.0.1:5000", &self.registry_host)
    }
}

/// Makes the project's folder, which nobody has used before: what is kept tells of one story.
fn make_folder(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => CliError::Usage(format!(
            "{} exists already; name a folder that does not, or none for a new one in the system's temporary folder",
            folder.display()
        )),
        _ => CliError::Failed { what: format!("cannot make the folder {}", folder.display()), source: source.into() },
    })
}

async fn serve(router: Router, tasks: &Tasks) -> Result<SocketAddr, CliError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed("cannot listen"))?;
    let address = listener.local_addr().map_err(failed("cannot listen"))?;
    let serving = api::serve(listener, router, tasks.stopping());
    tasks.spawn(async move {
        // It ends with the demo, and without an error.
        let _ = serving.await;
    });
    Ok(address)
}

/// A port that nobody has, and that nobody is given who asks for any: the project must come back to it after a crash.
async fn free_port() -> Result<SocketAddr, CliError> {
    for _ in 0..PORT_TRIES_MAX {
        // An id's last bits are random.
        let chance = Uuid::now_v7().as_u128() % u128::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(chance).expect("it is less than the number of ports");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return listener.local_addr().map_err(failed("cannot find a free port"));
        }
    }
    Err(failed("cannot find a free port")(std::io::Error::other(format!("{PORT_TRIES_MAX} of {PORTS:?} are taken"))))
}

/// What the example names as it would stand on a server is this binary here.
fn write_project(folder: &Path, addresses: &[(&str, SocketAddr)]) -> Result<(), CliError> {
    let binary = std::env::current_exe().map_err(failed("cannot find this binary"))?;
    for (name, text) in FILES {
        let text = text.replace("/usr/local/bin/tidegate", &binary.display().to_string());
        let text = addresses.iter().fold(text, |text, (from, to)| text.replace(from, &to.to_string()));
        std::fs::write(folder.join(name), text).map_err(failed("cannot write the demo's project"))?;
    }
    Ok(())
}
