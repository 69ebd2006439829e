//! Server-sent events, as the API sends them: each message one JSON value (WHATWG HTML, 9.2).

use bytes::Buf;
use serde::de::DeserializeOwned;

use super::CliError;

/// A message is one event with its data; longer ones are another server's.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages of a stream, as they come.
pub struct Messages {
    answer: reqwest::Response,
    unread: bytes::BytesMut,
}

/// Fields of one message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    name: String,
    data: String,
}

impl Messages {
    pub(super) fn new(answer: reqwest::Response) -> Self {
        Messages { answer, unread: bytes::BytesMut::new() }
    }

    /// The next value. There is no last one: an end is the server's, and an error.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T, CliError> {
        loop {
            while let Some(message) = take_message(&mut self.unread) {
                match message.name.as_str() {
                    "error" => return Err(broken_off(message.data)),
                    _ if message.data.is_empty() => {}
                    _ => return serde_json::from_str(&message.data).map_err(broken_off),
                }
            }
            if self.unread.len() > MESSAGE_BYTES_MAX {
                return Err(broken_off("a message has no end"));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.unread.extend_from_slice(&chunk),
                Ok(None) => return Err(broken_off("the server ended it")),
                Err(error) => return Err(broken_off(error.without_url())),
            }
        }
    }
}

fn broken_off(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CliError {
    CliError::BrokenOff {
        what: "the stream of events",
        next: "look whether the project runs, and follow again",
        source: source.into(),
    }
}

/// Takes the first whole message: lines up to an empty one.
fn take_message(unread: &mut bytes::BytesMut) -> Option<Message> {
    let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
    let text = String::from_utf8_lossy(&unread[..end]).into_owned();
    unread.advance(end + 2);
    let mut message = Message::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => message.name = value.to_owned(),
            "data" if message.data.is_empty() => message.data = value.to_owned(),
            "data" => message.data += &format!("\n{value}"),
            // Comments keep the connection alive; ids are for readers that come back.
            _ => {}
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_with_an_empty_line_wherever_the_network_cuts() {
        let stream = ": alive\n\nid: 7\ndata: {\"a\":\ndata: 1}\n\nevent: error\ndata:full\n\n";
        for cut in 0..stream.len() {
            let (mut unread, mut found) = (bytes::BytesMut::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                unread.extend_from_slice(part.as_bytes());
                found.extend(std::iter::from_fn(|| take_message(&mut unread)));
            }
            let found: Vec<_> = found.iter().map(|message| (message.name.as_str(), message.data.as_str())).collect();
            assert_eq!(found, [("", ""), ("", "{\"a\":\n1}"), ("error", "full")], "cut at {cut}");
        }
    }
}
