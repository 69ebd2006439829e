//! The wall clock. It starts at the invocation's first attempt, so that every attempt builds the same requests and answers.

use std::time::SystemTime;

/// The time now.
#[cfg(target_arch = "wasm32")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The time now: what [`crate::testing::Host::at`] says, else the machine's.
#[cfg(not(target_arch = "wasm32"))]
pub fn now() -> SystemTime {
    crate::host::world(|world| world.now).unwrap_or_else(SystemTime::now)
}
