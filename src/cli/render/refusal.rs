//! What came to a door and was not taken in.

use super::time::{ago, when};
use super::{Align, Look, Table, brief_type, clean, plain};
use crate::api::model::RefusalView;

/// Of the table: each is said whole in JSON, and by `explain` of its id.
const REASON_COLUMN: usize = 5;

/// One line for each refusal, or that there is none.
pub fn refusals(refusals: &[RefusalView], look: &Look) -> String {
    if refusals.is_empty() {
        return "nothing was refused\n".to_owned();
    }
    let left = Align::Left;
    let heading = [("REFUSED", left), ("DOOR", left), ("CODE", left), ("TYPE", left), ("ID", left), ("REASON", left)];
    let mut table = Table::new(heading).spare(REASON_COLUMN);
    for RefusalView { refusal, .. } in refusals {
        let types = refusal.named.iter().find_map(|named| named.ty.as_deref());
        table.row([
            plain(ago(refusal.at, look.now)),
            plain(&refusal.door),
            plain(&refusal.code),
            plain(types.map_or_else(|| "-".to_owned(), brief_type)),
            plain(ids(refusal)),
            plain(&refusal.reason),
        ]);
    }
    table.render(look)
}

/// `refused at 2026-11-23 04:45:00Z (3 s ago) by /hooks/github with 401 unauthorized: the signature is wrong; then what to do`.
pub fn sentence(view: &RefusalView, look: &Look) -> String {
    let refusal = &view.refusal;
    let status = refusal.status.map_or_else(String::new, |status| format!("{status} "));
    let (at, door, code, reason) = (when(refusal.at, look), &refusal.door, &refusal.code, &refusal.reason);
    format!("refused at {at} by {door} with {status}{code}: {reason}; {}", view.next)
}

/// One line below an error that names what may have been meant.
pub fn near(view: &RefusalView) -> String {
    let RefusalView { refusal, .. } = view;
    let status = refusal.status.map_or_else(String::new, |status| format!("{status} "));
    let line = format!("refused {}  {}  {status}{}  {}", refusal.at, refusal.door, refusal.code, ids(refusal));
    clean(&line).into_owned()
}

/// What it is known by: the first id, and how many more there are.
fn ids(refusal: &crate::bus::Refusal) -> String {
    match refusal.named.as_slice() {
        [] => "-".to_owned(),
        [one] => one.id.clone(),
        [first, more @ ..] => format!("{} and {} more", first.id, more.len()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: usize::MAX, now: Timestamp::EPOCH };

    fn view(ids: &[&str]) -> RefusalView {
        let named: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id, "type": "push" })).collect();
        serde_json::from_value(serde_json::json!({
            "at": "1970-01-01T00:00:00Z", "door": "/hooks/github", "status": 401, "code": "unauthorized",
            "reason": "the signature is\u{1b}wrong", "proof": "unverified", "named": named, "next": "mend it",
        }))
        .unwrap()
    }

    #[test]
    fn a_refusal_has_a_line() {
        expect![[r"
            REFUSED  DOOR           CODE          TYPE  ID            REASON
            now      /hooks/github  unauthorized  push  a             the signature is\u{1b}wrong
            now      /hooks/github  unauthorized  push  a and 1 more  the signature is\u{1b}wrong
            now      /hooks/github  unauthorized  -     -             the signature is\u{1b}wrong
        "]]
        .assert_eq(&refusals(&[view(&["a"]), view(&["a", "b"]), view(&[])], &LOOK));
        assert_eq!(refusals(&[], &LOOK), "nothing was refused\n");
    }

    #[test]
    fn a_refusal_beside_an_answer_says_why_and_what_next() {
        expect!["refused at 1970-01-01 00:00:00Z (now) by /hooks/github with 401 unauthorized: the signature is\u{1b}wrong; mend it"]
            .assert_eq(&sentence(&view(&["a"]), &LOOK));
        expect!["refused 1970-01-01T00:00:00.000000Z  /hooks/github  401 unauthorized  a"]
            .assert_eq(&near(&view(&["a"])));
    }
}
