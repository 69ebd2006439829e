//! Bindings of the contract for functions (`wit/`), made by wasmtime.

wasmtime::component::bindgen!({
    path: "wit",
    world: "tidegate:handler/function",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "wasi:keyvalue/store.bucket": super::services::Bucket },
});

/// A package of its own, so that the handler's stays as it is.
pub mod statistics {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "tidegate:statistics/imports",
        imports: { default: async | trappable },
    });
}
