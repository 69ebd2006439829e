//! A bundle comes back as it was packed, and one that somebody made up is refused before it does harm.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::invoke::testing::engine;

async fn bundle() -> Bundle {
    let stage = Stage::new();
    let ran = stage.run("test.count", "orders").await;
    let case = stage.case("test.count", "orders", &ran);
    Bundle {
        id: case.id,
        event: case.event,
        recording: ran.recording,
        deployment: case.function.deployment().clone(),
        component: Bytes::from_static(guests::hostile()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_read_as_it_was_packed_and_packs_the_same_each_time() {
    let bundle = bundle().await;
    let packed = bundle.pack().unwrap();
    let read = Bundle::unpack(&packed).unwrap();
    assert_eq!((read.id, &read.event, &read.recording), (bundle.id, &bundle.event, &bundle.recording));
    assert_eq!((&read.deployment, &read.component), (&bundle.deployment, &bundle.component));
    assert_eq!(read.pack().unwrap(), packed);
}

/// `tests/fixtures/bundles` has one of each version, made by that version with the first version of the contract. When the form
/// of bundles or of recordings changes, `UPDATE_EXPECT=1 cargo test --lib record` adds the new one, and never an old one again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_every_version_still_comes_out_the_same() {
    for version in 1..=BUNDLE_VERSION {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/bundles/{version}.tgz"));
        let is_new = version == BUNDLE_VERSION && !path.exists();
        if is_new && std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, frozen().await.pack().unwrap()).unwrap();
        }
        let packed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let Bundle { id, event, recording, deployment, component } = Bundle::unpack(&packed).unwrap();
        let compiled = engine().compile(Digest::of(&component), component).await;
        let stored = Stored { id, event, recording, deployment, compiled: Ok(compiled.unwrap()) };
        let (case, compiled) = stored.read().unwrap();
        let judged = judge(engine(), &compiled, &case, &Changes::default(), None).await.unwrap();
        assert_eq!(judged.class, Class::Same, "version {version}: {:?}", judged.diff);
    }
}

/// A bundle of a component that no later build changes.
async fn frozen() -> Bundle {
    let component = guests::handler_0_1_0();
    let stage = Stage::new().with(|stage| stage.function.component.digest = Digest::of(component));
    let ran = stage.run_component(component, "test.echo", "what was said").await;
    let case = stage.case("test.echo", "what was said", &ran);
    Bundle {
        id: case.id,
        event: case.event,
        recording: ran.recording,
        deployment: case.function.deployment().clone(),
        component: Bytes::from_static(component),
    }
}

/// A tar of some files; each may be given another kind and another size than it has.
struct Tar(tar::Builder<GzEncoder<Vec<u8>>>);

impl Tar {
    fn new() -> Self {
        Tar(tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default())))
    }

    fn entry(mut self, name: &str, kind: tar::EntryType, bytes: &[u8], size: u64) -> Self {
        let mut header = tar::Header::new_ustar();
        // As bytes: the crate would not write a name that leads outside.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(name, tar::EntryType::Regular, bytes, bytes.len() as u64)
    }

    fn packed(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

#[track_caller]
fn check_refused(packed: &[u8], names: &str) {
    let error = Bundle::unpack(packed).unwrap_err().to_string();
    assert!(error.contains(names), "{error:?} does not name {names:?}");
}

#[test]
fn a_file_that_no_bundle_has_is_refused() {
    for name in ["../outside", "/etc/passwd", "event/../../x", "component.wasm.bak", "."] {
        check_refused(&Tar::new().file(name, b"x").packed(), "which no bundle has");
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Directory, tar::EntryType::Fifo] {
        check_refused(&Tar::new().entry("event", kind, b"", 0).packed(), "event is no plain file");
    }
    check_refused(&Tar::new().file("event", b"x").file("event", b"y").packed(), "event is there twice");
    check_refused(b"no tar at all", "no gzipped tar");
    check_refused(&Tar::new().packed(), "bundle.json is missing");
}

#[test]
fn a_file_that_would_fill_the_memory_is_refused() {
    let claims = Tar::new().entry("recording", tar::EntryType::Regular, b"", 1 << 40).packed();
    check_refused(&claims, "recording has more than");
    // 100 MiB of zeros in 100 KiB.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = tar::Header::new_ustar();
    header.set_path("component.wasm").unwrap();
    header.set_size(100 << 20);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..100 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    check_refused(&bomb.finish().unwrap(), "more than 200 times its size");
}

/// The files of a bundle, one of them changed.
async fn altered(name: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let packed = bundle().await.pack().unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut tar = Tar::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        let own = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let bytes = if own == name { change(&bytes) } else { bytes };
        tar = tar.file(&own, &bytes);
    }
    tar.packed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_whose_parts_were_changed_is_refused() {
    for name in ["event", "recording", "deployment.json", "component.wasm"] {
        let packed = altered(name, |bytes| [bytes, b" "].concat()).await;
        check_refused(&packed, &format!("{name} is not what bundle.json says"));
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let later =
        altered("bundle.json", |bytes| text(bytes).replace("\"version\": 1", "\"version\": 9").into_bytes()).await;
    check_refused(&later, "the bundle has version 9");
    let wrong = altered("bundle.json", |_| b"{\"version\": 1}".to_vec()).await;
    check_refused(&wrong, "bundle.json cannot be read");
    let cut = bundle().await.pack().unwrap();
    assert!(Bundle::unpack(&cut[..cut.len() / 2]).is_err(), "half a bundle is none");
}
