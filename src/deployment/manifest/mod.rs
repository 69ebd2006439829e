//! The project file, `tidegate.toml`: every problem at once, with key and line.

mod config;
mod emits;
mod function;
mod json;
mod read;
mod reconcile;
mod recording;
mod retention;
mod settings;
mod shipped;
mod trigger;
mod units;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use self::read::{Report, Table};
use super::{
    Component, Connection, Digest, Function, FunctionName, ObjectStore, Problem, Proof, RecordingSettings, Registry,
    Retention, Secret, Severity, Trigger, Unverified,
};

/// A project file that was read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub project: String,
    pub environments: Vec<String>,
    pub listen: Listen,
    pub bus: BusSettings,
    pub blob: BlobSettings,
    pub limits: ProjectLimits,
    pub retention: Retention,
    pub recording: RecordingSettings,
    pub connections: BTreeMap<String, Connection>,
    /// By host.
    pub registries: BTreeMap<String, Registry>,
    pub unverified: Unverified,
    pub triggers: Vec<Trigger>,
    /// With new ids; `plan` gives each the one it keeps. Beside it the name it had before (`was`).
    pub functions: Vec<(Function, Option<FunctionName>)>,
    /// Digest of the file and of every file and component that it names.
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    pub hooks: std::net::SocketAddr,
    pub api: std::net::SocketAddr,
    /// Names that `Host` may have beside the listeners' own.
    pub names: Vec<String>,
    /// Tokens of the API: name, what it may do, and the secret.
    pub tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub name: String,
    pub secret: Secret,
    /// Read, then emit, then operate: each includes those before it.
    pub scope: Scope,
    /// Delivery types (CDEvents, `dev.cdeventsx.*`) that it may publish.
    pub emits: Vec<crate::filter::TypePattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Read,
    Emit,
    Operate,
}

#[derive(Debug, Clone, PartialEq)]
pub enum BusSettings {
    /// In the project's folder. `disk_bytes_max`: at so many bytes of the log nothing new is accepted.
    Embedded {
        disk_bytes_max: Option<u64>,
    },
    Nats {
        url: Secret,
        stream: Option<String>,
        replicas: u32,
        credentials: Option<Secret>,
    },
}

/// Where components and large data are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobSettings {
    /// In the project's folder, beside the log.
    Folder,
    S3(ObjectStore),
}

/// Limits of the project as a whole; each function has its own beside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectLimits {
    /// Live instances at once, which bounds memory; none: the engine's default.
    pub invocations_max: Option<u32>,
}

/// What a manifest names beside itself, read by the caller.
pub trait Sources {
    /// A file, by its path from the project's folder.
    fn file(&self, path: &str) -> Result<Vec<u8>, String>;
    /// A shipped component.
    fn builtin(&self, name: &str) -> Option<&'static [u8]>;
    /// Full names of what a component imports; an error where the bytes are no component.
    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String>;
    fn env(&self, name: &str) -> Option<String>;
}

impl Manifest {
    /// Reads a project file. `None` if any problem is an error.
    pub fn parse(text: &str, sources: &dyn Sources) -> (Option<Manifest>, Vec<Problem>) {
        let report = Report::new(text, sources);
        let (root, syntax) = DeTable::parse_recoverable(text);
        let manifest = if syntax.is_empty() {
            Table::read(&report, root.get_ref(), "", 0, |table| read_manifest(table, text))
        } else {
            // What the parser guessed after a syntax error would only raise problems that are none.
            for error in syntax {
                let offset = error.span().map_or(text.len(), |span| span.start);
                report.error("", offset, format!("column {}: {}", report.place(offset).1, error.message()));
            }
            None
        };
        let problems = report.into_problems();
        let sound = problems.iter().all(|problem| problem.severity != Severity::Error);
        (manifest.filter(|_| sound), problems)
    }

    /// Names of environment variables that the project needs and that are unset or empty: `up` refuses to start.
    pub fn unset_variables(&self, sources: &dyn Sources) -> Vec<String> {
        let names: BTreeSet<&str> = self.secrets().into_iter().flat_map(Secret::variables).collect();
        let unset = |name: &&str| sources.env(name).is_none_or(|value| value.is_empty());
        names.into_iter().filter(unset).map(str::to_owned).collect()
    }

    fn secrets(&self) -> Vec<&Secret> {
        let mut secrets: Vec<&Secret> = self.listen.tokens.iter().map(|token| &token.secret).collect();
        secrets.extend(self.connections.values().flat_map(|connection| connection.headers.values()));
        secrets
            .extend(self.registries.values().flat_map(|registry| registry.username.iter().chain(&registry.password)));
        for trigger in &self.triggers {
            match trigger {
                Trigger::Webhook(webhook) => match &webhook.proof {
                    Proof::Secret(proofs) | Proof::Token(proofs) => secrets.extend(proofs),
                    Proof::Unsigned => {}
                },
                Trigger::Schedule(_) => {}
                Trigger::Bucket(bucket) => secrets.extend(bucket.store.secrets()),
                Trigger::Queue(queue) => secrets.push(&queue.url),
            }
        }
        match &self.bus {
            BusSettings::Embedded { .. } => {}
            BusSettings::Nats { url, credentials, .. } => secrets.extend(std::iter::once(url).chain(credentials)),
        }
        match &self.blob {
            BlobSettings::Folder => {}
            BlobSettings::S3(store) => secrets.extend(store.secrets()),
        }
        secrets
    }
}

fn read_manifest(table: &mut Table<'_>, text: &str) -> Option<Manifest> {
    let project = table.need("name", |item| item.checked(name));
    let environments = settings::environments(table);
    let listen = settings::listen(table);
    let (bus, dedupe) = settings::bus(table);
    let blob = settings::blob(table);
    let limits = settings::limits(table);
    let retention = retention::retention(table, dedupe);
    let recording = recording::recording(table);
    let unverified = settings::unverified(table);
    let connections = settings::connections(table);
    let registries = settings::registries(table);
    let triggers = trigger::triggers(table);
    let mut functions = function::functions(table, &connections, &triggers);
    let project = project?;
    let reconcile = reconcile::function_of(&project, functions.iter().map(|(function, _)| function));
    functions.extend(reconcile.map(|function| (function, None)));
    Some(Manifest {
        project,
        environments,
        listen,
        bus: bus?,
        blob: blob?,
        limits,
        retention,
        recording,
        unverified,
        connections: connections.into_iter().filter_map(|(name, connection)| Some((name, connection?))).collect(),
        registries,
        triggers,
        digest: digest(text, &functions),
        functions,
    })
}

/// Each part with its length, so that no two files have the same parts joined.
fn digest(text: &str, functions: &[(Function, Option<FunctionName>)]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![text.as_bytes()];
    for (function, _) in functions {
        let Component { digest, .. } = &function.component;
        parts.push(digest.as_bytes());
        parts.extend(function.config.values().map(|value| value.text.as_bytes()));
    }
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    Digest::of(&joined)
}

/// A name of the project, an environment, a connection, a key space or a token: the same rule as a function's name.
fn name(text: &str) -> Result<String, String> {
    let valid = text.parse::<FunctionName>().is_ok();
    let error = || format!("{text:?} is no name; use 1 to 63 of a-z, 0-9 and -, starting with a letter");
    if valid { Ok(text.to_owned()) } else { Err(error()) }
}
