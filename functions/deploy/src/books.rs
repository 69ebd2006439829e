//! What is read and written: the plan, the record of releases, which is deploy's own, and the quarantine, which it reads.

use std::collections::BTreeMap;

use delivery::record::{self, Desired, Record};
use delivery::{Plan, QUARANTINE, Quarantined, Release};
use tidegate_sdk::Failure;
use tidegate_sdk::kv::{self, Error, KeySpace};

pub struct Books {
    pub plan: Plan,
    releases: KeySpace,
    quarantine: KeySpace,
}

impl Books {
    pub fn open() -> Result<Self, Failure> {
        Ok(Books { plan: Plan::read()?, releases: kv::open(record::SPACE)?, quarantine: kv::open(QUARANTINE)? })
    }

    pub fn record(&self, release: &str) -> Result<Option<Record>, Error> {
        self.releases.get_json(&record::release_key(release))
    }

    /// The record of a release, which may be a new one.
    pub fn record_of(&self, release: &Release) -> Result<Record, Error> {
        let new = || Record { release: release.clone(), environments: BTreeMap::new() };
        Ok(self.record(&release.release)?.unwrap_or_else(new))
    }

    pub fn set_record(&self, record: &Record) -> Result<(), Error> {
        self.releases.set_json(&record::release_key(&record.release.release), record)
    }

    pub fn desired(&self, service: &str, environment: &str) -> Result<Desired, Error> {
        Ok(self.releases.get_json(&record::desired_key(service, environment))?.unwrap_or_default())
    }

    pub fn set_desired(&self, service: &str, environment: &str, desired: &Desired) -> Result<(), Error> {
        self.releases.set_json(&record::desired_key(service, environment), desired)
    }

    pub fn quarantined(&self, digest: &str) -> Result<Option<Quarantined>, Error> {
        self.quarantine.get_json(digest)
    }
}
