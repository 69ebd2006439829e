//! Effects as a recording has them: what the project's rules take out of arguments and answers. A guest sees it all.

use std::borrow::Cow;

use super::{Answer, Effect, HttpRequest, HttpResponse};
use crate::deployment::Redaction;

impl Effect {
    /// Redacts the arguments. Answers the paths and headers at which something stood.
    pub fn redact(&mut self, rules: &Redaction) -> Vec<String> {
        match self {
            Effect::KeySet { value, .. } => rules.document(value),
            Effect::Log { message, .. } => rules.line(message),
            Effect::Http(HttpRequest { headers, body, .. }) => message(rules, headers, body),
            Effect::WallClock
            | Effect::MonotonicClock
            | Effect::Random { .. }
            | Effect::InsecureRandom { .. }
            | Effect::InsecureSeed
            | Effect::Sleep { .. }
            | Effect::Poll { .. }
            | Effect::IsReady
            | Effect::KeyGet { .. }
            | Effect::KeyDelete { .. }
            | Effect::KeyExists { .. }
            | Effect::KeyList { .. }
            | Effect::KeyIncrement { .. }
            | Effect::ConfigGet { .. }
            | Effect::ConfigAll
            | Effect::Statistics { .. } => Vec::new(),
        }
    }

    /// The same, where this stays as it is.
    pub fn redacted(&self, rules: &Redaction) -> Cow<'_, Effect> {
        if rules.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut redacted = self.clone();
        redacted.redact(rules);
        Cow::Owned(redacted)
    }
}

impl Answer {
    /// Redacts what was answered. Answers the paths and headers at which something stood.
    pub fn redact(&mut self, rules: &Redaction) -> Vec<String> {
        match self {
            Answer::Value(Some(value)) => rules.document(value),
            Answer::Text(Some(text)) => rules.line(text),
            Answer::Pairs(pairs) => pairs.iter_mut().flat_map(|(_, text)| rules.line(text)).collect(),
            Answer::Http(HttpResponse { headers, body, .. }) => message(rules, headers, body),
            Answer::Failed(_)
            | Answer::Done
            | Answer::Nanoseconds(_)
            | Answer::Bytes(_)
            | Answer::Seed(..)
            | Answer::Value(None)
            | Answer::Exists(_)
            | Answer::Keys { .. }
            | Answer::Number(_)
            | Answer::Text(None)
            | Answer::Statistics(_)
            | Answer::Ready(_)
            | Answer::Never => Vec::new(),
        }
    }
}

fn message(rules: &Redaction, headers: &mut [(String, String)], body: &mut Vec<u8>) -> Vec<String> {
    let mut found = rules.headers(headers);
    found.extend(rules.document(body));
    found
}
