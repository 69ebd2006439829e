//! What takes a release out of where it ran: something else that runs in its place, or a digest in quarantine.

use super::decide::{Case, DEPLOYED, Stand};
use super::word::Word;
use crate::api::model::{WhyCause, WhyState};

impl<'a> Case<'a> {
    /// What says that something else runs here than the release of its service that should.
    pub fn drift(self) -> Option<&'a Word> {
        let service = self.last(&DEPLOYED)?.content.service.clone()?;
        self.known.drifts.get(&(service, self.environment.to_owned()))
    }

    /// Something else runs in its place.
    pub fn drifted(self, word: &Word) -> WhyCause {
        let content = &word.content;
        let function = content.function.as_deref().unwrap_or_default();
        let release = content.release.as_deref().unwrap_or_default();
        // What was told of a quarantine is no longer so once it was lifted.
        let lifted = self.quarantine().is_none() && self.was_lifted_since(word);
        let why = content.reason.as_ref().filter(|_| !lifted);
        let why = why.map_or_else(String::new, |reason| format!("; it is not healed: {reason}"));
        let clear = match (&content.runs, content.action.as_deref()) {
            (None, _) => format!("bring {function} back into the project file, then `tidegate deploy`"),
            (Some(_), Some("heal")) => "wait: what should run was asked for".to_owned(),
            (Some(_), _) => match &self.quarantine().and_then(|word| word.content.digest.clone()) {
                Some(digest) => another_or_lifted(digest, release, self.environment),
                None => format!("`tidegate redeploy {release} --in {}` puts it back", self.environment),
            },
        };
        let reason = format!("{}{why}", both_sides(word));
        let input = content.runs.clone();
        WhyCause { reason, input, ..word.cause("drifted", "", &clear) }
    }

    /// Another release took its place, and does not run either.
    pub fn replaced_and_drifted(self, word: &Word) -> WhyCause {
        let release = word.content.release.as_deref().unwrap_or_default();
        let (own, environment) = (self.about.release.as_deref().unwrap_or_default(), self.environment);
        let reason = format!("{release} took its place in {environment}, but {}", both_sides(word));
        let clear = format!(
            "`tidegate why {release} --in {environment}` says how that is put right; \
             `tidegate redeploy {own} --in {environment}` asks for this one again"
        );
        let input = word.content.runs.clone();
        WhyCause { reason, input, clear, ..word.cause("drifted", "", "") }
    }

    fn was_lifted_since(self, word: &Word) -> bool {
        let lifts = |other: &Word| other.name == "digest.cleared" && other.content.digest == self.about.digest;
        self.known.words.iter().any(|other| other.counts && lifts(other) && other.position > word.position)
    }

    /// What put its digest in quarantine, in this environment or in another one, unless it was cleared since.
    pub fn quarantine(self) -> Option<&'a Word> {
        let of_it = |word: &&Word| {
            let is_word = word.is(&["digest.quarantined", "digest.cleared"]);
            word.counts && is_word && self.about.digest.is_some() && word.content.digest == self.about.digest
        };
        self.known.words.iter().rfind(of_it).filter(|word| word.name == "digest.quarantined")
    }

    pub fn quarantined(self, word: &Word) -> Stand {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (digest, release) = (text(&word.content.digest), text(&word.content.release));
        let failed_in = word.environment().unwrap_or(self.environment);
        let elsewhere = failed_in != self.environment;
        let place = if elsewhere { format!("{release} failed in {failed_in}: ") } else { String::new() };
        let reason = format!("{place}{}", word.content.reason.as_deref().unwrap_or("its digest is in quarantine"));
        // Where it never was it comes by itself, once it does what it should where it failed.
        let again = if self.last(&DEPLOYED).is_some() { self.environment } else { failed_in };
        let clear = another_or_lifted(&digest, &release, again);
        let (evidence, environment) = (word.led_by(), elsewhere.then(|| failed_in.to_owned()));
        let cause = WhyCause { reason, evidence, environment, ..word.cause("quarantined", "", &clear) };
        (WhyState::Held, Some(cause))
    }
}

/// What a function runs in place of what should run as it, and since when.
fn both_sides(word: &Word) -> String {
    let content = &word.content;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (function, release, cause) = (text(&content.function), text(&content.release), text(&content.cause));
    let since = content.deployment.map_or_else(String::new, |number| format!(" since deployment {number}"));
    match &content.runs {
        Some(_) => format!("{function} runs other bytes than {release}{since} ({cause})"),
        None => format!("{function} is not deployed any more{since} ({cause})"),
    }
}

/// The ways out of a quarantine.
fn another_or_lifted(digest: &str, release: &str, environment: &str) -> String {
    format!(
        "release another build; or, if this one was not at fault, `tidegate lift {digest} --reason TEXT`, then \
         `tidegate redeploy {release} --in {environment}`"
    )
}
