//! Who may come in: the listener's own names, no foreign pages, no forms, and tokens.
//!
//! A token is known by its SHA-256 alone, and every comparison takes the same time whatever differs. Without tokens, a
//! listener on loopback trusts whoever can reach it, as the local operator; any other listener trusts nobody.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::error::ApiError;
use crate::deployment::{Scope, SecretError, Token};
use crate::filter::TypePattern;

/// Name of the operator of a loopback API that has no tokens.
pub const LOCAL: &str = "local";
/// Of a name that was refused; the longest one of DNS.
const HOST_SHOWN_MAX: usize = 253;
/// Types that only a token that grants them may publish: what gates and releases are decided by.
const DELIVERY_TYPES: [&str; 2] = ["dev.cdevents.", "dev.cdeventsx."];
/// Content types that a page can send without being asked (Fetch standard, CORS-safelisted).
const FORM_TYPES: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Where the two listeners are, by which names they may be asked, and by whom.
#[derive(Debug, Clone)]
pub struct Doors {
    pub hooks: SocketAddr,
    pub api: SocketAddr,
    /// Names that `Host` may have beside the listeners' own.
    pub names: Vec<String>,
    pub access: Access,
}

/// The tokens of the API.
#[derive(Debug, Clone, Default)]
pub struct Access {
    tokens: Vec<Known>,
}

#[derive(Debug, Clone)]
struct Known {
    hash: [u8; 32],
    caller: Caller,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("token {name}: {source}")]
    Unset { name: String, source: SecretError },
    #[error("token {name} is empty, so anybody could show it; set it to a random text")]
    Empty { name: String },
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or `local`.
    pub name: String,
    /// Whether a token proved it.
    pub verified: bool,
    pub scope: Scope,
    emits: Emits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Emits {
    All,
    Only(Vec<TypePattern>),
}

impl Caller {
    fn local() -> Self {
        Caller { name: LOCAL.to_owned(), verified: false, scope: Scope::Operate, emits: Emits::All }
    }

    /// Whether it may publish events of a type. Delivery types want a grant of their own.
    pub fn may_emit(&self, ty: &str) -> bool {
        let delivery = DELIVERY_TYPES.iter().any(|prefix| ty.starts_with(prefix));
        match &self.emits {
            Emits::All => true,
            Emits::Only(patterns) => !delivery || patterns.iter().any(|pattern| pattern.matches(ty)),
        }
    }
}

impl Access {
    /// Resolves the tokens' secrets by `env`, and forgets them.
    pub fn resolve(tokens: &[Token], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, AccessError> {
        let known = tokens.iter().map(|token| {
            let secret =
                token.secret.resolve(env).map_err(|source| AccessError::Unset { name: token.name.clone(), source })?;
            if secret.trim().is_empty() {
                return Err(AccessError::Empty { name: token.name.clone() });
            }
            let emits = Emits::Only(token.emits.clone());
            let caller = Caller { name: token.name.clone(), verified: true, scope: token.scope, emits };
            Ok(Known { hash: Sha256::digest(secret.trim()).into(), caller })
        });
        Ok(Access { tokens: known.collect::<Result<_, _>>()? })
    }

    /// Who asks, by `Authorization: Bearer`; and whether that is enough for `wanted`.
    pub fn caller(&self, local: SocketAddr, headers: &HeaderMap, wanted: Scope) -> Result<Caller, ApiError> {
        let caller = match (self.tokens.is_empty(), local.ip().is_loopback()) {
            (true, true) => Caller::local(),
            (true, false) => {
                let message = "this listener is off loopback and has no tokens; add a [[listen.token]]";
                return Err(ApiError::Unauthorized(message.to_owned()));
            }
            (false, _) => self.holder(shown(headers)?)?,
        };
        if caller.scope < wanted {
            let (name, wanted) = (&caller.name, scope_name(wanted));
            return Err(ApiError::Forbidden(format!("token {name} may not do this; it wants one with {wanted}")));
        }
        Ok(caller)
    }

    fn holder(&self, token: &str) -> Result<Caller, ApiError> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        // Every token is compared, so that the time does not tell which one came close.
        let mut found = u64::MAX;
        for (index, known) in self.tokens.iter().enumerate() {
            let same: Choice = known.hash.ct_eq(&hash);
            found.conditional_assign(&(index as u64), same);
        }
        let known = usize::try_from(found).ok().and_then(|index| self.tokens.get(index));
        let unknown =
            || ApiError::Unauthorized("the token is not known; see [[listen.token]] of the project file".to_owned());
        known.map(|known| known.caller.clone()).ok_or_else(unknown)
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Emit => "emit",
        Scope::Operate => "operate",
    }
}

fn shown(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing = || ApiError::Unauthorized("send a token as `Authorization: Bearer TOKEN`".to_owned());
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

/// Refuses requests under a name that is not the listener's (DNS rebinding), and those of other sites' pages.
pub(super) fn check_host(local: SocketAddr, names: &[String], uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        _ => "",
    };
    // A request line with a whole URL names a host too.
    let asked = uri.authority().map(Authority::as_str).into_iter().chain([host]);
    for host in asked {
        if !host.parse().is_ok_and(|authority| is_own(local, names, &authority)) {
            return Err(ApiError::Misdirected { host: host.chars().take(HOST_SHOWN_MAX).collect() });
        }
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if same_site(origin.to_str().unwrap_or_default(), host) => Ok(()),
        Some(_) => Err(ApiError::ForeignOrigin),
    }
}

/// Ports are not compared: they may be mapped, and a page cannot choose another host by one.
fn is_own(local: SocketAddr, names: &[String], authority: &Authority) -> bool {
    let host = authority.host().trim_end_matches('.');
    if names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return true;
    }
    let bound = local.ip();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        // An address cannot be rebound, so a listener on all addresses can be asked by any.
        Ok(address) => bound.is_unspecified() || bound == address || (bound.is_loopback() && address.is_loopback()),
        Err(_) => host.eq_ignore_ascii_case("localhost") && (bound.is_loopback() || bound.is_unspecified()),
    }
}

fn same_site(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// Refuses writes that a form of another site could make. A request with `ce-` headers is no form's.
pub(super) fn check_content_type(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if method.is_safe() || headers.contains_key("ce-specversion") {
        return Ok(());
    }
    let essence = essence(headers);
    let refused = if essence.is_empty() { "no content type".to_owned() } else { format!("content type {essence}") };
    if essence.is_empty() || FORM_TYPES.contains(&essence.as_str()) {
        let message = format!("{refused} is not taken; send application/json or application/cloudevents+json");
        return Err(ApiError::UnsupportedMediaType(message));
    }
    Ok(())
}

/// The content type without its parameters, in lower case; empty without one.
pub(super) fn essence(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
