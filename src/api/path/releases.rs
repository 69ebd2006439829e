//! `GET /releases`: where each one stands in every environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::word::Word;
use crate::api::ApiState;
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::model::{Listing, ReleaseView, Standing, StandingView};
use crate::bus::{BusError, EventQuery, History};

/// The newest words of each kind that are read: what is older than all of them is not listed.
const WORDS_MAX: usize = 1_000;
/// Types that say where a release stands.
const TYPES: [&str; 11] = [
    "release.requested",
    "gate.passed",
    "gate.blocked",
    "release.refused",
    "deployment.requested",
    "release.verified",
    "release.failed",
    "release.insufficient",
    "digest.quarantined",
    "digest.cleared",
    "dev.cdevents.service.*",
];

/// `GET /releases`: newest first.
pub(in crate::api) async fn releases(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    let items = known(&*state.history).await?;
    Ok(json(StatusCode::OK, &Listing::<ReleaseView>::whole(position, items)))
}

/// Every release that is known, the newest first.
pub async fn known(history: &dyn History) -> Result<Vec<ReleaseView>, BusError> {
    Ok(fold(&words(history).await?))
}

/// In log order; what somebody says who may not has no effect.
async fn words(history: &dyn History) -> Result<Vec<Word>, BusError> {
    let mut words = Vec::new();
    for name in TYPES {
        let ty = crate::deployment::type_pattern(name).expect("these are types of the catalogue");
        let query = EventQuery { ty: Some(ty), max: WORDS_MAX, newest_first: true, ..EventQuery::default() };
        words.extend(history.events(query).await?.events.iter().map(Word::of).filter(|word| word.counts));
    }
    words.sort_by_key(|word| word.position);
    Ok(words)
}

/// What the words come to, the newest release first.
pub fn fold(words: &[Word]) -> Vec<ReleaseView> {
    let mut releases: BTreeMap<String, ReleaseView> = BTreeMap::new();
    let mut quarantined: BTreeMap<&str, bool> = BTreeMap::new();
    let requests: BTreeSet<&str> =
        words.iter().filter(|word| word.name == "release.requested").map(|word| word.event.id.as_str()).collect();
    for word in words {
        let content = &word.content;
        if let (Some(digest), true) = (&content.digest, word.is(&["digest.quarantined", "digest.cleared"])) {
            quarantined.insert(digest, word.name == "digest.quarantined");
        }
        let Some((standing, environment)) = standing(word).zip(word.environment()) else { continue };
        let (Some(release), Some(service), Some(digest)) = (&content.release, &content.service, &content.digest) else {
            continue;
        };
        // Asking for it again, and being refused, leaves a release where it is.
        let runs = || releases.get(release).and_then(|view| view.environments.get(environment)).is_some_and(runs);
        let asked = word.causation.as_deref().is_some_and(|cause| requests.contains(cause));
        match standing {
            Standing::Refused if asked || runs() => continue,
            Standing::Deploying if runs() => continue,
            Standing::Blocked
            | Standing::Passed
            | Standing::Refused
            | Standing::Deploying
            | Standing::Running
            | Standing::Verified
            | Standing::Unproven
            | Standing::Failed
            | Standing::Replaced => {}
        }
        if matches!(standing, Standing::Running) {
            replace_others(&mut releases, service, environment, release, word);
        }
        let view = releases.entry(release.clone()).or_insert_with(|| ReleaseView {
            release: release.clone(),
            service: service.clone(),
            digest: digest.clone(),
            commit: content.commit.clone(),
            since: word.at,
            environments: BTreeMap::new(),
            quarantined: false,
        });
        view.environments.insert(environment.to_owned(), at(standing, word));
    }
    // What a gate judged before it knew the commit is judged again with it.
    let tied: BTreeSet<String> =
        releases.values().filter(|view| view.commit.is_some()).map(|view| view.digest.clone()).collect();
    releases.retain(|_, view| view.commit.is_some() || !tied.contains(&view.digest));
    let mut releases: Vec<ReleaseView> = releases.into_values().collect();
    for release in &mut releases {
        release.quarantined = quarantined.get(release.digest.as_str()).copied().unwrap_or(false);
    }
    releases.sort_by_key(|release| std::cmp::Reverse(release.since));
    releases
}

fn at(standing: Standing, word: &Word) -> StandingView {
    let (rule, reason) = (word.content.rule.clone(), word.content.reason.clone());
    StandingView { standing, since: word.at, event: word.event.clone(), rule, reason }
}

/// One release of a service runs in an environment.
fn replace_others(
    releases: &mut BTreeMap<String, ReleaseView>,
    service: &str,
    environment: &str,
    release: &str,
    word: &Word,
) {
    let others = releases.values_mut().filter(|other| other.service == service && other.release != release);
    for standing in others.filter_map(|other| other.environments.get_mut(environment)) {
        if runs(standing) {
            *standing = at(Standing::Replaced, word);
        }
    }
}

fn runs(view: &StandingView) -> bool {
    matches!(view.standing, Standing::Running | Standing::Verified | Standing::Unproven)
}

fn standing(word: &Word) -> Option<Standing> {
    Some(match word.name.as_str() {
        "gate.passed" => Standing::Passed,
        "gate.blocked" => Standing::Blocked,
        "release.refused" => Standing::Refused,
        "deployment.requested" => Standing::Deploying,
        "service.deployed" | "service.upgraded" | "service.rolledback" => Standing::Running,
        "release.verified" => Standing::Verified,
        "release.insufficient" => Standing::Unproven,
        "release.failed" => Standing::Failed,
        _ => return None,
    })
}
