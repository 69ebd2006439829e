//! `[[function]]`: what runs, on which events, and what it may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::de::DeValue;

use super::config::config;
use super::read::{Item, Table};
use super::settings::{bytes, period, unique};
use super::{emits, name, reconcile, shipped, units};
use crate::deployment::catalogue::type_pattern;
use crate::deployment::check::refused_imports;
use crate::deployment::{
    BURST, Component, ComponentRef, ConfigValue, Connection, Digest, Function, FunctionName, FunctionPattern, Grants,
    KeyLimit, Limits, NativeKind, Order, PER_SECOND, ProcessSettings, Rate, Start, Supersede, Trigger, UnknownNative,
};
use crate::filter::{Filter, KeyExpression, TypePattern};
use crate::outcome::RetryPolicy;

const CONCURRENCY_MAX: u32 = 10_000;
const BACKLOG_MAX: u64 = 1_000_000_000;
/// A module of the Rust toolchain starts with more than one MiB; 4 GiB is all that wasm32 can address.
const MEMORY_BYTES_MIN: u64 = 1024 * 1024;
const MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
const TIME_MIN: Duration = Duration::from_millis(1);
const TIME_MAX: Duration = Duration::from_secs(15 * 60);
/// What the runtime does itself holds no instance while it waits.
const NATIVE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const ATTEMPTS_MAX: u32 = 1_000;
const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What functions are held against: the rest of the file, and the functions before.
struct Context<'a, 'c> {
    connections: &'c BTreeMap<String, Option<Connection>>,
    triggers: &'c [Trigger],
    names: BTreeSet<String>,
    /// Key space to the function that writes it.
    writers: BTreeMap<String, String>,
    renames: Vec<(Item<'a>, FunctionName)>,
    /// Functions whose statistics somebody was granted.
    counted: Vec<(Item<'a>, FunctionPattern)>,
    deployed: Vec<(Item<'a>, FunctionPattern)>,
}

pub(super) fn functions(
    table: &mut Table<'_>,
    connections: &BTreeMap<String, Option<Connection>>,
    triggers: &[Trigger],
) -> Vec<(Function, Option<FunctionName>)> {
    let mut context = Context {
        connections,
        triggers,
        names: BTreeSet::new(),
        writers: BTreeMap::new(),
        renames: Vec::new(),
        counted: Vec::new(),
        deployed: Vec::new(),
    };
    let Some(items) = table.take("function") else { return Vec::new() };
    let functions = items.list(|item| item.table(|table| function(table, &mut context)).flatten());
    let mut renamed = BTreeSet::new();
    for (item, was) in &context.renames {
        if context.names.contains(was.as_str()) {
            item.error(format!("function {was} still stands in this file; a rename takes the name away"));
        }
        if !renamed.insert(was) {
            item.error(format!("another function was {was} too; one of them can go on where it stopped"));
        }
    }
    for (patterns, what) in [(&context.counted, "count"), (&context.deployed, "deploy")] {
        for (item, pattern) in
            patterns.iter().filter(|(_, pattern)| !context.names.iter().any(|name| pattern.matches(name)))
        {
            item.error(format!("no function of this file is {:?}, so there is nothing to {what}", pattern.as_str()));
        }
    }
    functions.unwrap_or_default()
}

fn function<'a>(table: &mut Table<'a>, context: &mut Context<'a, '_>) -> Option<(Function, Option<FunctionName>)> {
    let name: Option<FunctionName> = table.need("name", |item| {
        let name = name_of(&item)?;
        unique(&mut context.names, &item, name.to_string())?;
        Some(name)
    });
    let was: Option<FunctionName> = table.maybe("was", |item| {
        let was = name_of(&item)?;
        context.renames.push((item, was.clone()));
        Some(was)
    });
    let configured = table.take("config");
    let config = configured.clone().and_then(config).unwrap_or_default();
    let grants = table.maybe("grants", |item| item.table(|table| grants(table, name.as_ref(), context)));
    let grants = grants.unwrap_or_default();
    let component = table.need("component", |item| component(&item, &grants, !config.is_empty()));
    let filter = filter(table);
    let native = component.as_ref().and_then(Component::native);
    let limits = table.maybe("limits", |item| item.table(|table| limits(table, native)));
    let limits = limits.unwrap_or_else(|| default_limits(native));
    if let Some(kind) = native {
        refuse_guest_grants(table, kind, &grants);
    }
    if let Some((configured, component)) = configured.as_ref().zip(component.as_ref()) {
        check_config(configured, component, &config);
    }
    let retry = table.maybe("retry", |item| item.table(retry));
    let concurrency = table.maybe("concurrency", |item| item.integer_u32(1..=CONCURRENCY_MAX));
    let rate = table.maybe("rate", rate);
    let limit = table.maybe("limit", |item| item.table(limit).flatten());
    let backlog_max = table.maybe("backlog_max", |item| item.integer(1..=BACKLOG_MAX));
    let supersede = table.maybe("supersede", |item| supersede(&item));
    let order = table.maybe("order", |item| order(&item));
    let start = table.maybe("from", |item| start(&item));
    let default = Function::new(name?, component?, filter?);
    let function = Function {
        config,
        grants,
        limits,
        retry: retry.unwrap_or(default.retry),
        concurrency: concurrency.unwrap_or(default.concurrency),
        rate,
        limit,
        backlog_max,
        supersede,
        order: order.unwrap_or(default.order),
        start: start.unwrap_or(default.start),
        ..default
    };
    Some((function, was))
}

fn name_of(item: &Item<'_>) -> Option<FunctionName> {
    let name: FunctionName = item.parsed()?;
    if reconcile::is_reserved(&name) {
        item.error(format!("{name} is the runtime's own function; write another name"));
        return None;
    }
    Some(name)
}

fn component(item: &Item<'_>, grants: &Grants, configured: bool) -> Option<Component> {
    let text = item.filled()?;
    let (reference, bytes) = match text.split_once(':') {
        Some(("builtin", name)) => match item.sources().builtin(name) {
            Some(bytes) => (ComponentRef::Builtin(name.to_owned()), bytes.to_vec()),
            None => {
                item.error(format!("no function {name:?} is shipped with this version"));
                return None;
            }
        },
        Some(("native", name)) => {
            let kind: NativeKind =
                item.checked_text(name, |name| name.parse().map_err(|error: UnknownNative| error.to_string()))?;
            return Some(Component { reference: ComponentRef::Native(kind), digest: kind.digest() });
        }
        Some(("oci" | "s3", _)) => {
            item.error(
                "a component of the project file is a path or builtin:NAME; one of a registry comes by a deployment request, \
                 one of a bucket as a file",
            );
            return None;
        }
        _ => match item.sources().file(text) {
            Ok(bytes) => (ComponentRef::Path(text.to_owned()), bytes),
            Err(error) => {
                item.error(format!("cannot read the component {text}: {error}"));
                return None;
            }
        },
    };
    match item.sources().imports(&bytes) {
        Ok(imports) => {
            for refusal in refused_imports(grants, configured, &imports) {
                item.error(refusal);
            }
        }
        Err(error) => item.error(format!("{text} is no component: {error}")),
    }
    Some(Component { reference, digest: Digest::of(&bytes) })
}

/// Clauses are compiled one at a time at first, so that each bad one is a problem at its own key.
fn filter(table: &mut Table<'_>) -> Option<Filter> {
    let on = table.need("on", |item| {
        let types: Vec<TypePattern> = item.list(|item| item.checked(type_pattern))?;
        if item.is_empty_array() {
            item.error("is empty, so nothing would ever run; name a type, or \"*\" for all");
        }
        Some(types)
    });
    let attribute = |key: &str, item: Item<'_>| {
        let pattern = item.text()?.to_owned();
        let alone = BTreeMap::from([(key.to_owned(), pattern.clone())]);
        match Filter::new(Vec::new(), alone, None) {
            Ok(_) => Some((key.to_owned(), pattern)),
            Err(error) => {
                item.error(error.reason);
                None
            }
        }
    };
    let attributes = table.maybe("match", |item| item.entries(attribute)).unwrap_or_default();
    let when = table.maybe("when", |item| {
        let text = item.filled()?;
        match Filter::new(Vec::new(), BTreeMap::new(), Some(text)) {
            Ok(filter) => {
                if let Some(reason) = filter.never_holds() {
                    item.error(reason);
                }
                Some(text)
            }
            Err(error) => {
                item.error(error.reason);
                None
            }
        }
    });
    match Filter::new(on?, attributes.into_iter().collect(), when) {
        Ok(filter) => Some(filter),
        Err(error) => {
            table.error(error.to_string());
            None
        }
    }
}

fn grants<'a>(table: &mut Table<'a>, function: Option<&FunctionName>, context: &mut Context<'a, '_>) -> Grants {
    let own_name = function.map_or("above", FunctionName::as_str);
    let (keyvalue_write, keyvalue_read) = table
        .maybe("keyvalue", |item| {
            item.table(|table| {
                let write = |item: Item<'_>| {
                    let space = item.checked(name)?;
                    if let Some(writer) = context.writers.get(&space) {
                        item.error(format!(
                            "function {writer} writes the key space {space} already; one writes it, others read"
                        ));
                    }
                    context.writers.insert(space.clone(), own_name.to_owned());
                    Some(space)
                };
                let write = table.maybe("write", |item| item.list(write)).unwrap_or_default();
                let read = table.maybe("read", |item| item.list(|item| item.checked(name))).unwrap_or_default();
                (write, read)
            })
        })
        .unwrap_or_default();
    let granted = |item: Item<'_>| item.checked(|text| emits::granted(text, context.triggers));
    let emits = table.maybe("emits", |item| item.list(granted)).unwrap_or_default();
    let connection = |item: Item<'_>| {
        let connection = item.text()?.to_owned();
        if !context.connections.contains_key(&connection) {
            item.error(format!("there is no connection {connection:?}; declare [connections.{connection}]"));
        }
        Some(connection)
    };
    let http = table.maybe("http", |item| item.list(connection)).unwrap_or_default();
    let logging = table.maybe("logging", |item| item.boolean()).unwrap_or(false);
    let statistics = table.maybe("statistics", |item| patterns(&item, &mut context.counted)).unwrap_or_default();
    let deploy = table.maybe("deploy", |item| patterns(&item, &mut context.deployed)).unwrap_or_default();
    Grants { keyvalue_write, keyvalue_read, emits, http, logging, statistics, deploy }
}

/// Patterns of functions, remembered until all functions are known.
fn patterns<'a>(item: &Item<'a>, named: &mut Vec<(Item<'a>, FunctionPattern)>) -> Option<Vec<FunctionPattern>> {
    item.list(|item| {
        let pattern: FunctionPattern = item.parsed()?;
        named.push((item, pattern.clone()));
        Some(pattern)
    })
}

/// What is linked for a guest means nothing to a function that has none.
fn refuse_guest_grants(table: &Table<'_>, kind: NativeKind, grants: &Grants) {
    let Grants { keyvalue_write, keyvalue_read, emits: _, http, logging, statistics, deploy } = grants;
    let keyvalue = !keyvalue_write.is_empty() || !keyvalue_read.is_empty();
    let grants = [
        ("keyvalue", keyvalue),
        ("http", !http.is_empty()),
        ("logging", *logging),
        ("statistics", !statistics.is_empty()),
        ("deploy", !deploy.is_empty()),
    ];
    for (grant, is_held) in grants {
        if is_held {
            table.error(format!("{kind} is no component and uses no grant `{grant}`; leave it out"));
        }
    }
}

/// What is known of what the component reads.
fn check_config(item: &Item<'_>, component: &Component, config: &BTreeMap<String, ConfigValue>) {
    match &component.reference {
        ComponentRef::Native(kind) => check_native_config(item, *kind, config),
        ComponentRef::Builtin(name) => shipped::check(item, name, config),
        ComponentRef::Path(_) | ComponentRef::Oci(_) => {}
    }
}

fn check_native_config(item: &Item<'_>, kind: NativeKind, config: &BTreeMap<String, ConfigValue>) {
    let problems = match kind {
        NativeKind::Process => ProcessSettings::read(config).err().unwrap_or_default(),
        // No project file names it.
        NativeKind::Reconcile => Vec::new(),
    };
    for problem in problems {
        item.error(format!("{} {}", problem.key, problem.problem));
    }
}

/// What a native does has a limit of its own; the function's is for what never ends.
fn default_limits(native: Option<NativeKind>) -> Limits {
    let default = Limits::default();
    Limits { time_max: native.map_or(default.time_max, |_| NATIVE_TIME_MAX), ..default }
}

fn limits(table: &mut Table<'_>, native: Option<NativeKind>) -> Limits {
    let default = default_limits(native);
    let memory = |item: Item<'_>| {
        if let Some(kind) = native {
            item.error(format!("{kind} has no instance whose memory could be limited; leave it out"));
        }
        bytes(&item, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX, "1MiB to 4GiB")
    };
    let time_max = native.map_or(TIME_MAX, |_| NATIVE_TIME_MAX);
    Limits {
        memory_bytes_max: table.maybe("memory", memory).unwrap_or(default.memory_bytes_max),
        time_max: table.maybe("time", |item| period(&item, TIME_MIN, time_max)).unwrap_or(default.time_max),
    }
}

fn retry(table: &mut Table<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let delay = |item: Item<'_>| period(&item, Duration::ZERO, DELAY_MAX);
    let policy = RetryPolicy {
        attempts: table.maybe("attempts", |item| item.integer_u32(1..=ATTEMPTS_MAX)).unwrap_or(default.attempts),
        initial: table.maybe("initial", delay).unwrap_or(default.initial),
        factor: table.maybe("factor", |item| item.number(1.0..=100.0)).unwrap_or(default.factor),
        max: table.maybe("max", delay).unwrap_or(default.max),
        jitter: table.maybe("jitter", |item| item.boolean()).unwrap_or(default.jitter),
    };
    if policy.initial > policy.max {
        let (initial, max) = (units::shown(policy.initial), units::shown(policy.max));
        table.error(format!("`initial` ({initial}) is longer than `max` ({max})"));
    }
    policy
}

fn rate(item: Item<'_>) -> Option<Rate> {
    let DeValue::Table(_) = item.value() else {
        item.error("is no table; write one like { per_second = 5, burst = 10 }");
        return None;
    };
    item.table(|table| {
        let per_second = table.need("per_second", |item| item.number(PER_SECOND));
        let burst = table.maybe("burst", |item| item.integer_u32(BURST)).unwrap_or(1);
        Rate::new(per_second?, burst).ok()
    })?
}

fn limit(table: &mut Table<'_>) -> Option<KeyLimit> {
    let key = table.need("key", |item| key(&item, item.filled()?));
    let concurrency = table.take("concurrency");
    let rate_of_key = table.take("rate");
    if concurrency.is_none() && rate_of_key.is_none() {
        table.error("limits nothing; write `concurrency` or `rate` beside the key");
    }
    let concurrency = concurrency.and_then(|item| item.integer_u32(1..=CONCURRENCY_MAX));
    let rate = rate_of_key.and_then(rate);
    Some(KeyLimit { key: key?, concurrency, rate })
}

/// A key alone, or a table with what orders the events of a key.
fn supersede(item: &Item<'_>) -> Option<Supersede> {
    let DeValue::Table(_) = item.value() else { return Some(Supersede { key: key(item, item.filled()?)?, by: None }) };
    item.table(|table| {
        let by = table.maybe("by", |item| key(&item, item.filled()?));
        Some(Supersede { key: table.need("key", |item| key(&item, item.filled()?))?, by })
    })?
}

fn order(item: &Item<'_>) -> Option<Order> {
    match item.value() {
        DeValue::Table(_) => item.table(|table| table.need("key", |item| key(&item, item.filled()?)))?,
        DeValue::String(text) if text == "none" => return Some(Order::None),
        DeValue::String(text) if text == "partitionkey" => key(item, text),
        _ => {
            item.error("is no order; write \"none\", \"partitionkey\" or a table like { key = \"event.subject\" }");
            None
        }
    }
    .map(Order::Key)
}

fn key(item: &Item<'_>, expression: &str) -> Option<KeyExpression> {
    item.checked_text(expression, |expression| KeyExpression::new(expression).map_err(|error| error.reason))
}

fn start(item: &Item<'_>) -> Option<Start> {
    match item.value() {
        DeValue::Integer(_) => item.integer(1..=i64::MAX.unsigned_abs()).map(Start::Position),
        DeValue::Datetime(time) => item.checked_text(&time.to_string(), instant),
        _ => item.checked(|text| match text {
            "latest" => Ok(Start::Latest),
            "earliest" => Ok(Start::Earliest),
            _ => instant(text),
        }),
    }
}

fn instant(text: &str) -> Result<Start, String> {
    let error = |_| {
        format!("{text:?} is no start; write \"latest\", \"earliest\", a position or a time like 2026-11-23T04:45:00Z")
    };
    text.parse().map(Start::At).map_err(error)
}
