//! A function's log lines, told to operators who ask for the target `tidegate::function`.

use tracing::{debug, info};

use super::Answer;
use crate::deployment::Function;
use crate::host::LogLevel;

pub(super) fn write(function: &Function, level: LogLevel, context: &str, line: &str) -> Answer {
    let function = &function.name;
    match level {
        LogLevel::Trace | LogLevel::Debug => {
            debug!(target: "tidegate::function", %function, ?level, context, line, "function log");
        }
        LogLevel::Info | LogLevel::Warn | LogLevel::Error | LogLevel::Critical => {
            info!(target: "tidegate::function", %function, ?level, context, line, "function log");
        }
    }
    Answer::Done
}
