//! An invocation's log: its limits, and what is taken out of it. Both come before the journal, so that a replay sees the same
//! lines, and before operators are told.

use super::{Effect, LogLevel};
use crate::deployment::Redaction;

/// Lines of one invocation; one more says that the rest was dropped.
pub const LOG_LINES_MAX: usize = 256;
/// A longer line is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 * 1024;

#[derive(Default)]
pub(super) struct Lines {
    seen: usize,
}

impl Lines {
    /// The effect as it is to be performed; none: dropped. Effects that are no lines pass as they are.
    pub(super) fn admit(&mut self, effect: Effect, rules: &Redaction) -> Option<Effect> {
        let Effect::Log { level, context, mut message } = effect else { return Some(effect) };
        self.seen = self.seen.saturating_add(1);
        if self.seen <= LOG_LINES_MAX {
            // First: a line that was cut is no JSON any more.
            rules.line(&mut message);
            return Some(Effect::Log { level, context: cut(context), message: cut(message) });
        }
        let message = format!("more than {LOG_LINES_MAX} lines; the rest was dropped");
        (self.seen == LOG_LINES_MAX + 1).then(|| Effect::Log {
            level: LogLevel::Warn,
            context: "tidegate".to_owned(),
            message,
        })
    }
}

/// The text, cut before the character that would pass the limit.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(LOG_LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
