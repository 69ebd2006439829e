use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::event::{Accepted, Event, Extension, Origin, OriginKind};

fn accepted(data: &str) -> Accepted {
    let mut event = Event {
        id: "1".into(),
        source: "/shop".into(),
        ty: "shop.order.paid".into(),
        subject: Some("pkg:oci/app".into()),
        data: Some(data.to_owned().into()),
        ..Event::default()
    };
    event.extensions.insert("partitionkey".into(), Extension::Text("k".into()));
    event.extensions.insert("attempt".into(), Extension::Integer(3));
    Accepted {
        position: 1,
        accepted_at: Timestamp::EPOCH,
        origin: Origin { kind: OriginKind::Trigger, name: "/hooks/shop".into(), verified: true },
        hops: 0,
        event,
    }
}

fn when(expression: &str) -> Filter {
    Filter::new(Vec::new(), BTreeMap::new(), Some(expression)).unwrap()
}

fn judge(expression: &str, data: &str) -> Verdict {
    when(expression).judge(&Subject::new(&accepted(data)))
}

#[track_caller]
fn check(expression: &str, data: &str, expected: bool) {
    match judge(expression, data) {
        Verdict::Pass => assert!(expected, "{expression} on {data} passed"),
        Verdict::Filtered { .. } => assert!(!expected, "{expression} on {data} was filtered"),
        Verdict::Failed { reason, .. } => panic!("{expression} on {data} failed: {reason}"),
    }
}

#[track_caller]
fn check_failed(expression: &str, data: &str, expected: &str) {
    match judge(expression, data) {
        Verdict::Failed { reason, .. } => {
            assert!(reason.contains(expected), "{expression}: {reason:?} lacks {expected:?}");
        }
        other => panic!("{expression} on {data} did not fail: {other:?}"),
    }
}

#[track_caller]
fn check_refused(expression: &str, expected: &str) {
    let error = Filter::new(Vec::new(), BTreeMap::new(), Some(expression)).unwrap_err();
    assert!(error.reason.contains(expected), "{expression}: {:?} lacks {expected:?}", error.reason);
}

#[test]
fn numbers_agree_whatever_their_literal() {
    for number in ["200", "200.0", "2e2", "2.00E+2"] {
        let data = format!(r#"{{"status": {number}, "list": [100, {number}]}}"#);
        for expression in [
            "data.status == 200",
            "data.status == 200.0",
            "data.status == 200u",
            "200 == data.status",
            "200.0 == data.status",
            "200u == data.status",
            "data.status > 199.5",
            "data.status >= 200u",
            "data.status < 201",
            "199.5 < data.status",
            "data.status in [200, 201]",
            "data.status in [200.0]",
            "data.status in [201u, 200u]",
            "200 in data.list",
            "200.0 in data.list",
            "200u in data.list",
            "data.status + 1 == 201",
            "data.status + 1.5 == 201.5",
            "data.status + 1u == 201u",
            "1 + data.status == 201",
            "1.0 + data.status == 201",
            "1u + data.status == 201",
            "data.status - 201u == -1",
            "data.status * 2.5 == 500",
            "data.status / 3 == 66",
            "data.status % 7u == 4",
            "data.list == [100, 200]",
            "[100.0, 200u] == data.list",
            "{200: true}[data.status]",
            "data.list.exists(n, n == 200.0)",
            "data.list.map(n, n + 0.5) == [100.5, 200.5]",
        ] {
            check(expression, &data, true);
        }
        check("data.status == 201", &data, false);
        check("data.status != 200.0", &data, false);
        check("data.status in [201, 202]", &data, false);
    }
}

#[test]
fn a_number_is_an_int_if_it_fits_else_a_uint_else_a_double() {
    for (number, kind) in [
        ("9223372036854775807", "int"),
        ("-9223372036854775808", "int"),
        ("9223372036854775808", "uint"),
        ("18446744073709551615", "uint"),
        ("18446744073709551616", "double"),
        ("1e18", "int"),
        ("1e300", "double"),
        ("0.5", "double"),
        ("-0.0", "int"),
    ] {
        check(&format!("type(data.n) == {kind}"), &format!(r#"{{"n": {number}}}"#), true);
    }
    check("data.n + 1 == 9223372036854775808u", r#"{"n": 9223372036854775807}"#, true);
    check_failed("data.n + 1u == 0", r#"{"n": 18446744073709551615}"#, "out of range");
    check_failed("1 / data.n == 0", r#"{"n": 0}"#, "zero");
    check_failed("1 % data.n == 0", r#"{"n": 0}"#, "zero");
}

#[test]
fn expressions_read_attributes_extensions_data_and_origin() {
    let data = r#"{"severity": "HIGH", "tags": ["a", "b"], "a": {"b-c": null}}"#;
    for expression in [
        r#"event.type == "shop.order.paid" && event.specversion == "1.0""#,
        r#"event.subject.startsWith("pkg:oci/")"#,
        "has(event.subject) && !has(event.time)",
        r#"event.partitionkey == "k" && event.attempt == 3"#,
        r#"origin.kind == "trigger" && origin.verified && origin.name == "/hooks/shop""#,
        r#"data.severity in ["HIGH", "CRITICAL"]"#,
        r#"data.tags.exists(t, t == "b") && data.tags.all(t, t.matches("^[ab]$"))"#,
        r#"data.a["b-c"] == null"#,
        r#"size(data.tags) == 2 && data.tags.size() == 2"#,
        r#"data.?missing.orValue("x") == "x""#,
        r#"has(data.a) && !has(data.b)"#,
        r#"data.tags + ["c"] == ["a", "b", "c"]"#,
        r#""a" + "b" == "ab""#,
        r#"timestamp("2026-01-01T00:00:00Z") + duration("1h") > timestamp("2026-01-01T00:30:00Z")"#,
        "data.tags.map(t, t + t)[1] == 'bb'",
        "data.tags.filter(t, t == 'a').size() == 1 && data.tags.exists_one(t, t == 'a')",
        "data.map(k, k) == ['a', 'severity', 'tags']",
    ] {
        check(expression, data, true);
    }
}

#[test]
fn data_that_is_no_json_is_text_or_bytes_and_none_is_null() {
    let judge = |data: Option<&'static [u8]>, expression: &str| {
        let mut accepted = accepted("");
        accepted.event.datacontenttype = Some("text/plain".into());
        accepted.event.data = data.map(Into::into);
        when(expression).judge(&Subject::new(&accepted))
    };
    assert_eq!(judge(Some(b"hello"), r#"data == "hello""#), Verdict::Pass);
    assert_eq!(judge(Some(b"\xff\x00"), "size(data) == 2"), Verdict::Pass);
    assert_eq!(judge(None, "data == null"), Verdict::Pass);
}

#[test]
fn what_cannot_be_evaluated_fails_and_says_why() {
    check_failed("data.a.b == 1", r#"{"a": {}}"#, "data.a.b is absent");
    check_failed("data.a.b.c == 1", r#"{}"#, "data.a is absent");
    check_failed("event.time == ''", "{}", "event.time is absent");
    check_failed("data.items.exists(i, i.x == 1)", r#"{"items": [{}]}"#, "x is absent");
    check_failed("data.n", r#"{"n": 1}"#, "is int, and must be true or false");
    check_failed("data.n > 'a'", r#"{"n": 1}"#, "not defined for int, string");
    check_failed("data.n + 'a' == ''", r#"{"n": 1}"#, "+ cannot stand between");
    check_failed("data.n == 1", "{", "data is no JSON");
    check_failed("data[3] == 1", "[1]", "index");
    check_failed("data.a == 1", &"[".repeat(100_000), "data is no JSON");
}

#[test]
fn a_false_part_decides_even_beside_one_that_fails() {
    check("data.missing == 1 && event.id == '2'", "{}", false);
    check("event.id == '2' && data.missing == 1", "{}", false);
    check("data.missing == 1 || event.id == '1'", "{}", true);
    check_failed("data.missing == 1 && event.id == '1'", "{}", "data.missing is absent");
}

#[test]
fn data_is_only_parsed_when_an_expression_reads_it() {
    check("event.id == '1'", "{ this is no JSON", true);
}

#[test]
fn a_wrong_expression_is_refused_with_its_column() {
    check_refused("event.id == ", "column 1");
    check_refused("event.id == '1' && evnt.x", "there is no \"evnt\"");
    check_refused("event.id.frobnicate()", "there is no function \"frobnicate\"");
    check_refused("event.id == '1' &&\n nope", "line 2, column 2");
    check_refused("now() > 1", "there is no function \"now\"");
    check_refused("event.id.matches('(')", "column 18: is no pattern");
    check_refused("event.id.matches(event.type)", "must be a literal");
    check_refused("event.id.matches('(x{100}){100}{100}')", "is no pattern");
    check_refused("data.a.exists(x, data.b.exists(y, x == y))", "comprehensions do not nest");
    check_refused("data.a.map(x, data.b.filter(y, true)).size() > 0", "comprehensions do not nest");
    check_refused("Thing{a: 1} == null", "messages cannot be built");
    check_refused("", "column");
    check_refused("'", "column");
    check_refused(&"x".repeat(EXPRESSION_BYTES_MAX + 1), "at most");
}

#[test]
fn deep_expressions_are_refused_and_never_overflow_the_stack() {
    let half = EXPRESSION_BYTES_MAX / 2 - 8;
    let deep = |text: String| Filter::new(Vec::new(), BTreeMap::new(), Some(&text)).is_err();
    assert!(deep(format!("{}1{} == 1", "(".repeat(half), ")".repeat(half))));
    assert!(deep(format!("{}1{} == 1", "[".repeat(half), "]".repeat(half))));
    assert!(deep(format!("1{} == 1", "+1".repeat(half))));
    assert!(deep(format!("data{} == 1", "[0]".repeat(EXPRESSION_BYTES_MAX / 3 - 8))));
    assert!(deep(format!("{}true", "true?true:".repeat(EXPRESSION_BYTES_MAX / 10 - 8))));
    let _ = deep(format!("{}true", "!".repeat(2 * half)));
    let _ = deep(format!("{}1 == 1", "-".repeat(2 * half)));
    let _ = deep(format!("data{} == 1", ".a".repeat(half)));
    let _ = deep(format!("true{}", "&&true".repeat(EXPRESSION_BYTES_MAX / 6 - 8)));
    let _ = deep(format!("true{}", "||true".repeat(EXPRESSION_BYTES_MAX / 6 - 8)));
    let _ = deep(format!("data{} == 1", ".a()".repeat(EXPRESSION_BYTES_MAX / 4 - 8)));
}

#[test]
fn the_deepest_expressions_that_are_allowed_fit_a_threads_stack() {
    let shapes: [fn(usize) -> String; 4] = [
        |depth| format!("data{} == 1", "+1".repeat(depth)),
        |depth| format!("size({}data{}) == 1", "[".repeat(depth), "]".repeat(depth)),
        |depth| format!("data{} == 1", "[0]".repeat(depth)),
        |depth| format!("[1].all(n, {}n{} == n)", "[".repeat(depth), "][0]".repeat(depth)),
    ];
    for shape in shapes {
        let filter = |depth| Filter::new(Vec::new(), BTreeMap::new(), Some(&shape(depth)));
        let deepest = (1..60).rev().find_map(|depth| filter(depth).ok()).unwrap();
        let judging = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        judging.spawn(move || deepest.judge(&Subject::new(&accepted("1")))).unwrap().join().unwrap();
    }
}

#[test]
fn what_is_too_large_fails_and_says_so() {
    let list = |items: usize| format!(r#"{{"l": [{}0]}}"#, "0,".repeat(items - 1));
    check("data.l.all(n, n == 0) && 0 in data.l", &list(LIST_ITEMS_MAX), true);
    check_failed("data.l.all(n, n == 0)", &list(LIST_ITEMS_MAX + 1), "too large: a list has 10001 items");
    check_failed("1 in data.l", &list(LIST_ITEMS_MAX + 1), "too large");
    check("data.l[0] == 0", &list(LIST_ITEMS_MAX + 1), true);
    let text = |bytes: usize| json!({ "t": "a".repeat(bytes) }).to_string();
    check_failed("data.t == ''", &text(DATA_READ_BYTES_MAX), "too large: data has");
    check("data.t.matches('a$')", &text(DATA_READ_BYTES_MAX - 100), true);
    let doubled = "(data.t + data.t).matches('b')";
    check_failed(doubled, &text(DATA_READ_BYTES_MAX - 100), "too large: matches");
}

#[test]
fn work_that_multiplies_fails_instead_of_hanging() {
    let data = json!({ "l": vec![0; 10_000], "t": "a".repeat(900_000) }).to_string();
    check_failed("data.l.exists(n, data.t.matches('b'))", &data, "too large");
    check_failed("data.l.map(n, data.t).size() == 0", &data, "too large");
    check_failed("data.l.map(n, [data.t]).size() == 0", &data, "too large");
    check_failed("data.l.exists(n, data.l == [1])", &data, "too large");
    check_failed("data.l.exists(n, data.t + 'x' == data.t)", &data, "too large");
    let sum = vec!["data.t"; 500].join("+");
    let sum = format!("size({sum}) == 0");
    assert!(Filter::new(Vec::new(), BTreeMap::new(), Some(&sum)).is_err(), "it nests too deeply");
    let list = format!("size([{}]) == 0", vec!["data.t"; 500].join(","));
    check_failed(&list, &data, "too large");
}

#[test]
fn a_star_stands_at_the_end_of_an_attribute_s_pattern_only() {
    let filter = |pattern: &str| {
        Filter::new(Vec::new(), BTreeMap::from([("subject".to_owned(), pattern.to_owned())]), None).map(drop)
    };
    for pattern in ["", "*", "pkg:npm/*", "a b"] {
        assert_eq!(filter(pattern), Ok(()), "{pattern:?}");
    }
    for pattern in ["a*b*", "*a", "**"] {
        let reason = format!("{pattern:?} is no pattern; write a text, perhaps with one * at its end");
        assert_eq!(filter(pattern), Err(FilterError { clause: "subject".to_owned(), reason }));
    }
}

#[test]
fn every_clause_is_explained_with_what_it_saw() {
    let attributes = BTreeMap::from([("subject".to_owned(), "pkg:npm/*".to_owned())]);
    let expression = r#"data.severity == "HIGH" && has(data.fix) && (data.a == 1 || data.b == 2)"#;
    let filter = Filter::new(vec!["shop.*".parse().unwrap()], attributes, Some(expression)).unwrap();
    let accepted = accepted(r#"{"severity": "LOW", "a": [1], "b": {"c": 1}}"#);
    let shown: Vec<String> = filter
        .explain(&Subject::new(&accepted))
        .into_iter()
        .map(|clause| format!("{} | {} | {:?} | {:?}", clause.clause, clause.saw, clause.holds, clause.error))
        .collect();
    expect_test::expect![[r#"
        type is shop.* | type = "shop.order.paid" | Some(true) | None
        subject is "pkg:npm/*" | subject = "pkg:oci/app" | Some(false) | None
        data.severity == "HIGH" | data.severity = "LOW" | Some(false) | None
        has(data.fix) | data.fix is absent | Some(false) | None
        (data.a == 1 || data.b == 2) | data.a = a list of 1, data.b = an object of 1 | Some(false) | None"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_verdict_names_the_clause_and_the_value() {
    let verdict = judge(r#"event.id == "1" && data.severity == "HIGH""#, r#"{"severity": "LOW"}"#);
    let (clause, saw) = (r#"data.severity == "HIGH""#.to_owned(), r#"data.severity = "LOW""#.to_owned());
    assert_eq!(verdict, Verdict::Filtered { clause, saw });
}

#[test]
fn an_expression_is_split_at_its_outermost_ands_only() {
    for (source, expected) in [
        ("a && b", vec!["a", "b"]),
        ("a && (b && c) && d", vec!["a", "(b && c)", "d"]),
        ("a && b || c", vec!["a && b || c"]),
        ("a && b ? c : d", vec!["a && b ? c : d"]),
        ("a.?b && c", vec!["a.?b", "c"]),
        (r#"a == "&&" && b == '\'&&'"#, vec![r#"a == "&&""#, r#"b == '\'&&'"#]),
        (r#"a == r"\" && b"#, vec![r#"a == r"\""#, "b"]),
        (r#"a == """x" && "y""" && b"#, vec![r#"a == """x" && "y""""#, "b"]),
        ("a // && b\n && c", vec!["a // && b", "c"]),
    ] {
        assert_eq!(conjunction::split(source), expected, "{source}");
    }
}

#[test]
fn a_filter_is_stored_as_its_source() {
    let attributes = BTreeMap::from([("source".to_owned(), "/shop".to_owned())]);
    let filter = Filter::new(vec!["a.*".parse().unwrap()], attributes, Some("data.a == 1")).unwrap();
    let stored = serde_json::to_value(&filter).unwrap();
    let expected = json!({ "on": ["a.*"], "attributes": { "source": "/shop" }, "when": "data.a == 1" });
    assert_eq!(stored, expected);
    assert_eq!(serde_json::from_value::<Filter>(stored).unwrap(), filter);
    assert!(serde_json::from_value::<Filter>(json!({ "on": [], "when": "nope" })).is_err());
}

#[test]
fn a_key_is_the_text_of_a_scalar() {
    let key = |expression: &str, data: Value| {
        KeyExpression::new(expression).unwrap().key(&Subject::new(&accepted(&data.to_string())))
    };
    assert_eq!(key("partitionkey", json!({})), Some("k".to_owned()));
    assert_eq!(key("data.n", json!({ "n": 7 })), Some("7".to_owned()));
    assert_eq!(key("data.repo + '/' + string(data.n)", json!({ "repo": "a", "n": 7 })), Some("a/7".to_owned()));
    for (expression, data) in [("data.n", json!({})), ("data.n", json!({ "n": "" })), ("data.n", json!({ "n": [1] }))] {
        assert_eq!(key(expression, data.clone()), None, "{expression} on {data}");
    }
    let key = KeyExpression::new("partitionkey").unwrap();
    assert_eq!(serde_json::to_value(&key).unwrap(), json!("event.partitionkey"));
}

#[test]
fn a_trailing_star_matches_any_rest() {
    let check = |pattern: &str, ty: &str, expected: bool| {
        assert_eq!(pattern.parse::<TypePattern>().unwrap().matches(ty), expected, "{pattern} on {ty}");
    };
    check("shop.order.*", "shop.order.paid", true);
    check("shop.order.*", "shop.order.", true);
    check("shop.order.*", "shop.refund", false);
    check("shop.order", "shop.order.paid", false);
    check("shop.order", "shop.order", true);
    check("*", "anything", true);
    for wrong in ["", "a*b", "**", "*.paid", "a b"] {
        assert!(wrong.parse::<TypePattern>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_index_finds_each_entry_once_in_the_order_filed() {
    let patterns = |texts: &[&str]| -> Vec<TypePattern> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let index = TypeIndex::new([
        (patterns(&["a.*", "a.b"]), "first"),
        (patterns(&["a.b"]), "second"),
        (patterns(&[]), "every"),
        (patterns(&["é*"]), "third"),
    ]);
    let found = |ty: &str| index.lookup(ty).copied().collect::<Vec<_>>();
    assert_eq!(found("a.b"), ["first", "second", "every"]);
    assert_eq!(found("a.c"), ["first", "every"]);
    assert_eq!(found("è"), ["every"]);
    assert_eq!(found("é1"), ["every", "third"]);
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_patterns(
        patterns in prop::collection::vec("[ab.]{1,4}\\*?", 1..20),
        ty in "[ab.é]{0,6}",
    ) {
        let patterns: Vec<TypePattern> = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let index = TypeIndex::new(patterns.iter().enumerate().map(|(number, pattern)| ([pattern.clone()], number)));
        let expected: Vec<usize> = (0..patterns.len()).filter(|number| patterns[*number].matches(&ty)).collect();
        prop_assert_eq!(index.lookup(&ty).copied().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn any_text_is_compiled_or_refused(source in "[a-z0-9 .()\\[\\]{}?:&|!+*/%<>=\"',\\\\é\n-]{0,60}") {
        let _ = Filter::new(Vec::new(), BTreeMap::new(), Some(&source));
    }
}
