//! One event for one function, as its queue has it.

use crate::clock::Timestamp;
use crate::deployment::Keys;
use crate::event::Position;

/// One event for one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub position: Position,
    pub round: u32,
    /// Of the next start.
    pub attempt: u32,
    pub lost: u32,
    /// None until the first attempt starts.
    pub first_attempt_at: Option<Timestamp>,
    pub keys: Keys,
    /// Whether the log has a row for it, so that the cursor may pass it.
    pub durable: bool,
    /// Whether its function's filter let it pass; else its data could not be read, and it is judged when that can.
    pub judged: bool,
    /// How often in a row it could not be read.
    pub unread: u32,
    /// The newer event because of which it is not run.
    pub superseded_by: Option<Position>,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
}

impl Item {
    pub fn first(position: Position) -> Self {
        Item {
            position,
            round: 0,
            attempt: 1,
            lost: 0,
            first_attempt_at: None,
            keys: Keys::default(),
            durable: false,
            judged: true,
            unread: 0,
            superseded_by: None,
            not_before: None,
        }
    }

    /// Whether it waits for its time alone: a dead letter that was put back holds up nobody until it runs.
    pub fn is_put_back(&self) -> bool {
        self.judged && self.attempt == 1
    }
}
