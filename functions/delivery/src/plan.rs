//! The plan of a project's deliveries, a file that the functions of the path share as config `plan`:
//!
//! ```toml
//! environments = ["staging", "production"]     # in this order
//!
//! [service.shop]
//! repository = "acme/shop"                     # on the git host
//! artifact = "registry.example.com/acme/shop"  # an OCI repository
//! profile = "event-driven"                     # what kind of workload it is
//! scans = ["image"]                            # asked for when an artifact arrives
//!
//! [service.shop.in.staging]
//! function = "shop-staging"                    # of tidegate.toml
//!
//! [service.shop.in.production]
//! function = "shop-production"
//! config = { greeting = "hello" }              # the function's configuration from then on
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_sdk::{Failure, config};

use crate::{Kind, sha256};

/// Config `plan`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub environments: Vec<String>,
    pub service: BTreeMap<String, Service>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    pub repository: String,
    pub artifact: String,
    pub profile: String,
    #[serde(default)]
    pub scans: Vec<Kind>,
    /// By environment.
    #[serde(rename = "in")]
    pub targets: BTreeMap<String, Target>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("service {service} goes to {environment}, which is no environment of the plan; add it to `environments`")]
    UnknownEnvironment { service: String, environment: String },
    #[error("services {one} and {other} have the same {what} {value:?}; one thing belongs to one service")]
    Shared { one: String, other: String, what: &'static str, value: String },
}

impl Plan {
    /// Reads and checks config `plan`.
    pub fn read() -> Result<Self, Failure> {
        let plan: Plan = config::get("plan")?;
        plan.check().map_err(|error| Failure::reject(format!("config plan: {error}")))?;
        Ok(plan)
    }

    /// Whether it says one thing only.
    pub fn check(&self) -> Result<(), PlanError> {
        let mut seen = BTreeMap::new();
        for (name, service) in &self.service {
            let functions = service.targets.values().map(|target| ("function", &target.function));
            for (what, value) in functions.chain([("artifact", &service.artifact)]) {
                if let Some(other) = seen.insert((what, value), name) {
                    let (one, other) = (other.clone(), name.clone());
                    return Err(PlanError::Shared { one, other, what, value: value.clone() });
                }
            }
            let unknown = service.targets.keys().find(|environment| !self.environments.contains(environment));
            if let Some(environment) = unknown {
                let (service, environment) = (name.clone(), environment.clone());
                return Err(PlanError::UnknownEnvironment { service, environment });
            }
        }
        Ok(())
    }

    /// The service whose artifacts lie in an OCI repository.
    pub fn service_of_artifact(&self, artifact: &str) -> Option<(&str, &Service)> {
        let found = self.service.iter().find(|(_, service)| service.artifact == artifact);
        found.map(|(name, service)| (name.as_str(), service))
    }

    /// The environment that a service passes before one: the last of those before it that the service goes to.
    pub fn before(&self, service: &Service, environment: &str) -> Option<&str> {
        let before = self.environments.iter().take_while(|known| *known != environment);
        before.filter(|known| service.targets.contains_key(*known)).last().map(String::as_str)
    }
}

impl Service {
    /// Digest of all that the plan says of it: part of what a release is.
    pub fn configuration(&self) -> String {
        let text = serde_json::to_vec(self).expect("a service has text keys");
        sha256(&text)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_sdk::testing::Host;

    use super::*;

    const PLAN: &str = r#"
        environments = ["staging", "production"]
        [service.shop]
        repository = "acme/shop"
        artifact = "registry.example.com/acme/shop"
        profile = "event-driven"
        scans = ["image"]
        [service.shop.in.staging]
        function = "shop-staging"
        [service.shop.in.production]
        function = "shop-production"
        config = { greeting = "hello" }
    "#;

    #[test]
    fn a_plan_is_read_and_knows_what_comes_before() {
        let _host = Host::new().config("plan", PLAN);
        let plan = Plan::read().unwrap();
        let (name, service) = plan.service_of_artifact("registry.example.com/acme/shop").unwrap();
        assert_eq!((name, service.targets["staging"].function.as_str()), ("shop", "shop-staging"));
        assert_eq!((plan.before(service, "production"), plan.before(service, "staging")), (Some("staging"), None));
        let mut alone = service.clone();
        alone.targets.remove("staging");
        assert_eq!(plan.before(&alone, "production"), None);
        let other = Service { profile: "microservice".to_owned(), ..service.clone() };
        assert_ne!(service.configuration(), other.configuration());
    }

    #[track_caller]
    fn check(plan: &str, problem: &str) {
        let _host = Host::new().config("plan", plan);
        let failure = format!("{:?}", Plan::read().unwrap_err());
        assert!(failure.contains(problem), "{failure}");
    }

    #[test]
    fn a_plan_that_contradicts_itself_says_how() {
        check(&PLAN.replace("in.staging", "in.moon"), "goes to moon, which is no environment");
        check(&PLAN.replace("shop-production", "shop-staging"), "same function");
        check(&PLAN.replace("profile", "profil"), "profil");
    }
}
