//! What the host is asked about a commit, and what is told it in return.

use delivery::{Policy, Way, sha256};
use tidegate_sdk::{Event, Failure, debug, warn};

use crate::Door;
use crate::github::{File, Github, Pull, Status};
use crate::heard::{Arrival, Change, Checked, Head, Queued};
use crate::judge::{self, Judgement, Known, judge};
use crate::rules::{CONTEXT, PATH, Rules};
use crate::say;

pub struct Asked<'a> {
    pub door: &'a Door,
    pub github: &'a Github,
    pub arrival: &'a Arrival,
}

/// The rules that hold for a commit, and where they were read.
struct Held {
    rules: Rules,
    policy: Policy,
}

impl Asked<'_> {
    /// The verdict, posted. `check`: the check that is the reason; none follows where no rule names it.
    pub fn answer(&self, check: Option<&str>) -> Result<Option<Event>, Failure> {
        let Asked { github, arrival, .. } = self;
        let held = match self.held()? {
            Ok(held) => held,
            Err(_) if check.is_some() => return Ok(None),
            Err((policy, judgement)) => return self.tell(policy, &judgement, &[]).map(Some),
        };
        if check.is_some_and(|check| !held.rules.check_names().contains(check)) {
            debug!("no rule of {} asks for that check", arrival.repository);
            return Ok(None);
        }
        if arrival.way == Way::Push {
            let judgement = judge(&held.rules, arrival, &Known::nothing(&arrival.commit));
            return self.tell(held.policy, &judgement, &[]).map(Some);
        }
        let head = self.head(&held.rules)?;
        let checked = match (arrival.way, &head) {
            (Way::Merge, Some(head)) => head.commit.as_str(),
            _ => arrival.commit.as_str(),
        };
        let repository = &arrival.repository;
        let (mut runs, mut statuses, mut reviews) = (Vec::new(), Vec::new(), Vec::new());
        if !held.rules.checks.is_empty() {
            runs = github.check_runs(repository, checked)?;
            statuses = github.statuses(repository, checked)?;
        }
        if let (Some(change), true) = (&arrival.change, held.rules.reviews > 0) {
            reviews = github.reviews(repository, change.number)?;
        }
        let wanted = held.rules.reviews > 0;
        let judgement = match (&head, wanted) {
            (None, true) => judge::unnamed(),
            _ => {
                let reviews = head.as_ref().filter(|_| wanted).map(|head| (head, reviews.as_slice()));
                judge(&held.rules, arrival, &Known { reviews, runs: &runs, statuses: &statuses, checked })
            }
        };
        let told = if checked == arrival.commit { statuses.as_slice() } else { &[] };
        self.tell(held.policy, &judgement, told).map(Some)
    }

    /// What both say, config and the file on the branch; or why nobody knows.
    fn held(&self) -> Result<Result<Held, (Policy, Judgement)>, Failure> {
        let Asked { door, github, arrival } = self;
        let alone = || Held { rules: door.config.clone(), policy: door.policy() };
        let Some(base) = &arrival.base else { return Ok(Ok(alone())) };
        let text = match github.rules(&arrival.repository, base)? {
            File::Absent => return Ok(Ok(alone())),
            File::Unreadable(problem) => {
                let policy = Policy { commit: Some(base.clone()), ..door.policy() };
                return Ok(Err((policy, judge::unreadable(PATH, base, &problem))));
            }
            File::Text(text) => text,
        };
        let policy = Policy { digest: sha256(text.as_bytes()), commit: Some(base.clone()) };
        Ok(match Rules::of_repository(&text) {
            Ok(rules) => Ok(Held { rules: door.config.clone().and(rules), policy }),
            Err(problem) => Err((policy, judge::unreadable(PATH, base, &problem))),
        })
    }

    /// The change's head, which has to be asked for where the event does not name it and a rule needs it.
    fn head(&self, rules: &Rules) -> Result<Option<Head>, Failure> {
        match &self.arrival.change {
            Some(Change { head: Some(head), .. }) => Ok(Some(head.clone())),
            Some(Change { number, head: None }) if rules.reviews > 0 || self.checks_the_head(rules) => {
                Ok(Some(head_of(&self.github.pull(&self.arrival.repository, *number)?)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// What a merge made has no checks of its own yet.
    fn checks_the_head(&self, rules: &Rules) -> bool {
        self.arrival.way == Way::Merge && !rules.checks.is_empty()
    }

    /// Posts what the judgement is, unless it stands there already, and says it.
    fn tell(&self, policy: Policy, judgement: &Judgement, told: &[Status]) -> Result<Event, Failure> {
        let Asked { github, arrival, .. } = self;
        let (state, description) = say::status(judgement);
        let stands = told.iter().any(|status| {
            status.context == CONTEXT && status.state == state && status.description.as_deref() == Some(&description)
        });
        if !stands && let Err(why) = github.post_status(&arrival.repository, &arrival.commit, state, &description)? {
            warn!("{CONTEXT} of {} is not on the host: {why}", arrival.commit);
        }
        say::verdict(arrival, Some(policy), judgement)
    }
}

/// What may wait for a check of a commit.
pub fn waiting(github: &Github, checked: &Checked) -> Result<Vec<Arrival>, Failure> {
    let Checked { repository, commit, branches, .. } = checked;
    if let Some(queued) = branches.iter().find_map(|branch| Queued::of(branch)) {
        let pull = github.pull(repository, queued.number)?;
        return Ok(vec![Arrival { branch: queued.branch.to_owned(), ..arrival(checked, &pull, Way::Queue) }]);
    }
    let mut pulls = github.pulls_of(repository, commit)?;
    if pulls.is_empty() && branches.is_empty() {
        // A fork's: the host ties its commits to no change before it is merged.
        pulls = github.open_pulls(repository)?;
    }
    let mut waiting = Vec::new();
    for pull in pulls.iter().filter(|pull| pull.head.sha == *commit) {
        if pull.state == "open" {
            waiting.push(arrival(checked, pull, Way::Proposal));
        } else if let (Some(merged_at), Some(merged)) = (&pull.merged_at, &pull.merge_commit_sha) {
            // What was accepted stays so.
            let statuses = github.statuses(repository, merged)?;
            if statuses.iter().any(|status| status.context == CONTEXT && status.state != "success") {
                let merge = arrival(checked, pull, Way::Merge);
                waiting.push(Arrival { commit: merged.clone(), order: Some(merged_at.clone()), ..merge });
            }
        }
    }
    Ok(waiting)
}

fn arrival(checked: &Checked, pull: &Pull, way: Way) -> Arrival {
    Arrival {
        repository: checked.repository.clone(),
        branch: pull.base.r#ref.clone(),
        default_branch: checked.default_branch.clone(),
        commit: checked.commit.clone(),
        way,
        forced: false,
        base: Some(pull.base.sha.clone()),
        change: Some(Change { number: pull.number, head: Some(head_of(pull)) }),
        actor: None,
        order: None,
    }
}

fn head_of(pull: &Pull) -> Head {
    Head { commit: pull.head.sha.clone(), author: pull.user.as_ref().map(|user| user.login.clone()) }
}
