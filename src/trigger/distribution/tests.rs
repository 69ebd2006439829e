use super::*;
use crate::event::Extension;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

/// An event as the registry writes it: of an index, tagged, unless `target` says otherwise.
fn told_by_registry(action: &str, target: Value) -> Value {
    let mut whole = json!({
        "mediaType": INDEX, "digest": digest(), "size": 708, "length": 708, "repository": "acme/shop", "tag": "v1",
        "url": format!("https://registry.example.com/v2/acme/shop/manifests/{}", digest()),
    });
    for (name, value) in target.as_object().unwrap() {
        whole[name] = value.clone();
    }
    json!({
        "id": "320678d8", "timestamp": "2016-03-09T14:44:26.402973972-08:00", "action": action, "target": whole,
        "request": { "host": "10.0.0.7:5000", "method": "PUT" }, "actor": { "name": "ci" },
    })
}

fn one(event: &Value) -> Event {
    let mut events = parse(&Bytes::from(json!({ "events": [event] }).to_string())).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(event.data.as_ref().unwrap()).unwrap()
}

#[track_caller]
fn check(action: &str, target: Value, ty: &str, subject: Option<&str>) {
    let event = one(&told_by_registry(action, target.clone()));
    assert_eq!((event.ty.as_str(), event.subject.as_deref()), (ty, subject), "{action} {target}");
}

#[test]
fn a_pushed_manifest_is_a_published_artifact_by_its_digest() {
    let event = one(&told_by_registry("push", json!({})));
    let purl = format!("pkg:oci/shop@{}?repository_url=registry.example.com/acme/shop", digest().replace(':', "%3A"));
    assert_eq!((event.ty.as_str(), event.subject.as_ref()), (cdevents::ARTIFACT_PUBLISHED, Some(&purl)));
    assert_eq!(event.source, "oci://registry.example.com/acme/shop");
    assert_eq!(event.time.as_deref(), Some("2016-03-09T14:44:26.402973972-08:00"));
    assert_eq!(event.extensions["partitionkey"], Extension::Text(digest()));
    assert_eq!(event.extensions["sequence"], Extension::Text("2016-03-09T22:44:26.402973Z".to_owned()));
    let data = data(&event);
    assert_eq!(
        data["artifact"],
        json!({ "repository": "registry.example.com/acme/shop", "digest": digest(), "tag": "v1", "media_type": INDEX })
    );
    assert_eq!(data["subject"]["content"], json!({ "user": "ci" }));
    assert_eq!(data["payload"], told_by_registry("push", json!({})));
}

#[test]
fn pulls_and_deletions_are_no_pushes() {
    let purl = one(&told_by_registry("push", json!({}))).subject;
    check("pull", json!({}), cdevents::ARTIFACT_DOWNLOADED, purl.as_deref());
    // A deletion has neither media type nor URL, and the host is that of the request.
    let event = one(&told_by_registry("delete", json!({ "mediaType": null, "url": null, "tag": null })));
    assert_eq!(event.ty, cdevents::ARTIFACT_DELETED);
    assert_eq!(data(&event)["artifact"]["repository"], "10.0.0.7:5000/acme/shop");
}

#[test]
fn a_blob_is_told_from_a_manifest_by_media_type_or_url() {
    let blob = format!("http://registry:5000/v2/acme/shop/blobs/{}", digest());
    let at = format!("registry:5000/acme/shop@{}", digest());
    let purl = one(&told_by_registry("push", json!({}))).subject;
    let octets = "application/octet-stream";
    check("push", json!({ "mediaType": octets, "url": blob }), "com.distribution.blob.push", Some(&at));
    check("mount", json!({ "mediaType": octets, "url": blob }), "com.distribution.blob.mount", Some(&at));
    check("push", json!({ "mediaType": octets }), cdevents::ARTIFACT_PUBLISHED, purl.as_deref());
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    check("push", json!({ "mediaType": layer, "url": blob }), "com.distribution.blob.push", Some(&at));
    let event = one(&told_by_registry("push", json!({ "mediaType": octets, "url": blob })));
    assert_eq!((&data(&event)["blob"]["digest"], &data(&event)["artifact"]), (&json!(digest()), &json!(null)));
}

#[test]
fn what_names_no_valid_digest_keeps_the_registrys_word_and_invents_none() {
    let wrong = [json!(null), json!(""), json!("sha256:ab"), json!(format!("sha256:{}", "AB".repeat(32))), json!(7)];
    for digest in wrong {
        let event = one(&told_by_registry("push", json!({ "digest": digest })));
        assert_eq!(event.ty, "com.distribution.push", "{digest}");
        assert_eq!(event.subject.as_deref(), Some("registry.example.com/acme/shop:v1"));
        assert_eq!(data(&event)["artifact"]["digest"], json!(null));
        assert_eq!(event.extensions["partitionkey"], Extension::Text("registry.example.com/acme/shop:v1".to_owned()));
    }
    let gone = json!({ "digest": null, "mediaType": null, "url": null, "tag": null });
    check("delete", gone, "com.distribution.delete", Some("10.0.0.7:5000/acme/shop"));
}

#[test]
fn one_event_without_a_list_around_it_is_taken_and_so_is_a_ping() {
    let mut alone = told_by_registry("push", json!({ "url": null }));
    alone["request"]["host"] = json!("myregistry.azurecr.io");
    let events = parse(&Bytes::from(alone.to_string())).unwrap();
    assert_eq!((events.len(), events[0].source.as_str()), (1, "oci://myregistry.azurecr.io/acme/shop"));
    let ping = parse(&Bytes::from(json!({ "id": "1", "action": "ping" }).to_string())).unwrap();
    assert_eq!((ping[0].ty.as_str(), ping[0].source.as_str()), ("com.distribution.ping", "distribution"));
    assert_eq!(parse(&Bytes::from_static(b"[1]")).unwrap()[0].ty, "com.distribution.notification");
    assert_eq!(parse(&Bytes::from_static(br#"{"events": []}"#)).unwrap(), []);
    check(
        "chart_push",
        json!({ "mediaType": "application/vnd.acr.helm.chart", "url": null }),
        "com.distribution.chart_push",
        Some(&format!("10.0.0.7:5000/acme/shop@{}", digest())),
    );
}

#[test]
fn a_redelivery_has_the_same_ids_and_events_that_share_an_id_have_their_own() {
    let (first, second) = (told_by_registry("push", json!({})), told_by_registry("pull", json!({})));
    let ids = |events: Value| -> Vec<String> {
        let body = json!({ "events": events }).to_string();
        parse(&Bytes::from(body)).unwrap().into_iter().map(|event| event.id).collect()
    };
    let both = ids(json!([first, second]));
    assert_eq!(ids(json!([second])), [both[1].clone()]);
    assert_ne!(both[0], both[1]);
}

#[test]
fn too_many_events_are_refused_before_they_are_read() {
    let body = json!({ "events": vec![json!({}); EVENTS_MAX + 1] });
    assert!(matches!(parse(&Bytes::from(body.to_string())), Err(Rejection::TooLarge(_))));
}
