//! Instructions, as far as they say where values come from and go to; the same for all architectures.

use objref_mem::Addr;

/// A register: general ones are `0..32`, vector registers `32..64`.
pub(crate) type Reg = u8;

/// The first vector register.
pub(crate) const VECTOR: Reg = 32;

/// A place in memory that an instruction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mem {
    /// The register that `disp` is counted from; none where `disp` is the address itself.
    pub(crate) base: Option<Reg>,
    /// Bytes from the base.
    pub(crate) disp: i64,
    /// Whether a multiple of another register is added.
    pub(crate) indexed: bool,
}

/// What an instruction does with words that may be pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Nothing that matters: a comparison, a store of something short.
    Nothing,
    /// A number, or the address of something static.
    Constant {
        /// Where it goes.
        dst: Reg,
        /// The number.
        value: u64,
    },
    /// A copy from register to register.
    Copy {
        /// Where it goes.
        dst: Reg,
        /// Where it is.
        src: Reg,
    },
    /// The address of a place in memory.
    Address {
        /// Where it goes.
        dst: Reg,
        /// The place.
        mem: Mem,
    },
    /// A word out of memory, or two for a vector register.
    Load {
        /// Where it goes.
        dst: Reg,
        /// Where it is.
        mem: Mem,
    },
    /// A word into memory, or two from a vector register.
    Store {
        /// Where it goes.
        mem: Mem,
        /// Where it is.
        src: Reg,
    },
    /// A number into memory.
    StoreNumber {
        /// Where it goes.
        mem: Mem,
        /// The number.
        value: u64,
    },
    /// Either what is in `dst` or what is in one of two others.
    Select {
        /// Where it goes.
        dst: Reg,
        /// Where it may be.
        from: [Reg; 2],
    },
    /// Something else into these registers, a bit each.
    Change(u64),
    /// A call of the function here.
    Call(Addr),
    /// A call of the function whose address is there.
    CallThrough(Target),
    /// A jump.
    Jump(Addr),
    /// A jump that may be taken.
    Branch(Addr),
    /// A jump to somewhere that the instruction does not tell.
    JumpAway,
    /// The end of the function.
    Return,
    /// Execution does not go on.
    Stop,
}

/// Where an indirect call finds its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In a register.
    Reg(Reg),
    /// In memory.
    Mem(Mem),
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Bytes of it.
    pub(crate) len: u8,
    /// What it does.
    pub(crate) op: Op,
}

/// Only this register is changed.
pub(crate) fn change(reg: Reg) -> Op {
    Op::Change(1 << (reg & 63))
}
