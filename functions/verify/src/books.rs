//! What is read and written: the policy, and how far the verification of each place is.

use delivery::policy::verify::Policy;
use serde::{Deserialize, Serialize};
use tidegate_sdk::Failure;
use tidegate_sdk::kv::{self, Error, KeySpace};

pub struct Books {
    pub policy: Policy,
    verifications: KeySpace,
}

/// The last deployment of a service in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub release: String,
    pub deployment: u64,
    /// Digest of its bytes.
    pub component: String,
    /// The end of the log when its verification began.
    pub began_at: u64,
    /// Looks that were taken.
    pub looks: u32,
    pub has_verdict: bool,
}

impl Books {
    pub fn open() -> Result<Self, Failure> {
        Ok(Books { policy: Policy::read()?, verifications: kv::open("verifications")? })
    }

    /// Of a place, `<service>/<environment>`.
    pub fn watch(&self, place: &str) -> Result<Option<Watch>, Error> {
        self.verifications.get_json(place)
    }

    pub fn set_watch(&self, place: &str, watch: &Watch) -> Result<(), Error> {
        self.verifications.set_json(place, watch)
    }
}
