//! From a manifest to a deployment: ids that outlive names, and digests.

use super::*;
use crate::deployment::{Deployment, FunctionId, PlanError, plan};

#[test]
fn the_manifest_s_digest_is_of_the_file_and_what_it_names() {
    let digest = |text: &str| sound(text).digest;
    assert_eq!(digest(FUNCTION), digest(FUNCTION));
    assert_ne!(digest(FUNCTION), digest(&format!("{FUNCTION}concurrency = 3")));
    assert_ne!(digest(STOREFRONT), digest(&STOREFRONT.replace("storefront", "shop")));
}

/// Names that were ever deployed, each with the id that it has.
fn deployed(names: &[(&str, u128)]) -> BTreeMap<FunctionName, FunctionId> {
    let id = |number| FunctionId::from_uuid(uuid::Uuid::from_u128(number));
    names.iter().map(|(name, number)| (name.parse().unwrap(), id(*number))).collect()
}

#[test]
fn a_function_keeps_its_id_when_it_is_renamed() {
    let check = |known: &[(&str, u128)], more: &str, expected: Option<u128>| {
        let planned = plan(&deployed(known), &sound(&format!("{FUNCTION}{more}"))).unwrap();
        let id = planned.functions[0].id.uuid().as_u128();
        match expected {
            Some(expected) => assert_eq!(id, expected, "{known:?} {more}"),
            None => assert!(known.iter().all(|(_, taken)| *taken != id), "{known:?} {more}"),
        }
    };
    check(&[], "", None);
    check(&[("other", 1)], "", None);
    check(&[("gate", 1)], "", Some(1));
    check(&[("old", 1)], "was = \"old\"", Some(1));
    // A `was` that stays in the file after the rename means nothing.
    check(&[("old", 1), ("gate", 1)], "was = \"old\"", Some(1));
    check(&[("old", 1), ("gate", 2)], "was = \"old\"", Some(2));
}

#[test]
fn a_plan_refuses_a_past_that_is_not_or_that_two_share() {
    let problem = |known: &[(&str, u128)], text: &str| plan(&deployed(known), &sound(text)).unwrap_err();
    let name = |text: &str| -> FunctionName { text.parse().unwrap() };
    assert_eq!(
        problem(&[], &format!("{FUNCTION}was = \"old\"")),
        PlanError::UnknownFormerName { name: name("gate"), was: name("old") }
    );
    let second = FUNCTION.trim_start_matches("name = \"shop\"\n").replace("name = \"gate\"", "name = \"old\"");
    assert_eq!(
        problem(&[("old", 1), ("gate", 1)], &format!("{FUNCTION}{second}")),
        PlanError::SharedPast { name: name("old"), other: name("gate") }
    );
}

#[test]
fn deployments_with_the_same_digest_do_the_same() {
    let known = deployed(&[("gate", 1)]);
    let planned = |text: &str| plan(&known, &sound(text)).unwrap();
    let first = planned(FUNCTION);
    assert_eq!(first.digest, planned(&format!("# a comment changes nothing\n{FUNCTION}")).digest);
    for more in ["concurrency = 3", "config = { a = 1 }", "when = \"true\"", "retry = { attempts = 2 }"] {
        assert_ne!(first.digest, planned(&format!("{FUNCTION}{more}")).digest, "{more}");
    }
    let numbered = Deployment { number: 7, ..first.clone() };
    assert_eq!(numbered.compute_digest(), first.digest);
    let stored = serde_json::to_vec(&first).unwrap();
    assert_eq!(serde_json::from_slice::<Deployment>(&stored).unwrap().compute_digest(), first.digest);
}

#[test]
fn a_stored_deployment_lists_its_functions_and_finds_each_by_its_id() {
    let second = FUNCTION.trim_start_matches("name = \"shop\"\n").replace("name = \"gate\"", "name = \"old\"");
    let planned = plan(&deployed(&[("gate", 1), ("old", 2)]), &sound(&format!("{FUNCTION}{second}"))).unwrap();
    let stored = serde_json::to_value(&planned).unwrap();
    let listed: Vec<_> = stored["functions"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(listed, ["gate", "old"]);
    let read: Deployment = serde_json::from_value(stored).unwrap();
    assert_eq!(read, planned);
    let found = |number| read.function_by_id(FunctionId::from_uuid(uuid::Uuid::from_u128(number)));
    assert_eq!(found(1).unwrap().name.as_str(), "gate");
    assert_eq!(found(2).unwrap().name.as_str(), "old");
    assert_eq!(found(3), None);
}
