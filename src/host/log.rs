//! The limits of an invocation's log. They hold before the journal, so that a replay sees the same lines.

use super::{Effect, LogLevel};

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
    pub(super) fn admit(&mut self, effect: Effect) -> Option<Effect> {
        let Effect::Log { level, context, message } = effect else { return Some(effect) };
        self.seen = self.seen.saturating_add(1);
        if self.seen <= LOG_LINES_MAX {
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
