//! What stands between the runner and the processes of a task: this binary, started again.
//!
//! It starts the program in a process group of its own, adopts whatever the program leaves behind, and ends all of them once
//! the program has ended, once it is told to, or once the runner is gone, whose end of its standard input closes however it
//! died. So nothing of a task outlives the task or the server, and no process id is used by anybody but its parent.
//!
//! | stream | what goes over it |
//! | --- | --- |
//! | standard input | a `Spec` as one line of JSON, then a byte for each request to end in peace; its end means at once |
//! | standard output | both outputs of the program, as they come |
//! | standard error | an `Ending` as JSON, when everything is over |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper,
    set_parent_process_death_signal, waitid, waitpid,
};
use serde::{Deserialize, Serialize};

/// The first argument that makes a supervisor of the binary. No command for people.
pub const ARGUMENT: &str = "supervise";

/// What to start. The environment is the whole of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub folder: PathBuf,
}

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Exit(i32),
    Signal(i32),
    NotStarted(String),
}

/// The program's id while it may be signalled: until it is reaped, nobody else can have it.
type Alive = Arc<Mutex<Option<Pid>>>;

/// The whole life of a supervisor. A program that kills it ends with it.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(ending) => {
            eprintln!("{}", serde_json::to_string(&ending).expect("an ending has a form in JSON"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn supervise() -> io::Result<Ending> {
    let mut control = BufReader::new(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    let mut line = String::new();
    control.read_line(&mut line)?;
    let spec: Spec = serde_json::from_str(&line)?;
    set_child_subreaper(Some(getpid()))?;
    let program = match start(&spec) {
        Ok(program) => program,
        Err(error) => return Ok(Ending::NotStarted(error.to_string())),
    };
    let alive: Alive = Arc::new(Mutex::new(Some(program)));
    let obeying = alive.clone();
    std::thread::spawn(move || obey(control, &obeying));

    // It is looked at and not reaped: as long as it is there, its id is its group's and no one else's.
    waitid(WaitId::Pid(program), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    end_all(program)?;
    *alive.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let (_, status) = waitpid(Some(program), WaitOptions::empty())?.ok_or(io::ErrorKind::InvalidData)?;
    Ok(match status.exit_status() {
        Some(code) => Ending::Exit(code),
        None => Ending::Signal(status.terminating_signal().unwrap_or_default()),
    })
}

fn start(spec: &Spec) -> io::Result<Pid> {
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let mut command = Command::new(&spec.program);
    // SAFETY: between fork and exec only a system call is made, which takes no lock and no memory.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
    let child = command
        .args(&spec.arguments)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// Does what the runner says, until its end closes: then everything ends at once.
fn obey(mut control: impl Read, alive: &Alive) {
    loop {
        let signal = match control.read(&mut [0]) {
            Ok(1..) => Signal::TERM,
            Ok(0) | Err(_) => Signal::KILL,
        };
        if let Some(program) = *alive.lock().unwrap_or_else(PoisonError::into_inner) {
            // Neither may be there any more: a program can leave its group, or have ended.
            let _ = kill_process_group(program, signal);
            let _ = kill_process(program, signal);
        }
        if signal == Signal::KILL {
            return;
        }
    }
}

/// Ends and reaps all that the program left behind, in its group or out of it. Whose parent dies becomes a child of this
/// process, so what is not here in one round is in the next.
fn end_all(program: Pid) -> io::Result<()> {
    loop {
        // It fails where nobody but the program was in the group.
        let _ = kill_process_group(program, Signal::KILL);
        let left: Vec<Pid> = children()?.into_iter().filter(|child| *child != program).collect();
        if left.is_empty() {
            return Ok(());
        }
        for child in left {
            // It may have ended already; reaping it is what ends the round.
            let _ = kill_process(child, Signal::KILL);
            waitpid(Some(child), WaitOptions::empty())?;
        }
    }
}

/// Every process whose parent is this one.
fn children() -> io::Result<Vec<Pid>> {
    let own = getpid();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // A process that ended meanwhile has no parent to tell.
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        if parent(&status) == Some(own) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// The parent that `/proc/ID/stat` names: the second field after the program's name, which stands in brackets and may hold any
/// character.
fn parent(stat: &str) -> Option<Pid> {
    let (_, fields) = stat.rsplit_once(')')?;
    Pid::from_raw(fields.split_whitespace().nth(1)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_whatever_the_program_is_called() {
        assert_eq!(parent("71 (sh) S 12 71 71 0"), Pid::from_raw(12));
        assert_eq!(parent("71 (a ) R (b) S 12 71 71 0"), Pid::from_raw(12));
        assert_eq!(parent(""), None);
    }
}
