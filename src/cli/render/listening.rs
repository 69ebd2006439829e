//! What `up` says when it takes requests.

use serde::Serialize;

use super::{Look, count, facts};
use crate::cli::client::URL_DEFAULT;

/// Where a running project listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    pub project: String,
    /// `http://ADDRESS:PORT` of webhooks.
    pub hooks: String,
    /// `http://ADDRESS:PORT` of the API.
    pub api: String,
    /// How many functions the project file has.
    pub functions: u64,
}

pub fn listening(listening: &Listening, look: &Look) -> String {
    let addresses = [("webhooks", Some(listening.hooks.clone())), ("API", Some(listening.api.clone()))];
    // Commands in another terminal ask there unless they are told.
    let elsewhere = listening.api != URL_DEFAULT;
    let export = if elsewhere { format!("export TIDEGATE_URL={}\n", listening.api) } else { String::new() };
    format!(
        "{} is up with {}\n{}{export}publish with `tidegate emit`, stop with Ctrl-C\n",
        look.strong(&listening.project),
        count(listening.functions, "function"),
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
            functions: 2,
        };
        expect![[r#"
            shop is up with 2 functions
              webhooks  http://0.0.0.0:7118
              API       http://127.0.0.1:7117
            publish with `tidegate emit`, stop with Ctrl-C
        "#]]
        .assert_eq(&listening(&view, &Look { colour: false, width: 80, now: Timestamp::EPOCH }));
    }

    #[test]
    fn a_project_elsewhere_says_how_commands_find_it() {
        let api = "http://127.0.0.1:23543".to_owned();
        let view = Listening { project: "shop".into(), hooks: "http://0.0.0.0:7118".into(), api, functions: 1 };
        let text = listening(&view, &Look { colour: false, width: 80, now: Timestamp::EPOCH });
        assert!(text.contains("\nexport TIDEGATE_URL=http://127.0.0.1:23543\n"), "{text}");
    }
}
