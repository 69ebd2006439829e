//! HTTP as it goes over the wire, each request on a connection of its own: a test can send what no client would, and no
//! client hides by trying again what a test looks for.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::support::PATIENCE;

/// An answer that came whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Where it sends, if it does.
    pub location: Option<String>,
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

/// What says that a body is one CloudEvent.
pub const STRUCTURED: Header<'static> = ("content-type", "application/cloudevents+json");
/// What says that it is a batch of them.
pub const BATCH: Header<'static> = ("content-type", "application/cloudevents-batch+json");

/// Posts a body to `path` of `server`, which is `http://ADDRESS`.
#[track_caller]
pub fn post(server: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> Answer {
    answered(try_post(server, path, headers, body))
}

/// Posts to a server that may die meanwhile. An error: the request was cut off. It was not accepted then, as far as anyone
/// was told, and what it brought may be there or not.
pub fn try_post(server: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> io::Result<Answer> {
    let length = body.len().to_string();
    exchange(server, "POST", path, &[headers, &[("content-length", &length)]].concat(), body)
}

#[track_caller]
pub fn get(server: &str, path: &str) -> Answer {
    request(server, "GET", path, &[], b"")
}

/// What a reading answers, which must succeed.
#[track_caller]
pub fn json(server: &str, path: &str) -> Value {
    let answer = get(server, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// The headers say how long the body is, truly or not.
#[track_caller]
pub fn request(server: &str, method: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> Answer {
    answered(exchange(server, method, path, headers, body))
}

#[track_caller]
fn answered(answer: io::Result<Answer>) -> Answer {
    answer.unwrap_or_else(|error| panic!("the server lives and does not answer: {error}"))
}

fn exchange(server: &str, method: &str, path: &str, headers: &[Header<'_>], body: &[u8]) -> io::Result<Answer> {
    let address = server.strip_prefix("http://").expect("a server is http://ADDRESS");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    whole(&text).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("the answer breaks off: {text:?}")))
}

/// None unless the answer is as long as its head says.
fn whole(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |wanted: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value).next()
    };
    let length: usize = header("content-length")?.parse().ok()?;
    let location = header("location").map(str::to_owned);
    (body.len() == length).then(|| Answer { status, location, body: body.to_owned() })
}

/// `X-Hub-Signature-256` of a body.
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}
