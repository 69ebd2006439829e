//! One service in one environment, while an event about it is answered: what it is to run, and what is said.

use delivery::record::{Asked, Desired, Progress, Record, Stage, Step, place};
use delivery::{Purpose, Release, ReleaseRefused, Requested, Target, Verdict, say, types};
use tidegate_sdk::{Event, Failure, info};

use crate::books::Books;
use crate::rules::{self, Case};

pub struct Place<'a> {
    books: &'a Books,
    /// The event that is answered.
    cause: &'a Event,
    service: &'a str,
    environment: &'a str,
    pub desired: Desired,
    /// What is emitted.
    pub said: Vec<Event>,
}

impl<'a> Place<'a> {
    pub fn open(books: &'a Books, cause: &'a Event, service: &'a str, environment: &'a str) -> Result<Self, Failure> {
        let desired = books.desired(service, environment)?;
        Ok(Place { books, cause, service, environment, desired, said: Vec::new() })
    }

    /// Keeps what the service is to run, and answers what is said.
    pub fn close(self) -> Result<Vec<Event>, Failure> {
        self.books.set_desired(self.service, self.environment, &self.desired)?;
        Ok(self.said)
    }

    pub fn key(&self) -> String {
        place(self.service, self.environment)
    }

    /// Whether a release runs here, is asked for, or waits.
    pub fn has(&self, release: &str) -> bool {
        let Desired { running, asked, waiting } = &self.desired;
        let running = running.iter().map(|running| &running.release);
        let mut all = running.chain(asked.iter().chain(waiting).map(|asked| &asked.release));
        all.any(|known| known.release == release)
    }

    /// Brings a release to a stage of its record, with what `amend` knows beside.
    pub fn step(&self, release: &Release, stage: Stage, amend: impl FnOnce(&mut Progress)) -> Result<Record, Failure> {
        let mut record = self.books.record_of(release)?;
        let step = Step { event: self.cause.id.clone(), at: self.cause.time.clone(), deployment: None };
        let progress = record.environments.entry(self.environment.to_owned()).or_default();
        progress.stage = stage;
        progress.refused = None;
        progress.steps.insert(stage, step);
        amend(progress);
        self.books.set_record(&record)?;
        Ok(record)
    }

    /// Judges a release, then asks for it or lets it wait.
    pub fn admit(&mut self, asked: Asked) -> Result<(), Failure> {
        match self.judge(&asked)? {
            Ok(()) => self.take(asked),
            Err(verdict) => self.refuse(&asked.release, verdict),
        }
    }

    /// Asks for what waits, if nothing is under way.
    pub fn go_on(&mut self) -> Result<(), Failure> {
        match self.desired.waiting.take_if(|_| self.desired.asked.is_none()) {
            Some(waiting) => self.admit(waiting),
            None => Ok(()),
        }
    }

    pub fn judge(&self, asked: &Asked) -> Result<Result<(), Verdict>, Failure> {
        let record = &self.books.record_of(&asked.release)?;
        let quarantined = self.books.quarantined(&asked.release.digest)?;
        let (plan, environment, desired) = (&self.books.plan, self.environment, &self.desired);
        let case = Case { plan, record, environment, desired, quarantined };
        Ok(match asked.purpose {
            Purpose::Redeploy => rules::for_redeploy(&case),
            Purpose::Promotion | Purpose::Rollback | Purpose::Heal => rules::for_promotion(&case),
        })
    }

    /// Asks for a release that was judged, or lets it wait. Asking again for what is under way gets it going.
    pub fn take(&mut self, asked: Asked) -> Result<(), Failure> {
        match &self.desired.asked {
            Some(now) if now.release.release != asked.release.release => self.wait(asked),
            Some(_) | None => self.ask(asked),
        }
    }

    /// Of two that wait the newer one goes on waiting. A person's request is newer than all that came before it.
    fn wait(&mut self, asked: Asked) -> Result<(), Failure> {
        match self.desired.waiting.take() {
            Some(waiting)
                if asked.purpose == Purpose::Promotion && rules::is_older(&asked.release, &waiting.release) =>
            {
                self.refuse(&asked.release, rules::superseded(&waiting))?;
                self.desired.waiting = Some(waiting);
            }
            waiting => {
                if let Some(waiting) = waiting {
                    self.refuse(&waiting.release, rules::superseded(&asked))?;
                }
                info!("{} waits in {}: a deployment is under way", asked.release.release, self.key());
                self.step(&asked.release, Stage::Waiting, |_| {})?;
                self.desired.waiting = Some(asked);
            }
        }
        Ok(())
    }

    fn ask(&mut self, asked: Asked) -> Result<(), Failure> {
        let record = self.step(&asked.release, Stage::Requested, |_| {})?;
        let target = record.environments[self.environment].target.clone();
        let Target { function, config } = target.expect("what was admitted was placed, with its target");
        let request = Requested {
            component: asked.release.reference(),
            environment: self.environment.to_owned(),
            release: asked.release.clone(),
            purpose: asked.purpose,
            function,
            config: Some(config.unwrap_or_default()),
        };
        self.said.push(say(types::DEPLOYMENT_REQUESTED, &request.function, &request.function, &request)?);
        self.desired.asked = Some(asked);
        Ok(())
    }

    /// A release goes no further here: that is recorded and said.
    pub fn refuse(&mut self, release: &Release, refused: Verdict) -> Result<(), Failure> {
        self.step(release, Stage::Refused, |progress| progress.refused = Some(refused.clone()))?;
        self.say_refused(release, refused)
    }

    /// Says a refusal that changes nothing about how far the release is.
    pub fn say_refused(&mut self, release: &Release, refused: Verdict) -> Result<(), Failure> {
        info!("{} is refused in {}: {}: {}", release.release, self.key(), refused.rule, refused.reason);
        let environment = self.environment.to_owned();
        let content = ReleaseRefused { environment, release: release.clone(), refused };
        self.said.push(say(types::RELEASE_REFUSED, &release.release, &self.key(), &content)?);
        Ok(())
    }
}
