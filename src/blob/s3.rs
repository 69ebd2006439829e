//! Blobs in any S3 endpoint: an object for each. The store acknowledges an object only when it is durable there.
//!
//! Calls come from threads that may block and run on the runtime that opened the store; a call from one of that
//! runtime's own workers panics.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::{BlobError, Blobs, name};
use crate::deployment::{Digest, ObjectStore, SecretError};
use crate::s3::client;

/// What is written and read when the store is opened, to see that it can be used.
const TRIAL: &[u8] = b"tidegate keeps its blobs here\n";

pub struct S3Blobs {
    client: Client,
    bucket: String,
    /// Stands before each blob's name.
    prefix: String,
    /// As errors name it.
    place: String,
    runtime: Handle,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the keys of the blob store")]
    Secret(#[from] SecretError),
    #[error("the blob store cannot be used; see that it is up, and that `[blob]` in tidegate.toml is right")]
    Unusable {
        #[source]
        source: BlobError,
    },
}

impl S3Blobs {
    /// Connects, on the runtime that it is called on.
    pub fn connect(store: &ObjectStore, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SecretError> {
        let endpoint = store.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        Ok(S3Blobs {
            client: client(store, env)?,
            bucket: store.bucket.clone(),
            prefix: store.prefix.clone(),
            place: format!("s3://{}/{}{endpoint}", store.bucket, store.prefix),
            runtime: Handle::current(),
        })
    }

    /// Connects and tries the store: it must take a blob and give it back.
    pub async fn open(store: &ObjectStore, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, OpenError> {
        let blobs = Self::connect(store, env)?;
        let unusable = |source| OpenError::Unusable { source };
        let digest = blobs.write(&Bytes::from_static(TRIAL)).await.map_err(unusable)?;
        blobs.read(digest).await.map_err(unusable)?;
        Ok(blobs)
    }

    async fn write(&self, bytes: &Bytes) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let put = self.client.put_object().bucket(&self.bucket).key(self.key(digest)).body(bytes.clone().into());
        put.send().await.map_err(|error| self.failed("write", digest, error))?;
        Ok(digest)
    }

    async fn read(&self, digest: Digest) -> Result<Bytes, BlobError> {
        let get = self.client.get_object().bucket(&self.bucket).key(self.key(digest)).send().await;
        let object = get.map_err(|error| match is_missing(&error) {
            true => BlobError::Missing { digest, place: self.place.clone() },
            false => self.failed("read", digest, error),
        })?;
        let bytes = object.body.collect().await.map_err(|error| self.failed("read", digest, error))?.into_bytes();
        if Digest::of(&bytes) != digest {
            return Err(BlobError::Corrupt { digest, place: self.place.clone() });
        }
        Ok(bytes)
    }

    async fn look(&self, digest: Digest) -> Result<bool, BlobError> {
        match self.client.head_object().bucket(&self.bucket).key(self.key(digest)).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(false),
            Err(error) => Err(self.failed("look for", digest, error)),
        }
    }

    fn key(&self, digest: Digest) -> String {
        format!("{}{}", self.prefix, name(digest))
    }

    fn failed(&self, what: &'static str, digest: Digest, source: impl Error + Send + Sync + 'static) -> BlobError {
        BlobError::Remote { what, digest, place: self.place.clone(), source: Box::new(source) }
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    fn put(&self, bytes: &Bytes) -> Result<Digest, BlobError> {
        self.runtime.block_on(self.write(bytes))
    }

    fn get(&self, digest: Digest) -> Result<Bytes, BlobError> {
        self.runtime.block_on(self.read(digest))
    }

    fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        self.runtime.block_on(self.look(digest))
    }

    // A bucket may be that of several projects, and none of them knows what the others name.
    fn put_before(&self, _time: SystemTime) -> Result<Vec<Digest>, BlobError> {
        Ok(Vec::new())
    }

    fn remove(&self, _digest: Digest, _put_before: SystemTime) -> Result<bool, BlobError> {
        Ok(false)
    }

    // What it acknowledged is its own to keep, and what failed may be tried again.
    async fn failed(&self) -> String {
        std::future::pending().await
    }
}

/// Whether the bucket is there and the object is not. Not every store answers with the code that AWS documents.
fn is_missing<R>(error: &SdkError<GetObjectError, R>) -> bool {
    error.as_service_error().is_some_and(|error| error.is_no_such_key() || error.code() == Some("NotFound"))
}
