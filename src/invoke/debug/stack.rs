//! The stack of a held guest with names, lines and variables.

use super::symbols::{Place, Variable};
use super::{Session, points};

/// A function that runs, with code of its own or inlined in the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub function: String,
    pub place: Option<Place>,
    /// From the first byte of its core module.
    pub pc: u32,
    /// Whether it is the author's, and no library's.
    pub is_own: bool,
    /// In the snapshot.
    physical: usize,
    /// Among those at its pc, the outermost first.
    scope: usize,
}

impl Session<'_> {
    /// The frames of the held guest, innermost first. None at the end of an invocation that returned.
    pub fn frames(&self) -> Vec<Frame> {
        let frames = self.snapshot.iter().flat_map(|snapshot| &snapshot.frames).enumerate();
        frames.flat_map(|(physical, frame)| self.frames_at(physical, frame.module, frame.pc)).collect()
    }

    fn frames_at(&self, physical: usize, module: usize, pc: u32) -> Vec<Frame> {
        let code = &self.codes[module];
        let symbols = self.symbols[module].as_ref();
        let scopes = symbols.map(|symbols| symbols.scopes(pc)).unwrap_or_default();
        let own_name = code
            .function_at(pc)
            .map(|index| code.functions[index].name.clone().unwrap_or_else(|| format!("function {index}")));
        let is_own = |place: &Option<Place>| place.as_ref().is_none_or(|place| points::is_own(&place.file));
        let innermost = symbols.and_then(|symbols| symbols.place_at(pc));
        let mut frames = Vec::new();
        for scope in (0..scopes.len().max(1)).rev() {
            let name = if scope == 0 { own_name.clone() } else { None };
            let function = name.or_else(|| scopes.get(scope)?.name.clone()).unwrap_or_else(|| "unknown".to_owned());
            let place = match scopes.get(scope + 1) {
                Some(inlined) => inlined.called.clone(),
                None => innermost.clone(),
            };
            // Without any lines nothing says whose a function is; with some, what has none is a library's.
            let is_own = is_own(&place) && (place.is_some() || !self.has_debug_info());
            frames.push(Frame { function, is_own, place, pc, physical, scope });
        }
        frames
    }

    /// The variables that can be seen in a frame; none where there is no debug information for it.
    pub fn variables(&self, frame: &Frame) -> Option<Vec<Variable>> {
        let snapshot = self.snapshot.as_ref()?;
        let held = snapshot.frames.get(frame.physical)?;
        let symbols = self.symbols[held.module].as_ref()?;
        let scopes = symbols.scopes(held.pc);
        Some(symbols.variables(scopes.get(frame.scope)?, held, snapshot))
    }

    /// The locals of WebAssembly in a frame, as bits: arguments first.
    pub fn registers(&self, frame: &Frame) -> &[u64] {
        let held = self.snapshot.as_ref().and_then(|snapshot| snapshot.frames.get(frame.physical));
        held.map(|held| &*held.locals).unwrap_or_default()
    }

    /// Memory of the guest, as the function of a frame sees it.
    pub fn memory(&self, frame: &Frame, address: u32, length: usize) -> Option<&[u8]> {
        let snapshot = self.snapshot.as_ref()?;
        snapshot.read(snapshot.frames.get(frame.physical)?, address, length)
    }
}
