//! How functions of Go pass values to one another.
// cmd/compile/abi-internal.md

use objref_mem::{Addr, Arch};

use super::amd64;
use super::op::{Instruction, Reg, VECTOR};

/// What an architecture's calling convention lays down.
#[derive(Debug)]
pub(crate) struct Abi {
    /// Registers for integer arguments and results, in their order.
    pub(crate) args: &'static [Reg],
    /// How many registers there are for floating-point numbers.
    pub(crate) floats: usize,
    /// The register with the closure.
    pub(crate) context: Reg,
    /// The stack pointer.
    pub(crate) sp: Reg,
    /// A register that is always zero.
    pub(crate) zero: Reg,
    /// How far the caller's stack pointer, as frames have it, is above that at the function's entry.
    pub(crate) entry: i64,
    /// Understands an instruction.
    pub(crate) decode: fn(&[u8], Addr) -> Option<Instruction>,
    /// The functions that leave all registers alone but these.
    keeping: &'static [(&'static str, u64)],
}

static AMD64: Abi = Abi {
    // AX BX CX DI SI R8 R9 R10 R11
    args: &[0, 3, 1, 7, 6, 8, 9, 10, 11],
    floats: 15,
    context: 2,
    sp: 4,
    zero: VECTOR + 15,
    entry: 8,
    decode: amd64::decode,
    keeping: &[
        ("runtime.gcWriteBarrier", 1 << 11),
        ("gcWriteBarrier", 1 << 11),
        ("runtime.duffzero", 1 << 7),
        ("runtime.duffcopy", 1 << 6 | 1 << 7 | 1 << VECTOR),
        ("runtime.morestack", 0),
    ],
};

impl Abi {
    /// The convention of an architecture whose code is understood.
    pub(crate) fn of(arch: Arch) -> Option<&'static Abi> {
        match arch {
            Arch::Amd64 => Some(&AMD64),
            _ => None,
        }
    }

    /// The registers that a function changes which leaves most alone, by its name.
    pub(crate) fn changed_by(&self, function: &str) -> Option<u64> {
        let keeps = |prefix: &&(&str, u64)| function.starts_with(prefix.0);
        self.keeping.iter().find(keeps).map(|(_, regs)| *regs)
    }
}

/// Whether the function never returns, by its name.
pub(crate) fn never_returns(function: &str) -> bool {
    let Some(name) = function.strip_prefix("runtime.") else {
        return false;
    };
    name.starts_with("panic")
        || name.starts_with("goPanic")
        || matches!(
            name,
            "gopanic" | "throw" | "fatal" | "fatalthrow" | "block" | "goexit0"
        )
}
