//! Answers that a recording does not have: asked for at the terminal, or fetched where that was allowed.

use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::api::effects::of_effect;
use crate::cli::CliError;
use crate::cli::render::clean;
use crate::deployment::Deployment;
use crate::host::{Answer, Connections, Effect, Missing, Unanswered};

/// What becomes of an effect that the recording cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingPolicy {
    /// The run ends, and says where.
    Fail,
    /// The answer is read from standard input.
    Ask,
    /// Requests to a connection go out, with the secrets of this process's environment; none: to any that was granted.
    Live { connection: Option<String> },
}

impl FromStr for MissingPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(MissingPolicy::Fail),
            "ask" => Ok(MissingPolicy::Ask),
            "live:http" => Ok(MissingPolicy::Live { connection: None }),
            _ => match text.strip_prefix("live:http.") {
                Some(connection) if !connection.is_empty() => {
                    Ok(MissingPolicy::Live { connection: Some(connection.to_owned()) })
                }
                _ => Err(format!(
                    "{text:?} is none of fail, ask, live:http and live:http.CONNECTION; of what else a function asks, only \
                     its recording knows the answer"
                )),
            },
        }
    }
}

impl MissingPolicy {
    /// What answers for a replay under a deployment; none: nobody.
    pub fn answerer(&self, deployment: &Arc<Deployment>) -> Result<Option<Arc<dyn Missing>>, CliError> {
        match self {
            MissingPolicy::Fail => Ok(None),
            MissingPolicy::Ask => Ok(Some(Arc::new(Asked))),
            MissingPolicy::Live { connection } => {
                let env = |name: &str| std::env::var(name).ok();
                let connections = Connections::from_deployment(deployment, &env)
                    .map_err(|source| CliError::Failed { what: "cannot connect".to_owned(), source: source.into() })?;
                let only = connection.clone();
                Ok(Some(Arc::new(Outside { connections, only })))
            }
        }
    }
}

/// Sends requests out, as the deployment's connections say.
struct Outside {
    connections: Connections,
    /// None: every connection.
    only: Option<String>,
}

#[async_trait]
impl Missing for Outside {
    async fn answer(&self, unanswered: &Unanswered) -> Option<Answer> {
        let Effect::Http(request) = &unanswered.asked else { return None };
        if self.only.as_ref().is_some_and(|only| *only != request.connection) {
            return None;
        }
        // That the function was granted the connection was checked before anybody was asked.
        Some(self.connections.fetch(request).await)
    }
}

/// Asks whoever sits at the terminal.
struct Asked;

const HOW: &str = "answer as JSON, like {\"value\": null} or {\"http\": {\"status\": 200, \"headers\": [], \"body\": \"\"}}; \
                   an empty line ends the run";

#[async_trait]
impl Missing for Asked {
    async fn answer(&self, unanswered: &Unanswered) -> Option<Answer> {
        let (name, arguments) = of_effect(&unanswered.asked);
        let question = format!("not recorded: {name}  {}\n{HOW}\n> ", clean(&arguments.to_string()));
        // Whoever answers takes their time, and the guest's thread is not for waiting.
        tokio::task::spawn_blocking(move || ask(&question)).await.expect("reading a line does not panic")
    }
}

fn ask(question: &str) -> Option<Answer> {
    loop {
        let mut line = String::new();
        let mut stderr = std::io::stderr();
        stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).ok()?;
        std::io::stdin().lock().read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return None;
        }
        match serde_json::from_str(&line) {
            Ok(answer) => return Some(answer),
            Err(error) => eprintln!("that is no answer: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HttpResponse;

    #[test]
    fn what_to_do_with_what_is_missing_is_one_of_few() {
        let check = |text: &str, expected: Option<MissingPolicy>| {
            assert_eq!(text.parse::<MissingPolicy>().ok(), expected, "{text}");
        };
        let live = |connection: Option<&str>| MissingPolicy::Live { connection: connection.map(str::to_owned) };
        check("fail", Some(MissingPolicy::Fail));
        check("ask", Some(MissingPolicy::Ask));
        check("live:http", Some(live(None)));
        check("live:http.github", Some(live(Some("github"))));
        for wrong in ["", "live", "live:", "live:http.", "live:keyvalue", "never"] {
            check(wrong, None);
        }
    }

    #[test]
    fn an_answer_is_read_from_json() {
        let check = |text: &str, expected: Answer| {
            assert_eq!(serde_json::from_str::<Answer>(text).unwrap(), expected, "{text}");
        };
        check("{\"value\": \"41\"}", Answer::Value(Some(b"41".to_vec())));
        check("{\"value\": null}", Answer::Value(None));
        let response = HttpResponse { status: 200, headers: Vec::new(), body: b"ok".to_vec() };
        check("{\"http\": {\"status\": 200, \"headers\": [], \"body\": \"ok\"}}", Answer::Http(response));
    }
}
