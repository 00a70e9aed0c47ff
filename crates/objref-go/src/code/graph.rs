//! Where the values in a function come from: what each register and stack slot holds, in terms of what a block of code
//! found when it began, of memory, and of what calls returned.
//!
//! Nothing here knows of types. Whoever asks for one starts at a value and goes back as far as it takes (`origin.rs`).

use objref_mem::Addr;
use rustc_hash::FxHashMap;

use super::abi::Abi;
use super::op::Reg;

/// A value in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ValueId(pub(crate) u32);

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Value {
    /// Nothing.
    Other,
    /// What this place holds where this block begins.
    Entry {
        /// Index of the block.
        block: u32,
        /// The place.
        place: Place,
    },
    /// A number, or the address of something static.
    Constant(u64),
    /// The address of a place on the stack, counted from the stack pointer at the function's entry.
    Stack(i64),
    /// The word this far from where `base` points.
    Load {
        /// The pointer.
        base: ValueId,
        /// The distance.
        disp: i64,
        /// Whether a multiple of something is to be added.
        indexed: bool,
    },
    /// The address this far from where `base` points.
    Inside {
        /// The pointer.
        base: ValueId,
        /// The distance.
        disp: i64,
        /// Whether a multiple of something is to be added.
        indexed: bool,
    },
    /// The static word here.
    Static(u64),
    /// What a call left in a register.
    Result {
        /// Index of the call.
        call: u32,
        /// The register.
        reg: Reg,
    },
    /// One of the two.
    Either(ValueId, ValueId),
    /// Two words.
    Pair(ValueId, ValueId),
}

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// In a register.
    Reg(Reg),
    /// On the stack, this far from the stack pointer at the function's entry.
    Slot(i64),
}

/// Where memory is that is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// In the frame, or in that of the caller.
    Slot(i64),
    /// A static word.
    Static(u64),
    /// This far from where a value points.
    Through {
        /// The pointer.
        base: ValueId,
        /// The distance.
        disp: i64,
        /// Whether a multiple of something is to be added.
        indexed: bool,
    },
    /// Not known.
    Unknown,
}

/// What registers hold that were not changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Since the block began.
    Entry,
    /// Since a call.
    Call(u32),
}

/// A stretch of code that is entered at its start only.
#[derive(Debug)]
pub(super) struct Block {
    /// Offsets from the function's entry.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The blocks that lead here.
    pub(super) before: Vec<u32>,
    /// What registers hold in the end: those that were changed, ascending.
    pub(super) regs: Vec<(Reg, ValueId)>,
    /// What the others hold.
    pub(super) rest: Rest,
}

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    block: u32,
    /// Offset of the code where execution goes on.
    after: u32,
    /// Whom it calls.
    pub(crate) callee: Callee,
    /// What is in the registers for arguments, in their order; `None` if that was there before.
    args: Vec<Option<ValueId>>,
    rest: Rest,
}

/// Whom a call calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The function at this address.
    Code(Addr),
    /// The function whose address this is.
    Value(ValueId),
}

/// A word that is written to memory other than the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store {
    /// Where it goes.
    pub(crate) to: Memory,
    /// The word.
    pub(crate) value: ValueId,
}

/// Where the values in a function come from.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(super) values: Vec<Value>,
    pub(super) blocks: Vec<Block>,
    /// The calls, in the order of the code.
    pub(crate) calls: Vec<Call>,
    /// What is written to memory.
    pub(crate) stores: Vec<Store>,
    /// By slot: what is written to it, and the offset of the code that does, ascending.
    pub(super) slots: FxHashMap<i64, Vec<(u32, ValueId)>>,
    /// The blocks that end with a return.
    pub(super) returns: Vec<u32>,
    /// Blocks that end by jumping into another function: the call that this amounts to.
    pub(super) tails: Vec<u32>,
}

impl Graph {
    /// What is known of a value.
    pub(crate) fn value(&self, id: ValueId) -> Value {
        self.values
            .get(id.0 as usize)
            .copied()
            .unwrap_or(Value::Other)
    }

    /// What `place` holds at the end of a block.
    pub(super) fn at_end(&self, block: u32, place: Place) -> Value {
        let Some(b) = self.blocks.get(block as usize) else {
            return Value::Other;
        };
        match place {
            Place::Reg(reg) => match b.regs.binary_search_by_key(&reg, |r| r.0) {
                Ok(i) => self.value(b.regs[i].1),
                Err(_) => rest(b.rest, block, reg),
            },
            Place::Slot(slot) => self.slot_before(block, slot, u32::MAX),
        }
    }

    /// What a slot holds before the code at offset `end` runs, which is in `block`.
    fn slot_before(&self, block: u32, slot: i64, end: u32) -> Value {
        let place = Place::Slot(slot);
        let Some(b) = self.blocks.get(block as usize) else {
            return Value::Other;
        };
        let end = end.min(b.end);
        let writes = self.slots.get(&slot).map_or(&[][..], Vec::as_slice);
        let after = writes.partition_point(|w| w.0 < end);
        match writes[..after].last() {
            Some((at, value)) if *at >= b.start => self.value(*value),
            _ => Value::Entry { block, place },
        }
    }

    /// What a slot holds while a call is under way from which execution goes on at offset `after`.
    pub(crate) fn slot_at(&self, slot: i64, after: u32) -> Value {
        let block = self.blocks.partition_point(|b| b.start < after);
        match block.checked_sub(1) {
            Some(block) => self.slot_before(block as u32, slot, after),
            None => Value::Other,
        }
    }

    /// All that is written to a slot, wherever.
    pub(crate) fn written_to(&self, slot: i64) -> impl Iterator<Item = Value> + '_ {
        let writes = self.slots.get(&slot).map_or(&[][..], Vec::as_slice);
        writes.iter().map(|(_, value)| self.value(*value))
    }

    /// The slots that are written to.
    pub(crate) fn written_slots(&self) -> impl Iterator<Item = i64> + '_ {
        self.slots.keys().copied()
    }

    /// The call from which execution goes on at offset `after`.
    pub(crate) fn call_before(&self, after: u32) -> Option<&Call> {
        let index = self.calls.binary_search_by_key(&after, |call| call.after);
        self.calls.get(index.ok()?)
    }

    /// What a call passes in the register for arguments with this number.
    pub(crate) fn arg(&self, call: &Call, abi: &Abi, number: usize) -> Value {
        match (call.args.get(number), abi.args.get(number)) {
            (Some(Some(value)), _) => self.value(*value),
            (Some(None), Some(reg)) => rest(call.rest, call.block, *reg),
            _ => Value::Other,
        }
    }

    /// What the function leaves in a register, at each of its ends.
    pub(crate) fn returned(&self, reg: Reg) -> impl Iterator<Item = Value> + '_ {
        let place = Place::Reg(reg);
        let returns = self.returns.iter().map(move |b| self.at_end(*b, place));
        let tails = self
            .tails
            .iter()
            .map(move |call| Value::Result { call: *call, reg });
        returns.chain(tails)
    }
}

fn rest(rest: Rest, block: u32, reg: Reg) -> Value {
    match rest {
        Rest::Entry => Value::Entry {
            block,
            place: Place::Reg(reg),
        },
        Rest::Call(call) => Value::Result { call, reg },
    }
}

impl Call {
    /// A call with what is in the registers for arguments.
    pub(super) fn new(
        (block, after): (u32, u32),
        callee: Callee,
        args: Vec<Option<ValueId>>,
        rest: Rest,
    ) -> Call {
        Call {
            block,
            after,
            callee,
            args,
            rest,
        }
    }
}
