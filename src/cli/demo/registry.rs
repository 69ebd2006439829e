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
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock::Clock;
use crate::deployment::Digest;
use crate::tasks::Tasks;

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// A notification that was not taken is sent again after this.
const NOTIFY_AGAIN: Duration = Duration::from_millis(100);
/// Pushes that wait to be told; more are turned away.
const PUSHES_MAX: usize = 1_000;
/// Uploads that were begun and not finished, and the bytes of one.
const UPLOADS_MAX: usize = 100;
const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Answers by what is stored. Clones share that.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    stored: Mutex<Stored>,
    pushes: mpsc::Sender<Value>,
    unheard: watch::Receiver<Option<String>>,
}

/// What the registry has.
#[derive(Default)]
pub struct Stored {
    /// By repository and digest.
    pub blobs: BTreeMap<(String, String), Bytes>,
    /// By repository and digest: media type and bytes.
    pub manifests: BTreeMap<(String, String), (String, Bytes)>,
    pub tags: BTreeMap<(String, String), String>,
    /// What is answered in place of anything else.
    pub trouble: Option<StatusCode>,
    uploads: HashMap<String, Vec<u8>>,
}

impl Registry {
    /// An empty registry that tells pushes to `webhook`, with `authorization`, in order and until they are taken or refused.
    pub fn new(webhook: String, authorization: String, tasks: &Tasks) -> Self {
        let (pushes, told) = mpsc::channel(PUSHES_MAX);
        let (refused, unheard) = watch::channel(None);
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            stopping.run_until_cancelled(notify(webhook, authorization, told, refused)).await;
        });
        Registry(Arc::new(Shared { stored: Mutex::default(), pushes, unheard }))
    }

    /// How the webhook refused the last push that it did not want to hear of; none: it refused none.
    pub fn unheard(&self) -> watch::Receiver<Option<String>> {
        self.0.unheard.clone()
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// Looks at what is stored, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Stored) -> T) -> T {
        act(&mut self.0.stored.lock().unwrap_or_else(PoisonError::into_inner))
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
    if let Some(status) = registry.with(|stored| stored.trouble) {
        return refused(status, "UNAVAILABLE");
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
        let is_open = self.with(|stored| {
            let has_room = stored.uploads.len() < UPLOADS_MAX;
            has_room.then(|| stored.uploads.insert(id.clone(), Vec::new())).is_some()
        });
        if !is_open {
            return refused(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
        }
        let location = format!("/v2/{repository}/blobs/uploads/{id}");
        (StatusCode::ACCEPTED, [(header::LOCATION, location), (UPLOAD, id), (header::RANGE, "0-0".to_owned())])
            .into_response()
    }

    fn append(&self, repository: &str, id: &str, more: &[u8]) -> Response {
        let length = self.with(|stored| {
            let upload = stored.uploads.get_mut(id)?;
            let length = upload.len() + more.len();
            if length <= BLOB_BYTES_MAX {
                upload.extend_from_slice(more);
            }
            Some(length)
        });
        let Some(length) = length else { return refused(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN") };
        if length > BLOB_BYTES_MAX {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
        }
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
        // What is stored is told, so a place to tell it comes first.
        let Ok(place) = self.0.pushes.try_reserve() else {
            return refused(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
        };
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
        place.send(told(target, &host));
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

/// Tells pushes one by one: again while nobody answers or the webhook is in trouble, and no more once it refuses one.
async fn notify(
    webhook: String,
    authorization: String,
    mut pushes: mpsc::Receiver<Value>,
    refused: watch::Sender<Option<String>>,
) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client without settings can be made");
    while let Some(push) = pushes.recv().await {
        loop {
            let request = client
                .post(&webhook)
                .header(header::CONTENT_TYPE, "application/vnd.docker.distribution.events.v1+json")
                .header(header::AUTHORIZATION, &authorization)
                .body(push.to_string());
            match request.send().await.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => break,
                Ok(status) if is_final(status) => {
                    refused.send_replace(Some(format!("{webhook} answered {status} to the registry's notification")));
                    break;
                }
                Ok(_) | Err(_) => tokio::time::sleep(NOTIFY_AGAIN).await,
            }
        }
    }
}

/// Whether asking again would be answered the same.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::REQUEST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::post;

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

    /// A webhook that answers with these, one after the other and the last one again, and how often it was asked.
    async fn webhook(answers: &'static [StatusCode]) -> (String, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let route = post(move || async move {
            let number = count.fetch_add(1, Ordering::Relaxed);
            answers[number.min(answers.len() - 1)]
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/", route)).await });
        (format!("http://{address}/"), asked)
    }

    fn push(registry: &Registry, reference: &str) -> StatusCode {
        registry.put_manifest("acme/shop".to_owned(), reference, &HeaderMap::new(), Bytes::from_static(b"{}")).status()
    }

    #[tokio::test]
    async fn a_push_is_told_again_while_its_webhook_is_in_trouble_and_no_more_once_it_is_refused() {
        // As the binary does; an `Err` means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tasks = Tasks::new();
        let (url, asked) =
            webhook(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED]).await;
        let registry = Registry::new(url.clone(), "Bearer wrong".to_owned(), &tasks);
        assert_eq!(push(&registry, "one"), StatusCode::CREATED);
        let mut unheard = registry.unheard();
        let told = unheard.wait_for(Option::is_some).await.unwrap().clone();
        assert_eq!(told.unwrap(), format!("{url} answered 401 Unauthorized to the registry's notification"));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        tasks.stop();
    }

    #[tokio::test]
    async fn what_nobody_finishes_or_hears_of_has_limits() {
        let tasks = Tasks::new();
        // Nothing runs beside this test before it waits, so no push is taken up.
        let registry = Registry::new("http://127.0.0.1:1".to_owned(), String::new(), &tasks);
        assert!((0..PUSHES_MAX).all(|number| push(&registry, &number.to_string()) == StatusCode::CREATED));
        assert_eq!(push(&registry, "more"), StatusCode::TOO_MANY_REQUESTS);
        assert!((0..UPLOADS_MAX).all(|_| registry.open("acme/shop").status() == StatusCode::ACCEPTED));
        assert_eq!(registry.open("acme/shop").status(), StatusCode::TOO_MANY_REQUESTS);
        let id = registry.with(|stored| stored.uploads.keys().next().cloned()).unwrap();
        let half = vec![0; BLOB_BYTES_MAX / 2 + 1];
        assert_eq!(registry.append("acme/shop", &id, &half).status(), StatusCode::ACCEPTED);
        assert_eq!(registry.append("acme/shop", &id, &half).status(), StatusCode::PAYLOAD_TOO_LARGE);
        tasks.stop();
    }
}
