use std::time::Duration;

use super::*;
use crate::blob::conformance::{Storage, conformance};

struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self) -> PathBuf {
        self.0.path().join("blobs")
    }
}

impl Storage for Folder {
    async fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Box<dyn Blobs> {
        Box::new(FolderBlobs::open(self.path()).unwrap())
    }

    fn file(&self, digest: Digest) -> PathBuf {
        self.path().join(name(digest))
    }
}

conformance!(Folder);

#[test]
fn what_a_dead_process_left_unfinished_is_swept_at_open() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().to_owned()).unwrap();
    let kept = blobs.put(&Bytes::from_static(b"kept")).unwrap();
    let unfinished = folder.path().join(UNFINISHED);
    fs::write(unfinished.join("half"), b"ha").unwrap();
    let blobs = FolderBlobs::open(folder.path().to_owned()).unwrap();
    assert_eq!(fs::read_dir(unfinished).unwrap().count(), 0);
    assert!(blobs.has(kept).unwrap());
}

#[test]
fn a_reader_beside_the_writer_sweeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().to_owned()).unwrap();
    let kept = blobs.put(&Bytes::from_static(b"kept")).unwrap();
    let half = folder.path().join(UNFINISHED).join("half");
    fs::write(&half, b"ha").unwrap();
    let reader = FolderBlobs::open_read_only(folder.path().to_owned());
    assert_eq!(reader.get(kept).unwrap(), "kept");
    assert!(half.exists());
}

#[test]
fn a_blob_that_is_old_is_told_and_removed_unless_it_was_put_again() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().to_owned()).unwrap();
    let [old, again] = ["old", "again"].map(|text| blobs.put(&Bytes::from_static(text.as_bytes())).unwrap());
    let then = SystemTime::now();
    assert_eq!(blobs.put_before(then - Duration::from_secs(60)).unwrap(), []);
    for digest in [old, again] {
        File::open(blobs.path(digest)).unwrap().set_modified(then - Duration::from_secs(90)).unwrap();
    }
    let before = then - Duration::from_secs(60);
    let mut told = blobs.put_before(before).unwrap();
    told.sort();
    let mut expected = vec![old, again];
    expected.sort();
    assert_eq!(told, expected);
    blobs.put(&Bytes::from_static(b"again")).unwrap();
    assert!(blobs.remove(old, before).unwrap());
    assert!(!blobs.remove(again, before).unwrap(), "it was put again");
    assert!(!blobs.remove(old, before).unwrap(), "it is not there");
    assert_eq!((blobs.has(old).unwrap(), blobs.has(again).unwrap()), (false, true));
}
