//! Picks target and pool of a release from what kind of workload its service is: `gate.passed` becomes `placement.decided`, or
//! `release.refused` with the rule.
//!
//! | `profile` in the plan | target | pool |
//! | --- | --- | --- |
//! | `event-driven` | `tidegate`: a function on this runtime | `functions` |
//! | `long-running-stateless`, `long-running-stateful`, `microservice` | none yet | |
//!
//! Kinds are never mixed in one pool: what waits for events and what runs for ever want other machines.
//!
//! A release is refused, with what to do about it, by the first of these:
//! - `not-in-plan`: config `plan` has no such service, or does not take it to this environment.
//! - `unknown-profile`: the profile is none of the four.
//! - `no-target`: no target that this project has can run such a workload.
//!
//! Only the word of a function counts, and the log says so of any other. The subject is the release, the partition key
//! `<service>/<environment>`.

use delivery::record::place;
use delivery::{GateVerdict, Placed, Plan, ReleaseRefused, Route, Service, Target, Verdict, content, hear, say, types};
use tidegate_sdk::{Event, Failure};

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, Plan::read)
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<Plan>; 1] =
    [(types::GATE_PASSED, Some("function"), |event, plan| answer(event, content(event)?, plan))];

/// What kinds of workload there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    LongRunningStateless,
    LongRunningStateful,
    Microservice,
    EventDriven,
}

/// Where a workload can go, and why there.
struct Place {
    target: &'static str,
    pool: &'static str,
    reason: &'static str,
}

fn answer(event: &Event, passed: GateVerdict, plan: &Plan) -> Result<Vec<Event>, Failure> {
    let GateVerdict { environment, release, .. } = passed;
    let (name, key) = (release.release.clone(), place(&release.service, &environment));
    let said = match decide(plan, &release.service, &environment) {
        Ok((service, target, place)) => {
            let placed = Placed {
                environment,
                release,
                target: place.target.to_owned(),
                pool: place.pool.to_owned(),
                function: target.function.clone(),
                profile: service.profile.clone(),
                reason: place.reason.to_owned(),
                gate: event.id.clone(),
            };
            say(types::PLACEMENT_DECIDED, &name, &key, &placed)?
        }
        Err(refused) => say(types::RELEASE_REFUSED, &name, &key, &ReleaseRefused { environment, release, refused })?,
    };
    Ok(vec![said])
}

fn decide<'a>(plan: &'a Plan, service: &str, environment: &str) -> Result<(&'a Service, &'a Target, Place), Verdict> {
    let planned = plan.service.get(service);
    let Some((planned, target)) = planned.and_then(|planned| Some((planned, planned.targets.get(environment)?))) else {
        return Err(refused(
            "not-in-plan",
            format!("the plan does not take {service} to {environment}"),
            format!(
                "write [service.{service}.in.{environment}] into the plan, or take the environment out of its gate"
            ),
        ));
    };
    let Some(profile) = Profile::parse(&planned.profile) else {
        return Err(refused(
            "unknown-profile",
            format!("{service} has the profile {:?}", planned.profile),
            "write long-running-stateless, long-running-stateful, microservice or event-driven into the plan"
                .to_owned(),
        ));
    };
    let place = profile.place().ok_or_else(|| {
        refused(
            "no-target",
            format!("{service} is {}, and no target of this project runs such workloads", planned.profile),
            "make it event-driven, so that it runs as a function here, or deploy it by other means".to_owned(),
        )
    })?;
    Ok((planned, target, place))
}

impl Profile {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "long-running-stateless" => Some(Profile::LongRunningStateless),
            "long-running-stateful" => Some(Profile::LongRunningStateful),
            "microservice" => Some(Profile::Microservice),
            "event-driven" => Some(Profile::EventDriven),
            _ => None,
        }
    }

    fn place(self) -> Option<Place> {
        match self {
            Profile::EventDriven => Some(Place {
                target: "tidegate",
                pool: "functions",
                reason: "an event-driven workload runs as a function: it takes a place only while an event is there",
            }),
            Profile::LongRunningStateless | Profile::LongRunningStateful | Profile::Microservice => None,
        }
    }
}

fn refused(rule: &str, reason: String, clear: String) -> Verdict {
    Verdict { rule: rule.to_owned(), reason, clear }
}

#[cfg(test)]
mod tests {
    use delivery::Release;
    use serde_json::json;
    use tidegate_sdk::Origin;
    use tidegate_sdk::testing::Host;

    use super::*;

    fn plan(profile: &str) -> String {
        format!(
            "environments = [\"staging\", \"production\"]\n[service.shop]\nrepository = \"acme/shop\"\n\
             artifact = \"registry.example.com/acme/shop\"\nprofile = \"{profile}\"\n\
             [service.shop.in.staging]\nfunction = \"shop-staging\"\n"
        )
    }

    fn passed(service: &str, environment: &str, origin: &str) -> Event {
        let digest = delivery::sha256(b"image");
        let release = Release::new(service, "registry.example.com/acme/shop", &digest, "sha256:c", None, None);
        let mut content = serde_json::to_value(&release).unwrap();
        let more = json!({ "environment": environment, "evidence": {}, "policy": "sha256:p" });
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let origin = Some(Origin { kind: origin.to_owned(), name: "gate".to_owned(), verified: true });
        Event { id: "e-1".to_owned(), origin, ..say(types::GATE_PASSED, &release.release, &digest, &content).unwrap() }
    }

    /// The target, or the rule by which it is refused.
    #[track_caller]
    fn check(profile: &str, service: &str, environment: &str, expected: &str) {
        let _host = Host::new().config("plan", &plan(profile));
        let said = handle(passed(service, environment, "function")).unwrap();
        let [event] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(event.text("partitionkey"), Some(format!("{service}/{environment}").as_str()));
        let word = match event.ty.as_str() {
            types::PLACEMENT_DECIDED => {
                let placed: Placed = content(event).unwrap();
                assert_eq!(
                    (placed.function.as_str(), placed.gate.as_str(), placed.profile.as_str()),
                    ("shop-staging", "e-1", profile)
                );
                format!("{} {}", placed.target, placed.pool)
            }
            _ => {
                let refused: ReleaseRefused = content(event).unwrap();
                assert!(!refused.refused.clear.is_empty() && refused.environment == environment);
                refused.refused.rule
            }
        };
        assert_eq!(word, expected, "{profile}");
    }

    #[test]
    fn a_workload_goes_where_its_kind_runs() {
        check("event-driven", "shop", "staging", "tidegate functions");
        check("long-running-stateless", "shop", "staging", "no-target");
        check("long-running-stateful", "shop", "staging", "no-target");
        check("microservice", "shop", "staging", "no-target");
        check("cronjob", "shop", "staging", "unknown-profile");
    }

    #[test]
    fn what_the_plan_does_not_have_goes_nowhere() {
        check("event-driven", "shop", "production", "not-in-plan");
        check("event-driven", "other", "staging", "not-in-plan");
    }

    #[test]
    fn only_a_function_s_word_counts() {
        let _host = Host::new().config("plan", &plan("event-driven"));
        for kind in ["api", "trigger", "runtime"] {
            assert!(handle(passed("shop", "staging", kind)).unwrap().is_empty());
        }
    }
}
