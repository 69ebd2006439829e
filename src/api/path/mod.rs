//! The path from commit to production, read from the log: where something stands, why, and what was released.
//!
//! Rules of delivery are the functions' own: what holds a release back is read from what they said (`rule`, `reason`,
//! `clear`), and from where an event hangs. This knows the order of the words only, and who may say them: what somebody else
//! says is shown and has no effect, here as on the path.

mod about;
mod ask;
mod chain;
mod decide;
mod drift;
mod hanging;
mod lacking;
mod meant;
mod releases;
mod undone;
mod why;
mod word;

pub(super) use ask::{lift, redeploy};
pub(super) use drift::drift;
pub(super) use releases::releases;
pub(super) use why::why;

#[cfg(test)]
mod tests;
