//! A guest that is held, as a value: its frames, its memories, its globals. What is shown of it is worked out from this.

use std::collections::HashMap;

use wasmtime::{FrameHandle, Module, StoreContextMut, Val};

use super::super::guest::Guest;

/// Frames of a stack that are taken; a recursion without end has more.
const FRAMES_MAX: usize = 256;
/// Globals of a module that are taken: the first is the stack pointer.
const GLOBALS_MAX: u32 = 16;

#[derive(Default)]
pub(super) struct Snapshot {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// By module.
    memories: HashMap<usize, Vec<u8>>,
    globals: HashMap<usize, Vec<u64>>,
}

/// A function of WebAssembly that runs.
pub(super) struct Frame {
    /// In the order of `Program`.
    pub module: usize,
    pub pc: u32,
    /// Parameters, then locals, as bits.
    pub locals: Vec<u64>,
    pub operands: Vec<u64>,
}

impl Snapshot {
    pub fn read(&self, frame: &Frame, address: u32, length: usize) -> Option<&[u8]> {
        let start = address as usize;
        self.memories.get(&frame.module)?.get(start..start.checked_add(length)?)
    }

    pub fn global(&self, frame: &Frame, index: u32) -> Option<u64> {
        self.globals.get(&frame.module)?.get(index as usize).copied()
    }

    /// `unready`: frames, from the innermost, that are not to be looked at.
    pub fn take(store: &mut StoreContextMut<'_, Guest>, modules: &[Module], unready: usize) -> wasmtime::Result<Self> {
        let mut snapshot = Snapshot::default();
        for (depth, handle) in frames(store).into_iter().enumerate().skip(unready).take(FRAMES_MAX) {
            let Some((module, next)) = place(store, &handle)? else { continue };
            let Some(module) = modules.iter().position(|known| known.debug_index_in_engine() == module) else {
                continue;
            };
            if !snapshot.globals.contains_key(&module) {
                snapshot.take_instance(store, &handle, module)?;
            }
            // Only the innermost one is where it says: the others go on after their call, which may be of another line.
            let pc = if depth == 0 { next } else { next.saturating_sub(1) };
            let mut frame = Frame { module, pc, locals: Vec::new(), operands: Vec::new() };
            for index in 0..handle.num_locals(&mut *store)? {
                frame.locals.push(bits(&handle.local(&mut *store, index)?));
            }
            for index in 0..handle.num_stacks(&mut *store)? {
                frame.operands.push(bits(&handle.stack(&mut *store, index)?));
            }
            snapshot.frames.push(frame);
        }
        Ok(snapshot)
    }

    fn take_instance(
        &mut self,
        store: &mut StoreContextMut<'_, Guest>,
        handle: &FrameHandle,
        module: usize,
    ) -> wasmtime::Result<()> {
        let instance = handle.instance(&mut *store)?;
        if let Some(memory) = instance.debug_memory(&mut *store, 0) {
            self.memories.insert(module, memory.data(&*store).to_vec());
        }
        let mut globals = Vec::new();
        for index in 0..GLOBALS_MAX {
            let Some(global) = instance.debug_global(&mut *store, index) else { break };
            globals.push(bits(&global.get(&mut *store)));
        }
        self.globals.insert(module, globals);
        Ok(())
    }
}

/// The frames of a guest, innermost first, those included that called the host which called the guest again.
pub(super) fn frames(store: &mut StoreContextMut<'_, Guest>) -> Vec<FrameHandle> {
    let mut frames = Vec::new();
    let entries: Vec<FrameHandle> = store.debug_exit_frames().collect();
    for entry in entries {
        let mut next = Some(entry);
        while let Some(frame) = next {
            next = frame.parent(&mut *store).ok().flatten();
            frames.push(frame);
        }
    }
    frames
}

/// The module, by its index in the engine, and the pc of a frame; none for wasmtime's own.
pub(super) fn place(
    store: &mut StoreContextMut<'_, Guest>,
    frame: &FrameHandle,
) -> wasmtime::Result<Option<(u64, u32)>> {
    let Some((_, pc)) = frame.wasm_function_index_and_pc(&mut *store)? else { return Ok(None) };
    let module = frame.module(&mut *store)?;
    Ok(module.map(|module| (module.debug_index_in_engine(), pc.raw())))
}

/// References have no bits that mean anything to a reader.
fn bits(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(value.cast_unsigned()),
        Val::I64(value) => value.cast_unsigned(),
        Val::F32(bits) => u64::from(*bits),
        Val::F64(bits) => *bits,
        Val::V128(value) => value.as_u128() as u64,
        _ => 0,
    }
}
