//! What every sender's file needs: reading a body as JSON, and which texts may become attributes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Rejection;
use crate::clock::Timestamp;

/// A sender's text above this many bytes does not become an attribute; it stays in the payload.
const TEXT_BYTES_MAX: usize = 1024;

/// A body: what it says, and its text without the white space between tokens. The text is what is kept, so that numbers
/// stay as the sender wrote them.
#[derive(Debug)]
pub struct Payload {
    pub value: Value,
    pub text: Box<RawValue>,
}

impl Payload {
    pub fn read(body: &[u8]) -> Result<Payload, Rejection> {
        let text = std::str::from_utf8(body)
            .map_err(|error| Rejection::Malformed(format!("the body is not UTF-8 at byte {}", error.valid_up_to())))?;
        let value = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        let text = RawValue::from_string(without_white_space(text)).map_err(|error| malformed(&error))?;
        Ok(Payload { value, text })
    }

    /// The text at a JSON pointer.
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer).and_then(Value::as_str)
    }

    /// What is at a JSON pointer; null where nothing is.
    pub fn at(&self, pointer: &str) -> Value {
        self.value.pointer(pointer).cloned().unwrap_or_default()
    }
}

/// The rejection that names line and column of a syntax error.
pub fn malformed(error: &serde_json::Error) -> Rejection {
    let told = error.to_string();
    let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
    Rejection::Malformed(format!("line {}, column {}: {reason}", error.line(), error.column()))
}

/// Data as JSON text.
pub fn json_bytes(data: &impl Serialize) -> Bytes {
    serde_json::to_vec(data).expect("members with text for keys can be written").into()
}

/// Valid JSON without the white space between its tokens.
fn without_white_space(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&character| {
            let kept = in_string || !matches!(character, ' ' | '\t' | '\n' | '\r');
            match character {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && character == '\\' && !escaped;
            kept
        })
        .collect()
}

/// The text, if it may stand in an attribute: not empty, not too long, without control characters and noncharacters
/// (CloudEvents 1.0.2, Type System).
pub fn attribute_text(text: &str) -> Option<&str> {
    let forbidden = |character: char| {
        character.is_control() || matches!(character, '\u{fdd0}'..='\u{fdef}') || (character as u32 & 0xfffe) == 0xfffe
    };
    (!text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains(forbidden)).then_some(text)
}

/// The text, if it may stand in an attribute and is written like a URI reference (RFC 3986's characters).
pub fn uri_text(text: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    attribute_text(text).filter(|text| text.bytes().all(allowed))
}

/// The text, if it can be one word of an event's type.
pub fn type_word(text: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)).then_some(text)
}

/// A sender's time as an attribute: RFC 3339 as it was written, or a number of seconds since 1970. The year 1, with which
/// programs in Go say "not set", is no time.
pub fn time_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let time: Timestamp = text.parse().ok()?;
            (time >= Timestamp::EPOCH && text.len() <= 40).then(|| text.clone())
        }
        Value::Number(seconds) => {
            const YEAR_10000: i64 = 253_402_300_800;
            let seconds = seconds.as_i64().filter(|seconds| (0..YEAR_10000).contains(seconds))?;
            let time = Timestamp::from_micros(seconds * 1_000_000).to_datetime();
            Some(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        }
        _ => None,
    }
}

/// A time as a `sequence`: in UTC with six decimals, so that later times are greater as text.
pub fn time_sequence(time: &str) -> Option<String> {
    time.parse::<Timestamp>().ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kept_text_loses_white_space_between_tokens_and_nothing_else() {
        let kept = |body: &str| Payload::read(body.as_bytes()).unwrap().text.get().to_owned();
        assert_eq!(kept("{ \"a b\" :\n [1.50, 18446744073709551617 ] }\n"), r#"{"a b":[1.50,18446744073709551617]}"#);
        assert_eq!(kept(r#"[ "\" \\" , "x y" ]"#), r#"["\" \\","x y"]"#);
    }

    #[test]
    fn a_syntax_error_is_told_with_line_and_column() {
        let told = |body: &[u8]| Payload::read(body).unwrap_err().to_string();
        assert_eq!(told(b"{\n  \"a\": ,\n}"), "line 2, column 8: expected value");
        assert_eq!(told(b""), "line 1, column 0: EOF while parsing a value");
        assert_eq!(told(b"{\"a\": \"\xff\"}"), "the body is not UTF-8 at byte 7");
        assert!(told("[".repeat(200).as_bytes()).contains("recursion limit exceeded"));
    }

    #[test]
    fn a_time_is_taken_only_where_it_is_one() {
        let check =
            |value: Value, expected: Option<&str>| assert_eq!(time_text(&value).as_deref(), expected, "{value}");
        check(json!("2019-05-15T15:20:33Z"), Some("2019-05-15T15:20:33Z"));
        check(json!("2018-06-19T19:03:12-07:00"), Some("2018-06-19T19:03:12-07:00"));
        check(json!(1557933657), Some("2019-05-15T15:20:57Z"));
        check(json!("2016\u{2013}09\u{2013}08T22:34:38.226Z"), None);
        check(json!("0001-01-01T00:00:00Z"), None);
        check(json!(i64::MAX), None);
        check(json!(null), None);
    }

    #[test]
    fn only_plain_texts_become_attributes() {
        assert_eq!(attribute_text("refs/heads/höhe"), Some("refs/heads/höhe"));
        for text in ["", "a\nb", "\u{7f}", "\u{fffe}", &"x".repeat(1025)] {
            assert_eq!(attribute_text(text), None, "{text:?}");
        }
        assert_eq!(uri_text("https://github.com/a/b"), Some("https://github.com/a/b"));
        assert_eq!(uri_text("https://a b"), None);
        assert_eq!(type_word("closed_by_user"), Some("closed_by_user"));
        assert_eq!(type_word("a.b"), None);
    }
}
