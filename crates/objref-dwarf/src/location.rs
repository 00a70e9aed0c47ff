//! Where a variable's bytes are at one code address.

use gimli::{AttributeValue, Expression, Operation};
use objref_mem::LinkAddr;

use crate::attrs::{Value, unsigned};
use crate::sections::{Dwarf, Slice};
use crate::units::Unit;

/// A part of a variable that lies in one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Piece {
    /// The part's first byte in the variable.
    pub offset_in_variable: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is.
    pub place: Place,
}

/// Somewhere a value can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Place {
    /// In the stack frame, this far from the canonical frame address: the value the stack
    /// pointer had before the call instruction pushed (on arm64: before the callee moved it).
    Frame(i64),
    /// In the register of this DWARF number.
    Register(u16),
    /// In static memory.
    Address(LinkAddr),
}

/// Whether `pc` lies in a scope. A scope that does not say where it is holds everywhere.
pub(crate) struct ScopeRange<'a> {
    pub(crate) low: Option<Value<'a>>,
    pub(crate) high: Option<Value<'a>>,
    pub(crate) ranges: Option<Value<'a>>,
}

impl<'a> ScopeRange<'a> {
    pub(crate) fn contains(&self, dwarf: &Dwarf<'a>, unit: &Unit<'a>, pc: u64) -> bool {
        if let Some(ranges) = self.ranges {
            let Ok(Some(mut ranges)) = dwarf.attr_ranges(unit, ranges) else {
                return false;
            };
            while let Ok(Some(range)) = ranges.next() {
                if (range.begin..range.end).contains(&pc) {
                    return true;
                }
            }
            return false;
        }
        let (Some(low), Some(high)) = (self.low, self.high) else {
            return true;
        };
        let Ok(Some(low)) = dwarf.attr_address(unit, low) else {
            return false;
        };
        let high = match dwarf.attr_address(unit, high) {
            Ok(Some(address)) => address,
            _ => low.saturating_add(unsigned(high).unwrap_or(0)),
        };
        (low..high).contains(&pc)
    }
}

/// The expression that holds at `pc`.
pub(crate) fn expression_at<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    location: Value<'a>,
    pc: u64,
) -> Option<Expression<Slice<'a>>> {
    match location {
        AttributeValue::Exprloc(expression) => Some(expression),
        AttributeValue::Block(bytes) => Some(Expression(bytes)),
        location => {
            let mut list = dwarf.attr_locations(unit, location).ok()??;
            while let Ok(Some(entry)) = list.next() {
                if (entry.range.begin..entry.range.end).contains(&pc) {
                    return Some(entry.data);
                }
            }
            None
        }
    }
}

/// Whether offsets from the frame base are offsets from the canonical frame address, as in all
/// code of the Go compiler.
pub(crate) fn is_cfa(unit: &Unit<'_>, frame_base: Value<'_>) -> bool {
    let Some(expression) = frame_base.exprloc_value() else {
        return false;
    };
    let mut operations = expression.operations(unit.encoding());
    matches!(operations.next(), Ok(Some(Operation::CallFrameCFA)))
        && matches!(operations.next(), Ok(None))
}

/// The places an expression names. What has to be computed from registers or memory, or exists
/// only as a constant, is left out.
pub(crate) fn pieces<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    expression: Expression<Slice<'a>>,
    frame_base_is_cfa: bool,
    size: u64,
) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut offset: u64 = 0;
    let mut place = None;
    let mut whole = true;
    // Operations since the last piece; only a single one names a place.
    let mut operations_in_piece = 0;
    let mut operations = expression.operations(unit.encoding());
    loop {
        let operation = match operations.next() {
            Ok(Some(operation)) => operation,
            Ok(None) => break,
            Err(_) => return Vec::new(),
        };
        operations_in_piece += 1;
        match operation {
            Operation::Register { register } => place = Some(Place::Register(register.0)),
            Operation::FrameOffset { offset } if frame_base_is_cfa => {
                place = Some(Place::Frame(offset));
            }
            Operation::CallFrameCFA => place = Some(Place::Frame(0)),
            Operation::Address { address } => place = Some(Place::Address(LinkAddr(address))),
            Operation::AddressIndex { index } => {
                let address = dwarf.address(unit, index).ok();
                place = address.map(|address| Place::Address(LinkAddr(address)));
            }
            Operation::Nop => operations_in_piece -= 1,
            Operation::Piece {
                size_in_bits,
                bit_offset: None,
            } => {
                whole = false;
                let bytes = size_in_bits / 8;
                // One for the place, one for this operation itself.
                if let Some(place) = place.take().filter(|_| operations_in_piece == 2) {
                    let inside = offset
                        .checked_add(bytes)
                        .is_some_and(|end| size == 0 || end <= size);
                    if inside && bytes > 0 {
                        out.push(Piece {
                            offset_in_variable: offset,
                            size: bytes,
                            place,
                        });
                    }
                }
                offset = offset.saturating_add(bytes);
                operations_in_piece = 0;
            }
            _ => place = None,
        }
    }
    if let Some(place) = place.filter(|_| whole && operations_in_piece == 1) {
        out.push(Piece {
            offset_in_variable: 0,
            size,
            place,
        });
    }
    out
}
