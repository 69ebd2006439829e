//! A function: its name, its component, and what it may do.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{KeyLimit, NativeKind, OciReference, Pin, Rate, Supersede};
use crate::clock::Timestamp;
use crate::event::{Origin, OriginKind, Position};
use crate::filter::{Filter, TypePattern};
use crate::outcome::RetryPolicy;

/// A function as deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub id: FunctionId,
    pub name: FunctionName,
    pub component: Component,
    pub filter: Filter,
    /// What `wasi:config` answers, by key; empty: `wasi:config` is not linked.
    pub config: BTreeMap<String, ConfigValue>,
    pub grants: Grants,
    pub limits: Limits,
    pub retry: RetryPolicy,
    /// Invocations in flight at once; at least 1.
    pub concurrency: u32,
    /// Starts of invocations over time; none: as fast as they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<KeyLimit>,
    /// Events that wait for it, beyond which no trigger's event of its types is accepted; none: any number may wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_max: Option<u64>,
    /// None: each event is run, whatever came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<Supersede>,
    pub order: Order,
    pub start: Start,
    /// What was released to it; none: it runs what the project file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

/// Events in flight at once, where nothing is said of it.
const CONCURRENCY_DEFAULT: u32 = 8;

impl Function {
    /// A new one with nothing but what it runs on which events: no grants, and of everything else what holds unless it is said.
    pub fn new(name: FunctionName, component: Component, filter: Filter) -> Self {
        Function {
            id: FunctionId::new(),
            name,
            component,
            filter,
            config: BTreeMap::new(),
            grants: Grants::default(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            concurrency: CONCURRENCY_DEFAULT,
            rate: None,
            limit: None,
            backlog_max: None,
            supersede: None,
            order: Order::None,
            start: Start::Latest,
            pin: None,
        }
    }

    /// Who brought in what it emits: itself, but the reconciler speaks for Tidegate.
    pub fn origin(&self) -> Origin {
        let kind = match self.component.native() {
            Some(NativeKind::Reconcile) => OriginKind::Runtime,
            Some(NativeKind::Process) | None => OriginKind::Function,
        };
        Origin { kind, name: self.name.to_string(), verified: true }
    }
}

/// What a function keeps for ever: cursors, fences, keys and recordings use it, so that they outlive names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionId(Uuid);

impl FunctionId {
    /// A new id; `now` makes ids sort by when they were given.
    pub fn new() -> Self {
        FunctionId(Uuid::now_v7())
    }

    pub fn from_uuid(uuid: Uuid) -> Self {
        FunctionId(uuid)
    }

    pub fn uuid(&self) -> &Uuid {
        &self.0
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for FunctionId {
    fn default() -> Self {
        FunctionId::new()
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Invariant: 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name:?} is no function name; use 1 to 63 of a-z, 0-9 and -, starting with a letter")]
pub struct NameError {
    name: String,
}

impl FunctionName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let valid = (1..=63).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if valid { Ok(FunctionName(name.to_owned())) } else { Err(NameError { name: name.to_owned() }) }
    }
}

impl TryFrom<String> for FunctionName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> String {
        name.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names of functions: one, or with a trailing `*` all that begin so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionPattern(TypePattern);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{pattern:?} names no functions; write a function's name, or how names begin and a * at the end")]
pub struct FunctionPatternError {
    pattern: String,
}

impl FunctionPattern {
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for FunctionPattern {
    type Err = FunctionPatternError;

    fn from_str(pattern: &str) -> Result<Self, FunctionPatternError> {
        let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
        let valid = pattern == "*" || beginning.parse::<FunctionName>().is_ok();
        let parsed = pattern.parse().ok().filter(|_| valid).map(FunctionPattern);
        parsed.ok_or_else(|| FunctionPatternError { pattern: pattern.to_owned() })
    }
}

impl TryFrom<String> for FunctionPattern {
    type Error = FunctionPatternError;

    fn try_from(pattern: String) -> Result<Self, FunctionPatternError> {
        pattern.parse()
    }
}

impl From<FunctionPattern> for String {
    fn from(pattern: FunctionPattern) -> String {
        pattern.0.into()
    }
}

/// What runs: where it came from, and the digest of the bytes that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub reference: ComponentRef,
    pub digest: Digest,
}

impl Component {
    /// What the runtime implements itself: there are no bytes to fetch, compile or link.
    pub fn native(&self) -> Option<NativeKind> {
        match self.reference {
            ComponentRef::Native(kind) => Some(kind),
            ComponentRef::Builtin(_) | ComponentRef::Path(_) | ComponentRef::Oci(_) => None,
        }
    }
}

/// Where a component is taken from: `builtin:NAME`, `native:NAME`, a path from the project's folder, or an artifact in a
/// registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentRef {
    Builtin(String),
    Native(NativeKind),
    Path(String),
    Oci(OciReference),
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComponentRef::Builtin(name) => write!(f, "builtin:{name}"),
            ComponentRef::Native(kind) => kind.fmt(f),
            ComponentRef::Path(path) => f.write_str(path),
            ComponentRef::Oci(reference) => write!(f, "oci:{reference}"),
        }
    }
}

/// A SHA-256. Shown as `sha256:` and 64 lower-case hex digits, and nothing else is one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no digest; it is sha256: and 64 lower-case hex digits")]
pub struct DigestError {
    text: String,
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError { text: text.to_owned() };
        let hex = text.strip_prefix("sha256:").ok_or_else(error)?;
        let digits = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex.len() != 64 || !digits {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_| error())?;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A value of `config`: a literal, or a file's text read when the deployment was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValue {
    pub text: String,
    /// The file that it came from, from the project's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What a function may do beside reading its event: nothing that does not stand here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grants {
    /// Key spaces that it reads and writes; no other function of the deployment writes them.
    pub keyvalue_write: Vec<String>,
    /// Key spaces whose committed state it reads.
    pub keyvalue_read: Vec<String>,
    /// Full event types, each perhaps with a trailing `*`.
    pub emits: Vec<String>,
    /// Connections by name.
    pub http: Vec<String>,
    /// Whether `wasi:logging` is linked. Standard output and error are always logged.
    pub logging: bool,
    /// Functions of the deployment whose outcomes it may count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<FunctionPattern>,
    /// Functions that it may ask to be released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deploy: Vec<FunctionPattern>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Linear memory of one instance, all memories together.
    pub memory_bytes_max: u64,
    /// Wall time of one attempt.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_bytes_max: 64 * 1024 * 1024, time_max: Duration::from_secs(10) }
    }
}

/// What is delivered one at a time, in log order. An event whose key is empty or missing is not ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    None,
    /// A CEL expression over the event; `"partitionkey"` is short for `event.partitionkey`.
    Key(crate::filter::KeyExpression),
}

/// Where a new function starts to read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    Latest,
    Earliest,
    At(Timestamp),
    Position(Position),
}
