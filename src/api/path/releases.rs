//! `GET /releases`: where each one stands in every environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::drift::{self, Drifts};
use super::word::Word;
use crate::api::ApiState;
use crate::api::answer::json;
use crate::api::error::ApiError;
use crate::api::judge::Ground;
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
    let drifts = drift::open(history, &Ground::read(history).await?).await?;
    Ok(fold(&words(history).await?, &drifts))
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
pub fn fold(words: &[Word], drifts: &Drifts) -> Vec<ReleaseView> {
    let mut book = Book::default();
    words.iter().for_each(|word| book.hear(word));
    let Book { mut releases, quarantined, .. } = book;
    tell_drifts(&mut releases, drifts);
    // What a gate judged before it knew the commit is judged again with it.
    let tied: BTreeSet<String> =
        releases.values().filter(|view| view.commit.is_some()).map(|view| view.digest.clone()).collect();
    releases.retain(|_, view| view.commit.is_some() || !tied.contains(&view.digest));
    let mut releases: Vec<ReleaseView> = releases.into_values().collect();
    for release in &mut releases {
        release.quarantined = quarantined.contains(release.digest.as_str());
    }
    releases.sort_by_key(|release| std::cmp::Reverse(release.since));
    releases
}

/// What is known after some words.
#[derive(Default)]
struct Book<'a> {
    releases: BTreeMap<String, ReleaseView>,
    /// By release and environment, what last verified it there, unless it failed since.
    verified: BTreeMap<(&'a str, &'a str), &'a Word>,
    quarantined: BTreeSet<&'a str>,
    /// What persons asked for, by the event.
    requests: BTreeSet<&'a str>,
}

impl<'a> Book<'a> {
    fn hear(&mut self, word: &'a Word) {
        let content = &word.content;
        match (word.name.as_str(), &content.digest) {
            ("release.requested", _) => drop(self.requests.insert(&word.event.id)),
            ("digest.quarantined", Some(digest)) => drop(self.quarantined.insert(digest)),
            ("digest.cleared", Some(digest)) => drop(self.quarantined.remove(digest.as_str())),
            _ => {}
        }
        let Some((standing, environment)) = standing(word).zip(word.environment()) else { return };
        let (Some(release), Some(service), Some(digest)) = (&content.release, &content.service, &content.digest) else {
            return;
        };
        if self.stays(release, environment, standing, word) {
            return;
        }
        if standing == Standing::Running {
            replace_others(&mut self.releases, service, environment, release, word);
        }
        let stands = self.proven(release, environment, standing, word);
        let view = self.releases.entry(release.clone()).or_insert_with(|| ReleaseView {
            release: release.clone(),
            service: service.clone(),
            digest: digest.clone(),
            commit: content.commit.clone(),
            since: word.at,
            environments: BTreeMap::new(),
            quarantined: false,
        });
        view.environments.insert(environment.to_owned(), stands);
    }

    /// Asking for it again, and being refused, leaves a release where it is.
    fn stays(&self, release: &str, environment: &str, standing: Standing, word: &Word) -> bool {
        let stood = self.releases.get(release).and_then(|view| view.environments.get(environment));
        let asked = word.causation.as_deref().is_some_and(|cause| self.requests.contains(cause));
        match standing {
            Standing::Refused => asked || stood.is_some_and(runs),
            Standing::Deploying => stood.is_some_and(runs),
            Standing::Blocked
            | Standing::Passed
            | Standing::Running
            | Standing::Verified
            | Standing::Unproven
            | Standing::Failed
            | Standing::Drifted
            | Standing::Replaced => false,
        }
    }

    /// What was verified stays so, however often it is started again, until it fails.
    fn proven(&mut self, release: &'a str, environment: &'a str, standing: Standing, word: &'a Word) -> StandingView {
        let place = (release, environment);
        let proof = match standing {
            Standing::Verified => {
                self.verified.insert(place, word);
                None
            }
            Standing::Failed => {
                self.verified.remove(&place);
                None
            }
            Standing::Running | Standing::Unproven => self.verified.get(&place),
            Standing::Blocked
            | Standing::Passed
            | Standing::Refused
            | Standing::Deploying
            | Standing::Drifted
            | Standing::Replaced => None,
        };
        proof.map_or_else(|| at(standing, word), |verified| at(Standing::Verified, verified))
    }
}

/// A release that should run somewhere, and does not.
fn tell_drifts(releases: &mut BTreeMap<String, ReleaseView>, drifts: &Drifts) {
    for ((_, environment), word) in drifts {
        let release = word.content.release.as_ref().and_then(|release| releases.get_mut(release));
        if let Some(view) = release.and_then(|view| view.environments.get_mut(environment)).filter(|view| runs(view)) {
            let rule = Some("drifted".to_owned());
            *view = StandingView { rule, ..at(Standing::Drifted, word) };
        }
    }
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
