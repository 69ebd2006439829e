//! What is read and written: the policy, what drift knows of functions, and the records of `deploy` and `rollback`.

use std::collections::BTreeMap;

use delivery::record::{self, Desired};
use delivery::{Activated, DriftAction, QUARANTINE, Requested};
use serde::{Deserialize, Serialize};
use tidegate_sdk::kv::{self, Error, KeySpace};
use tidegate_sdk::{Failure, config};

const LATEST: &str = "latest";
const FUNCTION: &str = "function/";

pub struct Books {
    pub policy: Policy,
    drift: KeySpace,
    releases: KeySpace,
    quarantine: KeySpace,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub action: DriftAction,
}

/// What runs, by the highest deployment's number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latest {
    pub deployment: u64,
    /// What made it so, and who.
    pub cause: String,
    /// Digests of components by function.
    pub runs: BTreeMap<String, String>,
}

/// What should run as a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub request: Requested,
    /// Digest of the bytes that ran when the request was answered.
    pub component: String,
    pub deployment: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<Divergence>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// None: the function is not deployed.
    pub runs: Option<String>,
    /// A heal was asked for, and not refused yet.
    pub is_healing: bool,
}

impl From<&Activated> for Latest {
    fn from(activated: &Activated) -> Self {
        let cause = Some(activated.cause.as_str()).filter(|cause| !cause.is_empty()).unwrap_or("unknown");
        let cause = [cause].into_iter().chain(activated.by.as_deref()).collect::<Vec<_>>().join(" ");
        let runs = activated.functions.iter().map(|running| (running.name.clone(), running.component.clone()));
        Latest { deployment: activated.number, cause, runs: runs.collect() }
    }
}

impl Books {
    pub fn open() -> Result<Self, Failure> {
        let policy = config::get("policy")?;
        let (drift, releases, quarantine) = (kv::open("drift")?, kv::open(record::SPACE)?, kv::open(QUARANTINE)?);
        Ok(Books { policy, drift, releases, quarantine })
    }

    pub fn latest(&self) -> Result<Latest, Error> {
        Ok(self.drift.get_json(LATEST)?.unwrap_or_default())
    }

    pub fn set_latest(&self, latest: &Latest) -> Result<(), Error> {
        self.drift.set_json(LATEST, latest)
    }

    /// Every function that is watched.
    pub fn watched(&self) -> Result<Vec<String>, Error> {
        let keys = self.drift.keys()?.into_iter();
        Ok(keys.filter_map(|key| key.strip_prefix(FUNCTION).map(str::to_owned)).collect())
    }

    pub fn watch(&self, function: &str) -> Result<Option<Watch>, Error> {
        self.drift.get_json(&format!("{FUNCTION}{function}"))
    }

    pub fn set_watch(&self, watch: &Watch) -> Result<(), Error> {
        self.drift.set_json(&format!("{FUNCTION}{}", watch.request.function), watch)
    }

    pub fn desired(&self, service: &str, environment: &str) -> Result<Desired, Error> {
        Ok(self.releases.get_json(&record::desired_key(service, environment))?.unwrap_or_default())
    }

    pub fn is_quarantined(&self, digest: &str) -> Result<bool, Error> {
        self.quarantine.exists(digest)
    }
}
