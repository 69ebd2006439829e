//! Events: in a table, and whole.

use super::time::{absolute, ago, when};
use super::{Align, Look, Table, brief, brief_type, clean, facts, place, plain};
use crate::api::model::{EventView, ReceiptView};
use crate::event::{Event, Extension, Origin};

/// Of the table of events: each is found by its position too.
const ID_COLUMN: usize = 5;

/// One line for each event, or that there is none.
pub fn events(events: &[EventView], look: &Look) -> String {
    if events.is_empty() {
        return "no events\n".to_owned();
    }
    let left = Align::Left;
    let mut table = Table::new([
        ("POSITION", Align::Right),
        ("ACCEPTED", left),
        ("TYPE", left),
        ("SUBJECT", left),
        ("ORIGIN", left),
        ("ID", left),
    ])
    .spare(ID_COLUMN);
    for view in events {
        // Only what the log holds comes here, and that was an event when it was accepted.
        let event = view.parse().unwrap_or_default();
        table.row([
            plain(place(Some(view.position))),
            plain(ago(view.acceptedat, look.now)),
            plain(brief_type(&event.ty)),
            plain(event.subject.as_deref().map_or_else(|| "-".to_owned(), brief)),
            plain(came_from(view, &event)),
            plain(&event.id),
        ]);
    }
    table.render(look)
}

/// One event on one line, for a stream that has no widths yet.
pub fn event_line(view: &EventView, look: &Look) -> String {
    let event = view.parse().unwrap_or_default();
    let subject = event.subject.as_deref().map_or_else(String::new, |subject| format!("  {}", brief(subject)));
    let from = look.faint(&format!("from {}", clean(&came_from(view, &event))));
    let time = look.faint(&absolute(view.acceptedat));
    format!("{time}  {}  {}{subject}  {from}\n", place(Some(view.position)), look.strong(&brief_type(&event.ty)))
}

/// `webhook /hooks/github`, and that nobody proved it where nobody did.
pub fn origin(origin: &Origin) -> String {
    let proof = if origin.verified { "" } else { ", unverified" };
    format!("{} {}{proof}", origin.kind.as_str(), origin.name)
}

/// The same of an event, and that it is said again where it is.
fn came_from(view: &EventView, event: &Event) -> String {
    let again = if event.replay_of().is_some() { ", live replay" } else { "" };
    format!("{}{again}", origin(&view.origin))
}

/// An event in two lines: what it is, and where it came from.
pub fn heading(view: &EventView, look: &Look) -> String {
    let event = view.parse().unwrap_or_default();
    let subject = event.subject.as_deref().map_or_else(String::new, |subject| format!("  {}", brief(subject)));
    let place = look.strong(&format!("{} {}", place(Some(view.position)), clean(&event.ty)));
    let came = format!("{}, from {}, accepted {}", event.id, origin(&view.origin), when(view.acceptedat, look));
    format!("{place}{subject}\n  {}\n", look.faint(&clean(&came)))
}

/// One event with all that is known of it.
pub fn event(view: &EventView, look: &Look) -> String {
    let event = match view.parse() {
        Ok(event) => event,
        Err(error) => return format!("#{} cannot be read: {}\n", view.position, clean(&error.to_string())),
    };
    let text = format!("{} {}\n", look.strong(&place(Some(view.position))), look.strong(&clean(&event.ty)));
    let mut known = vec![
        ("id", Some(event.id.clone())),
        ("source", Some(event.source.clone())),
        ("subject", event.subject.clone()),
        ("time", event.time.clone()),
        ("accepted", Some(when(view.acceptedat, look))),
        ("origin", Some(origin(&view.origin))),
        ("hops", Some(view.hops.to_string())),
        ("datacontenttype", event.datacontenttype.clone()),
        ("dataschema", event.dataschema.clone()),
    ];
    known.extend(event.extensions.iter().map(|(name, value)| (name.as_str(), Some(extension(value)))));
    text + &facts(look, &known) + &data(&event)
}

fn extension(value: &Extension) -> String {
    match value {
        Extension::Text(text) => text.clone(),
        Extension::Integer(number) => number.to_string(),
        Extension::Boolean(truth) => truth.to_string(),
    }
}

/// Data as the sender wrote it, indented where it is JSON; bytes are counted.
fn data(event: &Event) -> String {
    let Some(data) = &event.data else { return String::new() };
    let shown = match std::str::from_utf8(data) {
        Ok(text) if event.is_json() => indented(text),
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} bytes that are no text; see -o json", data.len()),
    };
    let lines = shown.lines().map(|line| format!("  {}\n", clean(line)));
    std::iter::once("data\n".to_owned()).chain(lines).collect()
}

/// JSON with line breaks, its numbers and the order of its members as they were written: a parser would lose both.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                text.push(c);
            }
            '{' | '[' => {
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                text.push(c);
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}

/// What became of each published event.
pub fn receipts(receipts: &[ReceiptView], look: &Look) -> String {
    let line = |receipt: &ReceiptView| {
        let state = match (receipt.duplicate, receipt.position) {
            (true, Some(position)) => look.waiting(&format!("duplicate of #{position}")),
            (true, None) => look.waiting("duplicate of one that waits for its deliverat"),
            (false, Some(position)) => look.good(&format!("accepted as #{position}")),
            (false, None) => look.waiting("accepted, waits for its deliverat"),
        };
        format!("{}  {state}\n", clean(&receipt.id))
    };
    receipts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: usize::MAX, now: Timestamp::EPOCH };

    fn view() -> EventView {
        let json = r#"{"position":12,"acceptedat":"1970-01-01T00:00:00Z","hops":1,
            "origin":{"kind":"trigger","name":"/hooks/github","verified":false},
            "event":{"specversion":"1.0","id":"a\u001b1","source":"/s","type":"com.github.push","subject":"acme/shop",
            "partitionkey":"acme","time":"2026-11-23T04:45:00+01:00",
            "data":{"b":1.10,"a":["x: {\"",{}],"e":[ ]}}}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_event_is_shown_whole_and_as_it_was_written() {
        expect![[r#"
            #12 cannot be read: attribute id: contains a control character
        "#]]
        .assert_eq(&event(&view(), &LOOK));
    }

    #[test]
    fn a_listing_has_a_line_for_each_event() {
        expect![[r#"
            POSITION  ACCEPTED  TYPE  SUBJECT  ORIGIN                             ID
                 #12  now             -        trigger /hooks/github, unverified
        "#]]
        .assert_eq(&events(&[view()], &LOOK));
        assert_eq!(events(&[], &LOOK), "no events\n");
    }

    #[test]
    fn a_line_of_the_path_fits_and_its_types_are_whole() {
        let digest = format!("sha256:{}", "fedcba9876543210".repeat(4));
        let types = ["dev.cdeventsx.tidegate-scan.completed.0.1.0", "dev.cdevents.artifact.published.0.3.0"];
        let view = |ty: &str| {
            let view = serde_json::json!({
                "position": 12_345, "acceptedat": "1970-01-01T00:00:00Z", "hops": 1,
                "origin": { "kind": "function", "name": "gate-production", "verified": true },
                "event": {
                    "specversion": "1.0", "id": "de65242c-9ce8-5419-89f0-1e8a11048c96", "source": "/s", "type": ty,
                    "subject": format!("pkg:oci/storefront@{digest}?repository_url=registry.example/acme/storefront"),
                },
            });
            serde_json::from_value::<EventView>(view).unwrap()
        };
        let look = Look { width: 120, ..LOOK };
        let listed = events(&types.map(view), &look);
        let followed: String = types.map(|ty| event_line(&view(ty), &look)).concat();
        for text in [listed, followed] {
            assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
            assert!(
                ["scan.completed", "artifact.published", "@sha256:fedcba987654"].iter().all(|it| text.contains(it)),
                "{text}"
            );
        }
    }

    #[test]
    fn receipts_say_what_was_here_before() {
        let receipt = |position, duplicate| ReceiptView { id: "a".into(), position, duplicate };
        expect![[r#"
            a  accepted as #3
            a  duplicate of #3
            a  accepted, waits for its deliverat
        "#]]
        .assert_eq(&receipts(&[receipt(Some(3), false), receipt(Some(3), true), receipt(None, false)], &LOOK));
    }
}
