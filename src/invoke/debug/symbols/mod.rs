//! What the debug information of a core module (DWARF) says of its code: lines, functions that were inlined, variables.
//!
//! It is read from a component that nobody has vouched for: whatever cannot be read is not there, and nothing is followed
//! without end.

mod lines;
mod scopes;
mod spot;
mod value;

use std::collections::BTreeMap;
use std::ops::Range;

use gimli::{AttributeValue, DebugInfoOffset, EndianSlice, LittleEndian, UnitOffset};

pub(super) use scopes::Scope;

use super::code::{Code, demangled};
use super::snapshot::{Frame, Snapshot};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = gimli::Unit<Slice<'a>>;
type Die<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;

/// References that are followed from one entry to the next, and scopes within scopes.
const DEPTH_MAX: usize = 64;

pub(super) struct Symbols<'a> {
    dwarf: gimli::Dwarf<Slice<'a>>,
    units: Vec<Unit<'a>>,
    /// Added to an address of debug information, this is a `pc`.
    base: u32,
    /// Paths as the compiler was given them.
    pub files: Vec<String>,
    /// By pc.
    rows: Vec<lines::Row>,
    /// By pc.
    subprograms: Vec<Subprogram>,
    /// Code that is another function's, inlined.
    pub inlined: Vec<Inlined>,
}

/// A function with code of its own.
struct Subprogram {
    range: Range<u32>,
    entry: Entry,
}

/// A function's code within another's.
pub(super) struct Inlined {
    pub range: Range<u32>,
    pub name: String,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: u32,
}

/// A variable with its value, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// Where an entry of debug information is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    unit: usize,
    offset: UnitOffset,
}

impl<'a> Symbols<'a> {
    /// None: there is no debug information with lines.
    pub fn read(code: &Code<'a>) -> Option<Self> {
        let section = |id: gimli::SectionId| -> Result<Slice<'a>, gimli::Error> {
            Ok(EndianSlice::new(code.custom.get(id.name()).copied().unwrap_or_default(), LittleEndian))
        };
        let dwarf = gimli::Dwarf::load(section).ok()?;
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            units.extend(dwarf.unit(header).ok());
        }
        let mut symbols = Symbols {
            dwarf,
            units,
            base: code.base,
            files: Vec::new(),
            rows: Vec::new(),
            subprograms: Vec::new(),
            inlined: Vec::new(),
        };
        symbols.read_lines(code);
        symbols.read_functions();
        (!symbols.rows.is_empty()).then_some(symbols)
    }

    /// The variables of a scope with their values, as they are at the frame's pc.
    pub fn variables(&self, scope: &Scope, frame: &Frame, snapshot: &Snapshot) -> Vec<Variable> {
        let mut found: BTreeMap<usize, Variable> = BTreeMap::new();
        for (order, entry) in scope.variables.iter().enumerate() {
            let Some(name) = self.name(*entry) else { continue };
            let value = self.value_of(*entry, scope, frame, snapshot);
            // One that was declared later in an inner block hides the others of its name.
            found.retain(|_, other| other.name != name);
            found.insert(order, Variable { name, value });
        }
        found.into_values().collect()
    }

    fn value_of(&self, variable: Entry, scope: &Scope, frame: &Frame, snapshot: &Snapshot) -> String {
        const GONE: &str = "(optimised away)";
        let Some(ty) = self.attribute(variable, gimli::DW_AT_type).and_then(|(unit, ty)| self.referred(unit, &ty))
        else {
            return GONE.to_owned();
        };
        let machine = spot::Machine { symbols: self, frame, snapshot, subprogram: scope.subprogram };
        match machine.locate(variable) {
            Some(spot) => value::Reader { symbols: self, machine: &machine }.show(ty, &spot),
            None => GONE.to_owned(),
        }
    }

    fn die(&self, entry: Entry) -> Option<Die<'a>> {
        self.units[entry.unit].entry(entry.offset).ok()
    }

    /// An attribute of an entry, or of what it stands for: what is inlined says most of itself where it was declared.
    fn attribute(&self, entry: Entry, name: gimli::DwAt) -> Option<(usize, AttributeValue<Slice<'a>>)> {
        let mut at = entry;
        for _ in 0..DEPTH_MAX {
            let die = self.die(at)?;
            if let Some(value) = die.attr_value(name) {
                return Some((at.unit, value));
            }
            let next =
                die.attr_value(gimli::DW_AT_abstract_origin).or_else(|| die.attr_value(gimli::DW_AT_specification))?;
            at = self.referred(at.unit, &next)?;
        }
        None
    }

    fn referred(&self, unit: usize, value: &AttributeValue<Slice<'a>>) -> Option<Entry> {
        match value {
            AttributeValue::UnitRef(offset) => Some(Entry { unit, offset: *offset }),
            AttributeValue::DebugInfoRef(offset) => self.at_offset(*offset),
            _ => None,
        }
    }

    fn at_offset(&self, offset: DebugInfoOffset) -> Option<Entry> {
        self.units
            .iter()
            .enumerate()
            .find_map(|(unit, header)| offset.to_unit_offset(&header.header).map(|offset| Entry { unit, offset }))
    }

    fn text(&self, unit: usize, value: AttributeValue<Slice<'a>>) -> Option<String> {
        let text = self.dwarf.attr_string(&self.units[unit], value).ok()?;
        Some(text.to_string_lossy().into_owned())
    }

    fn name(&self, entry: Entry) -> Option<String> {
        let (unit, value) = self.attribute(entry, gimli::DW_AT_name)?;
        self.text(unit, value)
    }

    /// The name of a function with its path, as far as it is known.
    fn function_name(&self, entry: Entry) -> Option<String> {
        match self.attribute(entry, gimli::DW_AT_linkage_name) {
            Some((unit, value)) => self.text(unit, value).map(|name| demangled(&name)),
            None => self.name(entry),
        }
    }

    fn number(&self, entry: Entry, name: gimli::DwAt) -> Option<u64> {
        self.attribute(entry, name)?.1.udata_value()
    }

    /// The pcs of an entry's code.
    fn ranges(&self, unit: usize, die: &Die<'a>) -> Vec<Range<u32>> {
        let Ok(mut ranges) = self.dwarf.die_ranges(&self.units[unit], die) else { return Vec::new() };
        let mut found = Vec::new();
        while let Ok(Some(range)) = ranges.next() {
            // What the linker left out begins at nothing, or at the end of everything.
            if range.begin > 0 && range.begin < range.end && range.end < u64::from(u32::MAX - self.base) {
                found.push(range.begin as u32 + self.base..range.end as u32 + self.base);
            }
        }
        found
    }
}
