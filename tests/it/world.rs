//! The example of the path as a real project, beside the git host, the registry and the object store of the demo: what the world
//! does to it, and what `tidegate why` says of it.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::cli::demo::follow::{Log, Seen};
use tidegate::cli::demo::githost::{Change, Check, Review};
use tidegate::cli::demo::sender::{self, Request, commit};
use tidegate::cli::demo::store;
use tidegate::cli::demo::world::World;
use tidegate::clock::Clock;
use tokio::runtime::Runtime;

use crate::http::{self, Header};
use crate::support::{PATIENCE, Server, eventually};

/// The gates of the example.
pub const STAGING: &str = "staging";
pub const PRODUCTION: &str = "production";
const PIPELINE: &str = ".tidegate/pipeline.toml";
/// Currencies in which customers order: a release with the demo's defect fails all but euros.
pub const EUROS: [&str; 1] = ["EUR"];
pub const MIXED: [&str; 5] = ["JPY", "EUR", "EUR", "EUR", "EUR"];
/// Orders that show what a release does.
const ORDERS: usize = 40;
/// From one question to the next, which is work for the project.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// One screen.
const LINES_MAX: usize = 24;
const COLUMNS_MAX: usize = 120;

/// The world around a project, and the project's folder.
pub struct Surroundings {
    pub world: World,
    pub runtime: Runtime,
    folder: PathBuf,
    env: Vec<(String, String)>,
    _parent: TempDir,
}

impl Surroundings {
    /// The example as it is, but that tasks may also run a shell.
    pub fn new() -> Self {
        // As the binary does; an `Err` means that another test did.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let parent = TempDir::new().expect("a temporary folder");
        let made = runtime.block_on(World::make(Some(parent.path().join("project"))));
        let (world, place) = made.unwrap_or_else(|error| panic!("{error}"));
        let env = place.env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let around = Surroundings { world, runtime, folder: place.folder, env, _parent: parent };
        let own = std::env::current_exe().expect("this program has a path");
        let (own, tidegate) = (format!("{:?}", own.display().to_string()), env!("CARGO_BIN_EXE_tidegate"));
        around.change("tidegate.toml", |text| text.replace(&own, &format!("{tidegate:?}, sh = \"/bin/sh\"")));
        around
    }

    /// Changes a file of the project.
    pub fn change(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path).expect("the example has the file");
        let changed = change(&text);
        assert_ne!(text, changed, "{file} is as it was");
        std::fs::write(path, changed).expect("a file can be written");
    }

    pub fn up(&self) -> Stage<'_> {
        let server = Server::start(&self.folder, &self.env);
        let _inside = self.runtime.enter();
        let log = Log::follow(&server.api).unwrap_or_else(|error| panic!("{error}"));
        Stage { around: self, server, log, number: Cell::new(0) }
    }
}

/// The project while it runs.
pub struct Stage<'a> {
    pub around: &'a Surroundings,
    pub server: Server<'a>,
    log: Log,
    /// Of the last change, which is newer than those before.
    number: Cell<u64>,
}

/// What a pipeline made of a commit.
#[derive(Debug, Clone)]
pub struct Built {
    pub commit: String,
    pub digest: String,
    pub release: String,
    pub artifact: String,
}

impl Stage<'_> {
    pub fn world(&self) -> &World {
        &self.around.world
    }

    /// Waits for an event.
    #[track_caller]
    pub fn until(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        let mut looked_at = 0;
        eventually(what, || {
            let new = self.log.since(looked_at);
            looked_at += new.len();
            new.into_iter().find(&is_it)
        })
    }

    /// Waits for a word of the path about a commit or a digest.
    #[track_caller]
    pub fn said(&self, name: &str, about: &str) -> Seen {
        self.until(&format!("{name} of {about}"), |seen| seen.name == name && is_about(seen, about))
    }

    /// Waits for a word about a digest in an environment.
    #[track_caller]
    pub fn said_in(&self, names: &[&str], about: &str, environment: &str) -> Seen {
        self.until(&format!("{names:?} of {about} in {environment}"), |seen| {
            names.contains(&seen.name.as_str()) && is_about(seen, about) && seen.is("environment", environment)
        })
    }

    /// Sends a webhook's request, which must be accepted.
    #[track_caller]
    pub fn send(&self, request: Request) -> String {
        let headers: Vec<Header<'_>> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::post(&self.server.hooks, request.path, &headers, &request.body).id()
    }

    /// What the git host sends, signed by it.
    #[track_caller]
    pub fn github(&self, request: Request) -> String {
        self.send(request.signed(&self.world().secrets.github))
    }

    /// Publishes an event by the API, which lets in whoever is on this machine and proves nobody.
    #[track_caller]
    pub fn publish(&self, ty: &str, key: &str, data: &Value) -> String {
        let event = json!({
            "specversion": "1.0", "id": format!("somebody-{}", self.next()), "source": "/somebody", "type": ty, "subject": key,
            "partitionkey": key, "data": data,
        });
        http::post(&self.server.api, "/events", &[http::STRUCTURED], event.to_string().as_bytes()).id()
    }

    pub fn next(&self) -> u64 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    /// A change that has all that the admission rules ask for, and is not merged.
    pub fn proposal(&self) -> Change {
        let number = self.next();
        Change {
            number,
            head: commit(&format!("head {number}")),
            approved_by: Some("grace".to_owned()),
            checks: vec!["build".to_owned(), "test".to_owned()],
            merged: None,
        }
    }

    /// Somebody says of a change what a review says, having looked at a commit.
    pub fn review(&self, change: u64, login: &str, state: &str, commit: &str) {
        let [login, state, commit] = [login, state, commit].map(str::to_owned);
        self.world().githost.with(|known| known.reviews.push(Review { change, login, state, commit }));
    }

    /// A check of a commit ended.
    pub fn check(&self, commit: &str, name: &str, conclusion: &str) {
        let [commit, name, conclusion] = [commit, name, conclusion].map(str::to_owned);
        self.world().githost.with(|known| known.checks.push(Check { commit, name, conclusion }));
    }

    /// The change is opened; its head.
    #[track_caller]
    pub fn open(&self, change: &Change) -> String {
        self.world().githost.put(change.clone());
        self.github(sender::opened(change, &at(change.number)));
        change.head.clone()
    }

    /// Another change is merged, whose commit has this pipeline; the commit.
    #[track_caller]
    pub fn merge(&self, pipeline: &str) -> String {
        self.merged(Some(pipeline), None)
    }

    #[track_caller]
    pub fn merge_without_pipeline(&self) -> String {
        self.merged(None, None)
    }

    /// One that was merged before all others, of which is heard late.
    #[track_caller]
    pub fn merge_late(&self, pipeline: &str) -> String {
        self.merged(Some(pipeline), Some("2026-11-23T07:00:00Z"))
    }

    #[track_caller]
    fn merged(&self, pipeline: Option<&str>, instant: Option<&str>) -> String {
        let (proposal, host) = (self.proposal(), &self.world().githost);
        let merge = commit(&format!("merge {}", proposal.number));
        match pipeline {
            Some(text) => host.put_file(&merge, PIPELINE, text.to_owned()),
            None => drop(host.with(|known| known.own_files.insert((merge.clone(), PIPELINE.to_owned()), None))),
        }
        let instant = instant.map_or_else(|| at(proposal.number), str::to_owned);
        let change = Change { merged: Some((merge.clone(), instant)), ..proposal };
        host.put(change.clone());
        self.github(sender::merged(&change));
        merge
    }

    /// The pipeline of the example, which pushes a component of its own each time.
    pub fn pipeline(&self, options: &[&str]) -> String {
        self.world().pipeline(self.number.get() + 1, options)
    }

    /// Merges a change, whose pipeline builds the service.
    #[track_caller]
    pub fn build(&self, options: &[&str]) -> Built {
        let pipeline = self.pipeline(options);
        self.built(self.merge(&pipeline))
    }

    /// Waits until the gates know what was made of a commit.
    #[track_caller]
    pub fn built(&self, commit: String) -> Built {
        let blocked = |environment: &str| {
            self.until(&format!("the gate of {environment} on {commit}"), |seen| {
                seen.name == "gate.blocked" && seen.is("commit", &commit) && seen.is("environment", environment)
            })
        };
        blocked(PRODUCTION);
        let blocked = blocked(STAGING);
        let text =
            |member: &str| blocked.text(member).unwrap_or_else(|| panic!("no {member} in {blocked:?}")).to_owned();
        Built { digest: text("digest"), release: text("release"), artifact: text("artifact"), commit }
    }

    #[track_caller]
    pub fn scan_statically(&self, commit: &str) {
        self.send(sender::static_report(&self.world().secrets.token, commit, &now()));
    }

    /// A scanner of dependencies puts its report into the object store, which tells of it.
    #[track_caller]
    pub fn scan_dependencies(&self, commit: &str) {
        let (key, report) = (format!("scans/{commit}/trivy.json"), sender::dependency_report(&now()));
        let size = report.len();
        let client = store::client(&self.world().store);
        let put = client.put_object().bucket(store::BUCKET).key(&key).body(ByteStream::from(report)).send();
        self.around.runtime.block_on(put).expect("an object can be put");
        self.send(sender::notification(&self.world().secrets.token, store::BUCKET, &key, size, &now()));
    }

    /// A scan of an image, with findings as (id, severity), made at an instant.
    #[track_caller]
    pub fn scan_image(&self, artifact: &str, digest: &str, findings: &[(&str, &str)], at: &str) {
        self.send(sender::image_report(&self.world().secrets.token, artifact, digest, findings, at));
    }

    /// All scans but the image's, so that its report decides.
    #[track_caller]
    pub fn scan_source(&self, built: &Built) {
        self.scan_statically(&built.commit);
        self.scan_dependencies(&built.commit);
        self.lacks(built, "there is no image scan of this digest");
    }

    /// Waits until the gate of staging lacks this and nothing else.
    #[track_caller]
    pub fn lacks(&self, built: &Built, reason: &str) {
        self.until(&format!("{} lacks nothing else: {reason}", built.release), |seen| {
            seen.name == "gate.blocked" && seen.is("digest", &built.digest) && seen.is("reason", reason)
        });
    }

    /// Clean scans of everything.
    #[track_caller]
    pub fn scan(&self, built: &Built) {
        self.scan_source(built);
        self.scan_image(&built.artifact, &built.digest, &[("CVE-2026-0009", "LOW")], &now());
    }

    /// Builds a release and scans it clean, so that it goes to staging.
    #[track_caller]
    pub fn stage(&self, options: &[&str]) -> Built {
        let built = self.build(options);
        self.scan(&built);
        self.runs(&built, STAGING);
        built
    }

    #[track_caller]
    pub fn runs(&self, built: &Built, environment: &str) {
        self.said_in(&["service.deployed", "service.upgraded"], &built.digest, environment);
    }

    /// Customers order, in these currencies in turn.
    #[track_caller]
    pub fn order(&self, built: &Built, environment: &str, currencies: &[&'static str]) {
        let (batch, orders) = (&built.commit[..8], currencies.iter().copied().cycle().take(ORDERS));
        self.send(sender::orders(&self.world().secrets.token, environment, batch, orders));
    }

    /// What `tidegate why -o json` says, asked of the API as it does.
    #[track_caller]
    pub fn why(&self, of: &str, environment: &str) -> Value {
        http::json(&self.server.api, &format!("/why?of={of}&in={environment}"))
    }

    /// What it prints, which is one screen.
    #[track_caller]
    pub fn screen(&self, of: &str, environment: &str) -> String {
        let screen = self.server.output(&["why", of, "--in", environment]);
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines.len() <= LINES_MAX, "{} lines:\n{screen}", lines.len());
        let wide = lines.iter().find(|line| line.chars().count() > COLUMNS_MAX);
        assert_eq!(wide, None, "wider than {COLUMNS_MAX} columns:\n{screen}");
        screen
    }

    /// Waits until a thing stands as it must.
    #[track_caller]
    pub fn stands(&self, of: &str, environment: &str, state: &str, rule: Option<&str>) -> Value {
        self.agrees(of, environment, |why| match why["state"] == state && why["cause"]["rule"].as_str() == rule {
            true => Ok(()),
            false => Err(format!("it is not {state}, {rule:?}")),
        })
    }

    /// Waits until a thing runs where it should, verified or not yet.
    #[track_caller]
    pub fn is_released(&self, of: &str, environment: &str) {
        self.agrees(of, environment, |why| match why["state"] == "released" {
            true => Ok(()),
            false => Err("it is not released".to_owned()),
        });
    }

    /// Waits until what `why` says is as it must be; what is wrong with it otherwise.
    #[track_caller]
    pub fn agrees(&self, of: &str, environment: &str, check: impl Fn(&Value) -> Result<(), String>) -> Value {
        let started = Instant::now();
        loop {
            let why = self.why(of, environment);
            match check(&why) {
                Ok(()) => return why,
                Err(wrong) => assert!(started.elapsed() < PATIENCE, "{of} in {environment}: {wrong}: {why:#}"),
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

fn is_about(seen: &Seen, about: &str) -> bool {
    ["commit", "digest", "release"].iter().any(|member| seen.is(member, about))
}

/// When a change is merged: each a minute after the one before.
fn at(number: u64) -> String {
    format!("2026-11-23T{:02}:{:02}:00Z", 9 + number / 60, number % 60)
}

pub fn now() -> String {
    Clock::system().now().to_string()
}

/// A pipeline of one task, which is a shell's script.
pub fn shell(script: &str, more: &str) -> String {
    format!(
        "name = \"release\"\n{more}\n[[task]]\nname = \"component\"\nexecutor = \"process\"\n\
         argv = [\"sh\", \"-c\", {script:?}]\nresults = [\"digest\", \"artifact\"]\n"
    )
}

/// A script that says that an artifact was made.
pub fn made(artifact: &str, digest: &str) -> String {
    format!("echo artifact={artifact} >> $TIDEGATE_RESULTS; echo digest={digest} >> $TIDEGATE_RESULTS")
}
