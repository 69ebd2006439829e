//! What a request said that it was, read of one that is refused: nothing of it was checked, and some of it may be missing.
//!
//! A body that breaks off, or is wrong further on, has told its ids by then.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::bus::{NAMED_MAX, Named};

/// Of a body, its beginning is looked into: all of it may take too long for what is thrown away.
const BODY_BYTES_READ: usize = 64 * 1024;
/// Headers with the id of a delivery, and the one beside it that says what it is about.
const DELIVERIES: [(&str, &str); 5] = [
    ("x-github-delivery", "x-github-event"),
    ("x-gitea-delivery", "x-gitea-event"),
    ("x-gitlab-event-uuid", "x-gitlab-event"),
    ("webhook-id", ""),
    ("x-request-id", ""),
];

/// The ids of deliveries and events in headers and body, each once.
pub fn named(headers: &HeaderMap, body: &[u8]) -> Vec<Named> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut found: Vec<Named> = DELIVERIES
        .iter()
        .filter_map(|(id, ty)| Some(Named { id: text(id)?, source: None, ty: text(ty) }))
        .chain(text("ce-id").map(|id| Named { id, source: text("ce-source"), ty: text("ce-type") }))
        .collect();
    let mut deserializer = serde_json::Deserializer::from_slice(&body[..body.len().min(BODY_BYTES_READ)]);
    // What was read before it broke off is all that counts.
    let _ = Reading(&mut found).deserialize(&mut deserializer);
    let mut seen = Vec::new();
    found.retain(|named| {
        let is_new = !named.id.is_empty() && !seen.contains(named);
        seen.push(named.clone());
        is_new
    });
    found.truncate(NAMED_MAX);
    found
}

/// Reads an event, or a batch of them.
struct Reading<'a>(&'a mut Vec<Named>);

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or a batch of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let (mut read, mut is_event) = (Named::default(), false);
        let end = loop {
            match members.next_key::<Cow<'_, str>>() {
                Ok(Some(name)) => {
                    let value = match &*name {
                        "specversion" | "id" | "source" | "type" => members.next_value::<Value>(),
                        _ => members.next_value::<IgnoredAny>().map(|_| Value::Null),
                    };
                    let value = match value {
                        Ok(value) => value.as_str().map(str::to_owned),
                        Err(error) => break Err(error),
                    };
                    match &*name {
                        "specversion" => is_event = true,
                        "id" => read.id = value.unwrap_or_default(),
                        "source" => read.source = value,
                        "type" => read.ty = value,
                        _ => {}
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Many things have an `id`; an event is told by what else it has.
        if is_event || (read.source.is_some() && read.ty.is_some()) {
            self.0.push(read);
        }
        end
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while self.0.len() < NAMED_MAX && items.next_element_seed(Reading(self.0))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], body: &str, expected: &[(&str, Option<&str>, Option<&str>)]) {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let found = named(&headers.collect(), body.as_bytes());
        let found: Vec<_> =
            found.iter().map(|one| (one.id.as_str(), one.source.as_deref(), one.ty.as_deref())).collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn a_delivery_is_known_by_the_headers_of_its_sender() {
        let github = [("x-github-delivery", "d-1"), ("x-github-event", "push"), ("x-hub-signature-256", "sha256=00")];
        check(&github, r#"{"ref": "refs/heads/main", "id": "no event"}"#, &[("d-1", None, Some("push"))]);
        check(&[("webhook-id", "w-1")], "", &[("w-1", None, None)]);
        check(&[], "", &[]);
    }

    #[test]
    fn an_event_is_known_by_its_id_in_every_mode() {
        let one = ("a", Some("/s"), Some("t.u.v"));
        check(&[("ce-id", "a"), ("ce-source", "/s"), ("ce-type", "t.u.v")], "{}", &[one]);
        check(
            &[],
            r#"{"specversion": "1.0", "id": "a", "source": "/s", "type": "t.u.v", "data": {"id": "x"}}"#,
            &[one],
        );
        check(&[], r#"[{"specversion": "1.0", "id": "a", "source": "/s", "type": "t.u.v"}, 7]"#, &[one]);
    }

    #[test]
    fn what_came_before_a_mistake_is_read() {
        check(&[], r#"{"specversion": "1.0", "id": "a", "source": "/s", ]"#, &[("a", Some("/s"), None)]);
        check(&[], r#"{"specversion": "1.0", "source": "/s", "id": "a""#, &[("a", Some("/s"), None)]);
        check(&[], r#"{"specversion": "1.0", "id": 7, "source": "/s"}"#, &[]);
        let batch = r#"[{"id": "a", "source": "/s", "type": "t"}, {"id": "b", "source": "/s", "type": "t""#;
        check(&[], batch, &[("a", Some("/s"), Some("t")), ("b", Some("/s"), Some("t"))]);
    }

    #[test]
    fn no_more_is_read_than_is_kept() {
        let event = |number: usize| format!(r#"{{"id": "{number}", "source": "/s", "type": "t"}}"#);
        let batch: Vec<String> = (0..100).map(event).collect();
        assert_eq!(named(&HeaderMap::new(), format!("[{}]", batch.join(",")).as_bytes()).len(), NAMED_MAX);
        let large = |data: &str, id: &str| format!(r#"{{{data} "id": "a", "source": "/s", "type": "t"{id}}}"#);
        let filler = format!(r#""data": "{}""#, "x".repeat(BODY_BYTES_READ));
        assert_eq!(named(&HeaderMap::new(), large("", &format!(", {filler}")).as_bytes()).len(), 1);
        assert_eq!(named(&HeaderMap::new(), large(&format!("{filler},"), "").as_bytes()), []);
    }
}
