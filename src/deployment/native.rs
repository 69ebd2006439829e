//! Functions of a project that the runtime implements itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Digest;

/// What `component = "native:NAME"` names. Delivered, retried and settled as every function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NativeKind {
    /// Runs a task as a process of this machine.
    Process,
    /// Answers what asks for a deployment. It comes with the grant `deploy`; no project file names it.
    Reconcile,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no native function {name:?} is part of this version; there is {}", known())]
pub struct UnknownNative {
    name: String,
}

impl NativeKind {
    /// Those that a project file may name.
    const NAMED: [NativeKind; 1] = [NativeKind::Process];

    pub fn name(self) -> &'static str {
        match self {
            NativeKind::Process => "process",
            NativeKind::Reconcile => "reconcile",
        }
    }

    /// Raised whenever the same event would lead to something else: it is what a recording was made with.
    fn version(self) -> u32 {
        match self {
            NativeKind::Process | NativeKind::Reconcile => 1,
        }
    }

    /// Digest of its name and version, in the place of the bytes that it does not have.
    pub fn digest(self) -> Digest {
        Digest::of(format!("{self} {}", self.version()).as_bytes())
    }
}

fn known() -> String {
    NativeKind::NAMED.map(|kind| kind.to_string()).join(", ")
}

impl fmt::Display for NativeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "native:{}", self.name())
    }
}

impl FromStr for NativeKind {
    type Err = UnknownNative;

    fn from_str(name: &str) -> Result<Self, UnknownNative> {
        let found = Self::NAMED.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownNative { name: name.to_owned() })
    }
}
