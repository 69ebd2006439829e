//! Where a guest can be held: at each statement of its sources, where a function begins, and where it calls out.
//!
//! The guest passes the same points in the same order whenever it is run with the same answers, so that how many it has
//! passed says where it is. The set depends on the component alone, never on what somebody is looking for.

use std::collections::HashMap;

use super::code::Code;
use super::symbols::Symbols;

/// Sources of the Rust toolchain and its C library: there only the beginnings of functions count.
const TOOLCHAIN: [&str; 4] = ["/rustc/", "/rustlib/src/", "/rust/deps/", "wasisdk://"];
/// Sources that cargo fetched: they are passed over by steps.
const FETCHED: [&str; 2] = ["/registry/src/", "/git/checkouts/"];
/// Modules that the tools for components add.
const SHIMS: &str = "wit-component:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub module: usize,
    pub pc: u32,
    /// In its module's code.
    pub function: u32,
    /// Line and file of the module's sources.
    pub line: Option<(u32, u32)>,
    /// How many functions are inlined in one another here.
    pub inlined: u16,
    /// Whether steps stop here: code of the function's author.
    pub own: bool,
}

#[derive(Default)]
pub(super) struct Points {
    /// By module and pc.
    pub all: Vec<Point>,
    index: HashMap<(usize, u32), u32>,
}

/// Whether the sources at `path` are the author's.
pub(super) fn is_own(path: &str) -> bool {
    !TOOLCHAIN.iter().chain(&FETCHED).any(|part| path.contains(part))
}

/// Where to hold: the pcs of each module. An engine may hold a little later than it is told.
pub(super) fn wanted(codes: &[Code<'_>], symbols: &[Option<Symbols<'_>>]) -> Vec<(usize, u32)> {
    let mut wanted = Vec::new();
    for (module, (code, symbols)) in codes.iter().zip(symbols).enumerate() {
        wanted.extend(code.functions.iter().map(|function| (module, function.range.start)));
        wanted.extend(code.calls_out.iter().map(|pc| (module, *pc)));
        if let Some(symbols) = symbols {
            let read = |file: u32| !TOOLCHAIN.iter().any(|part| symbols.files[file as usize].contains(part));
            let statements = symbols.statements(read).filter(|pc| code.function_at(*pc).is_some());
            wanted.extend(statements.map(|pc| (module, pc)));
        }
    }
    wanted
}

impl Points {
    /// The points at which the engine does hold.
    pub fn new(
        mut places: Vec<(usize, u32)>,
        codes: &[Code<'_>],
        symbols: &[Option<Symbols<'_>>],
        names: &[String],
    ) -> Self {
        places.sort_unstable();
        places.dedup();
        let any_symbols = symbols.iter().any(Option::is_some);
        let mut points = Points::default();
        for (module, pc) in places {
            let Some(function) = codes[module].function_at(pc) else { continue };
            let line = symbols[module].as_ref().and_then(|symbols| symbols.line_at(pc));
            let file = line.zip(symbols[module].as_ref()).map(|(line, symbols)| &symbols.files[line.file as usize]);
            let own = file.map_or(!any_symbols && !names[module].starts_with(SHIMS), |file| is_own(file));
            points.index.insert((module, pc), points.all.len() as u32);
            let line = line.map(|line| (line.file, line.line));
            points.all.push(Point { module, pc, function: function as u32, line, inlined: 0, own });
        }
        points.count_inlined(symbols);
        points
    }

    pub fn find(&self, module: usize, pc: u32) -> Option<u32> {
        self.index.get(&(module, pc)).copied()
    }

    /// The first point of the function from `pc` on.
    pub fn from(&self, module: usize, pc: u32) -> Option<u32> {
        let index = self.all.partition_point(|point| (point.module, point.pc) < (module, pc));
        self.all.get(index).filter(|point| point.module == module).map(|_| index as u32)
    }

    fn count_inlined(&mut self, symbols: &[Option<Symbols<'_>>]) {
        for (module, symbols) in symbols.iter().enumerate() {
            for inlined in symbols.iter().flat_map(|symbols| &symbols.inlined) {
                let range = &inlined.range;
                let first = self.all.partition_point(|point| (point.module, point.pc) < (module, range.start));
                for point in self.all[first..].iter_mut() {
                    if point.module != module || point.pc >= range.end {
                        break;
                    }
                    point.inlined = point.inlined.saturating_add(1);
                }
            }
        }
    }
}
