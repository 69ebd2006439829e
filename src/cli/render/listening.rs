//! What `up` says when it takes requests.

use super::{Look, count, facts};
use crate::app::Listening;

pub fn listening(listening: &Listening, look: &Look) -> String {
    let functions = count(listening.functions as u64, "function");
    let addresses = [("webhooks", Some(listening.hooks.clone())), ("API", Some(listening.api.clone()))];
    format!(
        "{} is up: deployment {}, {functions}\n{}publish with `tidegate emit`, stop with Ctrl-C\n",
        look.strong(&listening.project),
        listening.deployment,
        facts(look, &addresses),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_running_project_says_where_it_listens() {
        let view = Listening {
            project: "shop".into(),
            hooks: "http://0.0.0.0:7118".into(),
            api: "http://127.0.0.1:7117".into(),
            deployment: 1,
            functions: 2,
        };
        expect![[r#"
            shop is up: deployment 1, 2 functions
              webhooks  http://0.0.0.0:7118
              API       http://127.0.0.1:7117
            publish with `tidegate emit`, stop with Ctrl-C
        "#]]
        .assert_eq(&listening(&view, &Look { colour: false, width: 80, now: Timestamp::EPOCH }));
    }
}
