//! A small registry that speaks the OCI distribution protocol, in memory: blobs and manifests are pushed and pulled for real, and a
//! push is told to a webhook as Docker's registry tells it.
//!
//! Source of the protocol: OCI distribution spec 1.1; of the notifications: Docker distribution's documentation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::clock::Clock;
use crate::deployment::Digest;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// A notification that was not taken is sent again after this.
const NOTIFY_AGAIN: Duration = Duration::from_millis(100);

/// Clones share what is stored.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    stored: Mutex<Stored>,
    pushes: mpsc::UnboundedSender<Value>,
    /// Dropped, it ends the notifier.
    _notifier: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Stored {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Bytes>,
    /// By repository and digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    tags: BTreeMap<(String, String), String>,
    is_away: bool,
    uploads: HashMap<String, Vec<u8>>,
}

impl Registry {
    /// An empty registry that tells pushes to `webhook`, with `authorization`, in order and until they are taken.
    pub fn new(webhook: String, authorization: String) -> Self {
        let (pushes, told) = mpsc::unbounded_channel();
        let mut notifier = JoinSet::new();
        notifier.spawn(notify(webhook, authorization, told));
        Registry(Arc::new(Shared { stored: Mutex::default(), pushes, _notifier: Mutex::new(notifier) }))
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// Changes a byte of a stored blob: what is pulled then is not what was pushed. A second time puts it right.
    pub fn corrupt(&self, digest: &str) {
        self.with(|stored| {
            for (_, bytes) in stored.blobs.iter_mut().filter(|((_, stored), _)| stored == digest) {
                let mut changed = bytes.to_vec();
                if let Some(last) = changed.last_mut() {
                    *last ^= 1;
                }
                *bytes = changed.into();
            }
        });
    }

    /// Answers nobody until it is back, as a balancer says of a registry that is down.
    pub fn leave(&self) {
        self.with(|stored| stored.is_away = true);
    }

    pub fn come_back(&self) {
        self.with(|stored| stored.is_away = false);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Stored) -> T) -> T {
        look(&mut self.0.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Deserialize)]
struct UploadQuery {
    digest: Option<String>,
}

/// What a path names below `/v2/`.
enum Named {
    Root,
    Blob { digest: String },
    Uploads,
    Upload { id: String },
    Manifest { reference: String },
}

/// Repositories have slashes in their names, so the path is read from its end.
fn named(path: &str) -> Option<(String, Named)> {
    let rest = path.strip_prefix("/v2")?.trim_start_matches('/');
    if rest.is_empty() {
        return Some((String::new(), Named::Root));
    }
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let (repository, named) = match parts.as_slice() {
        [name @ .., "blobs", "uploads"] => (name, Named::Uploads),
        [name @ .., "blobs", "uploads", id] => (name, Named::Upload { id: (*id).to_owned() }),
        [name @ .., "blobs", digest] => (name, Named::Blob { digest: (*digest).to_owned() }),
        [name @ .., "manifests", reference] => (name, Named::Manifest { reference: (*reference).to_owned() }),
        _ => return None,
    };
    (!repository.is_empty()).then(|| (repository.join("/"), named))
}

async fn answer(
    State(registry): State<Registry>,
    method: Method,
    uri: Uri,
    Query(UploadQuery { digest }): Query<UploadQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if registry.with(|stored| stored.is_away) {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE");
    }
    let Some((repository, named)) = named(uri.path()) else { return refused(StatusCode::NOT_FOUND, "NAME_UNKNOWN") };
    match (method, named) {
        (Method::GET, Named::Root) => StatusCode::OK.into_response(),
        (Method::GET | Method::HEAD, Named::Blob { digest }) => registry.blob(repository, digest),
        (Method::GET | Method::HEAD, Named::Manifest { reference }) => registry.manifest(&repository, &reference),
        (Method::POST, Named::Uploads) => match digest {
            Some(digest) => registry.finish(repository, digest, body.to_vec()),
            None => registry.open(&repository),
        },
        (Method::PATCH, Named::Upload { id }) => registry.append(&repository, &id, &body),
        (Method::PUT, Named::Upload { id }) => {
            let begun = registry.with(|stored| stored.uploads.remove(&id));
            match (begun, digest) {
                (Some(begun), Some(digest)) => registry.finish(repository, digest, [begun, body.to_vec()].concat()),
                _ => refused(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            }
        }
        (Method::PUT, Named::Manifest { reference }) => registry.put_manifest(repository, &reference, &headers, body),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
    }
}

fn refused(status: StatusCode, code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": code.to_lowercase() }] }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl Registry {
    fn blob(&self, repository: String, digest: String) -> Response {
        match self.with(|stored| stored.blobs.get(&(repository, digest.clone())).cloned()) {
            Some(bytes) => ([(DIGEST, digest)], bytes).into_response(),
            None => refused(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
        }
    }

    fn manifest(&self, repository: &str, reference: &str) -> Response {
        let found = self.with(|stored| {
            let tag = stored.tags.get(&(repository.to_owned(), reference.to_owned()));
            let digest = tag.cloned().unwrap_or_else(|| reference.to_owned());
            let (media_type, bytes) = stored.manifests.get(&(repository.to_owned(), digest.clone()))?;
            Some((digest, media_type.clone(), bytes.clone()))
        });
        match found {
            Some((digest, media_type, bytes)) => {
                ([(DIGEST, digest), (header::CONTENT_TYPE, media_type)], bytes).into_response()
            }
            None => refused(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
        }
    }

    fn open(&self, repository: &str) -> Response {
        let id = Uuid::now_v7().to_string();
        self.with(|stored| stored.uploads.insert(id.clone(), Vec::new()));
        let location = format!("/v2/{repository}/blobs/uploads/{id}");
        (StatusCode::ACCEPTED, [(header::LOCATION, location), (UPLOAD, id), (header::RANGE, "0-0".to_owned())])
            .into_response()
    }

    fn append(&self, repository: &str, id: &str, more: &[u8]) -> Response {
        let length = self.with(|stored| {
            let upload = stored.uploads.get_mut(id)?;
            upload.extend_from_slice(more);
            Some(upload.len())
        });
        let Some(length) = length else { return refused(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN") };
        let (location, range) =
            (format!("/v2/{repository}/blobs/uploads/{id}"), format!("0-{}", length.saturating_sub(1)));
        (StatusCode::ACCEPTED, [(header::LOCATION, location), (header::RANGE, range)]).into_response()
    }

    fn finish(&self, repository: String, digest: String, bytes: Vec<u8>) -> Response {
        if Digest::of(&bytes).to_string() != digest {
            return refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        let location = format!("/v2/{repository}/blobs/{digest}");
        self.with(|stored| stored.blobs.insert((repository, digest.clone()), bytes.into()));
        (StatusCode::CREATED, [(header::LOCATION, location), (DIGEST, digest)]).into_response()
    }

    fn put_manifest(&self, repository: String, reference: &str, headers: &HeaderMap, bytes: Bytes) -> Response {
        let digest = Digest::of(&bytes).to_string();
        if reference.starts_with("sha256:") && reference != digest {
            return refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = text(header::CONTENT_TYPE).to_owned();
        let tag = (reference != digest).then(|| reference.to_owned());
        let host = text(header::HOST).to_owned();
        let size = bytes.len();
        self.with(|stored| {
            stored.manifests.insert((repository.clone(), digest.clone()), (media_type.clone(), bytes));
            if let Some(tag) = &tag {
                stored.tags.insert((repository.clone(), tag.clone()), digest.clone());
            }
        });
        let location = format!("/v2/{repository}/manifests/{digest}");
        let target = json!({
            "mediaType": media_type, "size": size, "length": size, "digest": digest, "repository": repository,
            "url": format!("http://{host}{location}"), "tag": tag,
        });
        // The notifier lives as long as the registry.
        let _ = self.0.pushes.send(told(target, &host));
        (StatusCode::CREATED, [(header::LOCATION, location), (DIGEST, digest)]).into_response()
    }
}

/// A push as Docker's registry tells it.
fn told(target: Value, host: &str) -> Value {
    let event = json!({
        "id": Uuid::now_v7().to_string(),
        "timestamp": Clock::system().now().to_string(),
        "action": "push",
        "target": target,
        "request": { "id": Uuid::now_v7().to_string(), "host": host, "method": "PUT" },
        "actor": {},
        "source": { "addr": host },
    });
    json!({ "events": [event] })
}

async fn notify(webhook: String, authorization: String, mut pushes: mpsc::UnboundedReceiver<Value>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client without settings can be made");
    while let Some(push) = pushes.recv().await {
        loop {
            let request = client
                .post(&webhook)
                .header(header::CONTENT_TYPE, "application/vnd.docker.distribution.events.v1+json")
                .header(header::AUTHORIZATION, &authorization)
                .body(push.to_string());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(_) | Err(_) => tokio::time::sleep(NOTIFY_AGAIN).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_its_end() {
        let read = |path| named(path).map(|(repository, _)| repository);
        assert_eq!(read("/v2/").as_deref(), Some(""));
        assert_eq!(read("/v2/acme/shop/blobs/uploads/").as_deref(), Some("acme/shop"));
        assert_eq!(read("/v2/a/b/c/manifests/main").as_deref(), Some("a/b/c"));
        assert_eq!(read("/v2/manifests/main"), None);
        assert_eq!(read("/v1/a/manifests/main"), None);
    }
}
