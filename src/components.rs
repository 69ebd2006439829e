//! Components by digest, ready to run: compiled once, from the blob store.

use std::sync::Arc;

use bytes::Bytes;

use crate::blob::{BlobError, Blobs};
use crate::deployment::{Deployment, Digest};
use crate::invoke::{Compiled, Engine, EngineError};

/// The engine, and the store that components are taken from. Cheap to clone.
#[derive(Clone)]
pub struct Components {
    engine: Arc<Engine>,
    blobs: Arc<dyn Blobs>,
}

#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error(transparent)]
    Store(#[from] BlobError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Components {
    pub fn new(engine: Arc<Engine>, blobs: Arc<dyn Blobs>) -> Self {
        Components { engine, blobs }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether the store has a component.
    pub async fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        self.blocking(move |blobs| blobs.has(digest)).await
    }

    /// Keeps a component in the store.
    pub async fn put(&self, bytes: Bytes) -> Result<(), BlobError> {
        self.blocking(move |blobs| blobs.put(&bytes)).await.map(drop)
    }

    pub async fn get(&self, digest: Digest) -> Result<Compiled, ComponentError> {
        if let Some(compiled) = self.engine.compiled(digest) {
            return Ok(compiled);
        }
        let bytes = self.blocking(move |blobs| blobs.get(digest)).await?;
        Ok(self.engine.compile(digest, bytes).await?)
    }

    /// Makes every component of a deployment ready, so that its first events need not wait.
    pub async fn prepare(&self, deployment: &Deployment) -> Result<(), ComponentError> {
        for component in deployment.functions.iter().map(|function| &function.component) {
            if component.native().is_none() {
                self.get(component.digest).await?;
            }
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(&self, call: impl FnOnce(&dyn Blobs) -> T + Send + 'static) -> T {
        let blobs = self.blobs.clone();
        tokio::task::spawn_blocking(move || call(&*blobs)).await.expect("a store of blobs does not panic")
    }
}
