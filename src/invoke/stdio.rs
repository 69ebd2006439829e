//! Standard output and error of a guest: lines of the invocation's log. A line that begins with its level, as the SDK's do
//! (`warn: `), has that one; the others have their stream's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::host::{Effect, Host, LOG_LINE_BYTES_MAX, LogLevel};

/// Bytes that a guest may write at once.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// The end of standard error that is kept for the reason of a trap.
const SAID_BYTES_MAX: usize = 2 * 1024;

/// How a line begins that says its level.
const LEVELS: [(&str, LogLevel); 4] = [
    ("debug: ", LogLevel::Debug),
    ("info: ", LogLevel::Info),
    ("warn: ", LogLevel::Warn),
    ("error: ", LogLevel::Error),
];

/// Both streams of one guest.
pub(super) struct Stdio {
    out: Stream,
    err: Stream,
}

impl Stdio {
    pub(super) fn new(host: &Host) -> Self {
        Stdio { out: Stream::new(host, LogLevel::Info, "stdout"), err: Stream::new(host, LogLevel::Warn, "stderr") }
    }

    pub(super) fn stdout(&self) -> Stream {
        self.out.clone()
    }

    pub(super) fn stderr(&self) -> Stream {
        self.err.clone()
    }

    /// Logs what stands after the last line end.
    pub(super) fn finish(&self) {
        self.out.lines().finish();
        self.err.lines().finish();
    }

    /// What a panic wrote to standard error, if one did.
    pub(super) fn panic(&self) -> Option<String> {
        let lines = self.err.lines();
        let said = String::from_utf8_lossy(&lines.said);
        let panic = &said[said.rfind("panicked at ")?..];
        let panic = panic.split("\nnote: ").next().unwrap_or(panic);
        Some(panic.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// One stream. Clones share the line that is being written.
#[derive(Clone)]
pub(super) struct Stream(Arc<Mutex<Lines>>);

struct Lines {
    host: Host,
    level: LogLevel,
    name: &'static str,
    line: Vec<u8>,
    said: Vec<u8>,
}

impl Stream {
    fn new(host: &Host, level: LogLevel, name: &'static str) -> Self {
        let (line, said) = (Vec::new(), Vec::new());
        Stream(Arc::new(Mutex::new(Lines { host: host.clone(), level, name, line, said })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(&bytes[bytes.len().saturating_sub(SAID_BYTES_MAX)..]);
        self.said.drain(..self.said.len().saturating_sub(SAID_BYTES_MAX));
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Of a line without an end, no more is kept than is logged.
            let room = (LOG_LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                self.finish();
            }
        }
    }

    fn finish(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let (level, message) = leveled(&line).unwrap_or((self.level, &line));
        let message = message.trim_end().to_owned();
        if message.is_empty() {
            return;
        }
        let effect = Effect::Log { level, context: self.name.to_owned(), message };
        // A line has no answer that the guest could see.
        let _ = self.host.perform(effect).now_or_never().expect("a host never waits for a log line");
    }
}

/// The level that a line says of itself, and the rest of it.
fn leveled(line: &str) -> Option<(LogLevel, &str)> {
    LEVELS.into_iter().find_map(|(prefix, level)| Some((level, line.strip_prefix(prefix)?)))
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines().write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_says_its_level_says_it_once() {
        assert_eq!(leveled("warn: 3 are late"), Some((LogLevel::Warn, "3 are late")));
        assert_eq!(leveled("debug: info: x"), Some((LogLevel::Debug, "info: x")));
        assert_eq!(leveled("warning: 3 are late"), None);
        assert_eq!(leveled("thread 'main' panicked at src/lib.rs:1:1"), None);
    }
}
