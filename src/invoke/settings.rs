//! How wasmtime is set up: measured for short invocations, deterministic for replays.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

/// The longest that a guest runs before it yields to others; the ticker of epochs beats at this rate.
pub(super) const TICK: std::time::Duration = std::time::Duration::from_millis(10);
/// Call stack of a guest.
pub(super) const STACK_BYTES_MAX: usize = 512 * 1024;
/// Room for the guest's stack and that of host calls on it.
const ASYNC_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Entries of one table: function pointers of a guest. Interpreters of other languages have tens of thousands.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core modules in one component: the guest's own, adapters and shims.
const CORE_INSTANCES_MAX: u32 = 20;
/// Frames of a backtrace.
pub(super) const FRAMES_MAX: usize = 32;

/// Linear memory that a freed slot keeps, so that the next instance need not fault it in again.
const KEEP_BYTES: usize = 1024 * 1024;
/// The same where the kernel cannot say which pages were touched, so that all of it has to be cleared.
const KEEP_BYTES_BLIND: usize = 64 * 1024;

/// An engine whose pool holds `invocations_max` instances.
pub(super) fn engine(invocations_max: u32) -> wasmtime::Result<Engine> {
    with_pool(|pagemap_scan| config(invocations_max, pagemap_scan))
}

/// An engine for one guest at a time whose code can be held anywhere: eight times as large, four times as slow.
pub(super) fn debugging() -> wasmtime::Result<Engine> {
    with_pool(|pagemap_scan| {
        let mut config = config(1, pagemap_scan);
        config.guest_debug(true);
        config
    })
}

/// An engine for one guest at a time that leaves a core dump when it traps.
pub(super) fn dumping() -> wasmtime::Result<Engine> {
    with_pool(|pagemap_scan| {
        let mut config = config(1, pagemap_scan);
        config.coredump_on_trap(true);
        config
    })
}

/// With PAGEMAP_SCAN (Linux 6.7) where the kernel has it.
fn with_pool(config: impl Fn(bool) -> Config) -> wasmtime::Result<Engine> {
    Engine::new(&config(true)).or_else(|_| Engine::new(&config(false)))
}

fn config(invocations_max: u32, pagemap_scan: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Counts instructions: the same on every machine and in every run, which time is not.
        .consume_fuel(true)
        .memory_init_cow(true)
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES_MAX))
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(ASYNC_STACK_BYTES)
        // What a replay computes is what was computed, on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .allocation_strategy(pool(invocations_max, pagemap_scan));
    config
}

fn pool(invocations_max: u32, pagemap_scan: bool) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(invocations_max)
        .total_core_instances(invocations_max.saturating_mul(CORE_INSTANCES_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        // Nearly every component has one memory; a few have a second for an adapter.
        .max_memories_per_component(2)
        .total_memories(invocations_max.saturating_mul(2))
        .max_tables_per_component(CORE_INSTANCES_MAX)
        .total_tables(invocations_max.saturating_mul(4))
        .table_elements(TABLE_ELEMENTS_MAX)
        .total_stacks(invocations_max)
        .table_keep_resident(64 * 1024);
    match pagemap_scan {
        true => pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(KEEP_BYTES),
        false => pool.linear_memory_keep_resident(KEEP_BYTES_BLIND).decommit_batch_size(50),
    };
    pool
}
