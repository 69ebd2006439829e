//! One attempt, run again to look inside: step by step, as a profile, as a core dump.

use std::io::Write;
use std::path::Path;

use super::missing::MissingPolicy;
use super::one::{attempts, refuse_many};
use super::report::WrittenView;
use super::source::Source;
use super::{ReplayArgs, bundle_file, changes, engine, read_bundle};
use crate::cli::client::Client;
use crate::cli::debugger::{self, Commands, Sources};
use crate::cli::terminal::Terminal;
use crate::cli::{CliError, Status, input, render};
use crate::deployment::Digest;
use crate::host::{Host, Script};
use crate::invoke::debug::{DebugError, Session, coredump, profile};
use crate::record::{Bundle, COMPONENT_BYTES_MAX, Case, Ground, Recording};

/// What is run again, with the bytes of the component that runs.
struct Inside {
    case: Case,
    component: Vec<u8>,
    script: Script,
}

impl Inside {
    fn host(&self) -> Host {
        Host::replay(self.script.clone(), self.case.call())
    }
}

/// Looks inside the one attempt that an argument names, as the arguments say.
pub async fn look(id: &str, args: &ReplayArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let inside = inside(id, args).await?;
    let failed = |source: DebugError| CliError::Failed {
        what: format!("{} cannot be looked into", inside.case.id),
        source: source.into(),
    };
    if let Some(path) = &args.profile {
        let json = profile(&inside.component, &inside.case.event, || inside.host()).await.map_err(failed)?;
        return written(path, &json, "load it at profiler.firefox.com", terminal);
    }
    if let Some(path) = &args.coredump {
        let dump = coredump(&inside.component, &inside.case.event, inside.host()).await.map_err(failed)?;
        let Some(dump) = dump else {
            return Err(CliError::NotFound(
                "it does not trap, so it leaves no core dump; without the file, the replay says how it ends".to_owned(),
            ));
        };
        return written(path, &dump, "read it with a debugger of WebAssembly core dumps, like wasmgdb", terminal);
    }
    let mut session = Session::open(&inside.component, &inside.case.event, || inside.host()).await.map_err(failed)?;
    let commands = Commands::open(args.commands.as_deref())?;
    let sources = Sources::new(args.source.clone());
    debugger::debug(&mut session, commands, sources, &mut std::io::stdout()).await?;
    Ok(Status::Done)
}

async fn inside(id: &str, args: &ReplayArgs) -> Result<Inside, CliError> {
    refuse_many(args)?;
    if args.missing != MissingPolicy::Fail {
        let reason = "--missing is of a replay that is not looked into; leave it out".to_owned();
        return Err(CliError::Usage(reason));
    }
    let mut other = None;
    let (engine, bundle, changes) = match bundle_file(id) {
        Some(path) => {
            let engine = engine(false)?;
            let changes = changes::read(&args.changes, &engine, None).await?;
            (engine, read_bundle(&path)?, changes)
        }
        None => {
            let engine = engine(true)?;
            let mut source = Source::new(Client::to_read(&args.read)?, engine.clone());
            let changes = changes::read(&args.changes, &engine, Some(&mut source)).await?;
            let found = attempts(id, args.range.function.as_deref(), &source).await?;
            if let Some(Ok(digest)) = args.changes.with.as_deref().map(str::parse::<Digest>) {
                other = Some(source.client().get_bytes(&["blobs", &digest.to_string()], &[]).await?.to_vec());
            }
            // Of those on an event, the last one is what became of it.
            let last = found.last().expect("that there is none was told");
            (engine, source.bundle(last).await?, changes)
        }
    };
    drop(engine);
    let Bundle { id, event, recording, deployment, component } = bundle;
    let told = |reason: String| CliError::NotFound(format!("{id} cannot be run again: {reason}"));
    let function = deployment.function_by_id(id.function).map(|function| Ground::new(&event.event, function));
    let ground = function.ok_or_else(|| told("its deployment is without its function".to_owned()))?;
    let recording = Recording::decode(&recording, &ground).map_err(|error| told(error.to_string()))?;
    let case = Case::new(id, event, deployment, recording).map_err(|error| told(error.to_string()))?;
    let component = match (other, &args.changes.with) {
        (Some(bytes), _) => bytes,
        (None, Some(path)) => input::read_bytes(Path::new(path), COMPONENT_BYTES_MAX)?,
        (None, None) => component.to_vec(),
    };
    if changes.is_none(&case) {
        let script = case.exact();
        return Ok(Inside { case, component, script });
    }
    let case = changes.apply(&case).map_err(|error| CliError::Usage(error.to_string()))?;
    let script = case.matched(None);
    Ok(Inside { case, component, script })
}

fn written(path: &Path, bytes: &[u8], next: &'static str, terminal: &Terminal) -> Result<Status, CliError> {
    let failed = |source: std::io::Error| CliError::Failed {
        what: format!("cannot write {}", path.display()),
        source: source.into(),
    };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    let written = WrittenView { file: path.to_owned(), bytes: bytes.len() as u64, next };
    terminal.show(&written, render::written)?;
    Ok(Status::Done)
}
