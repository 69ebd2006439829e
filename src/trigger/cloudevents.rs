//! CloudEvents that come in by a webhook path, and the handshake by which their senders ask for permission.
//!
//! Source of the format: CloudEvents 1.0.2 (HTTP binding), HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Rejection;
use crate::event::{Event, HttpError, from_http};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// The events of a request, as their sender wrote them.
pub fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Rejection> {
    from_http(headers, body.clone()).map_err(|error| match error {
        HttpError::UnsupportedMediaType(reason) => Rejection::UnsupportedMediaType(reason),
        HttpError::Event(_) | HttpError::Batch(_) => Rejection::Malformed(error.to_string()),
    })
}

/// The headers that answer an OPTIONS request: the origin that asked may send, at any rate (busy is told by 429).
/// None if it did not ask.
pub fn handshake(headers: &HeaderMap) -> Option<HeaderMap> {
    let origin = headers.get(REQUEST_ORIGIN)?.clone();
    Some([(ALLOWED_ORIGIN, origin), (ALLOWED_RATE, HeaderValue::from_static("*"))].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_permission_gets_it_for_its_own_origin() {
        let asked = [(REQUEST_ORIGIN, HeaderValue::from_static("events.example.com"))].into_iter().collect();
        let answer = handshake(&asked).unwrap();
        assert_eq!(answer.get("webhook-allowed-origin").unwrap(), "events.example.com");
        assert_eq!(answer.get("webhook-allowed-rate").unwrap(), "*");
        assert_eq!(handshake(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_no_cloudevent_is_an_unsupported_media_type() {
        let headers = [(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))].into_iter().collect();
        let told = parse(&headers, &Bytes::from_static(b"hello"));
        assert!(matches!(told, Err(Rejection::UnsupportedMediaType(_))), "{told:?}");
    }

    #[test]
    fn bad_json_is_malformed_with_line_and_column() {
        let json = HeaderValue::from_static("application/cloudevents+json");
        let headers = [(http::header::CONTENT_TYPE, json)].into_iter().collect();
        let told = parse(&headers, &Bytes::from_static(b"{\n\"id\": }")).unwrap_err();
        assert!(matches!(&told, Rejection::Malformed(reason) if reason.contains("line 2, column 7")), "{told:?}");
    }
}
