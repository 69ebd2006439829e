//! Lines: which one a pc belongs to, and where a line's code is.

use std::collections::HashMap;

use super::{Code, Place, Symbols};

/// From its pc to the next row's, code is of this line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub pc: u32,
    /// In `Symbols::files`.
    pub file: u32,
    /// 0: of no line.
    pub line: u32,
    pub is_statement: bool,
    pub prologue_end: bool,
    /// Nothing is known of the code from here on.
    is_end: bool,
}

/// What is known of the source at a pc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Line {
    pub file: u32,
    pub line: u32,
}

impl Symbols<'_> {
    pub(super) fn read_lines(&mut self, code: &Code<'_>) {
        let mut files: HashMap<String, u32> = HashMap::new();
        let mut rows = Vec::new();
        for unit in 0..self.units.len() {
            let Some(program) = self.units[unit].line_program.clone() else { continue };
            let mut known: HashMap<u64, u32> = HashMap::new();
            let mut sequence: Vec<Row> = Vec::new();
            let mut program_rows = program.rows();
            while let Ok(Some((_, row))) = program_rows.next_row() {
                let file = *known.entry(row.file_index()).or_insert_with(|| {
                    let path = self.path(unit, row.file_index()).unwrap_or_default();
                    let next = files.len() as u32;
                    *files.entry(path).or_insert(next)
                });
                let Ok(address) = u32::try_from(row.address()) else { continue };
                sequence.push(Row {
                    pc: address.saturating_add(self.base),
                    file,
                    line: row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0)),
                    is_statement: row.is_stmt(),
                    prologue_end: row.prologue_end(),
                    is_end: row.end_sequence(),
                });
                if row.end_sequence() {
                    // Of what the linker left out, nothing is where it says.
                    let is_code = |row: &Row| code.functions.iter().any(|function| function.range.end > row.pc);
                    match sequence.first() {
                        Some(first) if first.pc > self.base && is_code(first) => rows.append(&mut sequence),
                        _ => sequence.clear(),
                    }
                }
            }
        }
        // An end and a beginning at one pc: the beginning counts.
        rows.sort_by_key(|row| (row.pc, !row.is_end));
        let mut paths = vec![String::new(); files.len()];
        files.into_iter().for_each(|(path, index)| paths[index as usize] = path);
        (self.files, self.rows) = (paths, rows);
    }

    /// The path of a file of a unit.
    pub(super) fn path(&self, unit: usize, file: u64) -> Option<String> {
        let unit_of = &self.units[unit];
        let header = unit_of.line_program.as_ref()?.header();
        let entry = header.file(file)?;
        let name = self.text(unit, entry.path_name())?;
        let directory = entry.directory(header).and_then(|directory| self.text(unit, directory)).unwrap_or_default();
        let root = unit_of.comp_dir.map(|directory| directory.to_string_lossy().into_owned()).unwrap_or_default();
        let path = std::path::Path::new(&root).join(directory).join(name);
        Some(path.to_string_lossy().into_owned())
    }

    pub fn line_at(&self, pc: u32) -> Option<Line> {
        let row = self.rows[..self.rows.partition_point(|row| row.pc <= pc)].last()?;
        (!row.is_end && row.line > 0).then_some(Line { file: row.file, line: row.line })
    }

    pub fn place_at(&self, pc: u32) -> Option<Place> {
        let line = self.line_at(pc)?;
        Some(Place { file: self.files[line.file as usize].clone(), line: line.line })
    }

    /// Where statements of the files that `wanted` names begin.
    pub fn statements(&self, wanted: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
        self.rows
            .iter()
            .filter(move |row| row.is_statement && !row.is_end && row.line > 0 && wanted(row.file))
            .map(|row| row.pc)
    }

    /// Where a function's own work begins, after its arguments are in their places.
    pub fn after_prologue(&self, range: &std::ops::Range<u32>) -> u32 {
        let first = self.rows.partition_point(|row| row.pc < range.start);
        let rows = || self.rows[first..].iter().take_while(|row| row.pc < range.end && !row.is_end);
        let marked = rows().find(|row| row.prologue_end);
        let second = || rows().find(|row| row.is_statement && rows().next().is_some_and(|entry| row.pc > entry.pc));
        marked.or_else(second).map_or(range.start, |row| row.pc)
    }
}
