//! One HTTP request over a connection of its own: a client that tried again by itself would hide what a test looks for.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::PATIENCE;

/// An answer that came whole.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// `base` is a listener of a `Server`.
pub fn get(base: &str, path: &str) -> io::Result<Answer> {
    exchange(base, "GET", path, "", b"")
}

/// What a listing answers, which must succeed.
#[track_caller]
pub fn json(base: &str, path: &str) -> Value {
    let answer = get(base, path).expect("the server answers");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

pub fn post(base: &str, path: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
    exchange(base, "POST", path, &format!("Content-Type: {content_type}\r\n"), body)
}

fn exchange(base: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
    let address = base.strip_prefix("http://").expect("a listener is told as http://ADDRESS");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// None unless the answer is as long as its head says.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let body = bytes[end + 4..].to_vec();
    (body.len() == length).then_some(Answer { status, body })
}
