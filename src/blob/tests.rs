use super::*;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
    (folder, blobs)
}

#[test]
fn what_is_put_is_got_by_its_digest_and_may_be_put_again() {
    let (_folder, blobs) = blobs();
    for bytes in [&b""[..], b"a", &[7; 100_000]] {
        let digest = blobs.put(bytes).unwrap();
        assert_eq!(digest, Digest::of(bytes));
        assert_eq!(blobs.put(bytes).unwrap(), digest);
        assert_eq!(blobs.get(digest).unwrap(), bytes);
        assert!(blobs.has(digest));
    }
}

#[test]
fn an_unknown_digest_is_missing() {
    let (_folder, blobs) = blobs();
    let digest = Digest::of(b"never put");
    assert!(!blobs.has(digest));
    assert!(matches!(blobs.get(digest), Err(BlobError::Missing { digest: named }) if named == digest));
}

#[test]
fn changed_bytes_are_refused() {
    let (_folder, blobs) = blobs();
    let digest = blobs.put(b"the truth").unwrap();
    fs::write(blobs.path(digest), b"something else").unwrap();
    assert!(matches!(blobs.get(digest), Err(BlobError::Corrupt { .. })));
}

#[test]
fn what_a_dead_process_left_unfinished_is_swept_at_open() {
    let (folder, blobs) = blobs();
    let kept = blobs.put(b"kept").unwrap();
    let unfinished = folder.path().join("blobs").join(UNFINISHED);
    fs::write(unfinished.join("half"), b"ha").unwrap();
    let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
    assert_eq!(fs::read_dir(unfinished).unwrap().count(), 0);
    assert!(blobs.has(kept));
}
