//! The path from commit to production, read from the log: where something stands, why, and what was released.
//!
//! Rules of delivery are the functions' own: what holds a release back is read from what they said (`rule`, `reason`,
//! `clear`), and from where an event hangs. This knows the order of the words only.

mod decide;
mod drift;
mod releases;
mod why;
mod word;

pub(super) use drift::drift;
pub(super) use releases::{redeploy, releases};
pub(super) use why::why;

#[cfg(test)]
mod tests;
