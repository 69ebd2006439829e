//! What the trait means, as tests: every store runs them all, by `conformance!(Storage)`.

use std::path::PathBuf;

use bytes::Bytes;

use super::{BlobError, Blobs};
use crate::deployment::Digest;

/// What keeps blobs beyond the life of a store: in the end, a file for each.
pub trait Storage: Sized {
    async fn new() -> Self;

    /// Opens the store, as a new process would.
    async fn open(&self) -> Box<dyn Blobs>;

    /// Where the bytes of a blob are.
    fn file(&self, digest: Digest) -> PathBuf;
}

/// Runs on a thread that may block, as all callers do.
async fn on<T: Send + 'static>(blobs: Box<dyn Blobs>, test: impl FnOnce(&dyn Blobs) -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(move || test(&*blobs)).await.unwrap()
}

pub async fn what_is_put_is_got_by_its_digest_and_may_be_put_again<S: Storage>() {
    let storage = S::new().await;
    let put = on(storage.open().await, |blobs| {
        for bytes in [Bytes::new(), Bytes::from_static(b"a"), Bytes::from(vec![7; 3_000_000])] {
            let digest = blobs.put(&bytes).unwrap();
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(blobs.put(&bytes).unwrap(), digest);
            assert_eq!(blobs.get(digest).unwrap(), bytes);
            assert!(blobs.has(digest).unwrap());
        }
        blobs.put(&Bytes::from_static(b"kept")).unwrap()
    });
    let put = put.await;
    on(storage.open().await, move |blobs| assert_eq!(blobs.get(put).unwrap(), "kept")).await;
}

pub async fn an_unknown_digest_is_missing<S: Storage>() {
    on(S::new().await.open().await, |blobs| {
        let digest = Digest::of(b"never put");
        assert!(!blobs.has(digest).unwrap());
        let got = blobs.get(digest);
        assert!(matches!(&got, Err(BlobError::Missing { digest: named, .. }) if *named == digest), "{got:?}");
        assert!(!got.unwrap_err().may_pass());
    })
    .await;
}

pub async fn changed_bytes_are_refused<S: Storage>() {
    let storage = S::new().await;
    let digest = on(storage.open().await, |blobs| blobs.put(&Bytes::from_static(b"the truth")).unwrap()).await;
    std::fs::write(storage.file(digest), b"something else").unwrap();
    let got = on(storage.open().await, move |blobs| blobs.get(digest)).await;
    assert!(matches!(got, Err(BlobError::Corrupt { .. })), "{got:?}");
}

pub async fn threads_that_put_the_same_blob_do_not_meet<S: Storage>() {
    on(S::new().await.open().await, |blobs| {
        let bytes = Bytes::from(vec![9; 100_000]);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| assert_eq!(blobs.get(blobs.put(&bytes).unwrap()).unwrap(), bytes));
            }
        });
    })
    .await;
}

/// Makes a test of each sentence, for one kind of storage.
macro_rules! conformance {
    ($storage:ty) => {
        $crate::blob::conformance::sentences!($storage;
            what_is_put_is_got_by_its_digest_and_may_be_put_again,
            an_unknown_digest_is_missing,
            changed_bytes_are_refused,
            threads_that_put_the_same_blob_do_not_meet,
        );
    };
}

macro_rules! sentences {
    ($storage:ty; $($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::blob::conformance::$name::<$storage>().await;
            }
        )*
    };
}

pub(super) use {conformance, sentences};
