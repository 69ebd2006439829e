//! Refusals: that something came to a door and was not taken in, so that whoever looks for it finds out why.
//!
//! Neither a body nor a proof of who sent it is kept, and only the newest are. Keeping one never holds up the answer to the
//! sender: where there is no time or room for it, it is let go of, and `Refusals::since` says from when on none is missing.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::Event;

/// Refusals that are kept.
pub const REFUSALS_MAX: u64 = 10_000;
/// Of all that are kept, in their stored form.
pub const REFUSALS_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Things that one refusal is known by.
pub const NAMED_MAX: usize = 16;
/// Of a reason, or of anything that a sender wrote.
const TEXT_CHARACTERS_MAX: usize = 300;

/// That something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub at: Timestamp,
    /// The path of a webhook, `api`, or the name of a trigger.
    pub door: String,
    /// Of the answer; none: nobody asked, the trigger fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What programs tell errors apart by, like `unauthorized`.
    pub code: String,
    /// What the sender was told.
    pub reason: String,
    /// Who sent it, as far as the door knows: the sender of a webhook, or the name of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    pub proof: Shown,
    /// What it said that it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Named>,
}

/// Whether it proved who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// It showed nothing.
    #[default]
    Nothing,
    /// It showed a signature or a token that did not let it in.
    Unverified,
    Verified,
}

/// An event or a delivery, by what its sender called it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Named {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
}

impl Named {
    pub fn of(event: &Event) -> Self {
        Named { id: event.id.clone(), source: Some(event.source.clone()), ty: Some(event.ty.clone()) }
    }
}

impl Refusal {
    /// With no more of it than is kept.
    pub fn bounded(mut self) -> Self {
        self.named.truncate(NAMED_MAX);
        let texts = [&mut self.door, &mut self.code, &mut self.reason].into_iter().chain(&mut self.sender);
        let named = self.named.iter_mut().flat_map(|one| [Some(&mut one.id), one.source.as_mut(), one.ty.as_mut()]);
        for text in texts.chain(named.flatten()) {
            if let Some((end, _)) = text.char_indices().nth(TEXT_CHARACTERS_MAX) {
                text.truncate(end);
            }
        }
        self
    }
}

/// An id that it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdQuery {
    Is(String),
    StartsWith(String),
}

impl IdQuery {
    pub fn matches(&self, id: &str) -> bool {
        match self {
            IdQuery::Is(whole) => id == whole,
            IdQuery::StartsWith(start) => id.starts_with(start.as_str()),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct RefusalQuery {
    /// None: all.
    pub named: Option<IdQuery>,
    pub since: Option<Timestamp>,
    pub max: usize,
}

/// What a `RefusalQuery` is answered: newest first.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    pub items: Vec<Refusal>,
    /// What was refused after this is kept, all of it.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_bounds() {
        let long = "ä".repeat(TEXT_CHARACTERS_MAX + 1);
        let named = Named { id: long.clone(), source: Some(long.clone()), ty: Some(long.clone()) };
        let refusal = Refusal {
            at: Timestamp::EPOCH,
            door: long.clone(),
            status: Some(400),
            code: "invalid".to_owned(),
            reason: long.clone(),
            sender: Some(long),
            proof: Shown::Nothing,
            named: vec![named; NAMED_MAX + 1],
        };
        let kept = refusal.bounded();
        assert_eq!(kept.named.len(), NAMED_MAX);
        let texts = [&kept.door, &kept.reason, &kept.named[0].id].map(|text| text.chars().count());
        assert_eq!(texts, [TEXT_CHARACTERS_MAX; 3]);
        assert_eq!(kept.clone().bounded(), kept);
    }

    #[test]
    fn the_stored_form_stays_readable() {
        let stored = r#"{"at":"1970-01-01T00:00:01.000000Z","door":"/hooks/github","status":401,"code":"unauthorized",
            "reason":"the signature is wrong","sender":"github","proof":"unverified","named":[{"id":"d-1","type":"push"}]}"#;
        let refusal: Refusal = serde_json::from_str(stored).unwrap();
        let named = Named { id: "d-1".to_owned(), source: None, ty: Some("push".to_owned()) };
        assert_eq!((refusal.status, refusal.proof, &refusal.named[..]), (Some(401), Shown::Unverified, &[named][..]));
        let least =
            r#"{"at":"1970-01-01T00:00:01Z","door":"bucket a","code":"refused","reason":"r","proof":"nothing"}"#;
        assert_eq!(serde_json::from_str::<Refusal>(least).unwrap().named, []);
    }
}
