//! Scopes: the function that a pc is in, those inlined there, and the variables that can be seen.

use gimli::UnitOffset;

use super::{DEPTH_MAX, Die, Entry, Inlined, Place, Subprogram, Symbols};

/// A function at a pc, with code of its own or inlined.
pub(in super::super) struct Scope {
    /// None: the name of its code is its name.
    pub name: Option<String>,
    /// Where it was called, if it was inlined.
    pub called: Option<Place>,
    pub(super) subprogram: Entry,
    /// Those of inner blocks come later.
    pub(super) variables: Vec<Entry>,
}

impl<'a> Symbols<'a> {
    pub(super) fn read_functions(&mut self) {
        let (mut subprograms, mut inlined) = (Vec::new(), Vec::new());
        for unit in 0..self.units.len() {
            let mut entries = self.units[unit].entries();
            while let Ok(Some(die)) = entries.next_dfs() {
                let entry = Entry { unit, offset: die.offset() };
                match die.tag() {
                    gimli::DW_TAG_subprogram => {
                        subprograms.extend(self.ranges(unit, die).into_iter().map(|range| Subprogram { range, entry }));
                    }
                    gimli::DW_TAG_inlined_subroutine => {
                        let name = self.function_name(entry).unwrap_or_default();
                        let ranges = self.ranges(unit, die).into_iter();
                        inlined.extend(ranges.map(|range| Inlined { range, name: name.clone() }));
                    }
                    _ => {}
                }
            }
        }
        subprograms.sort_by_key(|subprogram: &Subprogram| subprogram.range.start);
        (self.subprograms, self.inlined) = (subprograms, inlined);
    }

    /// The functions at a pc, the outermost first: the one whose code it is, then those inlined there.
    pub fn scopes(&self, pc: u32) -> Vec<Scope> {
        let found = self.subprograms.partition_point(|subprogram| subprogram.range.start <= pc);
        let Some(subprogram) = self.subprograms[..found].last().filter(|found| found.range.contains(&pc)) else {
            return Vec::new();
        };
        let entry = subprogram.entry;
        let mut scopes =
            vec![Scope { name: self.function_name(entry), called: None, subprogram: entry, variables: Vec::new() }];
        self.enter(entry.unit, entry.offset, pc, &mut scopes);
        scopes
    }

    /// Adds what can be seen at `pc` in the entry at `offset`.
    fn enter(&self, unit: usize, offset: UnitOffset, pc: u32, scopes: &mut Vec<Scope>) {
        let mut inner = Some(offset);
        for _ in 0..DEPTH_MAX {
            let Some(offset) = inner.take() else { return };
            let own = scopes.len() - 1;
            for die in self.children(unit, offset) {
                let entry = Entry { unit, offset: die.offset() };
                let is_here = || self.ranges(unit, &die).iter().any(|range| range.contains(&pc));
                match die.tag() {
                    gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter => scopes[own].variables.push(entry),
                    gimli::DW_TAG_lexical_block if is_here() => inner = Some(entry.offset),
                    gimli::DW_TAG_inlined_subroutine if is_here() => {
                        let subprogram = scopes[own].subprogram;
                        let (name, called) = (self.function_name(entry), self.call_place(entry));
                        scopes.push(Scope { name, called, subprogram, variables: Vec::new() });
                        inner = Some(entry.offset);
                    }
                    _ => {}
                }
            }
        }
    }

    fn call_place(&self, inlined: Entry) -> Option<Place> {
        let die = self.die(inlined)?;
        let file = match die.attr_value(gimli::DW_AT_call_file)? {
            gimli::AttributeValue::FileIndex(file) => file,
            other => other.udata_value()?,
        };
        let line = die.attr_value(gimli::DW_AT_call_line)?.udata_value()?;
        Some(Place { file: self.path(inlined.unit, file)?, line: u32::try_from(line).ok()? })
    }

    /// What is directly within an entry.
    pub(super) fn children(&self, unit: usize, offset: UnitOffset) -> Vec<Die<'a>> {
        let mut found = Vec::new();
        let Ok(mut tree) = self.units[unit].entries_tree(Some(offset)) else { return found };
        let Ok(root) = tree.root() else { return found };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            found.push(child.entry().clone());
        }
        found
    }
}
