//! The project file, `tidegate.toml`: every problem at once, with key and line.

use std::collections::BTreeMap;

use super::{Connection, Digest, Function, FunctionName, Secret, Trigger};

/// A project file that was read whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    pub project: String,
    pub environments: Vec<String>,
    pub listen: Listen,
    pub bus: BusSettings,
    pub connections: BTreeMap<String, Connection>,
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
    Embedded,
    Nats { url: Secret, stream: Option<String>, replicas: u32, credentials: Option<Secret> },
}

/// What is wrong with a project file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// Like `function[0].when`.
    pub key: String,
    /// From 1; 0 where the problem has no place.
    pub line: usize,
    /// Names the thing and the next step.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
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
    pub fn parse(_text: &str, _sources: &dyn Sources) -> (Option<Manifest>, Vec<Problem>) {
        todo!()
    }
}
