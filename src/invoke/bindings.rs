//! Bindings of the contract for functions (`wit/`), made by wasmtime.

wasmtime::component::bindgen!({
    path: "wit",
    inline: "
        package tidegate:host;

        world function {
            include tidegate:handler/handler@0.1.0;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:logging/logging@0.1.0-draft;
        }
    ",
    world: "tidegate:host/function",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "wasi:keyvalue/store.bucket": super::services::Bucket },
});
