//! Where an invocation spends its time, as a profile that profiler.firefox.com shows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::{GuestProfiler, Store, StoreContextMut, UpdateDeadline};

use super::super::guest::Guest;
use super::super::link::{GrantSet, Linkers};
use super::super::ticker::Ticker;
use super::super::{convert, settings};
use super::DebugError;
use crate::deployment::Digest;
use crate::event::Accepted;
use crate::host::Host;

/// A sample of the stack is taken this often.
const INTERVAL: Duration = Duration::from_micros(500);
/// Most invocations take less time than a sample: it is run again until there is something to see.
const TIME_MIN: Duration = Duration::from_secs(1);
const RUNS_MAX: usize = 20_000;

/// Runs the invocation, a short one many times, each with a host that `make_host` makes, and answers Firefox's JSON.
pub async fn profile(component: &[u8], event: &Accepted, make_host: impl Fn() -> Host) -> Result<Vec<u8>, DebugError> {
    let setup = |error: wasmtime::Error| DebugError::Setup(error.into());
    let wasm = settings::engine(1).map_err(setup)?;
    let linkers = Linkers::default();
    let compiled = super::super::compile(&wasm, None, &linkers, Digest::of(component), component)?;
    let host = make_host();
    let linked = compiled.link(&wasm, &linkers, GrantSet::of(&host.call().function))?;
    let name = host.call().function.name.as_str();
    let profiler = GuestProfiler::new_component(&wasm, name, INTERVAL, compiled.code.component.clone(), []);
    let profiler = Arc::new(Mutex::new(profiler.map_err(setup)?));
    let ticker = Ticker::start_every(wasm.clone(), INTERVAL).map_err(|error| DebugError::Setup(error.into()))?;
    let _beating = ticker.beating();
    let event = convert::to_guest(event);
    let started = Instant::now();
    for _ in 0..RUNS_MAX {
        let host = make_host();
        let mut store = super::super::store(&wasm, host.clone(), u64::MAX);
        let sampler = profiler.clone();
        limit(&mut store, &host, move |context| {
            sampler.lock().unwrap_or_else(PoisonError::into_inner).sample(context, Duration::ZERO);
        });
        // How it ends is not asked: a trap is at the end of its samples.
        if let Ok(instance) = linked.instantiate_async(&mut store).await {
            let _ = instance.call_handle(&mut store, &event).await;
        }
        if started.elapsed() >= TIME_MIN {
            break;
        }
    }
    let profiler = Arc::into_inner(profiler).expect("the stores are gone");
    let mut json = Vec::new();
    profiler.into_inner().unwrap_or_else(PoisonError::into_inner).finish(&mut json).map_err(setup)?;
    Ok(json)
}

/// Holds a guest to its function's time, and has it sampled at each tick.
pub(super) fn limit(
    store: &mut Store<Guest>,
    host: &Host,
    sample: impl Fn(&StoreContextMut<'_, Guest>) + Send + Sync + 'static,
) {
    let deadline = Instant::now() + host.call().function.limits.time_max.min(super::super::REPLAY_TIME_MAX);
    store.epoch_deadline_callback(move |context| {
        sample(&context);
        match Instant::now() >= deadline || context.data().is_stopped() {
            true => Ok(UpdateDeadline::Interrupt),
            false => Ok(UpdateDeadline::Yield(1)),
        }
    });
}
