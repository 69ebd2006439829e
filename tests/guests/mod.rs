//! Guests for tests, built once for each test process and taken from the target folder after that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Set by cargo or a developer for the host's code; they must not reach the guests' build.
const HOST_ONLY: [&str; 5] =
    ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"];

/// The guest of `tests/guests/hostile`: it does what the type of its event says.
pub fn hostile() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| build("hostile"))
}

/// The first version of the contract, as it was built then.
pub fn handler_0_1_0() -> &'static [u8] {
    include_bytes!("../fixtures/handler-0.1.0.wasm")
}

fn build(package: &str) -> Vec<u8> {
    let target = target_folder();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--target",
        "wasm32-wasip2",
        "--profile",
        "function",
        "--package",
        package,
    ]);
    cargo.arg("--target-dir").arg(&target).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PROFILE_")) {
        cargo.env_remove(name);
    }
    for name in HOST_ONLY {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the guest {package} does not build");
    let file = target.join("wasm32-wasip2/function").join(format!("{package}.wasm"));
    fs::read(&file).expect("cargo has built the guest")
}

/// `guests` beside the profile folder that this test was built into.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    profile.and_then(Path::parent).expect("a test is built into target/PROFILE/deps").join("guests")
}
