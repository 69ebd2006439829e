//! What an environment asks of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use serde::Deserialize;
use tidegate_sdk::{Failure, config};

use crate::{Instant, Kind, Plan, Severity, instant, period, sha256};

const ASK_AGAIN: &str = "1h";
const ASKS_MAX: u32 = 72;
const INCIDENT_DAYS: u32 = 7;
/// A hundred years: nobody means more.
const DAYS_MAX: u32 = 36_500;
const VERIFIED: &str = "verified:";

/// Invariant: every name and date of it can be read, and it asks for something.
#[derive(Debug)]
pub struct Policy {
    pub environment: String,
    /// What is asked for, and the origins whose word counts for it.
    pub require: BTreeMap<Need, BTreeSet<String>>,
    pub severity: SeverityRules,
    pub exceptions: Vec<Exception>,
    /// Evidence that is older does not count.
    pub max_age: Option<TimeDelta>,
    pub ask_again: TimeDelta,
    pub asks_max: u32,
    /// How long a release that runs may stay as it is, once its evidence turned bad.
    pub incident: TimeDelta,
    /// Digest of its text.
    pub digest: String,
}

/// A name in `[require]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// An accepted change brought the commit.
    Change,
    /// A pipeline run made the digest of the commit.
    Pipeline,
    /// The artifact itself names the commit.
    Provenance,
    Scan(Kind),
    /// The release was verified in another environment.
    Verified(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeverityRules {
    /// Severities that block; critical and high where nothing is said.
    block: Option<BTreeSet<Severity>>,
    image: Option<BTreeSet<Severity>>,
    dependency: Option<BTreeSet<Severity>>,
    r#static: Option<BTreeSet<Severity>>,
    /// Findings in packages block only once there is a version that mends them.
    pub fixed_only: bool,
    grace_days: BTreeMap<Severity, u32>,
}

/// A finding that somebody answers for, until a day.
#[derive(Debug)]
pub struct Exception {
    pub id: String,
    pub owner: String,
    pub expires: Instant,
}

/// The text, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    environment: String,
    require: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    severity: SeverityRules,
    #[serde(default)]
    exception: Vec<WrittenException>,
    max_age: Option<String>,
    ask_again: Option<String>,
    asks_max: Option<u32>,
    incident_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenException {
    id: String,
    owner: String,
    reason: String,
    expires: String,
}

impl Policy {
    /// Reads config `policy`. One that cannot be read passes nothing: its events become dead letters that say why, and are
    /// judged when they are redriven.
    pub fn read(plan: &Plan) -> Result<Self, Failure> {
        let text = config::text("policy")?.unwrap_or_default();
        let written: Written = config::get("policy")?;
        let checked = written.checked(plan, sha256(text.as_bytes()));
        checked.map_err(|problems| Failure::reject(format!("config policy: {}", problems.join("; "))))
    }

    /// Whether what is asked for ties a digest to the commit that it was made of.
    pub fn links(&self) -> bool {
        ties(&self.require)
    }

    /// Whether the word of an origin counts.
    pub fn trusts(&self, need: &Need, origin: &str) -> bool {
        self.require.get(need).is_some_and(|origins| origins.contains(origin))
    }
}

impl Written {
    /// The policy that is written, or every problem of it. `digest`: of the text.
    pub fn checked(self, plan: &Plan, digest: String) -> Result<Policy, Vec<String>> {
        let mut problems = Vec::new();
        let policy = self.read(plan, digest, &mut problems);
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    fn read(self, plan: &Plan, digest: String, problems: &mut Vec<String>) -> Policy {
        if !plan.environments.contains(&self.environment) {
            problems.push(format!("environment {:?} is none of the plan's", self.environment));
        }
        let require = required(self.require, &self.environment, plan, problems);
        let exceptions = self.exception.into_iter().filter_map(|exception| exception.checked(problems)).collect();
        let ask_again = self.ask_again.as_deref().unwrap_or(ASK_AGAIN);
        let incident_days = self.incident_days.unwrap_or(INCIDENT_DAYS);
        if incident_days > DAYS_MAX || self.severity.grace_days.values().any(|days| *days > DAYS_MAX) {
            problems.push(format!("incident_days and grace_days are at most {DAYS_MAX}"));
        }
        Policy {
            environment: self.environment,
            require,
            severity: self.severity,
            exceptions,
            max_age: self.max_age.and_then(|text| length("max_age", &text, problems)),
            ask_again: length("ask_again", ask_again, problems).unwrap_or_default(),
            asks_max: self.asks_max.unwrap_or(ASKS_MAX),
            incident: days(incident_days),
            digest,
        }
    }
}

/// What is asked for, by its name, and whose word counts for it.
fn required(
    written: BTreeMap<String, BTreeSet<String>>,
    environment: &str,
    plan: &Plan,
    problems: &mut Vec<String>,
) -> BTreeMap<Need, BTreeSet<String>> {
    let mut require = BTreeMap::new();
    let is_origin =
        |origin: &String| origin.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    for (name, origins) in written {
        if origins.is_empty() || !origins.iter().all(is_origin) {
            problems.push(format!("require.{name:?} names no origins; write them like \"function:scan\""));
        }
        match Need::parse(&name) {
            Some(Need::Verified(other)) if !plan.environments.contains(&other) || other == environment => {
                problems.push(format!("require.{name:?}: {other:?} is no other environment of the plan"));
            }
            Some(need) => drop(require.insert(need, origins)),
            None => {
                let names = "change, pipeline, provenance, image, dependency, static, verified:ENVIRONMENT";
                problems.push(format!("require.{name:?} is none of {names}"));
            }
        }
    }
    if require.is_empty() {
        problems.push("it requires nothing; name in [require] what a release needs".to_owned());
    }
    if require.contains_key(&Need::Change) && !ties(&require) {
        let reason = "change is about a commit, and nothing that is required ties an artifact to one";
        problems.push(format!("{reason}; require pipeline or provenance"));
    }
    require
}

/// Whether something ties a digest to the commit that it was made of.
fn ties(require: &BTreeMap<Need, BTreeSet<String>>) -> bool {
    require.contains_key(&Need::Pipeline) || require.contains_key(&Need::Provenance)
}

fn length(key: &str, text: &str, problems: &mut Vec<String>) -> Option<TimeDelta> {
    let days_max = u64::from(DAYS_MAX) * 24 * 60 * 60;
    let seconds = period(text).filter(|seconds| (1..=days_max).contains(seconds));
    if seconds.is_none() {
        problems.push(format!("{key} is no length of time; write one like \"12h\" or \"30d\""));
    }
    i64::try_from(seconds?).ok().and_then(TimeDelta::try_seconds)
}

impl WrittenException {
    fn checked(self, problems: &mut Vec<String>) -> Option<Exception> {
        let named = [("id", &self.id), ("owner", &self.owner), ("reason", &self.reason)];
        for (key, _) in named.iter().filter(|(_, text)| text.trim().is_empty()) {
            problems.push(format!("exception {:?} has no {key}", self.id));
        }
        let expires = end_of(&self.expires);
        if expires.is_none() {
            problems.push(format!(
                "exception {:?} expires {:?}, which is no date like \"2027-01-31\"",
                self.id, self.expires
            ));
        }
        Some(Exception { id: self.id, owner: self.owner, expires: expires? })
    }
}

/// The instant, or the end of the day in UTC.
fn end_of(text: &str) -> Option<Instant> {
    let day = || text.parse::<NaiveDate>().ok()?.succ_opt().map(|next| next.and_time(NaiveTime::MIN).and_utc());
    instant(text).or_else(day)
}

fn days(days: u32) -> TimeDelta {
    TimeDelta::days(days.into())
}

impl SeverityRules {
    pub fn blocks(&self, kind: Kind, severity: Severity) -> bool {
        let own = match kind {
            Kind::Image => &self.image,
            Kind::Dependency => &self.dependency,
            Kind::Static => &self.r#static,
        };
        match own.as_ref().or(self.block.as_ref()) {
            Some(blocked) => blocked.contains(&severity),
            None => severity >= Severity::High,
        }
    }

    /// How long a finding may be known before it blocks.
    pub fn grace(&self, severity: Severity) -> Option<TimeDelta> {
        self.grace_days.get(&severity).filter(|grace| **grace > 0).map(|grace| days(*grace))
    }
}

impl Need {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "change" => Some(Need::Change),
            "pipeline" => Some(Need::Pipeline),
            "provenance" => Some(Need::Provenance),
            "image" => Some(Need::Scan(Kind::Image)),
            "dependency" => Some(Need::Scan(Kind::Dependency)),
            "static" => Some(Need::Scan(Kind::Static)),
            _ => name.strip_prefix(VERIFIED).map(|environment| Need::Verified(environment.to_owned())),
        }
    }
}

/// The name in `[require]`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Change => f.write_str("change"),
            Need::Pipeline => f.write_str("pipeline"),
            Need::Provenance => f.write_str("provenance"),
            Need::Scan(Kind::Image) => f.write_str("image"),
            Need::Scan(Kind::Dependency) => f.write_str("dependency"),
            Need::Scan(Kind::Static) => f.write_str("static"),
            Need::Verified(environment) => write!(f, "{VERIFIED}{environment}"),
        }
    }
}
