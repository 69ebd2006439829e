//! A stopped project's API in this process: the same routes over its files, which are only read.

use std::path::Path;
use std::sync::Arc;

use axum::Router;

use super::CliError;
use crate::api::{ApiState, api};
use crate::blob::Blobs;
use crate::bus::embedded::EmbeddedHistory;
use crate::project::{self, blobs_folder, state_folder};

/// The routes over what the project in `dir` has kept. What it has not kept yet is not made.
pub fn router(dir: &Path) -> Result<Router, CliError> {
    project::read_project_file(dir)?;
    let state = state_folder(dir);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| CliError::Failed {
        what: format!("cannot read the project in {}", dir.display()),
        source,
    };
    let blobs = blobs_folder(dir);
    if !blobs.is_dir() {
        return Err(failed(format!("{} holds no log yet; start it once with `tidegate up`", state.display()).into()));
    }
    let blobs = Blobs::open(blobs).map_err(|error| failed(error.into()))?;
    let history = EmbeddedHistory::open(&state, blobs).map_err(|error| failed(error.into()))?;
    Ok(api(Arc::new(ApiState::stopped(dir.display().to_string(), Arc::new(history)))))
}
