//! One event of the path, as far as it is read here.

use serde::Deserialize;
use serde_json::Value;

use crate::api::model::{EventRef, WhyCause, WhyStep};
use crate::api::view::event_ref;
use crate::bus::{BusError, EventQuery, History};
use crate::clock::Timestamp;
use crate::deployment::{Author, event_type};
use crate::event::{Accepted, Origin, OriginKind, Position};

/// Of a person or a program that nobody proved.
const UNVERIFIED: &str = ", unverified";

/// What an event says of a commit, a digest or a release.
#[derive(Debug, Clone)]
pub struct Word {
    pub position: Position,
    pub at: Timestamp,
    pub event: EventRef,
    /// The event that led to it.
    pub causation: Option<String>,
    /// The kind of origin, its name, and whether nobody proved it.
    pub by: String,
    /// Whether it is said by one who may: a decision by a function or the runtime, anything else by somebody proved.
    pub counts: bool,
    /// The function that said it.
    pub function: Option<String>,
    /// The catalogue's name of the type, else the type.
    pub name: String,
    pub content: Content,
}

/// The members that the path's events have, where they have them: of a CDEvent's content and custom data together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Content {
    pub environment: Option<Environment>,
    pub service: Option<String>,
    pub release: Option<String>,
    pub digest: Option<String>,
    pub commit: Option<String>,
    pub function: Option<String>,
    pub way: Option<String>,
    pub branch: Option<String>,
    pub rule: Option<String>,
    pub reason: Option<String>,
    pub clear: Option<String>,
    pub input: Option<String>,
    pub evidence_id: Option<String>,
    pub missing: Vec<String>,
    pub again: Option<String>,
    pub outcome: Option<String>,
    pub result: Option<String>,
    /// Of a scan.
    pub kind: Option<String>,
    pub task: Option<String>,
    pub failed: Option<Value>,
    pub output: Option<String>,
    pub executor: Option<String>,
    pub artifact: Option<String>,
    pub problems: Vec<String>,
    /// The bytes that run in place of a release, since which deployment, and what put them there.
    pub runs: Option<String>,
    pub deployment: Option<u64>,
    pub cause: Option<String>,
    pub action: Option<String>,
    pub request: Option<Box<Content>>,
    pub functions: Vec<Running>,
}

/// CDEvents names an environment by an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Environment {
    Name(String),
    Object { id: String },
}

#[derive(Debug, Clone, Deserialize)]
pub struct Running {
    pub name: String,
    pub component: String,
}

/// What git hosts' events say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Git {
    head_sha: Option<String>,
    merge_commit: Option<String>,
    after: Option<String>,
    head_commit: Option<String>,
    ref_name: Option<String>,
    base_ref: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    subject: Subject,
    #[serde(rename = "customData")]
    custom: Value,
    git: Git,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subject {
    content: Value,
}

impl Content {
    /// An answer is about what its request is about; a digest of its own is that of a deployment.
    fn take_from_request(&mut self) {
        let Some(request) = self.request.as_deref().cloned() else { return };
        self.environment = request.environment.or(self.environment.take());
        self.service = request.service.or(self.service.take());
        self.release = request.release.or(self.release.take());
        self.digest = request.digest.or(self.digest.take());
        self.commit = request.commit.or(self.commit.take());
    }

    pub fn environment_name(&self) -> Option<&str> {
        self.environment.as_ref().map(|environment| match environment {
            Environment::Name(name) => name.as_str(),
            Environment::Object { id } => id.as_str(),
        })
    }
}

/// Whether an origin may say a type. What CDEvents has a word for and the path decides is a function's too; what persons ask for
/// is judged by the functions that answer it.
fn counts(ty: &str, origin: &Origin) -> bool {
    let Some(entry) = event_type(ty) else { return origin.verified };
    let is_decision = ["service.", "incident."].iter().any(|begin| entry.name.starts_with(begin));
    match entry.author {
        Author::Function => origin.kind == OriginKind::Function && origin.verified,
        Author::Granted if is_decision => origin.kind == OriginKind::Function && origin.verified,
        Author::Runtime => origin.kind == OriginKind::Runtime,
        Author::Trigger | Author::Granted => origin.verified,
    }
}

impl Word {
    pub fn of(accepted: &Accepted) -> Self {
        let event = &accepted.event;
        let data: Data = event.data.as_deref().and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default();
        let origin = &accepted.origin;
        let mut content = read(data.subject.content, data.custom);
        content.take_from_request();
        // A push or a merge: what it made is what it is about.
        let git = data.git;
        content.commit = content.commit.or(git.merge_commit).or(git.head_commit).or(git.after).or(git.head_sha);
        content.branch = content.branch.or(git.ref_name).or(git.base_ref);
        let unverified = if origin.verified { "" } else { UNVERIFIED };
        Word {
            position: accepted.position,
            at: accepted.accepted_at,
            event: event_ref(accepted),
            causation: event.causation().map(str::to_owned),
            by: format!("{} {}{unverified}", origin.kind.as_str(), origin.name),
            counts: counts(&event.ty, origin),
            function: (origin.kind == OriginKind::Function).then(|| origin.name.clone()),
            name: event_type(&event.ty).map_or_else(|| event.ty.clone(), |entry| entry.name.to_owned()),
            content,
        }
    }

    pub fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    pub fn environment(&self) -> Option<&str> {
        self.content.environment_name()
    }

    /// Whether it is told of an environment, or of all.
    pub fn concerns(&self, environment: &str) -> bool {
        self.environment().is_none_or(|own| own == environment)
    }

    /// The event that led to it: what it was said of.
    pub fn led_by(&self) -> Option<EventRef> {
        self.causation.as_deref().map(named)
    }

    pub fn step(&self) -> WhyStep {
        let content = &self.content;
        let scan = content.kind.as_ref().zip(content.result.as_ref()).map(|(kind, result)| format!("{kind} {result}"));
        let detail = content.rule.clone().or(content.outcome.clone()).or(scan).or(content.task.clone());
        let (event, by, word) = (self.event.clone(), self.by.clone(), self.name.clone());
        WhyStep { at: self.at, event, by, word, detail, counts: self.counts }
    }

    /// What it says that stands in the way. What the word does not say itself is said by the arguments.
    pub fn cause(&self, rule: &str, reason: &str, clear: &str) -> WhyCause {
        let content = &self.content;
        let own = |said: &Option<String>, otherwise: &str| said.clone().unwrap_or_else(|| otherwise.to_owned());
        WhyCause {
            rule: own(&content.rule, rule),
            reason: own(&content.reason, reason),
            clear: own(&content.clear, clear),
            since: self.at,
            event: self.event.clone(),
            function: self.function.clone(),
            environment: None,
            missing: content.missing.clone(),
            input: content.input.clone(),
            evidence: content.evidence_id.as_deref().map(named),
            again: content.again.clone(),
            because: None,
        }
    }
}

/// An event of which no more is known than its id; the rest is looked up once it counts.
pub fn named(id: &str) -> EventRef {
    EventRef { id: id.to_owned(), ty: String::new(), subject: None, position: None }
}

/// Content and custom data as one; where both have a member, what CDEvents has not a word for is the more exact.
fn read(content: Value, custom: Value) -> Content {
    let mut members = match content {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    };
    if let Value::Object(custom) = custom {
        members.extend(custom);
    }
    // A member of another form than ours is a stranger's: the rest is read all the same.
    let whole = Value::Object(members);
    Content::deserialize(&whole).unwrap_or_else(|_| each(&whole))
}

/// Reads member by member, leaving out those that are not of our form.
fn each(whole: &Value) -> Content {
    let members = whole.as_object().into_iter().flatten();
    let readable = members.filter(|(name, value)| {
        Content::deserialize(Value::Object([((*name).clone(), (*value).clone())].into_iter().collect())).is_ok()
    });
    let kept = Value::Object(readable.map(|(name, value)| (name.clone(), value.clone())).collect());
    Content::deserialize(kept).unwrap_or_default()
}

/// The newest words of some types that count, the newest first.
pub async fn newest(history: &dyn History, names: &[&str], max: usize) -> Result<Vec<Word>, BusError> {
    let mut words = Vec::new();
    for name in names {
        let ty = crate::deployment::type_pattern(name).expect("it is a type of the catalogue");
        let query = EventQuery { ty: Some(ty), max, newest_first: true, ..EventQuery::default() };
        words.extend(history.events(query).await?.events.iter().map(Word::of).filter(|word| word.counts));
    }
    words.sort_by_key(|word| std::cmp::Reverse(word.position));
    Ok(words)
}
