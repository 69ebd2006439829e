//! How a function of the path takes an event: by its type, and by whose word it is.

use tidegate_sdk::{Event, Failure, config, warn};

use crate::is;

/// A type that a function hears, the kind of origin whose word counts, and the answer, which sees what `K` opens.
/// Where no kind is named, the answer judges the origin itself.
pub type Route<K> = (&'static str, Option<&'static str>, Answer<K>);

pub type Answer<K> = fn(&Event, &K) -> Result<Vec<Event>, Failure>;

/// Answers an event by the route of its type. What comes from elsewhere, or from nobody who was proved, counts for nothing.
pub fn hear<K>(
    event: &Event,
    routes: &[Route<K>],
    open: impl FnOnce() -> Result<K, Failure>,
) -> Result<Vec<Event>, Failure> {
    let Some((_, kind, answer)) = routes.iter().find(|(ty, _, _)| is(event, ty)) else {
        return Err(Failure::reject(format!("{} is not heard here; take it out of the function's on", event.ty)));
    };
    if let Some(kind) = kind.filter(|kind| !is_from(event, kind)) {
        warn!("{} counts only from a proved origin of kind {kind}; this one comes from {}", event.ty, origin_of(event));
        return Ok(Vec::new());
    }
    answer(event, &open()?)
}

/// Whether an event comes from a proved origin of a kind: `function`, `runtime`, `api` or `trigger`.
pub fn is_from(event: &Event, kind: &str) -> bool {
    event.origin.as_ref().is_some_and(|origin| origin.verified && origin.kind == kind)
}

/// Whether an event comes from a proved origin that a list of the function's config names; the log says where it does not.
pub fn is_named(event: &Event, key: &str) -> Result<bool, Failure> {
    let named: Vec<String> = config::get(key)?;
    let counts = proved_origin(event).is_some_and(|origin| named.contains(&origin));
    if !counts {
        warn!("{} counts only from config {key}; this one comes from {}", event.ty, origin_of(event));
    }
    Ok(counts)
}

/// `<kind>:<name>` of an origin that was proved: how policies name whose word counts. None: nobody proved it.
pub fn proved_origin(event: &Event) -> Option<String> {
    let origin = event.origin.as_ref().filter(|origin| origin.verified)?;
    Some(format!("{}:{}", origin.kind, origin.name))
}

fn origin_of(event: &Event) -> String {
    proved_origin(event).unwrap_or_else(|| "nobody who was proved".to_owned())
}

#[cfg(test)]
mod tests {
    use tidegate_sdk::Origin;

    use super::*;
    use crate::types;

    #[track_caller]
    fn check(ty: &str, kind: &str, verified: bool, expected: Result<usize, &str>) {
        let routes: [Route<()>; 2] = [
            (types::RELEASE_FAILED, Some("function"), |_, ()| Ok(vec![Event::default()])),
            (types::RELEASE_REQUESTED, None, |_, ()| Ok(vec![Event::default(); 2])),
        ];
        let origin = Some(Origin { kind: kind.to_owned(), name: "verify".to_owned(), verified });
        let answered = hear(&Event { origin, ..Event::new(ty) }, &routes, || Ok(()));
        match (answered, expected) {
            (Ok(said), Ok(expected)) => assert_eq!(said.len(), expected),
            (Err(failure), Err(expected)) => assert!(failure.reason().contains(expected), "{failure}"),
            (answered, expected) => panic!("{answered:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_word_counts_by_its_type_and_its_proved_origin() {
        check(types::RELEASE_FAILED, "function", true, Ok(1));
        check("dev.cdeventsx.tidegate-release.failed.0.2.0", "function", true, Ok(1));
        check(types::RELEASE_FAILED, "function", false, Ok(0));
        check(types::RELEASE_FAILED, "api", true, Ok(0));
        check(types::RELEASE_REQUESTED, "trigger", false, Ok(2));
        check(types::RELEASE_VERIFIED, "function", true, Err("release.verified.0.1.0 is not heard here"));
    }
}
