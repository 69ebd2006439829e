//! What a project file says beside triggers and functions: environments, listeners, bus, limits, connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::read::{Item, Table};
use super::{BlobSettings, BusSettings, Listen, ProjectLimits, Scope, Token, name, units};
use crate::deployment::catalogue::type_pattern;
use crate::deployment::{Connection, ObjectStore, Registry, Secret, Unverified};

/// Less leaves no room for the log's own tables beside the events.
const DISK_BYTES_MIN: u64 = 16 << 20;
/// Of any size that the file gives.
pub(super) const SIZE_BYTES_MAX: u64 = 1024 << 40;
/// Bounds of how long anything is kept.
pub(super) const KEPT_MIN: Duration = Duration::from_secs(1);
pub(super) const KEPT_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

const HOOKS_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7118);
/// The region that S3 servers other than AWS take for granted.
const REGION_DEFAULT: &str = "us-east-1";
const API_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7117);

/// Headers of the connection itself, which HTTP sets (RFC 9110, 7.6.1).
const HEADERS_RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the name of a header that carries a secret has in it.
const HEADERS_SECRET: [&str; 9] =
    ["auth", "cookie", "token", "api-key", "apikey", "access-key", "secret", "password", "credential"];

/// Reads text once: the second time it is a problem.
pub(super) fn unique<'a>(seen: &mut BTreeSet<String>, item: &Item<'a>, value: String) -> Option<String> {
    if !seen.insert(value.clone()) {
        item.error(format!("{value:?} stands twice"));
        return None;
    }
    Some(value)
}

pub(super) fn environments(table: &mut Table<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let read = |item: Item<'_>| item.checked(name).and_then(|value| unique(&mut seen, &item, value));
    table.maybe("environments", |item| item.list(read)).unwrap_or_default()
}

pub(super) fn listen(table: &mut Table<'_>) -> Listen {
    let default = Listen { hooks: HOOKS_DEFAULT, api: API_DEFAULT, names: Vec::new(), tokens: Vec::new() };
    let read = |table: &mut Table<'_>| {
        let hooks = table.maybe("hooks", |item| item.checked(address)).unwrap_or(HOOKS_DEFAULT);
        let api_item = table.take("api");
        let api = api_item.as_ref().and_then(|item| item.checked(address)).unwrap_or(API_DEFAULT);
        let names = table.maybe("names", |item| item.list(|item| item.checked(host_name))).unwrap_or_default();
        let tokens = table.take("token");
        if let Some(item) = &api_item {
            if !api.ip().is_loopback() && tokens.is_none() {
                item.error(format!("{api} can be reached from outside, so it wants a [[listen.token]]"));
            }
            if api == hooks && api.port() != 0 {
                item.error("is the address of `hooks` too; give each its own port");
            }
        }
        let (mut names_seen, mut tokens_seen) = (BTreeSet::new(), Vec::new());
        let token = |item: Item<'_>| item.table(|table| token(table, &mut names_seen, &mut tokens_seen)).flatten();
        Listen { hooks, api, names, tokens: tokens.and_then(|item| item.list(token)).unwrap_or_default() }
    };
    table.maybe("listen", |item| item.table(read)).unwrap_or(default)
}

fn token(table: &mut Table<'_>, names: &mut BTreeSet<String>, secrets: &mut Vec<Secret>) -> Option<Token> {
    let name = table.need("name", |item| item.checked(name).and_then(|value| unique(names, &item, value)));
    let secret = table.need("secret", |item| {
        let secret = item.secret()?;
        if secrets.contains(&secret) {
            item.error("is the secret of another token too, so nobody could tell who came");
        }
        secrets.push(secret.clone());
        Some(secret)
    });
    let scopes = [("read", Scope::Read), ("emit", Scope::Emit), ("operate", Scope::Operate)];
    let scope = table.need("scope", |item| item.choice(&scopes));
    let emits = table.take("emits");
    if let (Some(Scope::Read), Some(item)) = (scope, &emits) {
        item.error("a token of scope \"read\" emits nothing; give it scope \"emit\"");
    }
    let emits = emits.and_then(|item| item.list(|item| item.checked(type_pattern))).unwrap_or_default();
    Some(Token { name: name?, secret: secret?, scope: scope?, emits })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address; write IP:PORT, like 127.0.0.1:7117 or [::1]:7117"))
}

fn host_name(text: &str) -> Result<String, String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if !text.contains('@') && !authority.host().is_empty() => Ok(text.to_ascii_lowercase()),
        _ => Err(format!("{text:?} is no host name; write one like tidegate.example.com, perhaps with a port")),
    }
}

/// `[bus]`: where the log is, and how long an event that comes again is known, if the file says it.
pub(super) fn bus(table: &mut Table<'_>) -> (Option<BusSettings>, Option<Duration>) {
    let Some(item) = table.take("bus") else { return (Some(BusSettings::Embedded { disk_bytes_max: None }), None) };
    let read = |table: &mut Table<'_>| {
        let kind = table.take("kind");
        let nats = kind.as_ref().map_or(Some(false), |item| item.choice(&[("embedded", false), ("nats", true)]));
        match (nats, kind) {
            (None, _) => (None, None),
            (Some(false), _) => embedded_bus(table),
            (Some(true), kind) => (nats_bus(table, kind), None),
        }
    };
    item.table(read).unwrap_or_default()
}

fn embedded_bus(table: &mut Table<'_>) -> (Option<BusSettings>, Option<Duration>) {
    let disk_bytes_max =
        table.maybe("disk_max", |item| bytes(&item, DISK_BYTES_MIN, SIZE_BYTES_MAX, "16MiB to 1024TiB"));
    let dedupe = table.maybe("dedupe", |item| period(&item, KEPT_MIN, KEPT_MAX));
    (Some(BusSettings::Embedded { disk_bytes_max }), dedupe)
}

fn nats_bus(table: &mut Table<'_>, kind: Option<Item<'_>>) -> Option<BusSettings> {
    if let Some(item) = kind {
        item.error("this version runs the embedded bus only; write kind = \"embedded\"");
    }
    let url = table.need("url", |item| server(&item));
    let stream = table.maybe("stream", |item| item.filled()).map(str::to_owned);
    let replicas = table.maybe("replicas", |item| item.integer_u32(1..=5)).unwrap_or(1);
    let credentials = table.maybe("credentials", |item| item.secret());
    Some(BusSettings::Nats { url: url?, stream, replicas, credentials })
}

pub(super) fn blob(table: &mut Table<'_>) -> Option<BlobSettings> {
    let Some(item) = table.take("blob") else { return Some(BlobSettings::Folder) };
    item.table(|table| {
        let kind = table.take("kind");
        let s3 = kind.map_or(Some(false), |item| item.choice(&[("folder", false), ("s3", true)]))?;
        if s3 { object_store(table).map(BlobSettings::S3) } else { Some(BlobSettings::Folder) }
    })?
}

/// A bucket of any S3 endpoint, and how to get at it.
pub(super) fn object_store(table: &mut Table<'_>) -> Option<ObjectStore> {
    let endpoint = table.maybe("endpoint", |item| item.checked(base_url));
    let region = table.maybe("region", |item| item.filled()).unwrap_or(REGION_DEFAULT).to_owned();
    let bucket = table.need("bucket", |item| item.filled()).map(str::to_owned);
    let prefix = table.maybe("prefix", |item| item.text()).unwrap_or_default().to_owned();
    let (access_key, secret_key) = (table.take("access_key"), table.take("secret_key"));
    if access_key.is_some() != secret_key.is_some() {
        table.error("`access_key` and `secret_key` go together; give both, or neither to use the AWS_* variables");
    }
    let access_key = access_key.and_then(|item| item.secret());
    let secret_key = secret_key.and_then(|item| item.secret());
    Some(ObjectStore { endpoint, region, bucket: bucket?, prefix, access_key, secret_key })
}

pub(super) fn limits(table: &mut Table<'_>) -> ProjectLimits {
    let read = |table: &mut Table<'_>| ProjectLimits {
        invocations_max: table.maybe("invocations_max", |item| item.integer_u32(1..=100_000)),
    };
    table.maybe("limits", |item| item.table(read)).unwrap_or_default()
}

/// `[deploy]`
pub(super) fn unverified(table: &mut Table<'_>) -> Unverified {
    let choices = [("accept", Unverified::Accept), ("refuse", Unverified::Refuse)];
    let read = |table: &mut Table<'_>| table.maybe("unverified", |item| item.choice(&choices));
    table.maybe("deploy", |item| item.table(read)).flatten().unwrap_or_default()
}

/// A size within bounds, which `what` names.
pub(super) fn bytes(item: &Item<'_>, min: u64, max: u64, what: &str) -> Option<u64> {
    let size = item.checked(units::size)?;
    if !(min..=max).contains(&size) {
        item.error(format!("is out of range; write {what}"));
        return None;
    }
    Some(size)
}

/// A length of time within bounds.
pub(super) fn period(item: &Item<'_>, min: Duration, max: Duration) -> Option<Duration> {
    let length = item.checked(units::duration)?;
    if !(min..=max).contains(&length) {
        item.error(format!("is out of range; write {} to {}", units::shown(min), units::shown(max)));
        return None;
    }
    Some(length)
}

/// `[registries."HOST"]`: where components may be pulled from.
pub(super) fn registries(table: &mut Table<'_>) -> BTreeMap<String, Registry> {
    let read = |host: &str, item: Item<'_>| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            item.error(format!("{host:?} is no host; write HOST or HOST:PORT, as it stands in references"));
        }
        Some((host.to_owned(), item.table(registry)?))
    };
    table.maybe("registries", |item| item.entries(read)).unwrap_or_default().into_iter().collect()
}

fn registry(table: &mut Table<'_>) -> Registry {
    let insecure = table.maybe("insecure", |item| item.boolean()).unwrap_or(false);
    let username = table.maybe("username", |item| item.secret());
    let password = table.maybe("password", |item| item.secret());
    if username.is_some() && password.is_none() {
        table.error("has a `username` and no `password`; give both, or `password` alone for a token");
    }
    Registry { insecure, username, password }
}

/// Every connection by name; `None` for one with a problem, so that a grant of it is not a second problem.
pub(super) fn connections(table: &mut Table<'_>) -> BTreeMap<String, Option<Connection>> {
    let read = |key: &str, item: Item<'_>| {
        if let Err(problem) = name(key) {
            item.error(problem);
        }
        Some((key.to_owned(), item.table(connection).flatten()))
    };
    table.maybe("connections", |item| item.entries(read)).unwrap_or_default().into_iter().collect()
}

fn connection(table: &mut Table<'_>) -> Option<Connection> {
    let url = table.need("url", |item| item.checked(base_url));
    let read = |key: &str, item: Item<'_>| {
        let name = key.to_ascii_lowercase();
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            item.error(format!("{key:?} is no header name"));
        }
        if HEADERS_RESERVED.contains(&name.as_str()) {
            item.error(format!("{key:?} is set by HTTP itself; leave it out"));
        }
        let secret = HEADERS_SECRET.iter().any(|part| name.contains(part));
        let value = if secret { item.secret() } else { item.resolvable() }?;
        Some((name, value))
    };
    let headers = table.take("headers").and_then(|item| {
        let headers = item.entries(read)?;
        let count = headers.len();
        let headers: BTreeMap<_, _> = headers.into_iter().collect();
        if headers.len() < count {
            item.error("names a header twice; upper and lower case are the same");
        }
        Some(headers)
    });
    let private = table.maybe("private", |item| item.boolean()).unwrap_or(false);
    Some(Connection { url: url?, headers: headers.unwrap_or_default(), private })
}

/// The address of a server of messages. A user or a token in it is a secret.
pub(super) fn server(item: &Item<'_>) -> Option<Secret> {
    let secret = item.value().as_str().is_some_and(|text| text.contains('@'));
    if secret { item.secret() } else { item.resolvable() }
}

/// `http` or `https`, a host, perhaps a port and a path; nothing that a request would carry elsewhere.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let error = || {
        format!(
            "{text:?} is no base address; write one like https://api.example.com/v2, without user, query or fragment"
        )
    };
    let uri: http::Uri = text.parse().map_err(|_| error())?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority =
        uri.authority().is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty());
    if !scheme || !authority || uri.query().is_some() || text.contains('#') {
        return Err(error());
    }
    Ok(text.to_owned())
}
