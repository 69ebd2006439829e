//! One event of the path, as far as it is read here.

use serde::Deserialize;
use serde_json::Value;

use crate::api::model::{EventRef, WhyCause, WhyStep};
use crate::api::view::event_ref;
use crate::clock::Timestamp;
use crate::deployment::event_type;
use crate::event::{Accepted, OriginKind, Position};

/// What an event says of a commit, a digest or a release.
#[derive(Debug, Clone)]
pub struct Word {
    pub position: Position,
    pub at: Timestamp,
    pub event: EventRef,
    pub by: String,
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
    pub component: Option<String>,
    pub way: Option<String>,
    pub rule: Option<String>,
    pub reason: Option<String>,
    pub clear: Option<String>,
    pub input: Option<String>,
    pub evidence_id: Option<String>,
    pub missing: Vec<String>,
    pub again: Option<String>,
    pub outcome: Option<String>,
    pub result: Option<String>,
    pub run: Option<String>,
    pub task: Option<String>,
    pub failed: Option<Value>,
    pub output: Option<String>,
    pub problems: Vec<String>,
    pub cause: Option<String>,
    pub request: Option<Box<Content>>,
    pub functions: Vec<Running>,
    pub by: Option<String>,
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
    /// An answer is about what its request is about.
    fn take_from_request(&mut self) {
        let Some(request) = self.request.as_deref().cloned() else { return };
        self.environment = self.environment.take().or(request.environment);
        self.service = self.service.take().or(request.service);
        self.release = self.release.take().or(request.release);
        self.digest = self.digest.take().or(request.digest);
        self.commit = self.commit.take().or(request.commit);
    }

    pub fn environment_name(&self) -> Option<&str> {
        self.environment.as_ref().map(|environment| match environment {
            Environment::Name(name) => name.as_str(),
            Environment::Object { id } => id.as_str(),
        })
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
        content.input = content.input.or(git.ref_name);
        Word {
            position: accepted.position,
            at: accepted.accepted_at,
            event: event_ref(accepted),
            by: format!("{} {}", origin.kind.as_str(), origin.name),
            function: (origin.kind == OriginKind::Function).then(|| origin.name.clone()),
            name: event_type(&event.ty).map_or_else(|| event.ty.clone(), |entry| entry.name.to_owned()),
            content,
        }
    }

    pub fn environment(&self) -> Option<&str> {
        self.content.environment_name()
    }

    /// Whether it is told of an environment, or of all.
    pub fn concerns(&self, environment: &str) -> bool {
        self.environment().is_none_or(|own| own == environment)
    }

    pub fn step(&self) -> WhyStep {
        let content = &self.content;
        let detail = content.rule.as_ref().or(content.outcome.as_ref()).or(content.result.as_ref());
        let detail = detail.or(content.task.as_ref()).cloned();
        WhyStep { at: self.at, event: self.event.clone(), by: self.by.clone(), word: self.name.clone(), detail }
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
            missing: content.missing.clone(),
            input: content.input.clone(),
            evidence: content.evidence_id.clone(),
            again: content.again.clone(),
        }
    }
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
