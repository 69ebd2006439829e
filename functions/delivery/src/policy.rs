//! Config `policy` of the functions that judge: what is written there, and what it has to be. `tidegate check` reads it as they do.

pub mod gate;
pub mod verify;
