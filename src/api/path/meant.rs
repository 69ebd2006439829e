//! From what a person writes to the commit, the digest or the release that is meant; or the sentence that leads there.

use std::collections::BTreeSet;

use delivery::{is_commit, is_digest};

use super::word::{Word, newest};
use crate::api::error::ApiError;
use crate::api::find::{PREFIX_CHARACTERS_MIN, find};
use crate::api::judge::Ground;
use crate::api::view::cause_view;
use crate::bus::{BusError, History, StoredDeployment};
use crate::event::{Accepted, Position};

/// Events that are looked at to find the names that begin as a text does.
const EVENTS_MAX: usize = 1_000;
const NAMES_SHOWN_MAX: usize = 5;
const SHA256: &str = "sha256:";

/// The commit, digest or release that begins so, whole.
pub async fn whole(history: &dyn History, ground: &Ground, text: &str) -> Result<String, ApiError> {
    if text.is_empty() {
        let message = "name a commit, a digest or a release; `tidegate releases` lists what gates judged";
        return Err(ApiError::invalid(message));
    }
    let mut found = known_by(history, text).await;
    for spelling in spellings(text) {
        if !matches!(found, Err(ApiError::NotFound { .. })) {
            break;
        }
        found = known_by(history, &spelling).await;
    }
    match found {
        Err(ApiError::NotFound { .. }) if !is_place(text) => Err(unknown(history, ground, text).await?),
        Err(error) => Err(error),
        Ok(name) => {
            let record = if is_place(text) { Some(find(history, text).await?.position) } else { None };
            let said = deployment(history, ground, &name, record).await?;
            said.map_or(Ok(name), |said| Err(ApiError::not_found(said)))
        }
    }
}

/// `#12`, or the last one: an event by where it stands.
fn is_place(text: &str) -> bool {
    text == "last" || text.starts_with(['#', '@'])
}

/// The digits of a commit or a digest as the log has them: in lower case, and of a digest behind its algorithm, which other
/// tools leave out.
fn spellings(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let digits = digits(&lower);
    match could_be_digits(digits) {
        true => vec![lower.clone(), format!("{SHA256}{digits}")],
        false => Vec::new(),
    }
}

pub fn digits(text: &str) -> &str {
    text.strip_prefix(SHA256).unwrap_or(text)
}

fn could_be_digits(text: &str) -> bool {
    text.len() >= PREFIX_CHARACTERS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn known_by(history: &dyn History, text: &str) -> Result<String, ApiError> {
    let event = match find(history, text).await {
        Ok(event) => event,
        // Several chains tell of one thing: it is still one thing.
        Err(ApiError::Ambiguous { text, candidates }) => {
            let names = names_in_log(history, &text).await?;
            return match names.len() {
                0 => Err(ApiError::Ambiguous { text, candidates }),
                1 => Ok(names.into_iter().next().unwrap_or(text)),
                _ => Err(ApiError::invalid(format!("{text:?} begins several: {}; write more of one", listed(&names)))),
            };
        }
        Err(error) => return Err(error),
    };
    // An event's id, or the start of a name that it is known by.
    let meant = names_like(&event, text).into_iter().next().or_else(|| names(&Word::of(&event)).into_iter().next());
    meant.or_else(|| told_of(&event)).ok_or_else(|| {
        let ty = &event.event.ty;
        ApiError::invalid(format!("{text:?} is an event of type {ty}, which tells of no commit and no digest"))
    })
}

/// The commit or digest that a sender's event tells of, in its data or as its subject.
fn told_of(event: &Accepted) -> Option<String> {
    let subject = event.event.subject.clone();
    crate::event::aliases(&event.event).into_iter().chain(subject).find(|name| is_commit(name) || is_digest(name))
}

/// Names that begin by chance as the text does say nothing of it, so none is shown; but of a text that is too short.
async fn unknown(history: &dyn History, ground: &Ground, text: &str) -> Result<ApiError, BusError> {
    if let Some(message) = component(history, ground, text).await? {
        return Ok(ApiError::not_found(message));
    }
    let digits = digits(text);
    if digits.len() < PREFIX_CHARACTERS_MIN {
        let mut names = names_in_log(history, text).await?;
        names.extend(names_in_log(history, &format!("{SHA256}{digits}")).await?);
        let begin = match names.is_empty() {
            true => String::new(),
            false => format!("; so begin: {}", listed(&names)),
        };
        let message =
            format!("{text:?} is too short: name a commit or a digest by {PREFIX_CHARACTERS_MIN} digits or more");
        return Ok(ApiError::not_found(message + &begin));
    }
    Ok(ApiError::not_found(format!(
        "no event tells of a commit, a digest or a release {text:?}; `tidegate releases` lists what gates judged, \
         `tidegate events --type 'com.*'` what senders told: if it was pushed, see whether its webhook was delivered"
    )))
}

/// What is said where a text is the digest of a component: the bytes that run, while a release is known by its manifest.
async fn component(history: &dyn History, ground: &Ground, text: &str) -> Result<Option<String>, BusError> {
    let lower = text.to_ascii_lowercase();
    let digits = digits(&lower);
    if !could_be_digits(digits) {
        return Ok(None);
    }
    let begins = format!("{SHA256}{digits}");
    let functions = ground.deployments.iter().rev().flat_map(|stored| &stored.deployment.functions);
    let mut like = functions.filter(|function| function.component.digest.to_string().starts_with(&begins));
    let Some(function) = like.next() else { return Ok(None) };
    let digest = function.component.digest.to_string();
    let brought = activations(history).await?.into_iter().find_map(|word| {
        let function = word.content.request.as_ref()?.function.clone()?;
        let runs = |running: &super::word::Running| running.name == function && running.component == digest;
        word.content.functions.iter().any(runs).then_some(word.content.release).flatten()
    });
    let name = &function.name;
    Ok(Some(match brought {
        Some(release) => format!(
            "{digest} is a component, the bytes that function {name} runs or ran; it came with {release}: \
             `tidegate why {release}`"
        ),
        None => format!(
            "{digest} is a component, the bytes that function {name} runs or ran; no release brought it: \
             `tidegate functions show {name}` says what runs now"
        ),
    }))
}

/// What is said where a name is the digest of a deployment, which `tidegate deployments` shows: no gate judges all functions
/// together, but perhaps a release brought it. `record`: the event that is meant, of several that have the same digest.
async fn deployment(
    history: &dyn History,
    ground: &Ground,
    name: &str,
    record: Option<Position>,
) -> Result<Option<String>, BusError> {
    let of_it = |stored: &&StoredDeployment| stored.deployment.digest.to_string() == name;
    let same: Vec<&StoredDeployment> = ground.deployments.iter().filter(of_it).collect();
    let meant = same.iter().find(|stored| record == Some(stored.position)).or(same.last());
    let Some(stored) = meant else { return Ok(None) };
    let number = stored.deployment.number;
    let others: Vec<String> = same
        .iter()
        .map(|stored| stored.deployment.number)
        .filter(|other| *other != number)
        .map(|other| other.to_string())
        .collect();
    let others = if others.is_empty() { String::new() } else { format!(", the same as {}", others.join(" and ")) };
    let record = activations(history).await?.into_iter().find(|word| word.position == stored.position);
    let (brought, next) = match record.and_then(|word| word.content.release) {
        Some(release) => (format!("it came with {release}"), format!("`tidegate why {release}`")),
        None => {
            let cause = cause_view(&stored.cause);
            (format!("no release brought it ({cause})"), format!("`tidegate deployments {number}` shows it whole"))
        }
    };
    let active = ground.active().is_some_and(|active| active.number == number);
    let state = if active { "active" } else { "not active any more" };
    Ok(Some(format!("{name} is deployment {number}{others}, {state}: all functions together; {brought}: {next}")))
}

/// The deployments that the runtime recorded, the newest first.
async fn activations(history: &dyn History) -> Result<Vec<Word>, BusError> {
    newest(history, &["deployment.activated"], EVENTS_MAX).await
}

async fn names_in_log(history: &dyn History, text: &str) -> Result<BTreeSet<String>, BusError> {
    let mut names = BTreeSet::new();
    for found in history.find(text, EVENTS_MAX).await? {
        let event = history.event_at(found.position).await?;
        names.extend(event.iter().flat_map(|event| names_like(event, text)));
    }
    Ok(names)
}

fn names_like(event: &Accepted, text: &str) -> Vec<String> {
    crate::event::aliases(&event.event).into_iter().filter(|name| name.starts_with(text)).collect()
}

/// Some of them, and how many more there are.
fn listed(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES_SHOWN_MAX).map(String::as_str).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

/// Commit, digest and release of a word.
pub fn names(word: &Word) -> Vec<String> {
    let content = &word.content;
    [&content.commit, &content.digest, &content.release].into_iter().flatten().cloned().collect()
}
