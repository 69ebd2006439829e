//! Requests to the connections that a function was granted: `http://<connection>/path`. The host knows the address, adds
//! its headers (the secret) and an `Idempotency-Key` that is the same on every attempt, and answers 8 MiB at most.
//!
//! A function cannot set `Host`, hop-by-hop headers or a header that the connection sets. Redirects are returned, not
//! followed.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host;

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// `http://<connection>/path?query`
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// To the answer's first byte; none: as long as the function may run.
    pub timeout: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why there is no answer, or none of use. As a [`crate::Failure`] it is a retry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{url} is no address of a connection; it is http://<connection>/path")]
    Address { url: String },
    #[error("{method} {url} was not answered: {reason}")]
    NoAnswer { method: String, url: String, reason: String },
    #[error("{method} {url} was answered {status}")]
    Status { method: String, url: String, status: u16 },
    #[error("the answer is not what the function reads: {source}")]
    Json { source: serde_json::Error },
}

impl Request {
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Request { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Request::new("GET", url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Request::new("POST", url)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// A body as JSON, with its content type.
    pub fn json(self, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(body)?;
        Ok(Request { body, ..self.header("content-type", "application/json") })
    }

    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Request { body: body.into(), ..self }
    }

    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Request { timeout: Some(timeout), ..self }
    }

    /// Waits for the whole answer. Any status is an answer: see [`Response::success`].
    pub fn send(self) -> Result<Response, Error> {
        let target = Target::of(&self.url).ok_or_else(|| Error::Address { url: self.url.clone() })?;
        host::send(&self, &target).map_err(|reason| Error::NoAnswer {
            method: self.method.clone(),
            url: self.url.clone(),
            reason,
        })
    }

    /// Like [`Request::send`], where a status other than 2xx is an error.
    pub fn send_ok(self) -> Result<Response, Error> {
        let (method, url) = (self.method.clone(), self.url.clone());
        let response = self.send()?;
        if response.success() { Ok(response) } else { Err(Error::Status { method, url, status: response.status }) }
    }
}

impl Response {
    /// Whether the status is 2xx.
    pub fn success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Json { source })
    }
}

/// The two parts of a request's address.
pub(crate) struct Target<'a> {
    pub connection: &'a str,
    /// With the query; starts with `/`.
    pub path: &'a str,
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (connection, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let named = !connection.is_empty() && !connection.contains(['@', '?', '#']);
        named.then_some(Target { connection, path: if path.is_empty() { "/" } else { path } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, &str)>) {
        assert_eq!(Target::of(url).map(|target| (target.connection, target.path)), expected, "{url}");
    }

    #[test]
    fn an_address_names_a_connection_and_a_path() {
        check("http://github/repos/acme/shop?page=2", Some(("github", "/repos/acme/shop?page=2")));
        check("http://github", Some(("github", "/")));
        check("https://github/", None);
        check("http:///path", None);
        check("http://user@github/", None);
        check("/repos", None);
    }
}
