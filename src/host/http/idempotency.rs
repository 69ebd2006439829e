//! The `Idempotency-Key`: the same on every attempt, so that a peer can tell a retry from a new request.

use std::collections::HashMap;

use crate::deployment::FunctionId;
use crate::event::{EventKey, derive_uuid};

/// The name of the header.
pub const HEADER: &str = "idempotency-key";

/// Counts the requests of one invocation.
pub struct Requests {
    event: EventKey,
    function: FunctionId,
    /// How many there were of each method and URL.
    seen: HashMap<(String, String), u32>,
}

impl Requests {
    pub fn new(event: EventKey, function: FunctionId) -> Self {
        Requests { event, function, seen: HashMap::new() }
    }

    /// Adds the key of the next request of this method and URL, unless the guest set its own.
    pub fn stamp(&mut self, method: &str, url: &str, headers: &mut Vec<(String, String)>) {
        let ordinal = self.seen.entry((method.to_owned(), url.to_owned())).or_default();
        let key = derive_uuid(&[
            b"idempotency-key",
            self.event.uuid().as_bytes(),
            self.function.as_bytes(),
            method.as_bytes(),
            url.as_bytes(),
            &ordinal.to_be_bytes(),
        ]);
        *ordinal += 1;
        if !headers.iter().any(|(name, _)| name == HEADER) {
            headers.push((HEADER.to_owned(), key.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn keys(requests: &[(&str, &str)]) -> Vec<String> {
        let event = crate::event::Event { id: "1".into(), source: "/a".into(), ..Default::default() };
        let mut counted = Requests::new(EventKey::of(&event), FunctionId::from_uuid(Uuid::from_u128(7)));
        let mut stamped = Vec::new();
        for (method, url) in requests {
            let mut headers = Vec::new();
            counted.stamp(method, url, &mut headers);
            stamped.push(headers.remove(0).1);
        }
        stamped
    }

    #[test]
    fn a_retry_sends_the_same_keys_and_no_two_requests_share_one() {
        let requests = [("POST", "http://a/x"), ("POST", "http://a/x"), ("PUT", "http://a/x"), ("POST", "http://a/y")];
        let first = keys(&requests);
        assert_eq!(first, keys(&requests));
        assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(first[3], keys(&[requests[3]])[0], "a request's key does not hang on other URLs");
    }

    #[test]
    fn a_guests_own_key_wins() {
        let event = crate::event::Event::default();
        let mut counted = Requests::new(EventKey::of(&event), FunctionId::from_uuid(Uuid::nil()));
        let mut headers = vec![(HEADER.to_owned(), "mine".to_owned())];
        counted.stamp("POST", "http://a/x", &mut headers);
        assert_eq!(headers, [(HEADER.to_owned(), "mine".to_owned())]);
    }
}
