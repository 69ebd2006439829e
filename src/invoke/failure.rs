//! From how wasmtime ended a guest to the failure that says so.

use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::guest::Guest;
use super::settings::{FRAMES_MAX, STACK_BYTES_MAX};
use super::{HOSTCALL_BYTES_MAX, describe_bytes};
use crate::deployment::Limits;
use crate::outcome::{Failure, FailureKind, cut};

/// What wasmtime says when a guest hands the host more than `HOSTCALL_BYTES_MAX`; its type is private.
const TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

/// The failure of a guest that did not return.
pub(super) fn of(error: &Error, guest: &Guest, limits: &Limits) -> Failure {
    let failure = if guest.memory.denied {
        Failure::new(
            FailureKind::OutOfMemory,
            format!(
                "asked for more memory than its limit of {} (limits.memory)",
                describe_bytes(limits.memory_bytes_max)
            ),
        )
    } else if error.root_cause().to_string().contains(TOO_MUCH) {
        let limit = describe_bytes(HOSTCALL_BYTES_MAX as u64);
        Failure::new(FailureKind::BadOutput, format!("returned, or passed in one call, more than {limit}"))
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt | Trap::OutOfFuel) => Failure::timed_out(limits.time_max),
            trap => Failure::new(FailureKind::Trapped, trapped(error, trap.copied(), guest)),
        }
    };
    Failure { backtrace: backtrace(error), ..failure }
}

fn trapped(error: &Error, trap: Option<Trap>, guest: &Guest) -> String {
    if let Some(panic) = guest.stdio.panic() {
        return panic;
    }
    if error.is::<I32Exit>() {
        // WASI tells whether, and not with which status.
        return "ended its process; return a failure instead".to_owned();
    }
    match trap {
        Some(Trap::StackOverflow) => {
            format!("used up its call stack of {}: a recursion without end?", describe_bytes(STACK_BYTES_MAX as u64))
        }
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}

/// Frames of the guest, innermost first, with names as an author wrote them.
fn backtrace(error: &Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    // Its text has the demangled names: `  0: 0x1a2b - module!name`, and where there is debug information `at FILE:LINE`.
    let text = backtrace.to_string();
    let mut frames: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        match (line.split_once(" - "), line.strip_prefix("at ")) {
            (Some((_, frame)), _) => frames.push(cut(frame.to_owned())),
            (None, Some(place)) => {
                if let Some(frame) = frames.last_mut() {
                    frame.push_str(" at ");
                    frame.push_str(place);
                }
            }
            (None, None) => {}
        }
    }
    frames.truncate(FRAMES_MAX);
    frames
}
