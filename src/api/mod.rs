//! HTTP: the two doors of a running project, and the JSON that they speak.
//!
//! `hooks` serves the paths of triggers and nothing else; `api` serves everything else, to people and their tools. Both
//! stand on the same state. For a stopped project `api` answers in process from its files: then there is no bus, and what
//! would write answers 503.

mod answer;
mod blobs;
mod deploy;
mod door;
pub mod effects;
mod error;
mod events;
mod explain;
mod find;
mod hooks;
mod judge;
mod letters;
pub mod model;
mod path;
mod reads;
mod recordings;
mod refused;
mod replays;
mod route;
mod serve;
mod state;
mod status;
mod trace;
mod unknown;
mod view;
mod why_not;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use answer::Bodies;
pub use deploy::{DeployError, Deployer, ProjectFiles};
pub use door::{Access, AccessError, Doors, LOCAL};
pub use effects::effect_view;
pub use error::ApiError;
pub use explain::explain;
pub use find::find;
pub use hooks::{WebhookError, Webhooks, hooks};
pub use route::api;
pub use serve::serve;
pub use trace::trace;

use crate::blob::Blobs;
use crate::bus::{Bus, History};
use crate::clock::Clock;
use crate::telemetry::Metrics;
use crate::trigger::Notices;

/// What both listeners answer from.
pub struct ApiState {
    pub project: String,
    /// None: the project is stopped and only read.
    pub bus: Option<Arc<dyn Bus>>,
    pub history: Arc<dyn History>,
    pub blobs: Arc<dyn Blobs>,
    /// None: nothing can be deployed.
    pub deployer: Option<Arc<dyn Deployer>>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Those of the active deployment; whoever activates another one sends the new ones.
    pub webhooks: watch::Receiver<Arc<Webhooks>>,
    /// Where triggers hear of objects that a webhook brought notice of.
    pub notices: Notices,
    pub doors: Doors,
    /// Memory for request bodies, of both listeners together.
    pub bodies: Bodies,
    /// Ends answers that wait: followed events, traces that are not settled.
    pub shutdown: CancellationToken,
}

impl ApiState {
    /// For reading a stopped project in process, as its local operator.
    pub fn stopped(project: String, history: Arc<dyn History>, blobs: Arc<dyn Blobs>) -> Self {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        ApiState {
            project,
            bus: None,
            history,
            blobs,
            deployer: None,
            clock: Clock::system(),
            metrics: Metrics::new(),
            webhooks: watch::channel(Arc::default()).1,
            notices: Notices::default(),
            doors: Doors { hooks: nowhere, api: nowhere, names: Vec::new(), access: Access::default() },
            bodies: Bodies::default(),
            shutdown: CancellationToken::new(),
        }
    }

    fn bus(&self) -> Result<&Arc<dyn Bus>, ApiError> {
        let stopped = || ApiError::Unavailable("the project is stopped; start it with `tidegate up`".to_owned());
        self.bus.as_ref().ok_or_else(stopped)
    }
}

#[cfg(test)]
mod tests;
