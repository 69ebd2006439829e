//! `GET /releases`, and asking for one of them again.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json as value;
use uuid::Uuid;

use super::word::Word;
use crate::api::answer::{json, parse_json};
use crate::api::error::ApiError;
use crate::api::model::{Listing, RedeployRequest, ReleaseView, Standing, StandingView};
use crate::api::route::{By, DOOR, DoorSpan};
use crate::api::{ApiState, hooks};
use crate::bus::{BusError, EventQuery, History};
use crate::event::{Event, Origin, OriginKind};

/// The newest words of each kind that are read: what is older than all of them is not listed.
const WORDS_MAX: usize = 1_000;
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Types that say where a release stands.
const TYPES: [&str; 8] = [
    "gate.passed",
    "gate.blocked",
    "release.refused",
    "deployment.requested",
    "release.verified",
    "release.failed",
    "release.insufficient",
    "digest.quarantined",
];
/// Types of CDEvents and of persons beside them.
const OTHERS: [&str; 2] = ["dev.cdevents.service.*", "dev.cdeventsx.tidegate-quarantine.lifted.*"];

/// `GET /releases`: newest first.
pub(in crate::api) async fn releases(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let position = state.history.tail().await?;
    let items = fold(&words(&*state.history).await?);
    Ok(json(StatusCode::OK, &Listing::<ReleaseView>::whole(position, items)))
}

/// In log order.
async fn words(history: &dyn History) -> Result<Vec<Word>, BusError> {
    let mut words = Vec::new();
    for name in TYPES.iter().chain(&OTHERS) {
        let ty = crate::deployment::type_pattern(name).expect("these are types of the catalogue");
        let query = EventQuery { ty: Some(ty), max: WORDS_MAX, newest_first: true, ..EventQuery::default() };
        words.extend(history.events(query).await?.events.iter().map(Word::of));
    }
    words.sort_by_key(|word| word.position);
    Ok(words)
}

/// What the words come to, the newest release first.
fn fold(words: &[Word]) -> Vec<ReleaseView> {
    let mut releases: BTreeMap<String, ReleaseView> = BTreeMap::new();
    let mut quarantined: BTreeMap<&str, bool> = BTreeMap::new();
    for word in words {
        let content = &word.content;
        if let (Some(digest), true) = (&content.digest, word.name.contains("quarantine")) {
            quarantined.insert(digest, word.name == "digest.quarantined");
        }
        let Some((standing, environment)) = standing(word).zip(word.environment()) else { continue };
        let (Some(release), Some(service), Some(digest)) = (&content.release, &content.service, &content.digest) else {
            continue;
        };
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
        if matches!(standing.standing, Standing::Running | Standing::Verified | Standing::Unproven) {
            *standing = at(Standing::Replaced, word);
        }
    }
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

/// `POST /releases/{release}/redeploy`: publishes `release.requested` in the name of who asks; functions decide.
pub(in crate::api) async fn redeploy(
    State(state): State<Arc<ApiState>>,
    Extension(caller): By,
    Extension(DoorSpan(span)): Extension<DoorSpan>,
    Path(release): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = state.bodies.read(&headers, body, BODY_BYTES_MAX).await?;
    let asked: RedeployRequest = parse_json(&body.bytes)?;
    let known = fold(&words(&*state.history).await?);
    let found = known.iter().find(|view| view.release == release);
    let missing = || ApiError::not_found(format!("there is no release {release:?}; `tidegate releases` lists them"));
    let view = found.ok_or_else(missing)?;
    if !view.environments.contains_key(&asked.environment) {
        let known: Vec<&str> = view.environments.keys().map(String::as_str).collect();
        let known = known.join(", ");
        let environment = &asked.environment;
        return Err(ApiError::invalid(format!("{release} never came to {environment:?}; it is known in: {known}")));
    }
    let event = request(view, &asked, &caller.name);
    // Whoever may operate the project was let in by the door: that is what proves this.
    let origin = Origin { kind: OriginKind::Api, name: caller.name, verified: true };
    hooks::publish(&state, DOOR, vec![event], &origin, &span, &headers).await.map(hooks::accepted)
}

fn request(view: &ReleaseView, asked: &RedeployRequest, by: &str) -> Event {
    let ty = crate::deployment::full_type("release.requested").expect("it is a type of the catalogue");
    let content = value!({
        "release": view.release, "environment": asked.environment, "by": by, "reason": asked.reason,
    });
    let subject = value!({ "id": view.release, "content": content });
    let data = value!({ "context": { "specversion": "0.5.0", "type": ty }, "subject": subject });
    Event {
        id: Uuid::now_v7().to_string(),
        source: "/releases".to_owned(),
        ty,
        subject: Some(view.release.clone()),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(Bytes::from(data.to_string())),
        ..Event::default()
    }
}
