//! The engine: compiling, linking, caching, and guests side by side.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::testing::{Stage, compiled, engine, guests};
use super::*;
use crate::deployment::Grants;

fn error(result: Result<Compiled, EngineError>) -> String {
    let error = result.err().expect("it is refused");
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

async fn check_refused(bytes: &'static [u8], names: &str) {
    let refused = error(engine().compile(Digest::of(bytes), Bytes::from_static(bytes)).await);
    assert!(refused.contains(names), "{refused:?} does not name {names:?}");
}

#[tokio::test]
async fn what_is_no_component_is_refused_by_what_it_is() {
    check_refused(b"not wasm", "no WebAssembly component").await;
    check_refused(b"\0asm\x01\0\0\0", "core module").await;
    check_refused(b"\0asm\x0d\0\x01\0", "does not export `handle`").await;
    let other = error(engine().compile(Digest::of(b"other"), Bytes::from_static(guests::hostile())).await);
    assert!(other.contains("its bytes have the digest sha256:"), "{other}");
}

#[test]
fn imports_are_named_without_compiling() {
    let names = imports(guests::hostile()).unwrap();
    for import in
        ["wasi:keyvalue/store@0.2.0-draft", "wasi:config/store@0.2.0-rc.1", "wasi:logging/logging@0.1.0-draft"]
    {
        assert!(names.iter().any(|name| name == import), "{import} in {names:?}");
    }
    assert!(imports(b"\0asm\x01\0\0\0").unwrap_err().contains("wasm32-wasip2"));
}

#[tokio::test]
async fn an_import_that_was_not_granted_is_refused_by_name() {
    type Change = fn(&mut Function);
    let cases: [(Change, &str); 4] = [
        (
            |function| (function.grants.keyvalue_read, function.grants.keyvalue_write) = Default::default(),
            "wasi:keyvalue/",
        ),
        (|function| function.config.clear(), "wasi:config/store"),
        (|function| function.grants.logging = false, "wasi:logging/logging"),
        (|function| function.grants.http.clear(), "wasi:http/"),
    ];
    let compiled = compiled(guests::hostile()).await;
    for (change, import) in cases {
        let stage = Stage::new().with(|stage| change(&mut stage.function));
        let refused = engine().check_link(&compiled, &stage.function).unwrap_err();
        assert!(matches!(&refused, EngineError::Link { reason, .. } if reason.contains(import)), "{refused}");
        let failure = stage.invoke("test.echo", "").await.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotPermitted);
        assert!(failure.reason.contains(import), "{failure:?}");
    }
    assert!(engine().check_link(&compiled, &Stage::new().function).is_ok());
}

#[tokio::test]
async fn statistics_are_linked_only_where_they_were_granted() {
    let compiled = compiled(guests::counting()).await;
    let import = "tidegate:statistics/statistics@0.1.0";
    assert!(compiled.imports.iter().any(|name| name == import), "{:?}", compiled.imports);
    let mut function = Stage::new().function;
    engine().check_link(&compiled, &function).unwrap();
    function.grants.statistics.clear();
    let refused = engine().check_link(&compiled, &function).unwrap_err();
    assert!(matches!(&refused, EngineError::Link { reason, .. } if reason.contains(import)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn looping_guests_do_not_hold_up_another() {
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..8 {
        loops.spawn(async {
            let stage = Stage::new().with(|stage| stage.function.limits.time_max = Duration::from_secs(600));
            stage.invoke("test.loop", "").await;
        });
    }
    for round in 0..20 {
        let invoked = Stage::new().invoke("test.count", "key").await;
        assert!(invoked.result.is_ok(), "round {round}: {:?}", invoked.result);
        assert!(loops.try_join_next().is_none(), "a loop has ended before round {round}");
    }
    // Dropping what waits for a guest ends the guest: its place is free for others.
    loops.shutdown().await;
    while engine().places.available_permits() < 24 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_told_and_the_first_run_is_cold() {
    let engine = Engine::new(EngineSettings { invocations_max: 2, cache: None, threads: 1 }).unwrap();
    let bytes = guests::handler_0_1_0();
    let compiled = engine.compile(Digest::of(bytes), Bytes::from_static(bytes)).await.unwrap();
    let stage = Stage::new();
    for cold in [true, false] {
        let delivery = stage.delivery("test.echo", "");
        let host = Host::live(stage.world(), &delivery);
        let invoked = engine.invoke(&compiled, &delivery.event, host).await.unwrap();
        assert_eq!(invoked.cold, cold);
        assert!((65_536..64 << 20).contains(&invoked.used.memory_peak_bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_callers_compile_once() {
    let bytes = guests::handler_0_1_0();
    let compile = || engine().compile(Digest::of(bytes), Bytes::from_static(bytes));
    let (first, second) = tokio::join!(compile(), compile());
    assert!(Arc::ptr_eq(&first.unwrap().code, &second.unwrap().code));
}

/// Files of precompiled code, with their bytes.
fn cached(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code = entries.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
    code.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn code_is_taken_from_the_cache_unless_it_was_touched() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let wasm = settings::engine(1).unwrap();
    let bytes = guests::handler_0_1_0();
    let digest = Digest::of(bytes);
    let cache = Cache::open(&folder).unwrap();
    assert!(cache.load(&wasm, digest).is_none());
    compile(&wasm, Some(&cache), &Linkers::default(), digest, bytes).unwrap();
    assert!(cache.load(&wasm, digest).is_some());
    assert!(Cache::open(&folder).unwrap().load(&wasm, digest).is_some(), "the key outlives the process");

    let [(path, code)] = cached(&folder).try_into().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut touched = code.clone();
    touched[code.len() / 2] ^= 1;
    fs::write(&path, &touched).unwrap();
    assert!(cache.load(&wasm, digest).is_none(), "other bytes under the same name");
    compile(&wasm, Some(&cache), &Linkers::default(), digest, bytes).unwrap();
    assert!(cache.load(&wasm, digest).is_some(), "it was compiled anew");
    assert_eq!(cached(&folder).len(), 1);

    let other = path
        .with_file_name(path.file_name().unwrap().to_str().unwrap().replace(&digest.hex()[..16], "0123456789abcdef"));
    fs::rename(&path, other).unwrap();
    assert!(cache.load(&wasm, digest).is_none());
    fs::write(folder.join("key"), [7; 32]).unwrap();
    fs::write(&path, &code).unwrap();
    assert!(Cache::open(&folder).unwrap().load(&wasm, digest).is_none(), "made with another machine's key");
}

#[test]
fn a_folder_that_others_can_reach_is_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Cache::open(&open).is_none());
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    assert!(Cache::open(&link).is_none());
}

#[test]
fn a_function_without_grants_links_the_base_set_only() {
    let mut function = Stage::new().function;
    function.grants = Grants::default();
    function.config.clear();
    let grants = GrantSet::of(&function);
    assert_eq!(grants.missing(&["wasi:clocks/wall-clock@0.2.6".to_owned()]), None);
    let http = ["wasi:http/outgoing-handler@0.2.6".to_owned()];
    assert_eq!(grants.missing(&http), Some((http[0].as_str(), "grants.http")));
}
