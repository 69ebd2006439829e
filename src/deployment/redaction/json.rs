//! Values at paths, taken out of JSON text: all else stays byte for byte, number literals and order of members included.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::path::Step;

/// What stands in the place of a value, as JSON text.
pub(super) const REDACTED_JSON: &[u8] = b"\"[redacted]\"";

/// What is left of a text.
pub(super) struct Left {
    pub json: Vec<u8>,
    /// Which of the paths named something, by their places.
    pub named: Vec<usize>,
}

/// Redacts each value that one of the paths names, a member that stands twice twice. None: nothing is named. The paths have
/// steps.
pub(super) fn redact(json: &[u8], paths: &[&[Step]]) -> Result<Option<Left>, serde_json::Error> {
    let whole: &RawValue = serde_json::from_slice(json)?;
    let mut finding = Finding { begin: json.as_ptr() as usize, found: Vec::new() };
    finding.inside(whole, paths.iter().copied().enumerate().collect())?;
    if finding.found.is_empty() {
        return Ok(None);
    }
    let mut named: Vec<usize> = finding.found.iter().map(|(_, path)| *path).collect();
    named.sort_unstable();
    named.dedup();
    let mut redacted = Vec::with_capacity(json.len());
    let mut from = 0;
    for (range, _) in finding.found {
        redacted.extend_from_slice(&json[from..range.start]);
        redacted.extend_from_slice(REDACTED_JSON);
        from = range.end;
    }
    redacted.extend_from_slice(&json[from..]);
    Ok(Some(Left { json: redacted, named }))
}

struct Finding {
    /// Where in memory the text begins: its values are slices of it.
    begin: usize,
    /// In the order of the text, none within another.
    found: Vec<(Range<usize>, usize)>,
}

impl Finding {
    /// `open`: each path with the steps that are left of it, at least one. It goes no deeper than the paths do.
    fn inside(&mut self, value: &RawValue, open: Vec<(usize, &[Step])>) -> Result<(), serde_json::Error> {
        match value.get().as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(value.get())?;
                for (name, member) in members {
                    let names = |step: &Step| match step {
                        Step::Member(wanted) => *wanted == *name,
                        Step::AnyMember => true,
                        Step::Item(_) | Step::AnyItem => false,
                    };
                    self.at(member, &open, names)?;
                }
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get())?;
                for (index, item) in items.into_iter().enumerate() {
                    let names = |step: &Step| match step {
                        Step::Item(wanted) => *wanted == index,
                        Step::AnyItem => true,
                        Step::Member(_) | Step::AnyMember => false,
                    };
                    self.at(item, &open, names)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at(
        &mut self,
        value: &RawValue,
        open: &[(usize, &[Step])],
        names: impl Fn(&Step) -> bool,
    ) -> Result<(), serde_json::Error> {
        let mut deeper = Vec::new();
        for (path, steps) in open {
            match steps.split_first() {
                Some((step, [])) if names(step) => {
                    let start = value.get().as_ptr() as usize - self.begin;
                    self.found.push((start..start + value.get().len(), *path));
                    return Ok(());
                }
                Some((step, rest)) if names(step) => deeper.push((*path, rest)),
                _ => {}
            }
        }
        if deeper.is_empty() { Ok(()) } else { self.inside(value, deeper) }
    }
}

/// The members of an object in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::super::RedactedPath;
    use super::*;

    #[track_caller]
    fn check(json: &str, paths: &[&str], expected: &str) {
        let paths: Vec<RedactedPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let steps: Vec<&[Step]> = paths.iter().map(|path| path.steps.as_slice()).collect();
        let once = redact(json.as_bytes(), &steps).unwrap().map_or(json.as_bytes().to_vec(), |left| left.json);
        assert_eq!(String::from_utf8_lossy(&once), expected, "{json}");
        let twice = redact(&once, &steps).unwrap().map_or(once.clone(), |left| left.json);
        assert_eq!(twice, once, "{json}: twice is once");
    }

    #[test]
    fn a_value_goes_and_the_rest_stays_as_it_is_written() {
        check(r#"{"a":"s3cret","b":1}"#, &["$.a"], r#"{"a":"[redacted]","b":1}"#);
        check(
            r#" { "b" : 1.50, "a" : {"x":[1]} , "c":1e999 } "#,
            &["$.a"],
            r#" { "b" : 1.50, "a" : "[redacted]" , "c":1e999 } "#,
        );
        check(
            r#"{"a":null,"b":true,"c":[]}"#,
            &["$.a", "$.b", "$.c"],
            r#"{"a":"[redacted]","b":"[redacted]","c":"[redacted]"}"#,
        );
        check(r#"{"a":{"b":{"c":7,"d":8}}}"#, &["$.a.b.c"], r#"{"a":{"b":{"c":"[redacted]","d":8}}}"#);
        check(r#"{"a":1}"#, &["$.b", "$.a.b", "$[0]"], r#"{"a":1}"#);
        check("\"text\"", &["$.a"], "\"text\"");
    }

    #[test]
    fn items_and_members_are_named_one_by_one_or_all() {
        check(r#"[{"c":1},{"c":2},3]"#, &["$[*].c"], r#"[{"c":"[redacted]"},{"c":"[redacted]"},3]"#);
        check("[1,2,3]", &["$[1]"], r#"[1,"[redacted]",3]"#);
        check("[[1,2],[3]]", &["$[*][0]"], r#"[["[redacted]",2],["[redacted]"]]"#);
        check(
            r#"{"a":{"k":1,"x":2},"b":{"k":3},"l":[{"k":4}]}"#,
            &["$.*.k"],
            r#"{"a":{"k":"[redacted]","x":2},"b":{"k":"[redacted]"},"l":[{"k":4}]}"#,
        );
        check(r#"{"0":1}"#, &["$[0]"], r#"{"0":1}"#);
    }

    #[test]
    fn a_name_is_found_however_it_is_written_and_however_often() {
        check(
            r#"{"to\u006ben":"x","token":"y","Token":"z"}"#,
            &["$.token"],
            r#"{"to\u006ben":"[redacted]","token":"[redacted]","Token":"z"}"#,
        );
        check(r#"{"näme":"x"}"#, &["$.näme"], r#"{"näme":"[redacted]"}"#);
    }

    #[test]
    fn paths_that_name_parts_of_each_other_leave_nothing() {
        check(r#"{"a":{"b":1,"c":2}}"#, &["$.a.b", "$.a"], r#"{"a":"[redacted]"}"#);
        check(r#"{"a":{"b":1,"c":2}}"#, &["$.a.b", "$.*.c"], r#"{"a":{"b":"[redacted]","c":"[redacted]"}}"#);
    }

    #[test]
    fn depth_beside_the_paths_is_no_matter_and_what_is_no_json_is_told() {
        let deep = format!("{{\"d\":{}1{},\"a\":1}}", "[".repeat(10_000), "]".repeat(10_000));
        check(&deep, &["$.a"], &deep.replace("\"a\":1", "\"a\":\"[redacted]\""));
        for broken in ["{\"a\":1", "{\"a\":1} x", "{\"a\":\"\u{1}\"}", "", "{a:1}"] {
            assert!(redact(broken.as_bytes(), &[]).is_err(), "{broken:?}");
        }
        assert!(redact(b"{\"a\":\"\xff\"}", &[]).is_err());
    }
}
