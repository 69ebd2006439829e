//! Triggers: the world -> events. Formats are parsed here and nowhere else: one pure file for each sender.

use bytes::Bytes;

use crate::deployment::Sender;
use crate::event::Event;

/// Bodies above this are answered 413.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why something was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 401
    #[error("{0}")]
    Unproven(String),
    /// 400: with line and column where there are such
    #[error("{0}")]
    Malformed(String),
    /// 413
    #[error("{0}")]
    TooLarge(String),
    /// 415
    #[error("{0}")]
    UnsupportedMediaType(String),
}

/// Makes events of what a sender sent. Pure. An empty list: acknowledged, and nothing to tell (a ping, a test).
/// `source`: what the trigger sets as the events' source where the sender names none.
pub fn parse(_sender: Sender, _headers: &http::HeaderMap, _body: &Bytes) -> Result<Vec<Event>, Rejection> {
    todo!()
}
