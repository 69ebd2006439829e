//! Which interfaces a function is linked with: the base set always, the rest when it was granted.

use std::sync::OnceLock;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::p2::bindings::{clocks, random};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use super::bindings::statistics::tidegate::statistics::statistics;
use super::bindings::wasi as wit;
use super::guest::Guest;
use crate::deployment::Function;

/// What is linked beside the base set, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GrantSet(usize);

/// How many sets there are.
pub(super) const GRANT_SETS: usize = 1 << GRANTED.len();

/// An interface that wants a grant: the start of its name, and what the project file calls the grant.
const GRANTED: [(&str, &str); 5] = [
    ("wasi:keyvalue/", "grants.keyvalue"),
    ("wasi:config/", "config"),
    ("wasi:logging/", "grants.logging"),
    ("wasi:http/", "grants.http"),
    ("tidegate:statistics/", "grants.statistics"),
];

impl GrantSet {
    pub(super) const ALL: GrantSet = GrantSet(GRANT_SETS - 1);

    pub(super) fn of(function: &Function) -> Self {
        let grants = &function.grants;
        let keyvalue = !grants.keyvalue_read.is_empty() || !grants.keyvalue_write.is_empty();
        let config = !function.config.is_empty();
        let held = [keyvalue, config, grants.logging, !grants.http.is_empty(), !grants.statistics.is_empty()];
        GrantSet(held.iter().enumerate().map(|(bit, held)| usize::from(*held) << bit).sum())
    }

    pub(super) fn index(self) -> usize {
        self.0
    }

    fn has(self, bit: usize) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// The first import that wants a grant which is not in this set, with the grant's name.
    pub(super) fn missing(self, imports: &[String]) -> Option<(&str, &'static str)> {
        imports.iter().find_map(|import| {
            let bit = GRANTED.iter().position(|(prefix, _)| import.starts_with(prefix))?;
            (!self.has(bit)).then_some((import.as_str(), GRANTED[bit].1))
        })
    }
}

/// A linker for each set, made when it is first wanted.
#[derive(Default)]
pub(super) struct Linkers([OnceLock<Linker<Guest>>; GRANT_SETS]);

impl Linkers {
    pub(super) fn get(&self, engine: &Engine, grants: GrantSet) -> &Linker<Guest> {
        self.0[grants.index()].get_or_init(|| linker(engine, grants).expect("no interface is linked twice"))
    }
}

fn linker(engine: &Engine, grants: GrantSet) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Time, chance and what has ended are the host's: they take the place of what WASI would have answered itself.
    linker.allow_shadowing(true);
    poll::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    clocks::wall_clock::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    clocks::monotonic_clock::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::random::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::insecure::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    random::insecure_seed::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    linker.allow_shadowing(false);
    if grants.has(0) {
        wit::keyvalue::store::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        wit::keyvalue::atomics::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
        wit::keyvalue::batch::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    }
    if grants.has(1) {
        wit::config::store::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    }
    if grants.has(2) {
        wit::logging::logging::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    }
    if grants.has(3) {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    }
    if grants.has(4) {
        statistics::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    }
    Ok(linker)
}
