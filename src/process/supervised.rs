//! The runner's side of a supervisor: starts it, keeps the output, holds the time limit.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::supervisor::{self, Ending, Spec};

/// Of a task's output; what comes after is counted and dropped.
pub const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Between a request to end and the end.
pub const TERMINATE: Duration = Duration::from_secs(5);
/// As it was when the server started, whatever lies in its place now.
const THIS_BINARY: &str = "/proc/self/exe";
/// For reading what is left of the output when the supervisor is gone.
const LINGER: Duration = Duration::from_secs(5);
/// An `Ending`, or what a supervisor says that cannot do its work.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// A task's process, run to its end.
#[derive(Debug)]
pub struct Ran {
    pub ending: Ending,
    /// Whether it was ended since its time was over.
    pub overdue: bool,
    pub duration: Duration,
}

/// Why nobody knows how a process ended. Nothing of it runs any more, or will in a moment.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the server stops")]
    Stopped,
    #[error("cannot start a supervisor for a task")]
    NotStarted(#[source] io::Error),
    /// It may have done all or nothing of its work.
    #[error("how the process ended is not known: {reason}")]
    Unknown { reason: String },
}

/// Runs a program under a supervisor and keeps its output in a file. Dropped before its end, it ends all of the task's
/// processes at once.
pub async fn run(spec: &Spec, output: &Path, time: Duration, stopping: &CancellationToken) -> Result<Ran, RunError> {
    let mut kept = File::create_new(output).await.map_err(RunError::NotStarted)?;
    let mut child = start().map_err(RunError::NotStarted)?;
    let started = Instant::now();
    // While this is open, the program runs.
    let mut control = child.stdin.take().expect("its input is piped");
    let spec = serde_json::to_string(spec).expect("the runner's paths are text");
    let told = control.write_all(format!("{spec}\n").as_bytes()).await;

    let ended = async {
        told?;
        listen(&mut child, &mut kept).await
    };
    tokio::pin!(ended);
    // All may be dropped: of what has not ended, nothing was taken.
    let in_time = tokio::select! {
        said = &mut ended => Some(said),
        () = tokio::time::sleep(time) => None,
        () = stopping.cancelled() => {
            // Whatever it says, nothing of the task is left then.
            let _ = end(control, ended).await;
            return Err(RunError::Stopped);
        }
    };
    let overdue = in_time.is_none();
    let said = match in_time {
        Some(said) => said,
        None => end(control, ended).await,
    };
    let said = said.map_err(|error: io::Error| RunError::Unknown { reason: error.to_string() })?;
    let ending = serde_json::from_str(&said)
        .map_err(|_| RunError::Unknown { reason: format!("its supervisor said {said:?}") })?;
    Ok(Ran { ending, overdue, duration: started.elapsed() })
}

/// Asks for the end, waits a little, and then makes it.
async fn end<T>(mut control: ChildStdin, mut ended: Pin<&mut impl Future<Output = T>>) -> T {
    // Where that cannot be asked, the program has ended already.
    let _ = control.write_all(b"t").await;
    if let Ok(said) = tokio::time::timeout(TERMINATE, ended.as_mut()).await {
        return said;
    }
    drop(control);
    ended.await
}

/// Keeps the output, and answers what the supervisor says at its end.
async fn listen(child: &mut Child, kept: &mut File) -> io::Result<String> {
    let out = child.stdout.take().expect("its output is piped");
    let mut report = child.stderr.take().expect("its errors are piped").take(REPORT_BYTES_MAX);
    let read = async move {
        let mut said = String::new();
        tokio::try_join!(keep(out, kept), report.read_to_string(&mut said))?;
        Ok(said)
    };
    tokio::pin!(read);
    // A supervisor ends when nobody can write any more. One that was killed leaves whoever still can.
    let read_first = tokio::select! {
        said = &mut read => Some(said),
        _ = child.wait() => None,
    };
    match read_first {
        Some(said) => {
            child.wait().await?;
            said
        }
        None => {
            let killed = |_| Err(io::Error::other("its supervisor was killed"));
            tokio::time::timeout(LINGER, read).await.unwrap_or_else(killed)
        }
    }
}

/// Keeps what is written until nobody can write any more, up to the limit, and says where it was passed.
async fn keep(mut from: impl AsyncRead + Unpin, to: &mut File) -> io::Result<()> {
    tokio::io::copy(&mut (&mut from).take(OUTPUT_BYTES_MAX), to).await?;
    let dropped = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    if dropped > 0 {
        let mark = format!("\n[tidegate: {dropped} more bytes of output were dropped; {OUTPUT_BYTES_MAX} are kept]\n");
        to.write_all(mark.as_bytes()).await?;
    }
    to.flush().await
}

/// In a group of its own, so that a terminal's Ctrl-C is the server's alone, and with nothing of the server's environment.
fn start() -> io::Result<Child> {
    Command::new(THIS_BINARY)
        .arg(supervisor::ARGUMENT)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}
