//! A project in a folder of its own and the runtime as a real process on it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for what must come; far beyond what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A project's folder, removed with the test.
pub struct Project {
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl Project {
    /// `manifest` is the project file without `name` and `[listen]`: both listeners take free ports.
    pub fn new(manifest: &str) -> Self {
        let project = Project { folder: TempDir::new().expect("a temporary folder"), env: Vec::new() };
        let head = "name = \"test\"\n";
        let listen = "[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n";
        project.write("tidegate.toml", format!("{head}{listen}{manifest}"));
        project
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// The command line on this project, with no server known but by `--dir`.
    pub fn tidegate(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("tidegate runs")
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder(), &self.env, arguments)
    }

    /// Starts `tidegate up` and waits until it listens.
    pub fn up(&self) -> Server<'_> {
        self.start().listening()
    }

    /// Starts `tidegate up`.
    pub fn start(&self) -> Starting<'_> {
        Starting::new(self.folder(), &self.env)
    }
}

fn command(folder: &Path, env: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = tidegate();
    command.args(arguments).current_dir(folder).envs(env.iter().map(|(name, value)| (name, value)));
    command
}

/// The binary under test, with nothing of the caller's environment that would change what it does.
pub fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in ["TIDEGATE_URL", "TIDEGATE_TOKEN", "RUST_LOG", "OTEL_EXPORTER_OTLP_ENDPOINT", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// A process, killed with the test.
struct Process(Child);

impl Process {
    /// SIGKILL: nothing is flushed, nothing is told. It must have lived until then.
    #[track_caller]
    fn kill(mut self) {
        self.0.kill().expect("the process can be killed");
        let status = self.0.wait().expect("a killed process ends");
        assert_eq!(status.signal(), Some(9), "the process ended by itself: {status}");
    }

    /// The exit status of one that ends by itself.
    #[track_caller]
    fn ended(mut self) -> ExitStatus {
        eventually("the process ends", || self.0.try_wait().expect("its status can be asked"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already where the test ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `tidegate up` that may not listen yet.
pub struct Starting<'a> {
    folder: &'a Path,
    env: &'a [(String, String)],
    process: Process,
}

impl<'a> Starting<'a> {
    fn new(folder: &'a Path, env: &'a [(String, String)]) -> Self {
        let child = command(folder, env, &["up", "-o", "json"]).stdout(Stdio::piped()).spawn();
        Starting { folder, env, process: Process(child.expect("tidegate runs")) }
    }

    /// Waits until it listens.
    #[track_caller]
    pub fn listening(self) -> Server<'a> {
        self.try_listening().unwrap_or_else(|status| panic!("`tidegate up` ended before it listened: {status}"))
    }

    /// Waits until it listens, or has ended.
    pub fn try_listening(self) -> Result<Server<'a>, ExitStatus> {
        let Starting { folder, env, mut process } = self;
        let mut lines = BufReader::new(process.0.stdout.take().expect("its output is piped")).lines();
        let Some(Ok(line)) = lines.next() else { return Err(process.ended()) };
        let listening: Value = serde_json::from_str(&line).expect("the first line is JSON");
        let address = |name: &str| listening[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned();
        Ok(Server { folder, env, hooks: address("hooks"), api: address("api"), process })
    }

    /// The exit status of one that cannot start.
    #[track_caller]
    pub fn ended(self) -> ExitStatus {
        self.process.ended()
    }

    /// SIGKILL, however far it is.
    #[track_caller]
    pub fn kill(self) {
        self.process.kill();
    }
}

/// A running `tidegate up`, killed with the test.
pub struct Server<'a> {
    folder: &'a Path,
    env: &'a [(String, String)],
    /// `http://ADDRESS` of the webhooks.
    pub hooks: String,
    /// `http://ADDRESS` of the API.
    pub api: String,
    process: Process,
}

impl<'a> Server<'a> {
    /// Starts `tidegate up` on a project's folder and waits until it listens.
    pub fn start(folder: &'a Path, env: &'a [(String, String)]) -> Self {
        Starting::new(folder, env).listening()
    }

    /// The command line against this server.
    pub fn tidegate(&self, arguments: &[&str]) -> Output {
        command(self.folder, self.env, arguments).env("TIDEGATE_URL", &self.api).output().expect("tidegate runs")
    }

    /// The standard output of a command that must succeed.
    #[track_caller]
    pub fn output(&self, arguments: &[&str]) -> String {
        let output = self.tidegate(arguments);
        assert!(output.status.success(), "tidegate {arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).expect("output is text")
    }

    /// The JSON lines of a command that must succeed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.output(&[arguments, &["-o", "json"]].concat());
        output.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// SIGKILL: nothing is flushed, nothing is told. It must have lived until then.
    #[track_caller]
    pub fn kill(self) {
        self.process.kill();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.process.0.id().to_string()).status().expect("kill runs");
        assert!(status.success());
    }

    /// SIGTERM, and the exit status once it ended.
    pub fn stop(self) -> ExitStatus {
        self.terminate();
        self.ended()
    }

    /// The exit status of a process that ends by itself.
    #[track_caller]
    pub fn ended(self) -> ExitStatus {
        self.process.ended()
    }
}

/// Both outputs of a command, to show when it did not do what it must.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asks again until the answer is there.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The corpus of real payloads beside a checkout, where it is there.
pub fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("TIDEGATE_CORPUS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    folder.is_dir().then_some(folder)
}
