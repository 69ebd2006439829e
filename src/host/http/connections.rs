//! Connections with their secrets, as a deployment names them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Url, redirect};

use super::address::{PublicOnly, check_public};
use super::mask::Mask;
use crate::deployment::{Connection, Deployment};

/// Time to reach a peer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused socket is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Every connection of a deployment, and the clients that dial them.
pub struct Connections {
    by_name: BTreeMap<String, LiveConnection>,
    /// Made for the first request: each reads all the authorities that the system trusts, and no start should wait for that.
    clients: OnceLock<Clients>,
}

/// What dials.
pub(super) struct Clients {
    /// Public addresses only.
    public: Client,
    /// Any address: for connections with `private = true`.
    private: Client,
}

/// A connection with its secrets: never shown, never stored.
pub struct LiveConnection {
    url: Url,
    pub(super) headers: HeaderMap,
    private: bool,
    pub(super) mask: Mask,
}

/// All that is wrong with a deployment's connections.
#[derive(Debug, thiserror::Error)]
pub struct ConnectionsError {
    pub problems: Vec<ConnectionProblem>,
}

impl fmt::Display for ConnectionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.problems.iter().map(ConnectionProblem::to_string).collect();
        f.write_str(&problems.join("; "))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionProblem {
    #[error("connection {connection}: the environment variable {variable} is not set")]
    Unset { connection: String, variable: String },
    #[error("connection {connection}: {reason}")]
    Invalid { connection: String, reason: String },
}

impl Connections {
    /// Resolves every secret by `env`. All that is missing is named at once.
    pub fn from_deployment(
        deployment: &Deployment,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnectionsError> {
        let mut by_name = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, connection) in &deployment.connections {
            match LiveConnection::new(name, connection, env) {
                Ok(live) => drop(by_name.insert(name.clone(), live)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(ConnectionsError { problems });
        }
        Ok(Connections { by_name, clients: OnceLock::new() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&LiveConnection> {
        self.by_name.get(name)
    }

    /// An error is ours, and whoever comes next tries again.
    pub(super) fn clients(&self) -> reqwest::Result<&Clients> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        let clients = Clients::new()?;
        Ok(self.clients.get_or_init(|| clients))
    }
}

impl Clients {
    fn new() -> reqwest::Result<Self> {
        // Whoever was first may have installed the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let public = builder().dns_resolver(Arc::new(PublicOnly)).build()?;
        Ok(Clients { public, private: builder().build()? })
    }

    /// The one that may dial a connection. An address in the URL itself is never resolved, so it is checked here.
    pub(super) fn of(&self, connection: &LiveConnection) -> Result<&Client, String> {
        if connection.private {
            return Ok(&self.private);
        }
        let address = connection.url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if let Some(address) = address {
            check_public(address).map_err(|error| error.to_string())?;
        }
        Ok(&self.public)
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
}

impl LiveConnection {
    fn new(
        name: &str,
        connection: &Connection,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<ConnectionProblem>> {
        let invalid = |reason: String| ConnectionProblem::Invalid { connection: name.to_owned(), reason };
        let mut problems = Vec::new();
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        let url = match parse_url(&connection.url) {
            Ok(url) => Some(url),
            Err(reason) => {
                problems.push(invalid(reason));
                None
            }
        };
        for (header, secret) in &connection.headers {
            for variable in secret.variables() {
                match env(variable) {
                    Some(value) => secrets.push(value),
                    None => {
                        let (connection, variable) = (name.to_owned(), variable.to_owned());
                        problems.push(ConnectionProblem::Unset { connection, variable });
                    }
                }
            }
            let Ok(value) = secret.resolve(env) else { continue };
            match (HeaderName::from_bytes(header.as_bytes()), HeaderValue::from_str(&value)) {
                (Ok(header), Ok(mut sent)) => {
                    sent.set_sensitive(true);
                    headers.insert(header, sent);
                }
                _ => problems.push(invalid(format!("header {header} has a name or a value that HTTP cannot carry"))),
            }
            if !secret.variables().is_empty() || is_credential(header) {
                // `Bearer TOKEN`: the token alone is as secret.
                secrets.extend(value.split_once(' ').map(|(_, rest)| rest.to_owned()));
                secrets.push(value);
            }
        }
        match url {
            Some(url) if problems.is_empty() => {
                Ok(LiveConnection { url, headers, private: connection.private, mask: Mask::new(secrets) })
            }
            _ => Err(problems),
        }
    }

    /// The address of a normalised path: under the base path, on the same host, whatever the path says.
    pub(super) fn url_of(&self, path: &str) -> Result<Url, String> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let base = self.url.path().trim_end_matches('/');
        let mut url = self.url.clone();
        url.set_path(&format!("{base}{path}"));
        url.set_query(query);
        let stays = url.path().strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
        if stays { Ok(url) } else { Err("the path leaves the connection's base path".to_owned()) }
    }
}

/// Headers whose literal value is a secret too.
fn is_credential(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"]
        .iter()
        .any(|part| header.contains(part))
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(format!("{text:?} is no http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its URL has a user or password in it; put them into headers".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or fragment; a connection has a base path only"));
    }
    Ok(url)
}
