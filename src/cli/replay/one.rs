//! One attempt, or those on one event.

use std::io::Write;
use std::sync::Arc;

use super::report::ReplayView;
use super::source::{Source, of_bundle};
use super::{BundleArgs, ReplayArgs, bundle_file, changes, engine, read_bundle};
use crate::cli::client::Client;
use crate::cli::invocations::is_invocation;
use crate::cli::terminal::Terminal;
use crate::cli::{CliError, Status, render};
use crate::host::Missing;
use crate::invoke::Engine;
use crate::record::{Changes, Class, Stored, judge};

pub async fn replay(id: &str, args: &ReplayArgs, terminal: &Terminal) -> Result<Status, CliError> {
    refuse_many(args)?;
    let (engine, stored, changes, client) = match bundle_file(id) {
        Some(path) => {
            // What strangers packed is compiled anew, and leaves nothing behind.
            let engine = engine(false)?;
            let changes = changes::read(&args.changes, &engine, None).await?;
            let stored = of_bundle(read_bundle(&path)?, &engine).await?;
            (engine, vec![stored], changes, None)
        }
        None => {
            let engine = engine(true)?;
            let mut source = Source::new(Client::to_read(&args.read)?, engine.clone());
            let changes = changes::read(&args.changes, &engine, Some(&mut source)).await?;
            let mut stored = Vec::new();
            for attempt in attempts(id, args.range.function.as_deref(), &source).await? {
                stored.push(source.one(&attempt).await?);
            }
            (engine, stored, changes, Some(source.client().clone()))
        }
    };
    let mut views = Vec::new();
    for stored in stored {
        let missing = args.missing.answerer(&stored.deployment, client.as_ref())?;
        views.push(run(&engine, stored, &changes, missing).await?);
    }
    let same = views.iter().all(|view| view.class == Class::Same.as_str());
    terminal.list(&views, render::replays)?;
    Ok(if same { Status::Done } else { Status::Failed })
}

/// The attempts that an argument names.
pub async fn attempts(id: &str, function: Option<&str>, source: &Source) -> Result<Vec<String>, CliError> {
    if is_invocation(id) {
        let own = id.split('.').nth(1).unwrap_or_default();
        return match function.filter(|name| *name != own) {
            Some(name) => Err(CliError::Usage(format!("{id} is no attempt of function {name}; leave out --function"))),
            None => Ok(vec![id.to_owned()]),
        };
    }
    let attempts = source.attempts(id, function).await?;
    if attempts.is_empty() {
        let of = function.map_or_else(String::new, |name| format!(" of function {name}"));
        let reason = format!("no attempt{of} ran on event {id}; `tidegate explain {id}` says why");
        return Err(CliError::NotFound(reason));
    }
    Ok(attempts)
}

async fn run(
    engine: &Engine,
    stored: Stored,
    changes: &Changes,
    missing: Option<Arc<dyn Missing>>,
) -> Result<ReplayView, CliError> {
    let id = stored.name();
    let read = stored.read();
    let (case, compiled) = read.map_err(|reason| CliError::NotFound(format!("{id} cannot be run again: {reason}")))?;
    let judged = judge(engine, &compiled, &case, changes, missing).await;
    let judged = judged
        .map_err(|source| CliError::Failed { what: format!("{id} cannot be run again"), source: source.into() })?;
    Ok(ReplayView::of(&case, &judged))
}

/// Arguments that say something of many.
pub(super) fn refuse_many(args: &ReplayArgs) -> Result<(), CliError> {
    let range = &args.range;
    let given = [
        ("--since", range.since.is_some()),
        ("--until", range.until.is_some()),
        ("--type", range.r#type.is_some()),
        ("--failed", range.failed),
        ("--sample", range.sample.is_some()),
        ("--max-changed", args.max_changed.is_some()),
        ("--junit", args.junit.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(CliError::Usage(format!("{name} chooses among many attempts; leave it out, or the ID"))),
        None => Ok(()),
    }
}

pub async fn bundle(args: &BundleArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let mut source = Source::new(Client::to_read(&args.read)?, engine(true)?);
    let attempts = attempts(&args.id, None, &source).await?;
    let [id] = attempts.as_slice() else {
        let reason = format!("{} has {} attempts; name one: {}", args.id, attempts.len(), attempts.join(", "));
        return Err(CliError::Usage(reason));
    };
    let bundle = source.bundle(id).await?;
    let failed = |source| CliError::Failed { what: format!("cannot write {}", args.to.display()), source };
    let packed = bundle.pack().map_err(|error| failed(error.into()))?;
    let mut file = std::fs::File::create_new(&args.to).map_err(|error| failed(error.into()))?;
    file.write_all(&packed).and_then(|()| file.sync_all()).map_err(|error| failed(error.into()))?;
    let written =
        super::report::BundleView { file: args.to.clone(), invocation: id.clone(), bytes: packed.len() as u64 };
    terminal.show(&written, render::bundle)?;
    Ok(Status::Done)
}
