//! What is read and written: the quarantine, what succeeded and the incidents, which are rollback's own, and the record of
//! releases, which it reads.

use delivery::record::{self, Desired, Record, desired_key, release_key};
use delivery::{Incident, QUARANTINE, Quarantined};
use serde::{Deserialize, Serialize};
use tidegate_sdk::kv::{self, Error, KeySpace};
use tidegate_sdk::{Failure, config};

/// Succeeded releases that are kept where config `keep` says nothing.
const KEEP: usize = 10;

pub struct Books {
    quarantine: KeySpace,
    rollbacks: KeySpace,
    releases: KeySpace,
}

/// The last incident of a service in an environment. It is over once it is confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub incident: Incident,
    /// Releases whose deployment was refused meanwhile.
    pub refused: Vec<String>,
}

/// A release that did what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succeeded {
    pub release: String,
    pub deployment: u64,
}

/// A place is `<service>/<environment>`.
impl Books {
    pub fn open() -> Result<Self, Failure> {
        let (quarantine, rollbacks) = (kv::open(QUARANTINE)?, kv::open("rollbacks")?);
        Ok(Books { quarantine, rollbacks, releases: kv::open(record::SPACE)? })
    }

    pub fn is_quarantined(&self, digest: &str) -> Result<bool, Error> {
        self.quarantine.exists(digest)
    }

    pub fn quarantine(&self, entry: &Quarantined) -> Result<(), Error> {
        self.quarantine.set_json(&entry.digest, entry)
    }

    pub fn lift(&self, digest: &str) -> Result<(), Error> {
        self.quarantine.delete(digest)
    }

    pub fn case(&self, place: &str) -> Result<Option<Case>, Error> {
        self.rollbacks.get_json(&format!("incident/{place}"))
    }

    pub fn set_case(&self, place: &str, case: &Case) -> Result<(), Error> {
        self.rollbacks.set_json(&format!("incident/{place}"), case)
    }

    /// The newest deployment first.
    pub fn succeeded(&self, place: &str) -> Result<Vec<Succeeded>, Error> {
        Ok(self.rollbacks.get_json(&format!("succeeded/{place}"))?.unwrap_or_default())
    }

    /// Keeps the newest ones.
    pub fn set_succeeded(&self, place: &str, mut succeeded: Vec<Succeeded>) -> Result<(), Failure> {
        succeeded.sort_by_key(|known| std::cmp::Reverse(known.deployment));
        succeeded.truncate(config::find("keep")?.unwrap_or(KEEP));
        Ok(self.rollbacks.set_json(&format!("succeeded/{place}"), &succeeded)?)
    }

    pub fn record(&self, release: &str) -> Result<Option<Record>, Error> {
        self.releases.get_json(&release_key(release))
    }

    pub fn desired(&self, service: &str, environment: &str) -> Result<Desired, Error> {
        Ok(self.releases.get_json(&desired_key(service, environment))?.unwrap_or_default())
    }
}
