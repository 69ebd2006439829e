//! GitHub's API, as far as it is asked.
//!
//! Source of the format: GitHub's REST API documentation, version 2022-11-28.

use std::time::{Duration, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_sdk::http::{Request, Response};
use tidegate_sdk::{Failure, clock};

use crate::rules::{CONTEXT, PATH};

const VERSION: &str = "2022-11-28";
const JSON: &str = "application/vnd.github+json";
const RAW: &str = "application/vnd.github.raw+json";
const REQUEST_SECONDS_MAX: u64 = 10;
/// Pages of 100 that a listing may have.
const PAGES_MAX: u32 = 10;
/// Where a limit does not say when it ends, and the longest that is waited at once.
const LIMIT_SECONDS: u64 = 60;
const LIMIT_SECONDS_MAX: u64 = 3600;

/// The API behind a connection.
pub struct Github {
    pub connection: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Pull {
    pub number: u64,
    pub state: String,
    pub user: Option<User>,
    pub merged_at: Option<String>,
    pub merge_commit_sha: Option<String>,
    pub head: Side,
    pub base: Side,
}

/// What is read of a pull request that may have been merged.
#[derive(Deserialize)]
struct Merge {
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Side {
    pub sha: String,
    pub r#ref: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub login: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Review {
    /// None: the account is gone.
    pub user: Option<User>,
    pub state: String,
    pub commit_id: Option<String>,
    pub author_association: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CheckRun {
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub app: Option<App>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct App {
    pub slug: Option<String>,
}

/// The newest commit status of a context.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    pub context: String,
    pub state: String,
    pub description: Option<String>,
}

/// A file as it lies in a repository.
pub enum File {
    Text(String),
    Absent,
    /// Why it cannot be had, for good.
    Unreadable(String),
}

#[derive(Deserialize)]
struct CheckRuns {
    check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
struct Combined {
    statuses: Vec<Status>,
}

#[derive(Serialize)]
struct NewStatus<'a> {
    state: &'a str,
    description: &'a str,
    context: &'static str,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Github {
    /// The rules' file at a commit.
    pub fn rules(&self, repository: &str, commit: &str) -> Result<File, Failure> {
        let path = format!("/repos/{repository}/contents/{PATH}?ref={commit}");
        let answer = self.send(self.request("GET", &path).header("accept", RAW))?;
        match answer.status {
            404 => {
                let said = said(&answer);
                if said.contains("No commit found") {
                    return Ok(File::Unreadable(said));
                }
                // A repository that the token may not see has no files either: only its own answer tells.
                self.get::<serde::de::IgnoredAny>(&format!("/repos/{repository}"))?;
                Ok(File::Absent)
            }
            _ => {
                let answer = succeeded(answer, "GET", &path)?;
                Ok(String::from_utf8(answer.body)
                    .map_or_else(|_| File::Unreadable("it is no text".to_owned()), File::Text))
            }
        }
    }

    pub fn pull(&self, repository: &str, number: u64) -> Result<Pull, Failure> {
        self.get(&format!("/repos/{repository}/pulls/{number}"))
    }

    /// Pull requests that a commit belongs to; those of forks are known only once they are merged.
    pub fn pulls_of(&self, repository: &str, commit: &str) -> Result<Vec<Pull>, Failure> {
        self.list(&format!("/repos/{repository}/commits/{commit}/pulls?"), |page: Vec<Pull>| page)
    }

    /// Whether a pull request made a commit by being merged.
    pub fn is_merge(&self, repository: &str, commit: &str) -> Result<bool, Failure> {
        let path = format!("/repos/{repository}/commits/{commit}/pulls?");
        let merges = self.list(&path, |page: Vec<Merge>| page)?;
        let made = |merge: &Merge| merge.merged_at.is_some() && merge.merge_commit_sha.as_deref() == Some(commit);
        Ok(merges.iter().any(made))
    }

    pub fn open_pulls(&self, repository: &str) -> Result<Vec<Pull>, Failure> {
        self.list(&format!("/repos/{repository}/pulls?state=open&"), |page: Vec<Pull>| page)
    }

    /// Reviews of a pull request, the oldest first.
    pub fn reviews(&self, repository: &str, number: u64) -> Result<Vec<Review>, Failure> {
        self.list(&format!("/repos/{repository}/pulls/{number}/reviews?"), |page: Vec<Review>| page)
    }

    /// The newest check runs of a commit, by name, of every suite.
    pub fn check_runs(&self, repository: &str, commit: &str) -> Result<Vec<CheckRun>, Failure> {
        let path = format!("/repos/{repository}/commits/{commit}/check-runs?filter=latest&");
        self.list(&path, |page: CheckRuns| page.check_runs)
    }

    pub fn statuses(&self, repository: &str, commit: &str) -> Result<Vec<Status>, Failure> {
        self.list(&format!("/repos/{repository}/commits/{commit}/status?"), |page: Combined| page.statuses)
    }

    /// Says what this function came to. An error is a reason that another attempt may not have; the host's refusal is told.
    pub fn post_status(
        &self,
        repository: &str,
        commit: &str,
        state: &str,
        description: &str,
    ) -> Result<Result<(), String>, Failure> {
        let path = format!("/repos/{repository}/statuses/{commit}");
        let status = NewStatus { state, description, context: CONTEXT };
        let answer = self.send(self.request("POST", &path).header("accept", JSON).json(&status)?)?;
        if answer.success() {
            return Ok(Ok(()));
        }
        Ok(Err(format!("POST {path} was answered {}: {}", answer.status, said(&answer))))
    }

    fn request(&self, method: &str, path: &str) -> Request {
        let request = Request::new(method, format!("http://{}{path}", self.connection));
        request.header("x-github-api-version", VERSION).timeout(Duration::from_secs(REQUEST_SECONDS_MAX))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        Ok(self.ask(path)?.json()?)
    }

    fn ask(&self, path: &str) -> Result<Response, Failure> {
        let answer = self.send(self.request("GET", path).header("accept", JSON))?;
        succeeded(answer, "GET", path)
    }

    /// All pages of a listing; `path` ends where its page is to be named.
    fn list<P: DeserializeOwned, T>(&self, path: &str, items: fn(P) -> Vec<T>) -> Result<Vec<T>, Failure> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let answer = self.ask(&format!("{path}per_page=100&page={page}"))?;
            let more = answer.header("link").is_some_and(|link| link.contains("rel=\"next\""));
            all.extend(items(answer.json()?));
            if !more {
                return Ok(all);
            }
        }
        Err(Failure::reject(format!("{path} lists more than {PAGES_MAX} pages; nobody can judge them all")))
    }

    /// An answer that another attempt would not change.
    fn send(&self, request: Request) -> Result<Response, Failure> {
        let (method, url) = (request.method.clone(), request.url.clone());
        let answer = request.send()?;
        let told = || format!("{method} {url} was answered {}: {}", answer.status, said(&answer));
        if let Some(wait) = limited(&answer) {
            return Err(Failure::retry_after(told(), wait));
        }
        match answer.status {
            408 | 500.. => Err(Failure::retry(told())),
            _ => Ok(answer),
        }
    }
}

fn succeeded(answer: Response, method: &str, path: &str) -> Result<Response, Failure> {
    if answer.success() {
        return Ok(answer);
    }
    let hint = match answer.status {
        401 => "; give the connection a token that is valid",
        403 | 404 => "; see that the repository is there and that the connection's token may read it",
        _ => "",
    };
    Err(Failure::reject(format!("{method} {path} was answered {}: {}{hint}", answer.status, said(&answer))))
}

/// How long to wait, where the host says that it was asked too often.
fn limited(answer: &Response) -> Option<Duration> {
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    let exhausted = number("x-ratelimit-remaining") == Some(0);
    let limited = answer.status == 429
        || (answer.status == 403
            && (exhausted || number("retry-after").is_some() || said(answer).contains("rate limit")));
    if !limited {
        return None;
    }
    let now = clock::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let reset = number("x-ratelimit-reset").filter(|_| exhausted).map(|reset| reset.saturating_sub(now));
    let seconds = number("retry-after").or(reset).unwrap_or(LIMIT_SECONDS);
    Some(Duration::from_secs(seconds.clamp(1, LIMIT_SECONDS_MAX)))
}

/// What the host says of a failure.
fn said(answer: &Response) -> String {
    let problem: Option<Problem> = answer.json().ok();
    problem.map_or_else(|| "it says nothing more".to_owned(), |problem| problem.message)
}
