//! What stands behind one running guest: its host, its WASI context, its limits.

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::requests::Outgoing;
use super::stdio::Stdio;
use crate::host::{Answer, Effect, EffectError, Host, HostFault};

/// Handles that a guest holds at once: buckets, requests, streams, pollables. Each may hold a buffer of the host's.
const HANDLES_MAX: usize = 1_000;

/// The data of a guest's store.
pub(super) struct Guest {
    pub(super) host: Host,
    pub(super) table: ResourceTable,
    pub(super) memory: Memory,
    pub(super) stdio: Stdio,
    /// Why the invocation must end, whatever the guest makes of it.
    stopped: Option<Stop>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
}

/// Ends an invocation from the host's side.
pub(super) enum Stop {
    /// The function asked for what it was not granted.
    NotPermitted(String),
    Fault(HostFault),
}

impl Guest {
    pub(super) fn new(host: Host) -> Self {
        let stdio = Stdio::new(&host);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(stdio.stdout()).stderr(stdio.stderr());
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Guest {
            memory: Memory { limit: host.call().function.limits.memory_bytes_max, ..Memory::default() },
            table,
            stopped: None,
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outgoing: Outgoing::new(&host),
            stdio,
            host,
        }
    }

    /// Performs an effect for the guest. A trap where the invocation must end.
    pub(super) async fn perform(&mut self, effect: Effect) -> wasmtime::Result<Answer> {
        match self.host.perform(effect).await {
            Ok(Answer::Failed(EffectError::NotPermitted(reason))) => {
                self.stopped = Some(Stop::NotPermitted(reason));
                Err(ended())
            }
            Ok(answer) => Ok(answer),
            Err(fault) => Err(self.stop(fault)),
        }
    }

    /// Ends the invocation for a fault that is no doing of its function.
    pub(super) fn stop(&mut self, fault: HostFault) -> wasmtime::Error {
        self.stopped = Some(Stop::Fault(fault));
        ended()
    }

    /// An error where the invocation must end, whatever the guest makes of what it was told.
    pub(super) fn go_on(&self) -> wasmtime::Result<()> {
        if self.is_stopped() { Err(ended()) } else { Ok(()) }
    }

    /// Whether the invocation must end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some() || self.outgoing.not_permitted.is_some()
    }

    pub(super) fn take_stop(&mut self) -> Option<Stop> {
        self.stopped.take().or_else(|| self.outgoing.not_permitted.take().map(Stop::NotPermitted))
    }
}

fn ended() -> wasmtime::Error {
    wasmtime::Error::msg("the host ended the invocation")
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

/// Holds linear memory, all memories together, under the function's limit.
#[derive(Debug, Default)]
pub(super) struct Memory {
    limit: u64,
    used: u64,
    pub(super) peak: u64,
    /// Whether the guest was denied memory: what follows is no surprise then.
    pub(super) denied: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.used + desired.saturating_sub(current) as u64;
        if grown > self.limit {
            self.denied = true;
            return Ok(false);
        }
        self.used = grown;
        self.peak = self.peak.max(grown);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, _desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The pool holds every table to its size.
        Ok(true)
    }
}
