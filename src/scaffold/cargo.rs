//! Calling cargo for functions, from the runtime's own build script (which includes this file) and from `tidegate build`.

use std::path::Path;
use std::process::Command;

pub const WASM_TARGET: &str = "wasm32-wasip2";

/// Takes away what an outer cargo, clippy or the user's settings for native code would do to a component: the same source
/// has to give the same bytes.
pub fn clean(command: &mut Command) {
    let names = [
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_target = text.starts_with("CARGO_TARGET_") && text.ends_with("_RUSTFLAGS");
        if names.contains(&&*text) || text.starts_with("CARGO_PROFILE_") || of_target {
            command.env_remove(&name);
        }
    }
}

/// Whether `rustc`, as it is chosen in `folder`, can compile components. If it cannot be asked, cargo will say why.
pub fn has_wasm_target(rustc: &str, folder: &Path) -> bool {
    let asked =
        Command::new(rustc).args(["--print", "target-libdir", "--target", WASM_TARGET]).current_dir(folder).output();
    match asked {
        Ok(answer) if answer.status.success() => Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir(),
        Ok(_) | Err(_) => true,
    }
}
