//! Bindings of the contract for functions (`wit/`), made by wasmtime.

wasmtime::component::bindgen!({
    path: "wit",
    world: "tidegate:handler/function",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "wasi:keyvalue/store.bucket": super::services::Bucket },
});
