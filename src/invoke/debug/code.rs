//! What a core module's code says of itself, with or without debug information: its functions, their names, and where it
//! calls the host.

use std::collections::BTreeMap;
use std::ops::Range;

use wasmparser::{Encoding, KnownCustom, Name, Operator, Parser, Payload, TypeRef};

/// A core module, as its bytes in the component have it. Every `pc` counts from the module's first byte.
pub(super) struct Code<'a> {
    pub bytes: &'a [u8],
    /// Where the content of the code section begins: debug information counts from here.
    pub base: u32,
    /// In the order of their code.
    pub functions: Vec<Function>,
    /// Where a function that another module or the host gave is called.
    pub calls_out: Vec<u32>,
    /// Custom sections by name.
    pub custom: BTreeMap<&'a str, &'a [u8]>,
}

pub(super) struct Function {
    /// Its instructions.
    pub range: Range<u32>,
    /// As an author would write it; none: it was stripped.
    pub name: Option<String>,
}

impl Code<'_> {
    /// The function whose instructions `pc` is among.
    pub fn function_at(&self, pc: u32) -> Option<usize> {
        let index = self.functions.partition_point(|function| function.range.start <= pc).checked_sub(1)?;
        self.functions[index].range.contains(&pc).then_some(index)
    }
}

/// The core modules of a component.
pub(super) fn modules(component: &[u8]) -> Result<Vec<Code<'_>>, wasmparser::BinaryReaderError> {
    let mut modules = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ModuleSection { unchecked_range, .. } = payload? {
            modules.push(module(&component[unchecked_range])?);
        }
    }
    Ok(modules)
}

fn module(bytes: &[u8]) -> Result<Code<'_>, wasmparser::BinaryReaderError> {
    let mut code = Code { bytes, base: 0, functions: Vec::new(), calls_out: Vec::new(), custom: BTreeMap::new() };
    let mut imported = 0_u32;
    let mut names = BTreeMap::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Component, .. } => return Ok(code),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionStart { range, .. } => code.base = range.start as u32,
            Payload::CodeSectionEntry(body) => {
                let mut operators = body.get_operators_reader()?;
                let start = operators.original_position() as u32;
                while !operators.eof() {
                    let (operator, place) = operators.read_with_offset()?;
                    match operator {
                        Operator::Call { function_index } if function_index < imported => {
                            code.calls_out.push(place as u32);
                        }
                        _ => {}
                    }
                }
                code.functions.push(Function { range: start..body.range().end as u32, name: None });
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(subsections) = section.as_known() {
                    for subsection in subsections.into_iter().map_while(Result::ok) {
                        if let Name::Function(map) = subsection {
                            names.extend(map.into_iter().map_while(Result::ok).map(|name| (name.index, name.name)));
                        }
                    }
                }
                code.custom.insert(section.name(), section.data());
            }
            _ => {}
        }
    }
    for (index, function) in code.functions.iter_mut().enumerate() {
        function.name = names.get(&(imported + index as u32)).map(|name| demangled(name));
    }
    Ok(code)
}

/// A linker's name as an author wrote it, without the hash at its end.
pub(super) fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
