//! The engine: component + event + host -> result. It knows wasmtime; nothing else does.
//!
//! Guests run on threads of their own. Every invocation has a fresh instance, which an epoch callback makes yield at each
//! tick and interrupts at its time limit. All that a guest asks goes through `Host::perform`.

mod base;
mod bindings;
mod cache;
mod convert;
pub mod debug;
mod failure;
mod guest;
mod imports;
mod link;
mod polls;
mod requests;
mod services;
mod settings;
mod stdio;
mod ticker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;
use wasmtime::component::Component;
use wasmtime::{Store, UpdateDeadline};

pub use imports::imports;

use crate::deployment::{Digest, Function, Limits};
use crate::event::{Accepted, Event};
use crate::host::{Host, HostFault, Trail};
use crate::outcome::{Failure, FailureKind};
use bindings::{FunctionPre, tidegate::handler::types as wit};
use cache::Cache;
use guest::{Guest, Stop};
use link::{GRANT_SETS, GrantSet, Linkers};
use ticker::Ticker;

/// Bytes that a guest may hand the host in one call, or return.
const HOSTCALL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Of a replay that goes by its instructions; the longest time limit is far shorter.
const REPLAY_TIME_MAX: Duration = Duration::from_secs(60 * 60);
/// Compiled components kept in memory; past it, those that nobody uses are let go.
const COMPILED_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Live instances at once; what bounds memory.
    pub invocations_max: u32,
    /// Where precompiled code is kept; none: compiled in memory at each start.
    pub cache: Option<PathBuf>,
    /// Threads that guests run on.
    pub threads: usize,
}

impl EngineSettings {
    /// Guests get as many threads as the machine has cores: waiting for a guest must not keep another from running.
    pub fn of_machine(invocations_max: u32, cache: Option<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        EngineSettings { invocations_max, cache, threads }
    }
}

/// Compiles components and runs invocations. Dropping it ends every invocation in flight.
pub struct Engine {
    wasm: wasmtime::Engine,
    linkers: Arc<Linkers>,
    cache: Option<Arc<Cache>>,
    compiled: DashMap<Digest, Arc<OnceCell<Compiled>>>,
    invocations_max: usize,
    /// Places for live instances, as many as the pool has.
    places: Arc<Semaphore>,
    /// Always there until the engine is dropped.
    guests: Option<Runtime>,
    ticker: Ticker,
}

/// A compiled component, ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub struct Compiled {
    pub digest: Digest,
    pub imports: Arc<[String]>,
    code: Arc<Code>,
}

struct Code {
    component: Component,
    /// Linked for each set of grants when first wanted.
    linked: [OnceLock<FunctionPre<Guest>>; GRANT_SETS],
    /// Whether it ran since it was compiled or loaded.
    warm: AtomicBool,
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
    pub used: Used,
    /// Whether this was the first run since the component was compiled or loaded.
    pub cold: bool,
}

/// What an attempt took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub duration: Duration,
    /// WebAssembly instructions, about: the same for the same code on the same input.
    pub instructions: u64,
    pub memory_peak_bytes: u64,
}

impl Engine {
    pub fn new(settings: EngineSettings) -> Result<Engine, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(error.into());
        let wasm = settings::engine(settings.invocations_max).map_err(setup)?;
        let guests = tokio::runtime::Builder::new_multi_thread()
            .thread_name("guest")
            .worker_threads(settings.threads.max(1))
            // A guest holds its thread for a whole tick, so what is new or ready must be looked for after each.
            .global_queue_interval(1)
            .event_interval(1)
            .enable_all()
            .build()
            .map_err(|error| EngineError::Setup(error.into()))?;
        let ticker = Ticker::start(wasm.clone()).map_err(|error| EngineError::Setup(error.into()))?;
        Ok(Engine {
            wasm,
            linkers: Arc::default(),
            cache: settings.cache.and_then(|folder| Cache::open(&folder)).map(Arc::new),
            compiled: DashMap::new(),
            invocations_max: settings.invocations_max as usize,
            places: Arc::new(Semaphore::new(settings.invocations_max as usize)),
            guests: Some(guests),
            ticker,
        })
    }

    /// Live instances at once.
    pub fn invocations_max(&self) -> usize {
        self.invocations_max
    }

    /// A component that was compiled before.
    pub fn compiled(&self, digest: Digest) -> Option<Compiled> {
        self.compiled.get(&digest)?.get().cloned()
    }

    /// Compiles, or takes from the cache. `bytes` must have `digest`. Two callers compile once.
    pub async fn compile(&self, digest: Digest, bytes: Bytes) -> Result<Compiled, EngineError> {
        if self.compiled.len() >= COMPILED_MAX {
            self.compiled.retain(|_, cell| cell.get().is_none_or(|compiled| Arc::strong_count(&compiled.code) > 1));
        }
        let cell = self.compiled.entry(digest).or_default().clone();
        let compiled = cell.get_or_try_init(|| async {
            let (wasm, cache, linkers) = (self.wasm.clone(), self.cache.clone(), self.linkers.clone());
            let compile = move || compile(&wasm, cache.as_deref(), &linkers, digest, &bytes);
            tokio::task::spawn_blocking(compile).await.expect("the compiler does not panic")
        });
        compiled.await.cloned()
    }

    /// Whether the component runs with the function's grants; else the import that it was not granted.
    pub fn check_link(&self, compiled: &Compiled, function: &Function) -> Result<(), EngineError> {
        compiled.link(&self.wasm, &self.linkers, GrantSet::of(function)).map(drop)
    }

    /// Runs one attempt of the host's function. Dropping the future ends the guest.
    pub async fn invoke(&self, compiled: &Compiled, event: &Accepted, host: Host) -> Result<Invoked, HostFault> {
        let function = &host.call().function;
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let cold = !compiled.code.warm.swap(true, Ordering::Relaxed);
        let linked = match compiled.link(&self.wasm, &self.linkers, GrantSet::of(function)) {
            Ok(linked) => linked.clone(),
            Err(error) => {
                let result = Err(Failure::new(FailureKind::NotPermitted, error.to_string()));
                return Ok(Invoked { result, trail: host.into_trail(), used: Used::default(), cold });
            }
        };
        let (event, limits) = (convert::to_guest(event), function.limits.clone());
        let guests = self.guests.as_ref().expect("the engine is not dropped");
        let beating = self.ticker.beating();
        let run = guests.spawn(async move {
            let invoked = run(linked, &limits, event, host, cold).await;
            // The instance is gone: its place in the pool is free.
            drop((place, beating));
            invoked
        });
        AbortOnDrop(run).await.map_err(|error| HostFault::Engine(error.into()))?
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for guests here would block whoever drops the engine, who may be a task.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

impl Compiled {
    fn link(
        &self,
        wasm: &wasmtime::Engine,
        linkers: &Linkers,
        grants: GrantSet,
    ) -> Result<&FunctionPre<Guest>, EngineError> {
        let slot = &self.code.linked[grants.index()];
        if let Some(linked) = slot.get() {
            return Ok(linked);
        }
        let digest = self.digest;
        if let Some((import, grant)) = grants.missing(&self.imports) {
            let reason = format!("it imports {import}, which the function was not granted; see {grant}");
            return Err(EngineError::Link { digest, reason });
        }
        let pre = linkers.get(wasm, grants).instantiate_pre(&self.code.component);
        let pre = pre.map_err(|error| EngineError::Link { digest, reason: format!("{error:#}") })?;
        let pre = FunctionPre::new(pre).map_err(|_| EngineError::NoHandle { digest })?;
        Ok(slot.get_or_init(|| pre))
    }
}

fn compile(
    wasm: &wasmtime::Engine,
    cache: Option<&Cache>,
    linkers: &Linkers,
    digest: Digest,
    bytes: &[u8],
) -> Result<Compiled, EngineError> {
    let error = |source: Box<dyn std::error::Error + Send + Sync>| EngineError::Compile { digest, source };
    let found = Digest::of(bytes);
    if found != digest {
        return Err(error(format!("its bytes have the digest {found}").into()));
    }
    let imports = imports(bytes).map_err(|reason| error(reason.into()))?;
    let component = match cache.and_then(|cache| cache.load(wasm, digest)) {
        Some(component) => component,
        None => {
            let component = Component::new(wasm, bytes).map_err(|source| error(format!("{source:#}").into()))?;
            if let Some(cache) = cache {
                cache.store(wasm, digest, &component);
            }
            component
        }
    };
    let code = Code { component, linked: Default::default(), warm: AtomicBool::new(false) };
    let compiled = Compiled { digest, imports: imports.into(), code: Arc::new(code) };
    // What no grant could link, and what is no handler, is known now and not at the first event.
    compiled.link(wasm, linkers, GrantSet::ALL)?;
    Ok(compiled)
}

/// Runs one guest to its end. Its instance is gone when this returns.
async fn run(
    linked: FunctionPre<Guest>,
    limits: &Limits,
    event: wit::Event,
    host: Host,
    cold: bool,
) -> Result<Invoked, HostFault> {
    let started = Instant::now();
    let instructions_max = host.instructions_max();
    // Of a run that is bounded by its instructions, the time says how fast this machine is: it only keeps one from hanging.
    let time_max = if instructions_max.is_some() { REPLAY_TIME_MAX } else { limits.time_max.min(REPLAY_TIME_MAX) };
    let deadline = started + time_max;
    let fuel = instructions_max.unwrap_or(u64::MAX);
    let mut store = store(linked.engine(), host.clone(), fuel);
    store.epoch_deadline_callback(move |context| match Instant::now() >= deadline || context.data().is_stopped() {
        true => Ok(UpdateDeadline::Interrupt),
        false => Ok(UpdateDeadline::Yield(1)),
    });
    let call = async {
        let instance = linked.instantiate_async(&mut store).await?;
        instance.call_handle(&mut store, &event).await
    };
    // The epoch ends a guest that computes; this ends one that waits.
    let returned = tokio::time::timeout_at(deadline.into(), call).await;
    let duration = started.elapsed();
    let instructions = fuel - store.get_fuel().expect("the engine counts instructions");
    let guest = store.data_mut();
    guest.stdio.finish();
    let used = Used { duration, instructions, memory_peak_bytes: guest.memory.peak };
    let result = result(guest, limits, returned.ok())?;
    drop(store);
    Ok(Invoked { result, trail: host.into_trail(), used, cold })
}

/// A store for one invocation, held to what a guest may have. `fuel`: instructions that it may run.
fn store(wasm: &wasmtime::Engine, host: Host, fuel: u64) -> Store<Guest> {
    let mut store = Store::new(wasm, Guest::new(host));
    store.limiter(|guest| &mut guest.memory);
    store.set_hostcall_fuel(HOSTCALL_BYTES_MAX);
    store.set_fuel(fuel).expect("the engine counts instructions");
    store.set_epoch_deadline(1);
    store
}

/// What an invocation came to, from what the call came to; none: its time was over.
fn result(
    guest: &mut Guest,
    limits: &Limits,
    returned: Option<wasmtime::Result<Result<Vec<wit::Event>, wit::Failure>>>,
) -> Result<Result<Vec<Event>, Failure>, HostFault> {
    match (guest.take_stop(), returned) {
        (Some(Stop::Fault(fault)), _) => Err(fault),
        (Some(Stop::NotPermitted(reason)), _) => Ok(Err(Failure::new(FailureKind::NotPermitted, reason))),
        (None, None) => Ok(Err(Failure::timed_out(limits.time_max))),
        (None, Some(Ok(returned))) => Ok(convert::from_guest(returned)),
        (None, Some(Err(error)))
            if error.is::<wasmtime::PoolConcurrencyLimitError>() || error.is::<std::io::Error>() =>
        {
            Err(HostFault::Engine(error.into()))
        }
        (None, Some(Err(error))) => Ok(Err(failure::of(&error, guest, limits))),
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

/// Bytes as an author writes them in the project file.
fn describe_bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
