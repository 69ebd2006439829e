//! Holds what comes to a protected branch against the admission rules: `tidegate-change.accepted` or `.refused`, about one
//! commit, and the commit status `tidegate/admission` on it.
//!
//! | event | judged is | by |
//! | --- | --- | --- |
//! | `change.created`, `.updated`, `.reviewed`, `com.github.pull_request_review.dismissed` | the change's head | reviews, checks |
//! | `com.github.merge_group.checks_requested` | the merge queue's head | reviews of the change, checks of the queue's head |
//! | `change.merged` | what the merge made | reviews and checks of the change's head |
//! | `com.github.push` | the commit that was pushed, unless a merged change brought it, which tells it itself | the rules of pushes |
//! | `testsuiterun.finished`, `com.github.status` | every open change with that head, the queue's head, and a merged change that was not accepted | as above |
//!
//! # The rules
//! They lie in `.tidegate/admission.toml` of the repository, and are read at the commit on which the branch stood before (a change's
//! and a queue's base, what a push followed): never in what is judged. Config `policy` has the same form, and **both hold**: what
//! config asks for, no repository can waive. Where the file is missing, config alone holds; an empty one
//! accepts what is merged to the default branch.
//!
//! ```toml
//! protected = ["main", "release/*"]   # config only; default: the repository's default branch
//! direct_push = false                 # whether commits may come without a change; both must say so
//! force_push = false                  # whether history may be rewritten; both must say so
//! reviews = 1                         # people who approved the head; the higher number of both
//! checks = ["build", { name = "docs", skipped = true }, { name = "scan", app = "acme-scanner" }]      # those of both
//! ```
//!
//! - **reviews**: each person's last word counts, comments aside. An approval counts if it is of the head itself, by one of the
//!   repository's people (owner, member, collaborator) who is not the author. As long as one asks for changes, nothing is accepted.
//!   With `reviews = 0` nobody is asked.
//! - **checks**: check runs and commit statuses by name, of the named app only where one is named. Every newest report of that name
//!   must be a success; skipped and neutral are none unless the rule says so.
//! - **no direct push, no force push**: a push that the rules allow is held against nothing else.
//! - **verified sender**: what nobody proved is refused, and nothing is asked or told in its name.
//! - A file that cannot be read is `policy-unreadable` and refuses all, until it is mended on the branch. A config that cannot be
//!   read makes events dead letters.
//! - Branches that anybody may create are as safe as config `policy`: who creates one writes the file on it.
//!
//! Nothing is said of other branches, of tags and of deletions. Events of other hosts' changes are judged too, with `api = false`.
//!
//! # What it says
//! The verdict's subject is `<repository>/pull/<number>` or `<repository>/commit/<commit>`, its partition key the commit. It carries the
//! digest of the rules and the commit that they were read at, and, of a merge or a push, the instant as the commit's place in its
//! branch. The status is `success`, `pending` where the rule may still come to hold, else `failure`, and names the rule. A status that
//! the host refuses is told in the log: the verdict stands without it.
//!
//! # Asking
//! Config `connection` ("github") names the connection to the API. Time-outs, answers of 5xx and limits are tried again, limits when
//! the host says. A repository that is not there, or a token that may not see it, makes a dead letter that says so. Some
//! requests in a row take longer than most functions: give it `limits = { time = "60s" }`.
//!
//! `api = false` asks nothing and posts nothing: config `policy` alone holds, without reviews and checks, and merges are accepted.

mod asked;
mod github;
mod heard;
mod judge;
mod rules;
mod say;

use delivery::{Policy, Way, sha256};
use tidegate_sdk::{Event, Failure, config, debug, info};

use crate::asked::Asked;
use crate::github::Github;
use crate::heard::{Arrival, Checked, Heard};
use crate::judge::{Known, judge};
use crate::rules::Rules;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let door = Door::open()?;
    let verified = event.origin.as_ref().is_some_and(|origin| origin.verified);
    match Heard::of(&event)? {
        Heard::Nothing(why) => {
            debug!("event {} is not judged: {why}", event.id);
            Ok(Vec::new())
        }
        Heard::Arrival(arrival) if !door.config.protects(&arrival.branch, arrival.default_branch.as_deref()) => {
            debug!("{} of {} is not protected", arrival.branch, arrival.repository);
            Ok(Vec::new())
        }
        Heard::Arrival(arrival) if !verified => Ok(vec![say::verdict(&arrival, None, &judge::unverified())?]),
        Heard::Arrival(arrival) => door.arrived(&arrival),
        Heard::Checked(checked) if verified => door.checked(&checked),
        Heard::Checked(_) => {
            info!("event {} is not judged: nobody proved who sent it", event.id);
            Ok(Vec::new())
        }
    }
}

tidegate_sdk::export!(handle);

/// What everything is judged with.
struct Door {
    /// What holds in any case.
    config: Rules,
    /// Digest of its text.
    digest: String,
    /// None: nothing is asked and nothing is posted.
    github: Option<Github>,
}

impl Door {
    fn open() -> Result<Self, Failure> {
        let text = config::text("policy")?.unwrap_or_default();
        let config: Rules = config::get("policy")?;
        config.check().map_err(|problem| Failure::reject(format!("config policy: {problem}")))?;
        let connection = config::text("connection")?.unwrap_or_else(|| "github".to_owned());
        let api = config::find::<bool>("api")?.unwrap_or(true);
        if !api && (config.reviews > 0 || !config.checks.is_empty()) {
            let problem =
                "config policy asks for reviews or checks, and config api is false: nobody can be asked for them";
            return Err(Failure::reject(problem));
        }
        Ok(Door { config, digest: sha256(text.as_bytes()), github: api.then_some(Github { connection }) })
    }

    fn arrived(&self, arrival: &Arrival) -> Result<Vec<Event>, Failure> {
        let Some(github) = &self.github else {
            let judgement = judge(&self.config, arrival, &Known::nothing(&arrival.commit));
            return Ok(vec![say::verdict(arrival, Some(self.policy()), &judgement)?]);
        };
        if arrival.way == Way::Push && github.is_merge(&arrival.repository, &arrival.commit)? {
            info!("{} came by a change that was merged, which tells it itself", arrival.commit);
            return Ok(Vec::new());
        }
        Ok(Asked { door: self, github, arrival }.answer(None)?.into_iter().collect())
    }

    /// Judges again whatever waits for a check.
    fn checked(&self, checked: &Checked) -> Result<Vec<Event>, Failure> {
        let Some(github) = &self.github else { return Ok(Vec::new()) };
        let mut said = Vec::new();
        for arrival in asked::waiting(github, checked)? {
            if self.config.protects(&arrival.branch, arrival.default_branch.as_deref()) {
                said.extend(Asked { door: self, github, arrival: &arrival }.answer(Some(&checked.name))?);
            }
        }
        Ok(said)
    }

    /// Config's own rules, as they stand in a verdict.
    fn policy(&self) -> Policy {
        Policy { digest: self.digest.clone(), commit: None }
    }
}

#[cfg(test)]
mod tests;
