//! A core dump of an invocation that traps, in the form of WebAssembly's tools.

use wasmtime::WasmCoreDump;

use super::super::link::{GrantSet, Linkers};
use super::super::ticker::Ticker;
use super::super::{convert, settings};
use super::DebugError;
use crate::deployment::Digest;
use crate::event::Accepted;
use crate::host::{Host, HostFault};

/// Runs the invocation and answers the core dump of its trap. None: it did not trap.
pub async fn coredump(component: &[u8], event: &Accepted, host: Host) -> Result<Option<Vec<u8>>, DebugError> {
    let wasm = settings::dumping().map_err(|error| DebugError::Setup(error.into()))?;
    let ticker = Ticker::start(wasm.clone()).map_err(|error| DebugError::Setup(error.into()))?;
    let linkers = Linkers::default();
    let compiled = super::super::compile(&wasm, None, &linkers, Digest::of(component), component)?;
    let linked = compiled.link(&wasm, &linkers, GrantSet::of(&host.call().function))?;
    let name = host.call().function.name.to_string();
    let _beating = ticker.beating();
    let mut store = super::super::store(&wasm, host.clone(), u64::MAX);
    super::profile::limit(&mut store, &host, |_| {});
    let event = convert::to_guest(event);
    let called = async {
        let instance = linked.instantiate_async(&mut store).await?;
        instance.call_handle(&mut store, &event).await
    };
    match called.await {
        Ok(_) => Ok(None),
        // The host ended it: for want of an answer, or of a grant.
        Err(_) if store.data().is_stopped() => Ok(None),
        Err(error) => match error.downcast_ref::<WasmCoreDump>() {
            Some(dump) => Ok(Some(dump.serialize(&mut store, &name))),
            None => Err(HostFault::Engine(error.into()).into()),
        },
    }
}
