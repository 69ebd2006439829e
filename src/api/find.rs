//! From what a person writes to the event that is meant: an id, `#position`, `last`, a delivery id, a commit, a digest.

use super::error::ApiError;
use super::model::EventRef;
use super::unknown::unknown;
use super::view::{Names, event_ref};
use crate::bus::{BusError, EventQuery, History, InvocationId, Outline};
use crate::deployment::FunctionId;
use crate::event::{Accepted, Position};

/// A prefix of an id, a commit or a digest has at least so many characters.
pub(super) const PREFIX_CHARACTERS_MIN: usize = 7;
/// Events that are looked at to find the one that is meant.
const CANDIDATES_MAX: usize = 100;
const CANDIDATES_SHOWN_MAX: usize = 10;

/// The event that `text` means. If several events of one chain are known by it, that is the first of them.
/// Errors: `NotFound` with what was refused or is near, `Ambiguous` with the candidates.
pub async fn find(history: &dyn History, text: &str) -> Result<Accepted, ApiError> {
    if text == "last" {
        let query = EventQuery { max: 1, newest_first: true, ..EventQuery::default() };
        let last = history.events(query).await?.events.pop();
        return last.ok_or_else(|| ApiError::not_found("the log has no events yet"));
    }
    if let Some(number) = text.strip_prefix(['#', '@']) {
        let position: Position =
            number.parse().map_err(|_| ApiError::invalid(format!("{text:?} is no position; write one like #42")))?;
        if let Some(event) = history.event_at(position).await? {
            return Ok(event);
        }
        let tail = history.tail().await?;
        let unknown = format!("no event at position {position}; the last one is {tail}");
        return Err(missing(history, position, unknown).await?);
    }
    let found = history.find(text, CANDIDATES_MAX).await?;
    let exact: Vec<Outline> = found.iter().filter(|event| event.event.id == text).cloned().collect();
    let short = text.chars().count() < PREFIX_CHARACTERS_MIN;
    let meant = match (exact.is_empty(), short) {
        (false, _) => exact,
        (true, false) => found,
        (true, true) => Vec::new(),
    };
    match one_of(meant) {
        Meant::One(position) => match history.event_at(position).await? {
            Some(event) => Ok(event),
            // It was there a moment ago.
            None => Err(missing(history, position, format!("no event at position {position} any more")).await?),
        },
        Meant::Several(candidates) => Err(ApiError::Ambiguous { text: text.to_owned(), candidates }),
        Meant::None => Err(unknown(history, text).await?),
    }
}

/// What is not there at a position: because it was removed, or as `unknown` says.
pub(super) async fn missing(history: &dyn History, position: Position, unknown: String) -> Result<ApiError, BusError> {
    if position == 0 || position > history.storage().await?.removed_to {
        return Ok(ApiError::not_found(unknown));
    }
    let start = log_start(history).await?.unwrap_or_default();
    Ok(ApiError::not_found(format!("#{position} was removed by retention; {start}")))
}

/// Where the log starts, if anything of it was removed.
async fn log_start(history: &dyn History) -> Result<Option<String>, BusError> {
    let storage = history.storage().await?;
    let start = storage.first.map(|(first, _)| format!("the log starts at #{first}"));
    Ok(start.filter(|_| storage.removed_to > 0))
}

enum Meant {
    None,
    One(Position),
    Several(Vec<EventRef>),
}

fn one_of(mut meant: Vec<Outline>) -> Meant {
    meant.sort_by_key(|event| event.position);
    let chain = |event: &Outline| event.event.correlation().unwrap_or(&event.event.id).to_owned();
    let same_chain = meant.windows(2).all(|pair| chain(&pair[0]) == chain(&pair[1]));
    match (meant.is_empty(), same_chain) {
        (true, _) => Meant::None,
        (false, true) => Meant::One(meant[0].position),
        (false, false) => {
            Meant::Several(meant.iter().rev().take(CANDIDATES_SHOWN_MAX).map(|event| event_ref(event)).collect())
        }
    }
}

/// Reads `POSITION.FUNCTION.ROUND.ATTEMPT`; the function by its name or its id.
pub(super) fn invocation_id(text: &str, names: &Names) -> Result<InvocationId, ApiError> {
    let wrong = || {
        let message = format!("{text:?} is no invocation; write POSITION.FUNCTION.ROUND.ATTEMPT, like 42.gate.0.1");
        ApiError::invalid(message)
    };
    let mut parts = text.trim_start_matches(['#', '@']).split('.');
    let (Some(position), Some(function), Some(round), Some(attempt), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
    Ok(InvocationId {
        position: position.parse().map_err(|_| wrong())?,
        function: function_id(function, names)?,
        round: number(round)?,
        attempt: number(attempt)?,
    })
}

/// Reads `POSITION.FUNCTION`, or the id of one of its invocations.
pub(super) fn letter_id(text: &str, names: &Names) -> Result<(FunctionId, Position), ApiError> {
    let wrong = || ApiError::invalid(format!("{text:?} is no dead letter; write POSITION.FUNCTION, like 42.gate"));
    let mut parts = text.trim_start_matches(['#', '@']).split('.');
    let (Some(position), Some(function)) = (parts.next(), parts.next()) else { return Err(wrong()) };
    let position = position.parse().map_err(|_| wrong())?;
    Ok((function_id(function, names)?, position))
}

pub(super) fn function_id(text: &str, names: &Names) -> Result<FunctionId, ApiError> {
    let missing =
        || ApiError::not_found(format!("no deployment has a function {text:?}; `tidegate functions` lists them"));
    names.id(text).ok_or_else(missing)
}
