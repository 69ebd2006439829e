//! Names of what a component imports, read from its bytes.

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

/// Full names of what a component imports and a host would have to give; names of types alone ask for nothing. Executes
/// nothing and compiles nothing.
pub fn imports(component: &[u8]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| format!("it is no WebAssembly component: {error}"))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("it is a core module, not a component; build it for the target wasm32-wasip2".to_owned());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| format!("its imports cannot be read: {error}"))?;
                    match import.ty {
                        ComponentTypeRef::Type(_) => {}
                        ComponentTypeRef::Module(_)
                        | ComponentTypeRef::Func(_)
                        | ComponentTypeRef::Value(_)
                        | ComponentTypeRef::Instance(_)
                        | ComponentTypeRef::Component(_) => names.push(import.name.name.to_owned()),
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}
