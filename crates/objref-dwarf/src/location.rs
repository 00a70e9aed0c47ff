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

/// No frame is larger; a bound spares everyone who computes with offsets the thought of overflow.
const MAX_FRAME_OFFSET: i64 = 1 << 40;

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
    let mut parts: Vec<(u64, Option<Place>)> = Vec::new();
    let mut place = None;
    // Operations since the last piece; only a single one names a place.
    let mut steps = 0;
    let mut operations = expression.operations(unit.encoding());
    loop {
        let operation = match operations.next() {
            Ok(Some(operation)) => operation,
            Ok(None) => break,
            Err(_) => return Vec::new(),
        };
        if let Operation::Piece {
            size_in_bits,
            bit_offset: None,
        } = operation
        {
            parts.push((size_in_bits / 8, place.take().filter(|_| steps == 1)));
            steps = 0;
        } else if !matches!(operation, Operation::Nop) {
            place = simple_place(dwarf, unit, operation, frame_base_is_cfa);
            steps += 1;
        }
    }
    match place.filter(|_| steps == 1) {
        Some(place) if parts.is_empty() => parts.push((size, Some(place))),
        None if steps == 0 => {}
        _ => return Vec::new(),
    }
    place_parts(parts, size)
}

/// The place that an operation names by itself.
fn simple_place<'a>(
    dwarf: &Dwarf<'a>,
    unit: &Unit<'a>,
    operation: Operation<Slice<'a>>,
    frame_base_is_cfa: bool,
) -> Option<Place> {
    match operation {
        Operation::Register { register } => Some(Place::Register(register.0)),
        Operation::CallFrameCFA => Some(Place::Frame(0)),
        Operation::FrameOffset { offset } => {
            let sound = (-MAX_FRAME_OFFSET..=MAX_FRAME_OFFSET).contains(&offset);
            (sound && frame_base_is_cfa).then_some(Place::Frame(offset))
        }
        Operation::Address { address } => Some(Place::Address(LinkAddr(address))),
        Operation::AddressIndex { index } => {
            let address = dwarf.address(unit, index).ok()?;
            Some(Place::Address(LinkAddr(address)))
        }
        _ => None,
    }
}

/// Lays the parts out one behind the other.
fn place_parts(mut parts: Vec<(u64, Option<Place>)>, size: u64) -> Vec<Piece> {
    let total = |parts: &[(u64, Option<Place>)]| {
        let sizes = parts.iter().map(|&(size, _)| size);
        sizes.fold(0, u64::saturating_add)
    };
    if total(&parts) > size {
        // Go 1.21 writes each word of an interface twice, one after the other.
        let mut once = Vec::with_capacity(parts.len());
        for part in parts {
            match once.last() {
                Some(last) if *last == part => once.push((0, None)),
                _ => once.push(part),
            }
        }
        once.retain(|&(size, _)| size > 0);
        if total(&once) != size {
            return Vec::new();
        }
        parts = once;
    }
    let mut offset_in_variable = 0;
    let mut out = Vec::with_capacity(parts.len());
    for (size, place) in parts {
        if let Some(place) = place {
            out.push(Piece {
                offset_in_variable,
                size,
                place,
            });
        }
        offset_in_variable += size;
    }
    out
}
