//! Where a variable is: in memory, in a local of WebAssembly, in parts here and there.

use gimli::{AttributeValue, Expression, Operation};

use super::{Entry, Slice, Symbols};
use crate::invoke::debug::snapshot::{Frame, Snapshot};

/// Where a value's bytes are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Spot {
    Memory(u32),
    /// The bytes themselves.
    Held(Vec<u8>),
}

/// What locations are worked out with.
pub(super) struct Machine<'s, 'a> {
    pub symbols: &'s Symbols<'a>,
    pub frame: &'s Frame,
    pub snapshot: &'s Snapshot,
    pub subprogram: Entry,
}

impl<'a> Machine<'_, 'a> {
    /// Where a variable is at the frame's pc. None: it is nowhere, or where cannot be worked out.
    pub fn locate(&self, variable: Entry) -> Option<Spot> {
        if let Some((_, value)) = self.symbols.attribute(variable, gimli::DW_AT_const_value) {
            return Some(Spot::Held(match value {
                AttributeValue::Block(block) => block.slice().to_vec(),
                other => {
                    other.udata_value().or_else(|| other.sdata_value().map(i64::cast_unsigned))?.to_le_bytes().to_vec()
                }
            }));
        }
        let (unit, location) = self.symbols.attribute(variable, gimli::DW_AT_location)?;
        let expression = self.expression(unit, location)?;
        self.evaluate(unit, expression, true)
    }

    /// The expression that holds at the frame's pc.
    fn expression(&self, unit: usize, location: AttributeValue<Slice<'a>>) -> Option<Expression<Slice<'a>>> {
        if let Some(expression) = location.exprloc_value() {
            return Some(expression);
        }
        let address = u64::from(self.frame.pc.checked_sub(self.symbols.base)?);
        let mut list = self.symbols.dwarf.attr_locations(&self.symbols.units[unit], location).ok()??;
        while let Ok(Some(entry)) = list.next() {
            if (entry.range.begin..entry.range.end).contains(&address) {
                return Some(entry.data);
            }
        }
        None
    }

    fn frame_base(&self) -> Option<u64> {
        let (unit, location) = self.symbols.attribute(self.subprogram, gimli::DW_AT_frame_base)?;
        // Its own base is relative to nothing.
        match self.evaluate(unit, self.expression(unit, location)?, false)? {
            Spot::Memory(address) => Some(u64::from(address)),
            Spot::Held(bytes) => Some(number(&bytes)),
        }
    }

    fn evaluate(&self, unit: usize, expression: Expression<Slice<'a>>, has_base: bool) -> Option<Spot> {
        let mut operations = expression.operations(self.symbols.units[unit].encoding());
        let mut stack: Vec<u64> = Vec::new();
        let mut is_value = false;
        let mut held: Vec<u8> = Vec::new();
        let mut in_parts = false;
        while let Some(operation) = operations.next().ok()? {
            match operation {
                Operation::StackValue => is_value = true,
                Operation::ImplicitValue { data } => return Some(Spot::Held(data.slice().to_vec())),
                Operation::Piece { size_in_bits, .. } => {
                    let length = usize::try_from(size_in_bits / 8).ok()?;
                    let spot = finish(stack.pop()?, is_value);
                    held.extend(self.read(&spot, 0, length)?);
                    (is_value, in_parts) = (false, true);
                }
                Operation::FrameOffset { offset } if has_base => {
                    stack.push(self.frame_base()?.wrapping_add_signed(offset));
                }
                other => self.step(&other, &mut stack)?,
            }
        }
        if in_parts { Some(Spot::Held(held)) } else { Some(finish(stack.pop()?, is_value)) }
    }

    /// One operation that only changes the stack.
    fn step(&self, operation: &Operation<Slice<'a>>, stack: &mut Vec<u64>) -> Option<()> {
        let value = match operation {
            // What is in a local is the value where DW_OP_stack_value says so, and else where the value is.
            Operation::WasmLocal { index } => *self.frame.locals.get(*index as usize)?,
            Operation::WasmStack { index } => *self.frame.operands.get(*index as usize)?,
            Operation::WasmGlobal { index } => self.snapshot.global(self.frame, *index)?,
            Operation::Address { address } => *address,
            Operation::UnsignedConstant { value } => *value,
            Operation::SignedConstant { value } => value.cast_unsigned(),
            Operation::PlusConstant { value } => stack.pop()?.wrapping_add(*value),
            Operation::Plus => stack.pop()?.wrapping_add(stack.pop()?),
            Operation::Minus => {
                let taken = stack.pop()?;
                stack.pop()?.wrapping_sub(taken)
            }
            Operation::And => stack.pop()? & stack.pop()?,
            Operation::Deref { size, .. } => {
                let address = u32::try_from(stack.pop()?).ok()?;
                number(self.snapshot.read(self.frame, address, usize::from(*size))?)
            }
            _ => return None,
        };
        stack.push(value);
        Some(())
    }

    /// Bytes of what is at `spot`.
    pub fn read(&self, spot: &Spot, offset: usize, length: usize) -> Option<Vec<u8>> {
        match spot {
            Spot::Memory(address) => {
                let address = address.checked_add(u32::try_from(offset).ok()?)?;
                self.snapshot.read(self.frame, address, length).map(<[u8]>::to_vec)
            }
            Spot::Held(bytes) => bytes.get(offset..offset.checked_add(length)?).map(<[u8]>::to_vec),
        }
    }
}

fn finish(item: u64, is_value: bool) -> Spot {
    match is_value {
        true => Spot::Held(item.to_le_bytes().to_vec()),
        // Addresses of a guest have 32 bits, and are worked out in as many.
        false => Spot::Memory(item as u32),
    }
}

/// The first bytes as a number.
pub(super) fn number(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    let length = bytes.len().min(8);
    eight[..length].copy_from_slice(&bytes[..length]);
    u64::from_le_bytes(eight)
}
