//! Breakpoints: a function by its name or the end of its name, or a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::points::is_own;
use super::symbols::Place;
use super::trace::Stops;
use super::{DebugError, Session};

/// Names and files that an error lists.
const LISTED_MAX: usize = 5;

/// How well a function's name is meant by a name or the end of one; none: it is not. First comes a function that has a path
/// of its own, then a trait's, which is often what calls that one, then what has no path: what a component exports.
fn rank(known: &str, wanted: &str) -> Option<usize> {
    match known.strip_suffix(wanted)? {
        "" if known.contains("::") => Some(0),
        "" => Some(2),
        path if path.ends_with("::") => Some(usize::from(known.contains(" as "))),
        _ => None,
    }
}

#[derive(Default)]
pub(super) struct Breakpoints {
    set: Vec<Breakpoint>,
    stops: Vec<Stops>,
}

/// A breakpoint that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakpoint {
    /// The function's name, or `FILE:LINE` where there is code.
    pub name: String,
    /// Where it holds; none: lines are not known.
    pub places: Vec<Place>,
}

impl Breakpoints {
    pub fn stops(&self) -> &[Stops] {
        &self.stops
    }
}

impl Session<'_> {
    pub fn breakpoints(&self) -> &[Breakpoint] {
        &self.breakpoints.set
    }

    /// Sets a breakpoint at a function, or at `FILE:LINE`.
    pub fn set_breakpoint(&mut self, at: &str) -> Result<&Breakpoint, DebugError> {
        let line = at.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse::<u32>().ok()?)));
        let (name, stops) = match line {
            Some((file, line)) => self.line(file, line)?,
            None => (at.to_owned(), Stops::At(self.function(at)?)),
        };
        let (Stops::At(points) | Stops::Line(points)) = &stops;
        let mut places: Vec<Place> = points.iter().filter_map(|point| self.point_place(*point)).collect();
        places.dedup();
        self.breakpoints.stops.push(stops);
        self.breakpoints.set.push(Breakpoint { name, places });
        Ok(self.breakpoints.set.last().expect("it was just set"))
    }

    /// Takes a breakpoint away by its number, from 1. Answers false where there is none.
    pub fn clear_breakpoint(&mut self, number: usize) -> bool {
        let Some(index) = number.checked_sub(1).filter(|index| *index < self.breakpoints.set.len()) else {
            return false;
        };
        self.breakpoints.set.remove(index);
        self.breakpoints.stops.remove(index);
        true
    }

    fn point_place(&self, point: u32) -> Option<Place> {
        let point = &self.points.all[point as usize];
        self.symbols[point.module].as_ref()?.place_at(point.pc)
    }

    /// The points at which functions of this name begin their work. Of several, those that `rank` puts first, and of
    /// these the author's own.
    pub(super) fn function(&self, name: &str) -> Result<Vec<u32>, DebugError> {
        let mut found: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for (module, code) in self.codes.iter().enumerate() {
            let symbols = self.symbols[module].as_ref();
            for function in &code.functions {
                let Some(rank) = function.name.as_deref().and_then(|known| rank(known, name)) else { continue };
                let start = function.range.start;
                let after = symbols.map_or(start, |symbols| symbols.after_prologue(&function.range));
                let within = |point: &u32| function.range.contains(&self.points.all[*point as usize].pc);
                let point = self.points.from(module, after).filter(within);
                found.entry(rank).or_default().extend(point.or_else(|| self.points.from(module, start)));
            }
            for inlined in symbols.iter().flat_map(|symbols| &symbols.inlined) {
                let Some(rank) = rank(&inlined.name, name) else { continue };
                found.entry(rank).or_default().extend(self.points.from(module, inlined.range.start));
            }
        }
        let Some((_, found)) = found.pop_first() else {
            return Err(DebugError::NoFunction { name: name.to_owned(), nearest: self.nearest(name) });
        };
        let own: Vec<u32> = found.iter().copied().filter(|point| self.points.all[*point as usize].own).collect();
        Ok(if own.is_empty() { found.into_iter().collect() } else { own })
    }

    /// The functions whose last names are most like this one.
    fn nearest(&self, name: &str) -> String {
        let last = |path: &str| path.rsplit("::").next().unwrap_or(path).to_owned();
        let names = self.codes.iter().flat_map(|code| &code.functions).filter_map(|function| function.name.as_deref());
        let mut names: Vec<&str> = names.collect();
        if names.is_empty() {
            return "; the component has no names: build it with `tidegate build --debug-info`".to_owned();
        }
        let wanted = last(name);
        names.sort_by_cached_key(|known| (strsim::levenshtein(&wanted, &last(known)), known.len(), *known));
        names.dedup();
        names.truncate(LISTED_MAX);
        format!("; the nearest are {}", names.join(", "))
    }

    /// The points of a line, or of the next one that has code.
    fn line(&self, file: &str, line: u32) -> Result<(String, Stops), DebugError> {
        if !self.has_debug_info() {
            return Err(DebugError::NoLines);
        }
        let is_file = |module: usize, index: u32| {
            self.symbols[module]
                .as_ref()
                .is_some_and(|symbols| Path::new(&symbols.files[index as usize]).ends_with(file))
        };
        let points = self.points.all.iter().zip(0..).filter_map(|(point, index)| {
            point.line.filter(|(file, _)| is_file(point.module, *file)).map(|(_, line)| (line, index))
        });
        let points: Vec<(u32, u32)> = points.collect();
        if points.is_empty() {
            return Err(DebugError::NoFile { file: file.to_owned(), files: self.own_files() });
        }
        let first = points.iter().map(|(at, _)| *at).filter(|at| *at >= line).min();
        let Some(first) = first else { return Err(DebugError::NoLine { file: file.to_owned(), line }) };
        let points = points.into_iter().filter(|(at, _)| *at == first).map(|(_, point)| point).collect();
        Ok((format!("{file}:{first}"), Stops::Line(points)))
    }

    fn own_files(&self) -> String {
        let files = self.symbols.iter().flatten().flat_map(|symbols| &symbols.files);
        let files: BTreeSet<&str> =
            files.map(String::as_str).filter(|file| is_own(file) && file.ends_with(".rs")).collect();
        let more = if files.len() > LISTED_MAX { ", .." } else { "" };
        let listed: Vec<&str> = files.into_iter().take(LISTED_MAX).collect();
        format!("{}{more}", listed.join(", "))
    }
}
