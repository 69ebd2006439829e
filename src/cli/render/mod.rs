//! What people read: pure functions from values to text. They know colours and widths, and nothing of where values
//! come from.

mod table;
mod text;
mod time;

pub use table::{Align, Table};
pub use text::{Colour, Look, clean, shorten};
pub use time::{absolute, ago, duration, when};
