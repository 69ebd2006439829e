//! A git host's API as a server of its own, which answers as GitHub's does: its paths, headers, bodies and refusals.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub const TOKEN: &str = "a token of the git host";
/// Where the API lies below the host, as on a server of GitHub's for enterprises.
const BASE: &str = "/api/v3";
const REPOSITORY: &str = "/repos/shop/storefront";

/// Clones are the same host.
#[derive(Clone, Default)]
pub struct Forge(Arc<Mutex<World>>);

/// What is answered in place of the right thing: status, headers, body.
pub type Trouble = (StatusCode, Vec<(&'static str, String)>, Value);

#[derive(Default)]
pub struct World {
    /// The rules' file by commit.
    pub rules: BTreeMap<String, String>,
    /// Of the one pull request, in pages.
    pub reviews: Vec<Value>,
    /// By commit.
    pub runs: BTreeMap<String, Value>,
    pub pulls: BTreeMap<String, Value>,
    /// The newest status of each commit and context.
    pub statuses: BTreeMap<(String, String), Value>,
    /// Answers that come before any other.
    pub troubles: VecDeque<Trouble>,
    /// `METHOD path?query` of every request.
    pub requests: Vec<String>,
}

impl Forge {
    /// Serves on a port of its own until the runtime ends. Answers the API's address.
    pub fn serve(&self, runtime: &tokio::runtime::Runtime) -> String {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        runtime.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        format!("http://{address}{BASE}")
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// State and description of what was said of a commit.
    pub fn status(&self, commit: &str) -> Option<(String, String)> {
        let key = (commit.to_owned(), "tidegate/admission".to_owned());
        let status = self.with(|world| world.statuses.get(&key).cloned())?;
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        Some((text("state"), text("description")))
    }
}

async fn answer(State(forge): State<Forge>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    forge.with(|world| world.requests.push(format!("{method} {target}")));
    if text(header::USER_AGENT).is_empty() {
        return refusal(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.");
    }
    if text(header::AUTHORIZATION) != format!("Bearer {TOKEN}") {
        return refusal(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    if let Some((status, headers, body)) = forge.with(|world| world.troubles.pop_front()) {
        let mut response = (status, body.to_string()).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().expect("a header's value"));
        }
        return response;
    }
    let Some(path) = uri.path().strip_prefix(BASE).and_then(|path| path.strip_prefix(REPOSITORY)) else {
        return refusal(StatusCode::NOT_FOUND, "Not Found");
    };
    let query: BTreeMap<String, String> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    forge.with(|world| match (method.as_str(), parts.as_slice()) {
        ("GET", []) => found(json!({ "full_name": "shop/storefront", "private": true })),
        ("GET", ["contents", ".tidegate", "admission.toml"]) => match world.rules.get(&query["ref"]) {
            Some(rules) if text(header::ACCEPT) == "application/vnd.github.raw+json" => rules.clone().into_response(),
            Some(_) => found(json!({ "type": "file", "encoding": "base64", "content": "" })),
            None => refusal(StatusCode::NOT_FOUND, "Not Found"),
        },
        ("GET", ["pulls", _]) => match world.pulls.values().find_map(|pulls| pulls.get(0)) {
            Some(pull) => found(pull.clone()),
            None => refusal(StatusCode::NOT_FOUND, "Not Found"),
        },
        ("GET", ["pulls", _, "reviews"]) => page(&uri, &query, &world.reviews),
        ("GET", ["commits", commit, "check-runs"]) => {
            let runs = world.runs.get(*commit).cloned().unwrap_or_else(|| json!([]));
            found(json!({ "total_count": runs.as_array().map_or(0, Vec::len), "check_runs": runs }))
        }
        ("GET", ["commits", commit, "status"]) => {
            let statuses = world.statuses.iter().filter(|((of, _), _)| of == commit).map(|(_, status)| status.clone());
            let statuses: Vec<Value> = statuses.collect();
            found(json!({ "state": "pending", "sha": commit, "total_count": statuses.len(), "statuses": statuses }))
        }
        ("GET", ["commits", commit, "pulls"]) => found(world.pulls.get(*commit).cloned().unwrap_or_else(|| json!([]))),
        ("POST", ["statuses", commit]) => {
            let status: Value = serde_json::from_slice(&body).expect("a status is JSON");
            assert!(status["description"].as_str().is_some_and(|text| text.chars().count() <= 140), "{status}");
            let context = status["context"].as_str().expect("a status has a context").to_owned();
            world.statuses.insert(((*commit).to_owned(), context), status.clone());
            (StatusCode::CREATED, status.to_string()).into_response()
        }
        _ => refusal(StatusCode::NOT_FOUND, "Not Found"),
    })
}

/// One element a page, so that whoever stops at the first is found out.
fn page(uri: &Uri, query: &BTreeMap<String, String>, all: &[Value]) -> Response {
    let number: usize = query["page"].parse().expect("a page is a number");
    let mut response = found(json!(all.get(number - 1).into_iter().collect::<Vec<_>>()));
    if number < all.len() {
        let next = format!("<https://git.example{}?per_page=100&page={}>; rel=\"next\"", uri.path(), number + 1);
        response.headers_mut().insert(header::LINK, next.parse().expect("a header's value"));
    }
    response
}

fn found(body: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let body =
        json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.as_str() });
    (status, body.to_string()).into_response()
}
