use delivery::Kind;
use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::http::Response;
use tidegate_sdk::testing::Host;

use super::*;

const REPOSITORY: &str = "registry.example.com/acme/shop";
const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const PLAN: &str = r#"
environments = ["staging"]
[service.shop]
repository = "acme/shop"
artifact = "registry.example.com/acme/shop"
profile = "event-driven"
scans = ["image", "dependency"]
[service.shop.in.staging]
function = "shop-staging"
"#;

fn host() -> Host {
    Host::new().config("plan", PLAN).key_space("images")
}

fn manifest(annotations: Value) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": delivery::sha256(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "application/wasm", "digest": delivery::sha256(b"wasm"), "size": 4 }],
        "annotations": annotations,
    });
    manifest.to_string().into_bytes()
}

fn claimed() -> Vec<u8> {
    manifest(json!({ "org.opencontainers.image.revision": COMMIT }))
}

fn url(reference: &str) -> String {
    format!("http://registry/v2/acme/shop/manifests/{reference}")
}

fn event(artifact: Value) -> Event {
    let origin = Some(Origin { kind: "trigger".into(), name: "/hooks/registry".into(), verified: true });
    Event {
        origin,
        ..Event::new("com.distribution.push").json(&json!({ "artifact": artifact, "payload": {} })).unwrap()
    }
}

fn by_digest(bytes: &[u8], tag: Option<&str>) -> Event {
    event(json!({ "repository": REPOSITORY, "digest": delivery::sha256(bytes), "tag": tag }))
}

fn by_tag(tag: &str) -> Event {
    event(json!({ "repository": REPOSITORY, "tag": tag }))
}

fn identified(said: &[Event]) -> Identified {
    delivery::content(&said[0]).unwrap()
}

#[test]
fn a_push_by_digest_is_identified_and_its_scans_are_asked_for() {
    let bytes = claimed();
    let digest = delivery::sha256(&bytes);
    let host = host().answer("GET", &url(&digest), 200, &bytes);
    let said = handle(by_digest(&bytes, Some("1.2"))).unwrap();
    let expected = Identified {
        service: "shop".into(),
        digest: digest.clone(),
        artifact: REPOSITORY.into(),
        tag: Some("1.2".into()),
        commit: Some(COMMIT.into()),
        resolved: false,
        parts: Vec::new(),
    };
    assert_eq!(identified(&said), expected);
    assert_eq!(said[0].subject.as_deref(), Some(&*purl(REPOSITORY, &digest)));
    let kinds: Vec<Kind> =
        said[1..].iter().map(|event| delivery::content::<ScanRequested>(event).unwrap().kind).collect();
    assert_eq!(kinds, [Kind::Image, Kind::Dependency]);
    assert!(said.iter().all(|event| event.text("partitionkey") == Some(&digest)));
    let accept = &host.requests()[0].headers[0];
    assert_eq!(accept.0, "accept");
    assert!(accept.1.contains("oci.image.index.v1+json") && accept.1.contains("docker.distribution.manifest.v2+json"));
}

#[test]
fn a_package_url_names_repository_and_digest() {
    let bytes = claimed();
    let digest = delivery::sha256(&bytes);
    let _host = host().answer("GET", &url(&digest), 200, &bytes);
    let origin = event(json!(null)).origin;
    let published = Event::new(types::ARTIFACT_PUBLISHED)
        .subject(purl(REPOSITORY, &digest))
        .json(&json!({ "subject": {} }))
        .unwrap();
    let said = handle(Event { origin, ..published }).unwrap();
    assert_eq!((identified(&said).digest, identified(&said).tag), (digest, None));
}

#[test]
fn bytes_that_are_not_those_of_the_digest_are_a_dead_letter() {
    let _host = host().answer("GET", &url(&delivery::sha256(&claimed())), 200, &manifest(json!({})));
    let failure = handle(by_digest(&claimed(), None)).unwrap_err();
    assert!(
        matches!(&failure, Failure::Reject { reason } if reason.contains("somebody changed what it has")),
        "{failure}"
    );
}

#[test]
fn a_tag_is_resolved_once_and_never_followed() {
    let (first, second) = (claimed(), manifest(json!({})));
    let headers = vec![("docker-content-digest".to_owned(), delivery::sha256(&first))];
    let host = host().answer_with("GET", &url("latest"), Response { status: 200, headers, body: first.clone() });
    let said = handle(by_tag("latest")).unwrap();
    assert_eq!((identified(&said).digest, identified(&said).resolved), (delivery::sha256(&first), true));
    assert_eq!(host.get_json::<String>("images", &format!("{REPOSITORY}:latest")), Some(delivery::sha256(&first)));
    assert!(handle(by_tag("latest")).unwrap().is_empty());
    assert_eq!(host.requests().len(), 1);
    // A push that names its digest is identified as itself; what the tag stood for stays.
    let host = host.answer("GET", &url(&delivery::sha256(&second)), 200, &second);
    let said = handle(by_digest(&second, Some("latest"))).unwrap();
    assert_eq!((identified(&said).digest, identified(&said).resolved), (delivery::sha256(&second), false));
    assert_eq!(host.get_json::<String>("images", &format!("{REPOSITORY}:latest")), Some(delivery::sha256(&first)));
}

#[test]
fn a_registry_that_contradicts_its_bytes_is_not_believed() {
    let headers = vec![("docker-content-digest".to_owned(), delivery::sha256(b"other"))];
    let host = host().answer_with("GET", &url("latest"), Response { status: 200, headers, body: claimed() });
    assert!(handle(by_tag("latest")).unwrap_err().reason().contains("and its bytes are"));
    assert_eq!(host.get("images", &format!("{REPOSITORY}:latest")), None);
}

#[test]
fn the_commit_is_a_claim_that_is_one() {
    for (annotations, expected) in [
        (json!({}), None),
        (json!({ "org.opencontainers.image.revision": "main" }), None),
        (json!({ "org.opencontainers.image.revision": COMMIT }), Some(COMMIT)),
    ] {
        let bytes = manifest(annotations);
        let _host = host().answer("GET", &url(&delivery::sha256(&bytes)), 200, &bytes);
        assert_eq!(identified(&handle(by_digest(&bytes, None)).unwrap()).commit.as_deref(), expected);
    }
}

#[test]
fn an_index_is_told_with_its_images_and_without_their_attestations() {
    let image = |name: &str, os: &str| json!({ "digest": delivery::sha256(name.as_bytes()), "platform": { "os": os, "architecture": "x" } });
    let mut attestation = image("attestation", "linux");
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [image("amd64", "linux"), image("arm64", "linux"), image("sbom", "unknown"), attestation],
    });
    let bytes = index.to_string().into_bytes();
    let _host = host().answer("GET", &url(&delivery::sha256(&bytes)), 200, &bytes);
    let parts = identified(&handle(by_digest(&bytes, None)).unwrap()).parts;
    assert_eq!(parts, [delivery::sha256(b"amd64"), delivery::sha256(b"arm64")]);
}

#[test]
fn artifacts_of_no_service_are_nothing_and_ask_nobody() {
    let host = host();
    let other = event(json!({ "repository": "registry.example.com/acme/other", "tag": "1" }));
    assert!(handle(other).unwrap().is_empty());
    assert!(host.requests().is_empty());
}

/// What becomes of a push by the registry's answer.
#[track_caller]
fn check_answer(status: u16, body: &[u8], expected: Result<&str, &str>) {
    let _host = host().answer("GET", &url("1"), status, body);
    match (handle(by_tag("1")).unwrap_err(), expected) {
        (Failure::Retry { reason, .. }, Ok(told)) | (Failure::Reject { reason }, Err(told)) => {
            assert!(reason.contains(told), "{reason}")
        }
        (failure, expected) => panic!("{failure:?} is not {expected:?}"),
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_does_not_is_a_dead_letter() {
    check_answer(404, b"", Ok("the registry does not have it"));
    check_answer(429, b"", Ok("429"));
    check_answer(503, b"", Ok("503"));
    check_answer(401, b"", Err("lets it read the repository"));
    check_answer(200, b"[", Err("cannot be read"));
    check_answer(200, br#"{"schemaVersion":1}"#, Err("schema version 1"));
}

#[track_caller]
fn check_event(event: Event, expected: &str) {
    let _host = host();
    assert!(handle(event).unwrap_err().reason().contains(expected));
}

#[test]
fn what_names_no_artifact_is_a_dead_letter() {
    check_event(event(json!(null)), "names no repository");
    check_event(event(json!({ "repository": null, "tag": "1" })), "names no repository");
    check_event(event(json!({ "repository": REPOSITORY })), "names neither digest nor tag");
    check_event(event(json!({ "repository": REPOSITORY, "digest": "sha256:ABC" })), "is no digest");
    check_event(event(json!({ "repository": REPOSITORY, "tag": "../../x" })), "is no tag");
    check_event(Event { origin: None, ..by_tag("1") }, "nobody proved");
}
