//! Which of two events of a key is the newer one, so that the older need not run any more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{attribute, derive_uuid};
use crate::filter::{KeyExpression, Subject};

/// Events of one source and key supersede each other: an older one is not run once a newer one was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Supersede {
    /// An event without a key neither supersedes nor is superseded.
    pub key: KeyExpression,
    /// What orders the events of a key; none: their CloudEvents `sequence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<KeyExpression>,
}

/// The place of an event among those that supersede each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// A UUIDv5 of source and key, and of what their ranks mean.
    pub line: Arc<str>,
    pub rank: Rank,
}

impl Supersede {
    /// None: the event has no key, or nothing that would order it.
    pub fn succession(&self, subject: &Subject<'_>) -> Option<Succession> {
        let key = self.key.key(subject)?;
        let rank = match &self.by {
            Some(by) => {
                let number = by.millionths(subject).map(Rank::millionths);
                number.or_else(|| by.key(subject).map(|text| Rank::text(&text)))?
            }
            None => Rank::of_sequence(subject)?,
        };
        let source = subject.attribute("source")?;
        // Ranks of another kind or meaning cannot be compared: what was settled before they changed supersedes nothing.
        let by = self.by.as_ref().map_or("sequence", KeyExpression::source);
        let parts = [self.key.source(), by, rank.kind(), &source, &key].map(str::as_bytes);
        Some(Succession { line: derive_uuid(&parts).to_string().into(), rank })
    }
}

/// A place in an order of numbers or of texts, kept as text that sorts as it does.
///
/// Invariant: `n` and a number with as many digits as every other, or `t` and a text. Only those of one line are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank(String);

impl Rank {
    fn text(text: &str) -> Self {
        Rank(format!("t{text}"))
    }

    fn millionths(number: i128) -> Self {
        // With the sign's bit turned over, negative numbers sort before the others.
        Rank(format!("n{:039}", number.cast_unsigned() ^ (1 << 127)))
    }

    /// As the CloudEvents extension says: a text, or with the `sequencetype` `Integer` a number.
    fn of_sequence(subject: &Subject<'_>) -> Option<Self> {
        let sequence = subject.attribute(attribute::SEQUENCE).filter(|text| !text.is_empty())?;
        match subject.attribute(attribute::SEQUENCE_TYPE).as_deref() {
            Some("Integer") => {
                sequence.parse::<i64>().ok().map(|number| Rank::millionths(i128::from(number) * 1_000_000))
            }
            Some(_) | None => Some(Rank::text(&sequence)),
        }
    }

    /// As it was stored by `as_str`.
    pub fn from_stored(stored: String) -> Self {
        Rank(stored)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn kind(&self) -> &str {
        &self.0[..1]
    }

    /// An equal one is not older.
    pub fn is_older_than(&self, other: &Rank) -> bool {
        self.0 < other.0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::{Accepted, Event, Extension, Origin, OriginKind};

    fn accepted(source: &str, extensions: &[(&str, &str)], data: &str) -> Accepted {
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Extension::Text((*value).to_owned()));
        let event = Event {
            id: "1".to_owned(),
            source: source.to_owned(),
            ty: "t".to_owned(),
            extensions: extensions.iter().map(text).collect(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            ..Event::default()
        };
        let origin = Origin { kind: OriginKind::Api, name: "test".to_owned(), verified: true };
        Accepted { position: 1, accepted_at: Timestamp::EPOCH, origin, hops: 0, event }
    }

    fn by_data() -> Supersede {
        let key = |source: &str| KeyExpression::new(source).unwrap();
        Supersede { key: key("data.key"), by: Some(key("data.by")) }
    }

    fn rank_by(value: &str) -> Option<Rank> {
        let event = accepted("s", &[], &format!("{{\"key\": \"k\", \"by\": {value}}}"));
        by_data().succession(&Subject::new(&event)).map(|succession| succession.rank)
    }

    fn rank_of(sequence: &str, ty: &str) -> Option<Rank> {
        let event = accepted("s", &[("sequence", sequence), ("sequencetype", ty)], "{\"key\": \"k\"}");
        Supersede { by: None, ..by_data() }.succession(&Subject::new(&event)).map(|succession| succession.rank)
    }

    #[track_caller]
    fn check_rising(ranks: &[Option<Rank>]) {
        let ranks: Vec<&Rank> = ranks.iter().map(|rank| rank.as_ref().unwrap()).collect();
        for (index, rank) in ranks.iter().enumerate() {
            for (other_index, other) in ranks.iter().enumerate() {
                assert_eq!(rank.is_older_than(other), index < other_index, "{rank:?} {other:?}");
            }
        }
    }

    #[test]
    fn numbers_are_in_the_order_of_numbers_and_texts_in_that_of_texts() {
        let numbers = [
            "-9223372036854775808",
            "-2",
            "-1.5",
            "0",
            "0.000001",
            "9",
            "10",
            "1700000000.25",
            "9223372036854775807",
            "18446744073709551615",
        ];
        check_rising(&numbers.map(rank_by));
        check_rising(&["\"10\"", "\"2026-01-02\"", "\"9\""].map(rank_by));
        check_rising(&["-3", "9", "10"].map(|sequence| rank_of(sequence, "Integer")));
        check_rising(&["0009", "0010", "9"].map(|sequence| rank_of(sequence, "")));
    }

    #[test]
    fn equal_numbers_have_one_rank_however_they_are_written() {
        assert_eq!(rank_by("1.0"), rank_by("1"));
    }

    #[test]
    fn an_event_without_a_key_or_an_order_stands_alone() {
        assert_eq!(
            [rank_by("null"), rank_by("\"\""), rank_by("[1]"), rank_of("", ""), rank_of("x", "Integer")],
            [const { None }; 5]
        );
        let keyless = accepted("s", &[("sequence", "1")], "{}");
        assert_eq!(Supersede { by: None, ..by_data() }.succession(&Subject::new(&keyless)), None);
    }

    #[test]
    fn a_line_is_of_one_source_and_key_and_one_meaning_of_its_ranks() {
        let line = |supersede: &Supersede, source: &str, data: &str| {
            let event = accepted(source, &[("sequence", "1")], data);
            supersede.succession(&Subject::new(&event)).unwrap().line
        };
        let first = line(&by_data(), "a", r#"{"key": "k", "by": 1}"#);
        assert_eq!(line(&by_data(), "a", r#"{"key": "k", "by": 2}"#), first);
        for (source, data) in [
            ("b", r#"{"key": "k", "by": 1}"#),
            ("a", r#"{"key": "l", "by": 1}"#),
            ("ak", r#"{"key": "k", "by": 1}"#),
            ("a", r#"{"key": "k", "by": "1"}"#),
        ] {
            assert_ne!(line(&by_data(), source, data), first, "{source} {data}");
        }
        let by_sequence = Supersede { by: None, ..by_data() };
        assert_ne!(line(&by_sequence, "a", r#"{"key": "k", "by": 1}"#), first);
    }
}
