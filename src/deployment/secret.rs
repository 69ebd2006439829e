//! Text that may name environment variables, kept by name.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Looks a variable of the environment up.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Text with `${env:NAME}` in it, as the operator wrote it. The value is had from `resolve`, and is never stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} is not set")]
pub struct SecretError {
    pub name: String,
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// Names of the variables in it.
    pub fn variables(&self) -> Vec<&str> {
        self.0.split("${env:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    /// The text with every variable replaced by what `env` answers.
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<String, SecretError> {
        let mut parts = self.0.split("${env:");
        let mut resolved = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            match part.split_once('}') {
                Some((name, rest)) => {
                    resolved += &env(name).ok_or_else(|| SecretError { name: name.to_owned() })?;
                    resolved += rest;
                }
                None => {
                    resolved += "${env:";
                    resolved += part;
                }
            }
        }
        Ok(resolved)
    }
}

impl fmt::Debug for Secret {
    /// A literal secret is not shown; names of variables are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.variables().join(", "))
    }
}
