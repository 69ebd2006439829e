//! Lines for the invocation's log, by [`crate::debug!`], [`crate::info!`], [`crate::warn!`] and [`crate::error!`].
//!
//! They go to standard output and error, which every function has. With the feature `logging` they go through
//! `wasi:logging`, which keeps the level as a field and needs the grant `logging`. `println!` works as well.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Adds a line.
#[cfg(all(feature = "logging", target_arch = "wasm32"))]
pub fn write(level: Level, message: &str) {
    crate::host::log(level, message);
}

/// Adds a line.
#[cfg(not(all(feature = "logging", target_arch = "wasm32")))]
pub fn write(level: Level, message: &str) {
    match level {
        Level::Debug => println!("debug: {message}"),
        Level::Info => println!("info: {message}"),
        Level::Warn => eprintln!("warn: {message}"),
        Level::Error => eprintln!("error: {message}"),
    }
}

#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($message)+)) };
}

#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($message)+)) };
}

#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($message)+)) };
}

#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($message)+)) };
}
