//! A function's log lines, told to operators under the target `tidegate::function`, each as loud as the function says.

use tracing::{debug, error, info, trace, warn};

use super::Answer;
use crate::deployment::Function;
use crate::host::LogLevel;

pub(super) fn write(function: &Function, level: LogLevel, context: &str, line: &str) -> Answer {
    let function = &function.name;
    match level {
        LogLevel::Trace => trace!(target: "tidegate::function", %function, context, line, "function log"),
        LogLevel::Debug => debug!(target: "tidegate::function", %function, context, line, "function log"),
        LogLevel::Info => info!(target: "tidegate::function", %function, context, line, "function log"),
        LogLevel::Warn => warn!(target: "tidegate::function", %function, context, line, "function log"),
        LogLevel::Error | LogLevel::Critical => {
            error!(target: "tidegate::function", %function, context, line, "function log");
        }
    }
    Answer::Done
}
