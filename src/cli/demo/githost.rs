//! A git host's API as GitHub answers it, for the one repository of the demo: contents at a commit, reviews, checks, the changes
//! of a commit, and commit statuses, which it keeps.
//!
//! Source of the shapes: GitHub's REST API documentation (contents, pulls, checks, statuses).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sender::base;

/// `owner/name`.
pub const REPOSITORY: &str = "acme/storefront";
/// Who may ask: what a connection's header carries.
pub const TOKEN: &str = "demo-token";

/// Answers by what it knows. Clones share that.
#[derive(Clone, Default)]
pub struct GitHost(Arc<Mutex<Known>>);

/// What the host knows.
#[derive(Default)]
pub struct Known {
    /// By path, at every commit that has none of its own.
    pub files: BTreeMap<String, String>,
    /// By commit and path; none: the commit does not have the file.
    pub own_files: BTreeMap<(String, String), Option<String>>,
    pub changes: Vec<Change>,
    /// Beside the approval of each change, the oldest first.
    pub reviews: Vec<Review>,
    /// Beside the checks of each change.
    pub checks: Vec<Check>,
    /// Every one that was posted, the oldest first.
    pub statuses: Vec<Status>,
    /// What is answered in place of anything else.
    pub trouble: Option<StatusCode>,
}

/// What somebody says of a change (`APPROVED`, `CHANGES_REQUESTED`), having looked at a commit.
#[derive(Debug, Clone)]
pub struct Review {
    pub change: u64,
    pub login: String,
    pub state: String,
    pub commit: String,
}

/// How a check of a commit ended.
#[derive(Debug, Clone)]
pub struct Check {
    pub commit: String,
    pub name: String,
    pub conclusion: String,
}

/// A pull request.
#[derive(Debug, Clone)]
pub struct Change {
    pub number: u64,
    pub head: String,
    /// Login of who approved the head.
    pub approved_by: Option<String>,
    /// Names of the checks that succeeded on the head.
    pub checks: Vec<String>,
    /// Once it is merged: the commit, and when.
    pub merged: Option<(String, String)>,
}

/// A commit status that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub commit: String,
    pub context: String,
    pub state: String,
    pub description: String,
}

impl GitHost {
    pub fn new(files: BTreeMap<String, String>) -> Self {
        GitHost(Arc::new(Mutex::new(Known { files, ..Known::default() })))
    }

    /// A file as it is at one commit.
    pub fn put_file(&self, commit: &str, path: &str, text: String) {
        self.with(|known| known.own_files.insert((commit.to_owned(), path.to_owned()), Some(text)));
    }

    /// Adds a change, or replaces the one with its number.
    pub fn put(&self, change: Change) {
        self.with(|known| {
            known.changes.retain(|other| other.number != change.number);
            known.changes.push(change);
        });
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/repos/{owner}/{name}/contents/{*path}", get(contents))
            .route("/repos/{owner}/{name}/pulls/{number}/reviews", get(reviews))
            .route("/repos/{owner}/{name}/pulls/{number}", get(pull))
            .route("/repos/{owner}/{name}/commits/{commit}/check-runs", get(checks))
            .route("/repos/{owner}/{name}/commits/{commit}/status", get(combined_status))
            .route("/repos/{owner}/{name}/commits/{commit}/pulls", get(pulls))
            .route("/repos/{owner}/{name}/statuses/{commit}", post(set_status))
            .fallback(|| async { missing() })
            .layer(from_fn(admit))
            .layer(from_fn_with_state(self.clone(), troubled))
            .with_state(self.clone())
    }

    /// Looks at what it knows, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The change whose head or merge a commit is.
    fn change_of(&self, commit: &str) -> Option<Change> {
        let is_it = |change: &&Change| {
            change.head == commit || change.merged.as_ref().is_some_and(|(merge, _)| merge == commit)
        };
        self.with(|known| known.changes.iter().find(is_it).cloned())
    }
}

type Host = State<GitHost>;

async fn troubled(State(host): Host, request: Request, next: Next) -> Response {
    match host.with(|known| known.trouble) {
        Some(status) => answer(status, &json!({ "message": status.canonical_reason(), "status": status.as_str() })),
        None => next.run(request).await,
    }
}

/// Lets in who shows the token.
async fn admit(request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown == Some(&format!("Bearer {TOKEN}")) {
        return next.run(request).await;
    }
    answer(StatusCode::UNAUTHORIZED, &json!({ "message": "Bad credentials", "status": "401" }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

fn missing() -> Response {
    answer(StatusCode::NOT_FOUND, &json!({ "message": "Not Found", "status": "404" }))
}

#[derive(Deserialize)]
struct At {
    r#ref: Option<String>,
}

/// Raw bytes for who accepts them, as a client that reads files does.
async fn contents(
    State(host): Host,
    Path((_, _, path)): Path<(String, String, String)>,
    Query(At { r#ref: commit }): Query<At>,
) -> Result<Response, Response> {
    let at = (commit.ok_or_else(missing)?, path);
    let text = host.with(|known| match known.own_files.get(&at) {
        Some(own) => own.clone(),
        None => known.files.get(&at.1).cloned(),
    });
    let text = text.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/vnd.github.raw+json; charset=utf-8")], text).into_response())
}

async fn reviews(State(host): Host, Path((_, _, number)): Path<(String, String, u64)>) -> Result<Response, Response> {
    let change = host.with(|known| known.changes.iter().find(|change| change.number == number).cloned());
    let change = change.ok_or_else(missing)?;
    let approval = |login: &String| Review {
        change: number,
        login: login.clone(),
        state: "APPROVED".to_owned(),
        commit: change.head.clone(),
    };
    let others = host.with(|known| known.reviews.clone()).into_iter().filter(|review| review.change == number);
    let reviews = change.approved_by.iter().map(approval).chain(others);
    let review = |(id, Review { login, state, commit, .. }): (usize, Review)| {
        json!({
            "id": id + 1, "user": { "login": login, "type": "User" }, "author_association": "MEMBER",
            "state": state, "commit_id": commit, "submitted_at": "2026-11-23T08:30:00Z",
        })
    };
    Ok(answer(StatusCode::OK, &reviews.enumerate().map(review).collect()))
}

async fn pull(State(host): Host, Path((_, _, number)): Path<(String, String, u64)>) -> Result<Response, Response> {
    let change = host.with(|known| known.changes.iter().find(|change| change.number == number).cloned());
    Ok(answer(StatusCode::OK, &pull_json(&change.ok_or_else(missing)?)))
}

fn pull_json(change: &Change) -> Value {
    let (merge, at) = change.merged.clone().unzip();
    json!({
        "number": change.number,
        "state": if change.merged.is_some() { "closed" } else { "open" },
        "user": { "login": "ada" },
        "merged_at": at,
        "merge_commit_sha": merge,
        "head": { "ref": "change", "sha": change.head },
        "base": { "ref": "main", "sha": base() },
    })
}

async fn checks(State(host): Host, Path((_, _, commit)): Path<(String, String, String)>) -> Response {
    let names = host.change_of(&commit).map(|change| change.checks).unwrap_or_default();
    let success = |name| Check { commit: commit.clone(), name, conclusion: "success".to_owned() };
    let others = host.with(|known| known.checks.clone()).into_iter().filter(|check| check.commit == commit);
    let checks = names.into_iter().map(success).chain(others);
    let run = |(id, Check { name, conclusion, .. }): (usize, Check)| {
        json!({
            "id": id + 1, "name": name, "head_sha": commit, "status": "completed", "conclusion": conclusion,
            "app": { "slug": "ci" },
        })
    };
    let runs: Vec<Value> = checks.enumerate().map(run).collect();
    answer(StatusCode::OK, &json!({ "total_count": runs.len(), "check_runs": runs }))
}

async fn combined_status(State(host): Host, Path((_, _, commit)): Path<(String, String, String)>) -> Response {
    let own = host.with(|known| {
        let own = known.statuses.iter().rev().filter(|status| status.commit == commit);
        own.map(|status| json!({ "context": status.context, "state": status.state })).collect::<Vec<_>>()
    });
    let count = own.len();
    answer(StatusCode::OK, &json!({ "sha": commit, "state": "pending", "statuses": own, "total_count": count }))
}

async fn pulls(State(host): Host, Path((_, _, commit)): Path<(String, String, String)>) -> Response {
    answer(StatusCode::OK, &host.change_of(&commit).iter().map(pull_json).collect())
}

#[derive(Deserialize)]
struct Posted {
    state: String,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

async fn set_status(
    State(host): Host,
    Path((_, _, commit)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Response> {
    let unreadable = |_| answer(StatusCode::BAD_REQUEST, &json!({ "message": "Problems parsing JSON" }));
    let posted: Posted = serde_json::from_slice(&body).map_err(unreadable)?;
    if !["error", "failure", "pending", "success"].contains(&posted.state.as_str()) {
        return Err(answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "message": "Validation Failed" })));
    }
    let context = posted.context.unwrap_or_else(|| "default".to_owned());
    let description = posted.description.unwrap_or_default();
    let told = json!({ "state": posted.state, "context": context, "description": description });
    host.with(|known| known.statuses.push(Status { commit, context, state: posted.state, description }));
    Ok(answer(StatusCode::CREATED, &told))
}
