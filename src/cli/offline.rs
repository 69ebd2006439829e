//! A stopped project's API in this process: the same routes over its files, which are only read.

use std::path::Path;
use std::sync::Arc;

use axum::Router;

use super::CliError;
use crate::api::{ApiState, api};
use crate::blob::{Blobs, FolderBlobs, S3Blobs};
use crate::bus::embedded::EmbeddedHistory;
use crate::deployment::BlobSettings;
use crate::project::{Project, blobs_folder, state_folder};

/// The routes over what the project in `dir` has kept. What it has not kept yet is not made.
pub fn router(dir: &Path) -> Result<Router, CliError> {
    // Whatever else is wrong with the file, what was kept can be read.
    let (manifest, _) = Project::check(dir)?;
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| CliError::Failed {
        what: format!("cannot read the project in {}", dir.display()),
        source,
    };
    let blobs: Arc<dyn Blobs> = match manifest.map(|manifest| manifest.blob) {
        Some(BlobSettings::S3(store)) => {
            let connected = S3Blobs::connect(&store, &|name| std::env::var(name).ok());
            Arc::new(connected.map_err(|error| failed(error.into()))?)
        }
        Some(BlobSettings::Folder) | None => Arc::new(FolderBlobs::open_read_only(blobs_folder(dir))),
    };
    let history = EmbeddedHistory::open(&state_folder(dir), blobs.clone()).map_err(|error| failed(error.into()))?;
    Ok(api(Arc::new(ApiState::stopped(dir.display().to_string(), Arc::new(history), blobs))))
}
