//! Keys: the quarantine and the incidents, which are rollback's own, and the record of releases, which it reads.

use delivery::record::{self, Desired, Succeeded};
use delivery::{Incident, QUARANTINE, Quarantined};
use serde::{Deserialize, Serialize};
use tidegate_sdk::kv::{self, Error, KeySpace};

pub struct Books {
    quarantine: KeySpace,
    rollbacks: KeySpace,
    releases: KeySpace,
}

/// The last incident of a service in an environment. It is over once it is confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub incident: Incident,
    /// Releases that were asked for in vain.
    pub refused: Vec<String>,
}

impl Books {
    pub fn open() -> Result<Self, tidegate_sdk::Failure> {
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

    /// The last incident of a place, `<service>/<environment>`.
    pub fn case(&self, place: &str) -> Result<Option<Case>, Error> {
        self.rollbacks.get_json(place)
    }

    pub fn set_case(&self, place: &str, case: &Case) -> Result<(), Error> {
        self.rollbacks.set_json(place, case)
    }

    pub fn desired(&self, service: &str, environment: &str) -> Result<Desired, Error> {
        Ok(self.releases.get_json(&record::desired_key(service, environment))?.unwrap_or_default())
    }

    /// The newest first.
    pub fn succeeded(&self, service: &str, environment: &str) -> Result<Vec<Succeeded>, Error> {
        Ok(self.releases.get_json(&record::succeeded_key(service, environment))?.unwrap_or_default())
    }
}
