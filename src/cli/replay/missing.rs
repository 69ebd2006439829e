//! Answers that a recording does not have: asked for at the terminal, or fetched where that was allowed.

use std::io::{BufRead, Write};
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::api::effects::of_effect;
use crate::api::model::{KeyView, KeysView};
use crate::cli::CliError;
use crate::cli::client::Client;
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
    /// It is fetched, if it is of this grant: requests go out with the secrets of this process's environment, keys and statistics
    /// are as the running project has them now.
    Live(Grant),
}

/// What may be fetched: of a kind of grant, all or the one that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    kind: Kind,
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a connection.
    Http,
    /// Of a key space.
    KeyValue,
    /// Of a function.
    Statistics,
}

impl Grant {
    fn covers(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && self.name.as_ref().is_none_or(|own| own == name)
    }
}

impl FromStr for Grant {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, name) = text.split_once('.').map_or((text, None), |(kind, name)| (kind, Some(name)));
        let kind = match kind {
            "http" => Kind::Http,
            "keyvalue" => Kind::KeyValue,
            "statistics" => Kind::Statistics,
            _ => return Err(()),
        };
        if name == Some("") { Err(()) } else { Ok(Grant { kind, name: name.map(str::to_owned) }) }
    }
}

impl FromStr for MissingPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(MissingPolicy::Fail),
            "ask" => Ok(MissingPolicy::Ask),
            _ => match text.strip_prefix("live:").map(str::parse) {
                Some(Ok(grant)) => Ok(MissingPolicy::Live(grant)),
                Some(Err(())) | None => Err(format!(
                    "{text:?} is none of fail, ask and live:GRANT; a grant is http, keyvalue or statistics, perhaps with a \
                     name, like http.github"
                )),
            },
        }
    }
}

impl MissingPolicy {
    /// What answers for a replay under a deployment; none: nobody. `client`: of the project, if there is one.
    pub fn answerer(
        &self,
        deployment: &Arc<Deployment>,
        client: Option<&Arc<Client>>,
    ) -> Result<Option<Arc<dyn Missing>>, CliError> {
        match (self, client) {
            (MissingPolicy::Fail, _) => Ok(None),
            (MissingPolicy::Ask, _) => Ok(Some(Arc::new(Asked))),
            (MissingPolicy::Live(grant), Some(client)) => {
                let env = |name: &str| std::env::var(name).ok();
                let connect = || Connections::from_deployment(deployment, &env);
                let connections = (grant.kind == Kind::Http).then(connect).transpose();
                let connections = connections
                    .map_err(|source| CliError::Failed { what: "cannot connect".to_owned(), source: source.into() })?;
                Ok(Some(Arc::new(Outside { connections, client: client.clone(), grant: grant.clone() })))
            }
            // Its addresses and the names of its secrets are whatever its sender wrote.
            (MissingPolicy::Live(_), None) => {
                let reason = "nothing is fetched for a bundle; its connections are not yours".to_owned();
                Err(CliError::Usage(reason))
            }
        }
    }
}

/// Fetches what is of a grant. That the function has the grant was checked before anybody was asked.
struct Outside {
    /// Where requests may go out.
    connections: Option<Connections>,
    client: Arc<Client>,
    grant: Grant,
}

#[async_trait]
impl Missing for Outside {
    async fn answer(&self, unanswered: &Unanswered) -> Option<Answer> {
        let fetched = match &unanswered.asked {
            Effect::Http(request) if self.grant.covers(Kind::Http, &request.connection) => {
                Ok(self.connections.as_ref()?.fetch(request).await)
            }
            Effect::KeyGet { space, key } if self.grant.covers(Kind::KeyValue, space) => {
                let found = self.client.get::<KeyView>(&["keys", space, key], &[]).await;
                found.map(|found| Answer::Value(found.value))
            }
            Effect::KeyList { space, after } if self.grant.covers(Kind::KeyValue, space) => {
                let query: Vec<_> = after.iter().map(|after| ("after", after.clone())).collect();
                let found = self.client.get::<KeysView>(&["keys", space], &query).await;
                found.map(|found| Answer::Keys { keys: found.keys, next: found.next })
            }
            Effect::Statistics { function, component, from, to } if self.grant.covers(Kind::Statistics, function) => {
                let mut query = vec![("function", function.clone()), ("component", component.to_string())];
                query.push(("from", from.to_string()));
                query.extend(to.map(|to| ("to", to.to_string())));
                self.client.get(&["statistics"], &query).await.map(Answer::Statistics)
            }
            _ => return None,
        };
        // Whoever allowed it is told why it could not be had; the run ends where it would have been used.
        fetched.map_err(|error| eprintln!("warning: {error}")).ok()
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
        let asked = unanswered.asked.clone();
        tokio::task::spawn_blocking(move || ask(&question, &asked)).await.expect("reading a line does not panic")
    }
}

fn ask(question: &str, asked: &Effect) -> Option<Answer> {
    loop {
        let mut line = String::new();
        let mut stderr = std::io::stderr();
        stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).ok()?;
        std::io::stdin().lock().read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            return None;
        }
        match serde_json::from_str(&line) {
            Ok(answer) if fits(asked, &answer) => return Some(answer),
            Ok(_) => eprintln!("that is no answer to {}", asked.name()),
            Err(error) => eprintln!("that is no answer: {error}"),
        }
    }
}

/// Whether an answer is of the kind that an effect has.
fn fits(asked: &Effect, answer: &Answer) -> bool {
    match asked {
        Effect::KeyGet { .. } => matches!(answer, Answer::Value(_)),
        Effect::KeyList { .. } => matches!(answer, Answer::Keys { .. }),
        Effect::Http(_) => matches!(answer, Answer::Http(_) | Answer::Failed(_)),
        Effect::Statistics { .. } => matches!(answer, Answer::Statistics(_) | Answer::Failed(_)),
        _ => false,
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
        let live =
            |kind: Kind, name: Option<&str>| Some(MissingPolicy::Live(Grant { kind, name: name.map(str::to_owned) }));
        check("fail", Some(MissingPolicy::Fail));
        check("ask", Some(MissingPolicy::Ask));
        check("live:http", live(Kind::Http, None));
        check("live:http.github", live(Kind::Http, Some("github")));
        check("live:keyvalue.orders", live(Kind::KeyValue, Some("orders")));
        check("live:statistics", live(Kind::Statistics, None));
        for wrong in ["", "live", "live:", "live:http.", "live:blob", "never"] {
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
