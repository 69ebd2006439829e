//! What Tidegate promises, tried from outside: a real process, HTTP and the command line.

mod concurrency;
mod crash;
mod examples;
#[path = "../guests/mod.rs"]
mod guests;
mod hostile;
mod stage;
mod support;
mod telemetry;
mod tidy;
mod wire;
