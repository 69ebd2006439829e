//! The doors in process, over a log that a test wrote by hand; with the embedded bus where something is published.

mod doors;
mod listening;
mod log;
mod publishing;
mod reading;
mod refusals;
mod verdicts;
mod why;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::model::ErrorView;
use crate::blob::{Blobs, FolderBlobs};

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn code(&self) -> String {
        serde_json::from_slice::<ErrorView>(&self.body).map(|view| view.error.code).unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks a router. Headers are written `name: value`, one a line; `Host` is added where none is given.
pub async fn ask(router: &Router, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    for line in headers.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    if !headers.to_ascii_lowercase().contains("host: ") {
        request = request.header("host", "127.0.0.1:7117");
    }
    let response = router.clone().oneshot(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A store that has nothing.
fn no_blobs() -> Arc<dyn Blobs> {
    Arc::new(FolderBlobs::open_read_only("nowhere".into()))
}

/// A stopped project's API over a log.
pub fn reading(log: log::Log) -> Router {
    super::api(Arc::new(super::ApiState::stopped("shop".to_owned(), Arc::new(log), no_blobs())))
}
