//! A running project: bus, triggers, functions and both listeners, put together.

use serde::Serialize;

use crate::project::Project;

/// Where a running project listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    pub project: String,
    /// `http://ADDRESS:PORT` of webhooks.
    pub hooks: String,
    /// `http://ADDRESS:PORT` of the API.
    pub api: String,
    /// The active deployment.
    pub deployment: u64,
    /// How many functions it has.
    pub functions: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {}

/// Runs a project until a signal ends it. `listening` is called once, when both listeners take requests.
pub async fn run(_project: Project, _listening: &(dyn Fn(&Listening) + Send + Sync)) -> Result<(), AppError> {
    todo!()
}
