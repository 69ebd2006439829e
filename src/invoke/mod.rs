//! The engine: component + event + host -> outcome. It knows wasmtime; nothing else does.
//!
//! Guests run on threads of their own. Every invocation has a fresh instance, which an epoch callback makes yield at each
//! tick and interrupts at its time limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::deployment::{Digest, Function};
use crate::event::{Accepted, Event};
use crate::host::{Host, HostFault, Trail};
use crate::outcome::Failure;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Live instances at once; what bounds memory.
    pub invocations_max: u32,
    /// Where precompiled code is kept; none: compiled in memory at each start.
    pub cache: Option<PathBuf>,
    /// Threads that guests run on.
    pub threads: usize,
}

pub struct Engine {}

/// A compiled component, ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub struct Compiled {
    pub digest: Digest,
    pub imports: Arc<[String]>,
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot set up the engine")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("component {digest} does not compile")]
    Compile {
        digest: Digest,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("component {digest} cannot be linked: {reason}")]
    Link { digest: Digest, reason: String },
    #[error(
        "component {digest} does not export `handle` of tidegate:handler@0.1.0; build it with the SDK of this version"
    )]
    NoHandle { digest: Digest },
}

/// What one attempt was.
pub struct Invoked {
    /// The events as the guest returned them, or why there are none.
    pub result: Result<Vec<Event>, Failure>,
    pub trail: Trail,
    pub duration: Duration,
    pub memory_peak_bytes: u64,
    /// Whether the component had to be compiled or loaded first.
    pub cold: bool,
}

impl Engine {
    pub fn new(_settings: EngineSettings) -> Result<Engine, EngineError> {
        todo!()
    }

    /// Compiles, or takes from the cache. `bytes` must have `digest`.
    pub async fn compile(&self, _digest: Digest, _bytes: Bytes) -> Result<Compiled, EngineError> {
        todo!()
    }

    /// Runs one attempt.
    pub async fn invoke(
        &self,
        _compiled: &Compiled,
        _function: &Function,
        _event: &Accepted,
        _host: Host,
    ) -> Result<Invoked, HostFault> {
        todo!()
    }
}

/// Full names of what a component imports. Executes nothing and compiles nothing.
pub fn imports(_component: &[u8]) -> Result<Vec<String>, String> {
    todo!()
}
