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
