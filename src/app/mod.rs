//! Putting it together: a project's folder becomes a running process, and the process ends without losing anything.

mod active;
mod deployer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, RwLock, mpsc, watch};

use active::Following;
pub use deployer::{Deployed, Deployer};

use crate::api::{self, Access, AccessError, ApiState, Bodies, DeployError, Doors};
use crate::blob::{self, Blobs, FolderBlobs, S3Blobs};
use crate::bus::embedded::{Embedded, OpenError, Settings};
use crate::bus::{Bus, BusError, Cause};
use crate::clock::Clock;
use crate::components::{ComponentError, Components};
use crate::deployment::{BlobSettings, BusSettings, Manifest, PROJECT_FILE, Sources};
use crate::dispatch::Path;
use crate::host::World;
use crate::invoke::{Engine, EngineError, EngineSettings};
use crate::native::Natives;
use crate::process::Runner;
use crate::project::{Folder, Project, blobs_folder, cache_folder};
use crate::reconcile::Reconciler;
use crate::record::Guests;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::trigger::{Notices, TriggerError};

/// Live instances at once, over all functions, unless `[limits] invocations_max` says otherwise.
const INVOCATIONS_MAX: u32 = 256;
/// How long a stopping process waits for invocations; what is cut off then is delivered again at the next start.
const GRACE: Duration = Duration::from_secs(30);

/// A running project.
pub struct App {
    /// Where webhooks are taken.
    pub hooks: SocketAddr,
    /// Where everything else is answered.
    pub api: SocketAddr,
    bus: Arc<Embedded>,
    blobs: Arc<dyn Blobs>,
    tasks: Tasks,
    failures: mpsc::Receiver<AppError>,
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("environment variables of {PROJECT_FILE} are not set: {}; set them and start again", .0.join(", "))]
    Unset(Vec<String>),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("cannot make {}", .folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Blobs(#[from] blob::OpenError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error("cannot listen on {address} for {what}; if another server is there, change `[listen]` in tidegate.toml")]
    Listen {
        what: &'static str,
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the log failed ({reason}); what was accepted is on disk and is taken up at the next start")]
    LogFailed { reason: String },
    #[error("the disk of the blobs failed ({reason}); what was accepted is on disk and is taken up at the next start")]
    BlobsFailed { reason: String },
    #[error(
        "a task of the runtime panicked, as the log tells; what was in flight is delivered again at the next start"
    )]
    Panicked,
    #[error("a listener ended")]
    Door {
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    #[error("invocations were cut off after {} s; they are delivered again at the next start", GRACE.as_secs())]
    CutOff,
}

impl App {
    /// Opens the project's log, activates its file if that is new, and starts to serve.
    pub async fn spawn(project: &Project, clock: Clock, metrics: Metrics) -> Result<App, AppError> {
        let manifest = &project.manifest;
        let folder = Folder { root: project.folder.clone() };
        let unset = manifest.unset_variables(&folder);
        if !unset.is_empty() {
            return Err(AppError::Unset(unset));
        }
        let access = Access::resolve(&manifest.listen.tokens, &|name| folder.env(name))?;
        // First: another process on this project has its ports too, and is the reason that counts.
        let parts = Parts::open(project, clock, metrics).await?;
        // Before anything is changed: a port that is taken ends the start.
        let (hooks_listener, hooks) = listen("webhooks", manifest.listen.hooks).await?;
        let (api_listener, api) = listen("the API", manifest.listen.api).await?;

        let deployer = parts.deploy(manifest, &folder).await?;
        let tasks = Tasks::new();
        let path = Arc::new(parts.path(project, &tasks)?);
        let (webhooks, webhooks_seen) = watch::channel(Arc::default());
        let (ended, failures) = mpsc::channel(1);
        let notices = Notices::default();
        let history = parts.bus.clone();
        let following = Following::start(path, webhooks, history, notices.clone(), ended.clone(), tasks.clone());
        tasks.spawn(following.run());

        let Parts { bus, blobs, clock, metrics, .. } = parts;
        let state = Arc::new(ApiState {
            project: manifest.project.clone(),
            bus: Some(bus.clone()),
            history: bus.clone(),
            blobs: blobs.clone(),
            deployer: Some(deployer),
            clock,
            metrics,
            webhooks: webhooks_seen,
            notices,
            doors: Doors { hooks, api, names: manifest.listen.names.clone(), access },
            bodies: Bodies::default(),
            shutdown: tasks.stopping(),
        });
        open_door(hooks_listener, api::hooks(state.clone()), &ended, &tasks);
        open_door(api_listener, api::api(state), &ended, &tasks);
        Ok(App { hooks, api, bus, blobs, tasks, failures })
    }

    /// How long `stop` waits for invocations.
    pub fn grace() -> Duration {
        GRACE
    }

    /// The project's log, for whoever works in this process.
    pub fn bus(&self) -> &Arc<Embedded> {
        &self.bus
    }

    /// Resolves if what must run for ever ended: a door, a trigger, the log itself or the blobs. Stop then. Cancel-safe.
    pub async fn failed(&mut self) -> AppError {
        // All are cancel-safe: three read a state, one takes a message or nothing.
        tokio::select! {
            reason = self.bus.failed() => AppError::LogFailed { reason },
            reason = self.blobs.failed() => AppError::BlobsFailed { reason },
            Some(failure) = self.failures.recv() => failure,
            () = self.tasks.panicked() => AppError::Panicked,
        }
    }

    /// Stops intake, lets invocations finish, and closes the log.
    pub async fn stop(self) -> Result<(), AppError> {
        self.tasks.stop();
        let finished = self.tasks.finished(GRACE).await;
        self.bus.close().await?;
        if finished { Ok(()) } else { Err(AppError::CutOff) }
    }
}

/// What a process is made of before anything of it runs.
struct Parts {
    bus: Arc<Embedded>,
    blobs: Arc<dyn Blobs>,
    components: Components,
    clock: Clock,
    metrics: Metrics,
}

impl Parts {
    async fn open(project: &Project, clock: Clock, metrics: Metrics) -> Result<Self, AppError> {
        let state = project.state_folder();
        let blobs = open_blobs(project).await?;
        let disk_bytes_max = match project.manifest.bus {
            BusSettings::Embedded { disk_bytes_max } => disk_bytes_max,
            BusSettings::Nats { .. } => None,
        };
        let retention = project.manifest.retention.clone();
        let settings = Settings { metrics: metrics.clone(), retention, disk_bytes_max, ..Settings::default() };
        let bus = Arc::new(Embedded::open(&state, blobs.clone(), clock.clone(), settings)?);
        let invocations_max = project.manifest.limits.invocations_max.unwrap_or(INVOCATIONS_MAX);
        let cache = cache_folder().unwrap_or_else(|| state.join("compiled"));
        let engine = Engine::new(EngineSettings::of_machine(invocations_max, Some(cache)))?;
        let components = Components::new(Arc::new(engine), blobs.clone());
        Ok(Parts { bus, blobs, components, clock, metrics })
    }

    /// Activates the project file if it is new, and has all ready that what is active needs.
    async fn deploy(&self, manifest: &Manifest, folder: &Folder) -> Result<Arc<Deployer>, AppError> {
        let deployer = Deployer {
            bus: self.bus.clone(),
            history: self.bus.clone(),
            components: self.components.clone(),
            turn: Mutex::default(),
        };
        deployer.apply(manifest, folder, Cause::ProjectFile).await?;
        let active = self.bus.active().borrow().clone();
        if let Some(active) = active {
            // After a restart nothing was activated, and no event should wait for a compiler.
            self.components.prepare(&active).await?;
            // What was rolled back to may need a variable that the file no longer names.
            deployer::check_secrets(&active)?;
        }
        Ok(Arc::new(deployer))
    }

    /// What delivers events, with what the runtime does itself.
    fn path(&self, project: &Project, tasks: &Tasks) -> Result<Path, AppError> {
        let work = project.state_folder().join("work");
        let runner = Runner::open(work.clone(), self.blobs.clone(), tasks.stopping());
        let runner = runner.map_err(|source| AppError::Folder { folder: work, source })?;
        let reconciler = Reconciler {
            bus: self.bus.clone(),
            history: self.bus.clone(),
            components: self.components.clone(),
            env: Arc::new(env),
            clock: self.clock.clone(),
            time_max: crate::reconcile::TIME_MAX,
        };
        let world = World::new(self.bus.clone(), self.bus.clone(), self.clock.clone(), Arc::new(env));
        Ok(Path {
            bus: self.bus.clone(),
            guests: Arc::new(Guests { components: self.components.clone(), world: Arc::new(world) }),
            natives: Arc::new(Natives { process: Arc::new(runner), reconcile: Arc::new(reconciler) }),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            process: RwLock::default(),
        })
    }
}

/// Serves a listener until the process stops; one that ends before that ends the process.
fn open_door(listener: TcpListener, router: Router, ended: &mpsc::Sender<AppError>, tasks: &Tasks) {
    let (ended, serving) = (ended.clone(), api::serve(listener, router, tasks.stopping()));
    tasks.spawn(async move {
        if let Err(source) = serving.await {
            // Another failure may be told first; one is enough to stop the process.
            let _ = ended.try_send(AppError::Door { source });
        }
    });
}

/// The store that the project file names; one that cannot be used ends the start.
async fn open_blobs(project: &Project) -> Result<Arc<dyn Blobs>, AppError> {
    match &project.manifest.blob {
        BlobSettings::Folder => {
            let folder = blobs_folder(&project.folder);
            let opened = FolderBlobs::open(folder.clone()).map_err(|source| AppError::Folder { folder, source });
            Ok(Arc::new(opened?))
        }
        BlobSettings::S3(store) => Ok(Arc::new(S3Blobs::open(store, &env).await?)),
    }
}

/// This process's environment, where secrets are.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |source| AppError::Listen { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
