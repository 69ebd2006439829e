//! Components by digest, ready to run: compiled once, from the blob store.

use std::sync::Arc;

use crate::blob::{BlobError, Blobs};
use crate::deployment::{Deployment, Digest};
use crate::invoke::{Compiled, Engine, EngineError};

/// The engine, and the store that components are taken from. Cheap to clone.
#[derive(Clone)]
pub struct Components {
    engine: Arc<Engine>,
    blobs: Blobs,
}

#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error(transparent)]
    Store(#[from] BlobError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Components {
    pub fn new(engine: Arc<Engine>, blobs: Blobs) -> Self {
        Components { engine, blobs }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    pub async fn get(&self, digest: Digest) -> Result<Compiled, ComponentError> {
        if let Some(compiled) = self.engine.compiled(digest) {
            return Ok(compiled);
        }
        let blobs = self.blobs.clone();
        let bytes =
            tokio::task::spawn_blocking(move || blobs.get(digest)).await.expect("reading a blob does not panic")?;
        Ok(self.engine.compile(digest, bytes).await?)
    }

    /// Makes every component of a deployment ready, so that its first events need not wait.
    pub async fn prepare(&self, deployment: &Deployment) -> Result<(), ComponentError> {
        for function in &deployment.functions {
            self.get(function.component.digest).await?;
        }
        Ok(())
    }
}
