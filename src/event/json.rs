//! The JSON event format, version 1.0.

use super::Event;

#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("line {line}, column {column}: {reason}")]
    Syntax { line: usize, column: usize, reason: String },
    #[error("attribute {name}: {reason}")]
    Attribute { name: String, reason: String },
}

/// Reads one event.
pub fn from_json(_text: &[u8]) -> Result<Event, JsonError> {
    todo!()
}

/// Writes one event, on one line.
pub fn to_json(_event: &Event) -> Vec<u8> {
    todo!()
}
