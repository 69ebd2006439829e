//! A store of blobs elsewhere: it keeps what is large, and may be away for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::*;
use crate::blob::{BlobError, S3Blobs};
use crate::bus::Subscription;
use crate::bus::conformance::{deployment, event, function, incoming, next, nothing};
use crate::deployment::Digest;
use crate::event::Event;
use crate::s3::testing::{keys, serve, store};

/// More than the log keeps in memory of one event.
const LARGE_BYTES: usize = 5 * 1024 * 1024;

fn open(folder: &Path, blobs: Arc<dyn Blobs>) -> Embedded {
    let settings = Settings { poll: Duration::from_millis(2), ..Settings::default() };
    Embedded::open(folder, blobs, Clock::system(), settings).unwrap()
}

/// A bus with one function on `t`, and a large event of that type.
async fn with_a_large_event(bus: &Embedded) -> (Box<dyn Subscription>, Bytes) {
    let handler = function("f", "t");
    bus.activate(deployment(vec![handler.clone()]), 0, Cause::ProjectFile).await.unwrap();
    let data = Bytes::from(vec![b'x'; LARGE_BYTES]);
    bus.publish(vec![incoming(Event { data: Some(data.clone()), ..event("large", "t") })]).await.unwrap();
    (bus.subscribe(handler.id), data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_data_lies_in_s3_and_outlives_the_process() {
    let (folder, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(root.path().join("blobs")).unwrap();
    let store = store(serve(root.path()).await, "blobs", "");
    let blobs = async || Arc::new(S3Blobs::open(&store, &keys).await.unwrap());
    let bus = open(folder.path(), blobs().await);
    let (subscription, data) = with_a_large_event(&bus).await;
    let handler = bus.active().borrow().as_ref().unwrap().functions.iter().next().unwrap().id;
    drop((subscription, bus));
    let bus = open(folder.path(), blobs().await);
    let delivered = next(&mut bus.subscribe(handler)).await;
    assert_eq!(delivered.event.event.data.as_ref(), Some(&data));
    let found = bus.event_at(delivered.event.position).await.unwrap().unwrap();
    assert_eq!(found.event.data, Some(data));
}

/// A store that can be taken away.
struct Away {
    blobs: FolderBlobs,
    away: AtomicBool,
}

impl Away {
    fn there(&self, digest: Digest) -> Result<&FolderBlobs, BlobError> {
        let failed = || BlobError::Remote { what: "reach", digest, place: "a test".into(), source: "away".into() };
        if self.away.load(Ordering::SeqCst) { Err(failed()) } else { Ok(&self.blobs) }
    }
}

#[async_trait]
impl Blobs for Away {
    fn put(&self, bytes: &Bytes) -> Result<Digest, BlobError> {
        self.there(Digest::of(bytes))?.put(bytes)
    }

    fn get(&self, digest: Digest) -> Result<Bytes, BlobError> {
        self.there(digest)?.get(digest)
    }

    fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        self.there(digest)?.has(digest)
    }

    fn put_before(&self, time: SystemTime) -> Result<Vec<Digest>, BlobError> {
        self.blobs.put_before(time)
    }

    fn remove(&self, digest: Digest, put_before: SystemTime) -> Result<bool, BlobError> {
        self.there(digest)?.remove(digest, put_before)
    }

    async fn failed(&self) -> String {
        self.blobs.failed().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_data_cannot_be_had_now_is_delivered_once_the_store_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().join("blobs")).unwrap();
    let blobs = Arc::new(Away { blobs, away: AtomicBool::new(false) });
    let bus = open(folder.path(), blobs.clone());
    let (mut subscription, data) = with_a_large_event(&bus).await;
    blobs.away.store(true, Ordering::SeqCst);
    nothing(&mut subscription).await;
    let refused = bus.publish(vec![incoming(Event { data: Some(data.clone()), ..event("another", "t") })]).await;
    assert!(refused.is_err(), "what lies nowhere was accepted");
    blobs.away.store(false, Ordering::SeqCst);
    let delivered = next(&mut subscription).await;
    assert_eq!((delivered.attempt, delivered.event.event.data.as_ref()), (1, Some(&data)));
    assert_eq!(bus.tail().await.unwrap(), delivered.event.position, "what was refused is in the log");
}
