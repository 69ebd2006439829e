//! `tidegate demo`: from a signed push to a verified release and back, driven from outside over HTTP. Every step must end as it
//! should.

mod build;
mod chaos;
pub mod follow;
pub mod githost;
mod play;
pub mod registry;
pub mod sender;
pub mod server;
pub mod store;
mod story;
mod summary;
mod tell;
pub mod world;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

pub use build::{BuildArgs, build};

use self::chaos::Chaos;
use self::follow::Log;
use self::server::{Place, Server};
use self::story::{Halt, Story};
use self::world::World;
use super::terminal::Terminal;
use super::{CliError, Status};

/// From a signed push to a verified release, and back: start a project with a git host, a registry and an object store around
/// it, drive it over HTTP as they do, and show what is decided and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tidegate demo

Exit status 0 only if every step ended as it should. The project's folder is kept.")]
pub struct DemoArgs {
    /// Folder of the project, which must not exist [default: a new one in the system's temporary folder]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Kill the project (SIGKILL) at so many moments of the story, and start it again
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub crashes: u32,
    /// What the moments follow from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

pub async fn demo(args: &DemoArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let started = Instant::now();
    let (world, place) = World::make(args.dir.clone()).await?;
    let folder = place.folder.display().to_string();
    // Where it is interrupted it is dropped, and the project ends with it.
    let told = tokio::select! {
        told = tell(args, &world, place, terminal, started) => told,
        Ok(()) = tokio::signal::ctrl_c() => Err(failed("it was stopped")(std::io::Error::other("interrupted"))),
    };
    told.map_err(|error| match error.is_closed_pipe() {
        true => error,
        false => CliError::Failed {
            what: format!("the story broke off; the project is kept in {folder}"),
            source: Box::new(error),
        },
    })
}

async fn tell(
    args: &DemoArgs,
    world: &World,
    place: Place,
    terminal: &Terminal,
    started: Instant,
) -> Result<Status, CliError> {
    let log = Log::follow(&place.api)?;
    let chaos = Chaos::seeded(args.seed, args.crashes);
    terminal.progress("starting the project");
    let server = Server::start(place).await?;
    terminal.progress_done();
    tell::preface(terminal)?;
    let mut story = Story::begin(server, log, chaos, world.registry.unheard(), terminal, started);
    let told = play::play(&mut story, world).await;
    story.end_chapter()?;
    if let Err(Halt::Failed(error)) = told {
        return Err(error);
    }
    let as_it_should = summary::tell(story, terminal).await?;
    Ok(if as_it_should { Status::Done } else { Status::Failed })
}

fn failed<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> CliError {
    move |source| CliError::Failed { what: what.to_owned(), source: source.into() }
}
