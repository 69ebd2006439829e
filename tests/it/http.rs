//! HTTP as it goes over the wire, so that a test can send what no client would.

use std::io::{Read, Write};
use std::net::TcpStream;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::support::PATIENCE;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The id of the one event that was accepted.
    #[track_caller]
    pub fn id(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.body);
        self.json()["ids"][0].as_str().expect("an accepted event has an id").to_owned()
    }
}

/// A header's name and value.
pub type Header<'a> = (&'a str, &'a str);

/// Posts a body to `path` of `server`, which is `http://ADDRESS`.
pub fn post(server: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> Answer {
    let length = body.len().to_string();
    request(server, "POST", path, &[headers, &[("content-length", &length)]].concat(), body)
}

pub fn get(server: &str, path: &str) -> Answer {
    request(server, "GET", path, &[], b"")
}

/// One request on a connection of its own. The headers say how long the body is, truly or not.
pub fn request(server: &str, method: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> Answer {
    let address = server.strip_prefix("http://").expect("a server is http://ADDRESS");
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time is taken");
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap_or_else(|| panic!("no status: {head}")), body: body.to_owned() }
}

/// `X-Hub-Signature-256` of a body.
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}
