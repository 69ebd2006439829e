//! Speaks with a project's API: over HTTP, or with the same routes in this process for a stopped project.

mod follow;

pub use follow::Messages;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use super::{CliError, input, offline};
use crate::api::model::ErrorView;

/// Where a project's API is unless something else is said.
pub const URL_DEFAULT: &str = "http://127.0.0.1:7117";
const CONNECT_SECONDS_MAX: u64 = 5;
/// Between two parts of an answer. A deployment compiles its components before it answers.
const SILENCE_SECONDS_MAX: u64 = 300;
/// Of an answer; listings are limited far below this.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How a command finds a running project.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    /// Address of the project's API [default: TIDEGATE_URL, then http://127.0.0.1:7117]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File with the API token on its first line [default: the token in TIDEGATE_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// How a reading command finds a project, running or not.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Read the stopped project in this folder instead of asking a server
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "token_file"])]
    pub dir: Option<PathBuf>,
}

/// One project's API.
pub struct Client {
    transport: Transport,
    base: Url,
    token: Option<HeaderValue>,
    /// What to do when nobody answers.
    next: &'static str,
}

enum Transport {
    Http(reqwest::Client),
    InProcess(Router),
}

const NEXT_OF_READING: &str =
    "start the project with `tidegate up`, name its address with --url, or read a stopped one with --dir";
const NEXT_OF_WRITING: &str = "start the project with `tidegate up`, or name its address with --url";

impl Client {
    /// For a command that changes something.
    pub fn to_write(args: &ServerArgs) -> Result<Self, CliError> {
        Self::http(args, &|name| std::env::var(name).ok(), NEXT_OF_WRITING)
    }

    /// For a command that only reads.
    pub fn to_read(args: &ReadArgs) -> Result<Self, CliError> {
        match &args.dir {
            Some(dir) => Ok(Self::in_process(offline::router(dir)?)),
            None => Self::http(&args.server, &|name| std::env::var(name).ok(), NEXT_OF_READING),
        }
    }

    fn http(args: &ServerArgs, env: &dyn Fn(&str) -> Option<String>, next: &'static str) -> Result<Self, CliError> {
        let base = base_url(args.url.clone().or_else(|| env("TIDEGATE_URL").filter(|url| !url.is_empty())))?;
        let token = match &args.token_file {
            Some(path) => Some(token_of(path)?),
            None => env("TIDEGATE_TOKEN").filter(|token| !token.is_empty()),
        };
        let token = token.map(|token| bearer(&token)).transpose()?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .read_timeout(Duration::from_secs(SILENCE_SECONDS_MAX))
            // Following one would show the token to another server.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|source| CliError::Failed { what: "cannot set up HTTP".to_owned(), source: Box::new(source) })?;
        Ok(Client { transport: Transport::Http(client), base, token, next })
    }

    fn in_process(router: Router) -> Self {
        let base = Url::parse(URL_DEFAULT).expect("the default address is a URL");
        Client { transport: Transport::InProcess(router), base, token: None, next: NEXT_OF_READING }
    }

    /// Asks for a value.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T, CliError> {
        let answer = self.send(Method::GET, self.address(path, query), None).await?;
        self.read(answer)
    }

    /// Asks for bytes.
    pub async fn get_bytes(&self, path: &[&str], query: &[(&str, String)]) -> Result<Bytes, CliError> {
        match self.send(Method::GET, self.address(path, query), None).await? {
            (status, body) if status.is_success() => Ok(body),
            (status, body) => Err(self.refusal(status, &body)),
        }
    }

    /// Asks for a value in MessagePack.
    pub async fn get_packed<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, CliError> {
        let body = self.get_bytes(path, query).await?;
        rmp_serde::from_slice(&body).map_err(|error| self.stranger(error.to_string()))
    }

    /// Asks for a stream of values that goes on.
    pub async fn follow(&self, path: &[&str], query: &[(&str, String)]) -> Result<Messages, CliError> {
        let Transport::Http(client) = &self.transport else {
            return Err(CliError::Usage("a stopped project has nothing to follow".to_owned()));
        };
        let answer = self.execute(client, self.request(Method::GET, &self.address(path, query), None)).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Messages::new(answer));
        }
        let body = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        Err(self.refusal(status, &body))
    }

    /// Sends a value.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| CliError::Output(error.into()))?;
        self.post_bytes(path, "application/json", body).await
    }

    /// Sends bytes of a media type.
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<T, CliError> {
        let answer = self.send(Method::POST, self.address(path, &[]), Some((media_type, body))).await?;
        self.read(answer)
    }

    /// Sends bytes to the address itself, and reads nothing but whether they were taken.
    pub async fn hand_over(&self, media_type: &'static str, body: Vec<u8>) -> Result<(), CliError> {
        match self.send(Method::POST, self.base.clone(), Some((media_type, body))).await? {
            (status, _) if status.is_success() => Ok(()),
            (status, body) => Err(self.refusal(status, &body)),
        }
    }

    /// Each part of the path is escaped, so that an id with `#` or `/` in it stays one.
    fn address(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<(StatusCode, Bytes), CliError> {
        let request = self.request(method, &url, body);
        match &self.transport {
            Transport::Http(client) => {
                let answer = self.execute(client, request).await?;
                let status = answer.status();
                let body = answer.bytes().await.map_err(|error| self.unreachable(error))?;
                Ok((status, body))
            }
            Transport::InProcess(router) => send_in_process(router, request).await,
        }
    }

    fn request(&self, method: Method, url: &Url, body: Option<(&'static str, Vec<u8>)>) -> http::Request<Vec<u8>> {
        let (media_type, body) = body.unzip();
        let mut request = http::Request::builder().method(method).uri(url.as_str());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        request.body(body.unwrap_or_default()).expect("a URL and checked headers make a request")
    }

    async fn execute(
        &self,
        client: &reqwest::Client,
        request: http::Request<Vec<u8>>,
    ) -> Result<reqwest::Response, CliError> {
        let request = reqwest::Request::try_from(request).map_err(|error| self.unreachable(error))?;
        client.execute(request).await.map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, source: reqwest::Error) -> CliError {
        CliError::Unreachable { url: self.name(), next: self.next, source: source.without_url() }
    }

    /// The address as a person would write it.
    fn name(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    fn read<T: DeserializeOwned>(&self, (status, body): (StatusCode, Bytes)) -> Result<T, CliError> {
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.stranger(format!("status {status}, {error}")))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> CliError {
        match serde_json::from_slice::<ErrorView>(body) {
            Ok(view) => CliError::Refused(Box::new(view.error)),
            Err(_) => self.stranger(format!("status {status}")),
        }
    }

    fn stranger(&self, saw: String) -> CliError {
        CliError::Stranger { url: self.name(), saw }
    }
}

async fn send_in_process(router: &Router, request: http::Request<Vec<u8>>) -> Result<(StatusCode, Bytes), CliError> {
    let mut request = request.map(axum::body::Body::from);
    let host = HeaderValue::from_static("localhost");
    request.headers_mut().insert(header::HOST, host);
    let answer = match router.clone().oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|source| CliError::BrokenOff {
        what: "the answer",
        next: "ask for less with --limit",
        source: source.into(),
    })?;
    Ok((parts.status, body))
}

fn base_url(text: Option<String>) -> Result<Url, CliError> {
    let text = text.unwrap_or_else(|| URL_DEFAULT.to_owned());
    match Url::parse(&text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() =>
        {
            Ok(url)
        }
        _ => Err(CliError::Usage(format!("{text:?} is no address of an API; write one like {URL_DEFAULT}"))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn token_of(path: &Path) -> Result<String, CliError> {
    let text = input::read_text(path)?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(CliError::Usage(format!("{} has no token on its first line", path.display()))),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, CliError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| CliError::Usage("the token has characters that no token has; it is visible ASCII".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
