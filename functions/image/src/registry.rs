//! A repository in a registry, by a connection.
//!
//! Source of the format: OCI distribution specification 1.1.

use std::time::Duration;

use delivery::{is_digest, sha256};
use tidegate_sdk::Failure;
use tidegate_sdk::http::{Request, Response};

use crate::manifest::TYPES;

const REQUEST_SECONDS_MAX: u64 = 10;

pub struct Registry {
    connection: String,
    /// Without the registry's host.
    name: String,
}

impl Registry {
    /// `repository` starts with the registry's host, which is the connection's business.
    pub fn of(connection: &str, repository: &str) -> Result<Self, Failure> {
        let name = repository.split_once('/').map_or("", |(_, name)| name);
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        let part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(safe);
        if !name.split('/').all(part) {
            return Err(Failure::reject(format!(
                "{repository:?} is no OCI repository: a registry's host, then lower-case names"
            )));
        }
        Ok(Registry { connection: connection.to_owned(), name: name.to_owned() })
    }

    /// The manifest's bytes, which are those of the digest.
    pub fn by_digest(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        let answer = self.get(digest)?;
        let bytes = sha256(&answer.body);
        if bytes != digest {
            let reason =
                format!("the registry answers {bytes} for {}@{digest}; somebody changed what it has", self.name);
            return Err(Failure::reject(reason));
        }
        Ok(answer.body)
    }

    /// What a tag stands for now, and the digest of it.
    pub fn by_tag(&self, tag: &str) -> Result<(String, Vec<u8>), Failure> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if tag.is_empty() || !tag.bytes().all(word) || tag.starts_with('.') {
            return Err(Failure::reject(format!("{tag:?} is no tag")));
        }
        let answer = self.get(tag)?;
        let digest = sha256(&answer.body);
        match answer.header("docker-content-digest") {
            // Another algorithm says nothing against the bytes.
            Some(told) if is_digest(told) && told != digest => Err(Failure::reject(format!(
                "the registry says that {}:{tag} is {told}, and its bytes are {digest}",
                self.name
            ))),
            Some(_) | None => Ok((digest, answer.body)),
        }
    }

    fn get(&self, reference: &str) -> Result<Response, Failure> {
        let path = format!("/v2/{}/manifests/{reference}", self.name);
        let request = Request::get(format!("http://{}{path}", self.connection)).header("accept", TYPES.join(", "));
        let answer = request.timeout(Duration::from_secs(REQUEST_SECONDS_MAX)).send()?;
        let told = format!("GET {path} of {} was answered {}", self.connection, answer.status);
        match answer.status {
            200 => Ok(answer),
            // A registry may tell of a push before it has all of it.
            404 => Err(Failure::retry(format!("{told}: the registry does not have it"))),
            429 => {
                let seconds = answer.header("retry-after").and_then(|text| text.trim().parse().ok()).unwrap_or(60_u64);
                Err(Failure::retry_after(told, Duration::from_secs(seconds.clamp(1, 3600))))
            }
            408 | 500.. => Err(Failure::retry(told)),
            401 | 403 => {
                Err(Failure::reject(format!("{told}; give the connection a header that lets it read the repository")))
            }
            _ => Err(Failure::reject(told)),
        }
    }
}
