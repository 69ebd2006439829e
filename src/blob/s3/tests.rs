use std::path::PathBuf;

use super::*;
use crate::blob::conformance::{Storage, conformance};
use crate::s3::testing::{keys, serve, store};
use crate::telemetry::Causes;

const BUCKET: &str = "blobs";

struct Server {
    root: tempfile::TempDir,
    store: ObjectStore,
}

impl Storage for Server {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let store = store(serve(root.path()).await, BUCKET, "shop/");
        Server { root, store }
    }

    async fn open(&self) -> Box<dyn Blobs> {
        Box::new(S3Blobs::open(&self.store, &keys).await.unwrap())
    }

    fn file(&self, digest: Digest) -> PathBuf {
        self.root.path().join(BUCKET).join("shop").join(name(digest))
    }
}

conformance!(Server);

/// Why a store cannot be opened.
async fn refused(store: &ObjectStore, env: &dyn Fn(&str) -> Option<String>) -> String {
    let error = S3Blobs::open(store, env).await.err().expect("the store is unusable");
    Causes(&error).to_string()
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_told_when_it_is_opened() {
    let server = Server::new().await;
    let told = refused(&server.store, &|_| Some("wrong".to_owned())).await;
    assert!(told.contains("in s3://blobs/shop/ at http://127.0.0.1") && told.contains("NotSignedUp"), "{told}");
    let told = refused(&store("http://127.0.0.1:1".to_owned(), BUCKET, ""), &keys).await;
    assert!(told.starts_with("the blob store cannot be used; see that it is up"), "{told}");
    assert!(told.contains("s3://blobs/ at http://127.0.0.1:1") && told.contains("refused"), "{told}");
    let told = refused(&server.store, &|_| None).await;
    assert_eq!(told, "the keys of the blob store: the environment variable KEY is not set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_since_the_store_is_away_may_pass() {
    let gone = S3Blobs::connect(&store("http://127.0.0.1:1".to_owned(), BUCKET, ""), &keys).unwrap();
    let tried = tokio::task::spawn_blocking(move || {
        let digest = Digest::of(b"x");
        [gone.put(&Bytes::from_static(b"x")).err(), gone.get(digest).err(), gone.has(digest).err()]
    });
    for error in tried.await.unwrap() {
        assert!(error.as_ref().is_some_and(BlobError::may_pass), "{error:?}");
    }
}
