//! Deployments: in a table, and whole.

use super::time::{ago, when};
use super::{Align, Colour, Look, Table, clean, facts, painted, plain, problem, short_digest};
use crate::api::model::{DeployedView, DeploymentView};

/// As many functions are named in a line.
const CHANGED_MAX: usize = 4;

/// One line for each deployment, or that there is none.
pub fn deployments(deployments: &[DeploymentView], look: &Look) -> String {
    if deployments.is_empty() {
        return "no deployments\n".to_owned();
    }
    let left = Align::Left;
    let mut table = Table::new([
        ("NUMBER", Align::Right),
        ("STATE", left),
        ("SINCE", left),
        ("CAUSE", left),
        ("CHANGED", left),
        ("DIGEST", left),
    ]);
    for view in deployments {
        table.row([
            plain(view.number),
            if view.active { painted(Colour::Good, "active") } else { plain("-") },
            plain(ago(view.at, look.now)),
            plain(&view.cause),
            plain(changed(view)),
            plain(short_digest(&view.digest)),
        ]);
    }
    table.render(look)
}

/// What is other than before, in a few words.
fn changed(view: &DeploymentView) -> String {
    match view.changed.len() {
        0 => "no function".to_owned(),
        many if many > CHANGED_MAX => format!("{many} functions"),
        _ => view.changed.join(", "),
    }
}

/// One deployment with its functions and triggers.
pub fn deployment(view: &DeploymentView, look: &Look) -> String {
    let state = if view.active { look.good("active") } else { look.faint("not active") };
    let mut text = format!("{}  {state}\n", look.strong(&format!("deployment {}", view.number)));
    text += &facts(
        look,
        &[
            ("activated", Some(when(view.at, look))),
            ("cause", Some(view.cause.to_string())),
            ("record", Some(format!("#{}", view.position))),
            ("digest", Some(view.digest.to_string())),
        ],
    );
    text += "functions\n";
    let component = |view: &crate::api::model::ComponentView| format!("{} {}", view.reference, view.digest);
    let functions: Vec<(&str, Option<String>)> =
        view.functions.iter().map(|(name, view)| (name.as_str(), Some(component(view)))).collect();
    text += &facts(look, &functions);
    text += "triggers\n";
    text + &view.triggers.iter().map(|trigger| format!("  {}\n", clean(trigger))).collect::<String>()
}

/// What a deployment or a rollback came to.
pub fn deployed(view: &DeployedView, look: &Look) -> String {
    let warnings = problem::lines(&view.problems, look);
    let state = if view.changed {
        look.good(&format!("deployment {} is active", view.number))
    } else {
        format!("deployment {} is active already; nothing changed", view.number)
    };
    format!("{warnings}{state}\n")
}

/// What going back to a deployment came to.
pub fn rolled_back(view: &DeployedView, to: u64, look: &Look) -> String {
    if !view.changed {
        return deployed(view, look);
    }
    let state = look.good(&format!("deployment {} is active", view.number));
    format!("{}{state}: what deployment {to} was\n", problem::lines(&view.problems, look))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: usize::MAX, now: Timestamp::EPOCH };

    fn view() -> DeploymentView {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let json = json!({
            "number": 2, "active": true, "at": "1970-01-01T00:00:00Z", "position": 9, "digest": digest,
            "cause": {"kind": "operator", "name": "ops"},
            "functions": {"gate": {"reference": "builtin:gate", "digest": digest}},
            "verified": false, "changed": ["gate"],
            "triggers": ["webhook /hooks/github"],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn deployments_are_listed_with_their_cause() {
        let changed = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let before = DeploymentView { number: 1, active: false, changed, ..view() };
        expect![[r#"
            NUMBER  STATE   SINCE  CAUSE                     CHANGED      DIGEST
                 1  -       now    operator ops, unverified  5 functions  sha256:abababababab
                 2  active  now    operator ops, unverified  gate         sha256:abababababab
        "#]]
        .assert_eq(&deployments(&[before, view()], &LOOK));
    }

    #[test]
    fn a_deployment_is_shown_with_its_functions_and_triggers() {
        expect![[r#"
            deployment 2  active
              activated  1970-01-01 00:00:00Z (now)
              cause      operator ops, unverified
              record     #9
              digest     sha256:abababababababababababababababababababababababababababababababab
            functions
              gate  builtin:gate sha256:abababababababababababababababababababababababababababababababab
            triggers
              webhook /hooks/github
        "#]]
        .assert_eq(&deployment(&view(), &LOOK));
    }

    #[test]
    fn deploying_says_whether_anything_changed() {
        let view = |changed| DeployedView { number: 3, changed, problems: Vec::new() };
        assert_eq!(deployed(&view(true), &LOOK), "deployment 3 is active\n");
        assert_eq!(deployed(&view(false), &LOOK), "deployment 3 is active already; nothing changed\n");
        assert_eq!(rolled_back(&view(true), 1, &LOOK), "deployment 3 is active: what deployment 1 was\n");
        assert_eq!(rolled_back(&view(false), 1, &LOOK), deployed(&view(false), &LOOK));
    }
}
