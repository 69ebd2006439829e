//! Guests for tests, built once for each test process and taken from the target folder after that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

// Each test crate that takes this file in names the runtime's own way to call cargo.
use super::cargo;

/// The guest of `tests/guests/hostile`: it does what the type of its event says.
pub fn hostile() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| build("hostile"))
}

/// The guest of `tests/guests/counting`: it counts how events ended with another function.
pub fn counting() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| build("counting"))
}

/// The first version of the contract, as it was built then.
pub fn handler_0_1_0() -> &'static [u8] {
    include_bytes!("../fixtures/handler-0.1.0.wasm")
}

fn build(package: &str) -> Vec<u8> {
    build_with(package, &[])
}

/// Builds a guest with more settings of cargo.
pub fn build_with(package: &str, settings: &[String]) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo::has_wasm_target("rustc", root), "rustup target add {}", cargo::WASM_TARGET);
    let target = target_folder();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--locked", "--profile", "function", "--package", package]);
    command.args(["--target", cargo::WASM_TARGET]).arg("--target-dir").arg(&target).current_dir(root);
    command.args(settings);
    cargo::clean(&mut command);
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the guest {package} does not build");
    let file = target.join(cargo::WASM_TARGET).join("function").join(format!("{package}.wasm"));
    fs::read(&file).expect("cargo has built the guest")
}

/// `guests` beside the profile folder that this test was built into.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    profile.and_then(Path::parent).expect("a test is built into target/PROFILE/deps").join("guests")
}
