//! What no event of the log is: whether something with it was received and refused, or nothing was, and what is near to it.

use std::collections::BTreeSet;

use super::error::ApiError;
use super::find::PREFIX_CHARACTERS_MIN;
use super::model::{EventRef, RefusalView};
use super::view::{event_ref, refusal_view};
use crate::bus::{BusError, History, IdQuery, Refusal, RefusalQuery};
use crate::event::Event;

const NEAREST_SHOWN_MAX: usize = 5;
const REFUSALS_SHOWN_MAX: usize = 10;

/// Says what is known of a text that no event is known by.
pub(super) async fn unknown(history: &dyn History, text: &str) -> Result<ApiError, BusError> {
    let refusals = refusals_of(history, text).await?;
    if let Some(last) = refusals.first() {
        let message = format!("no event is known by {text:?}: {}", told(&last.refusal, refusals.len()));
        return Ok(ApiError::NotFound {
            message: format!("{message}; {}", last.next),
            candidates: Vec::new(),
            refusals,
        });
    }
    let short = text.chars().count() < PREFIX_CHARACTERS_MIN;
    let hint =
        if short { format!("; a prefix has at least {PREFIX_CHARACTERS_MIN} characters") } else { String::new() };
    let since = history.refusals(RefusalQuery::default()).await?.since;
    let storage = history.storage().await?;
    let (start, since) = match storage.first.filter(|_| storage.removed_to > 0) {
        Some((first, at)) => {
            let start = format!("; the log starts at #{first}, and what came before was removed by retention");
            (start, since.max(at))
        }
        None => (String::new(), since),
    };
    let message = format!("no event is known by {text:?}{hint}{start}; nothing with it was received since {since}");
    let (candidates, refusals) = nearest(history, text).await?;
    Ok(ApiError::NotFound { message, candidates, refusals })
}

/// What was refused under the id of an event that is in the log, newest first: other content, or before it was proven.
pub(super) async fn refused_beside(history: &dyn History, event: &Event) -> Result<Vec<RefusalView>, BusError> {
    let is_own = |refusal: &Refusal| {
        let of_source = |source: &Option<String>| source.as_ref().is_none_or(|source| *source == event.source);
        refusal.named.iter().any(|named| named.id == event.id && of_source(&named.source))
    };
    let found = refused(history, IdQuery::Is(event.id.clone())).await?;
    Ok(found.into_iter().filter(is_own).map(refusal_view).collect())
}

/// Refusals that a text means, newest first: by the whole id, or by its start if that is long enough and only one has it.
async fn refusals_of(history: &dyn History, text: &str) -> Result<Vec<RefusalView>, BusError> {
    let mut found = refused(history, IdQuery::Is(text.to_owned())).await?;
    if found.is_empty() && text.chars().count() >= PREFIX_CHARACTERS_MIN {
        found = refused(history, IdQuery::StartsWith(text.to_owned())).await?;
        let named = found.iter().flat_map(|refusal| &refusal.named).filter(|named| named.id.starts_with(text));
        let ids: BTreeSet<&str> = named.map(|named| named.id.as_str()).collect();
        if ids.len() > 1 {
            return Ok(Vec::new());
        }
    }
    Ok(found.into_iter().map(refusal_view).collect())
}

async fn refused(history: &dyn History, id: IdQuery) -> Result<Vec<Refusal>, BusError> {
    let query = RefusalQuery { named: Some(id), max: REFUSALS_SHOWN_MAX, ..RefusalQuery::default() };
    Ok(history.refusals(query).await?.items)
}

/// `it was received at T at /hooks/github and refused with 401 unauthorized: the signature is wrong`.
fn told(refusal: &Refusal, times: usize) -> String {
    let Refusal { at, door, status, code, reason, .. } = refusal;
    let status = status.map_or_else(String::new, |status| format!("{status} "));
    let often = if times > 1 { format!(" ({times} times; this is the last)") } else { String::new() };
    format!("it was received at {at} at {door} and refused with {status}{code}{often}: {reason}")
}

/// Events and refusals whose names start as `text` does, for as much of it as any do. What starts alike by fewer characters
/// than a prefix has says nothing; what is shorter has to start as all of it.
async fn nearest(history: &dyn History, text: &str) -> Result<(Vec<EventRef>, Vec<RefusalView>), BusError> {
    let characters: Vec<char> = text.chars().take(64).collect();
    let least = characters.len().min(PREFIX_CHARACTERS_MIN);
    let shorter = |length: &usize| (*length > least).then(|| (length / 2).max(least));
    for length in std::iter::successors(Some(characters.len()), shorter) {
        let prefix: String = characters[..length].iter().collect();
        let near = history.find(&prefix, NEAREST_SHOWN_MAX).await?;
        let refused = refused(history, IdQuery::StartsWith(prefix)).await?;
        if !near.is_empty() || !refused.is_empty() {
            let near = near.iter().map(|event| event_ref(event)).collect();
            return Ok((near, refused.into_iter().take(NEAREST_SHOWN_MAX).map(refusal_view).collect()));
        }
    }
    Ok((Vec::new(), Vec::new()))
}
