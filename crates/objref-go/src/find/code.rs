//! Variables by the code that uses them: function names survive stripping, and on amd64 code names data by its distance
//! from the next instruction.

use objref_mem::{Addr, AddressSpace, Arch};
use rustc_hash::FxHashMap;

use crate::module::{AddrRange, Module};
use crate::pclntab::Pclntab;

/// Code of the functions that are looked into.
#[derive(Debug, Default)]
pub(super) struct Code {
    functions: FxHashMap<&'static str, (Addr, Vec<u8>)>,
    /// Where variables are.
    data: AddrRange,
}

/// The functions that refer to what is looked for.
const FUNCTIONS: [&str; 8] = [
    "runtime.mcommoninit",
    "runtime.gcMark",
    "runtime.readmemstats_m",
    "runtime.gcinit",
    "runtime.queuefinalizer",
    "runtime.freeSpecial",
    "runtime.runCleanups",
    "runtime.createfing",
];
const MAX_CODE: u64 = 1 << 16;

// Intel SDM, volume 2: with mod 00 and r/m 101, ModRM is followed by a 32-bit distance from the next instruction.
const MODRM_MASK: u8 = 0b1100_0111;
const MODRM_RIP: u8 = 0b0000_0101;
const LEA: u8 = 0x8d;
const MOV_LOAD: u8 = 0x8b;
const MOV_STORE: u8 = 0x89;
/// Compare with an 8-bit number: 83 /7 ib.
const CMP_IMM8: [u8; 2] = [0x83, 0x3d];

impl Code {
    /// The code of the functions that matter. Empty on architectures of which code is not understood.
    pub(super) fn new(
        space: &AddressSpace,
        arch: Arch,
        tab: &Pclntab<'_>,
        module: &Module,
    ) -> Code {
        let mut code = Code {
            functions: FxHashMap::default(),
            data: AddrRange {
                start: module.noptrdata.start,
                end: module.noptrbss.end,
            },
        };
        if arch != Arch::Amd64 {
            return code;
        }
        for function in tab.functions() {
            let Some(name) = FUNCTIONS.into_iter().find(|name| *name == function.name()) else {
                continue;
            };
            let len = function
                .end()
                .0
                .saturating_sub(function.entry().0)
                .min(MAX_CODE);
            if let Ok(bytes) = space.bytes(function.entry(), len as usize) {
                code.functions
                    .insert(name, (function.entry(), bytes.into_owned()));
            }
        }
        code
    }

    /// Whether the program has no such function.
    pub(super) fn lacks(&self, function: &str) -> bool {
        !self.functions.is_empty() && !self.functions.contains_key(function)
    }

    /// Variables whose address the function takes, in the order of the code.
    pub(super) fn leas(&self, function: &str) -> Vec<Addr> {
        self.operands(function, &[LEA])
    }

    /// Variables that the function reads as a whole, in the order of the code.
    pub(super) fn loads(&self, function: &str) -> Vec<Addr> {
        self.operands(function, &[MOV_LOAD])
    }

    /// Variables that the function reads, writes or takes the address of, in the order of the code.
    pub(super) fn references(&self, function: &str) -> Vec<Addr> {
        self.operands(function, &[LEA, MOV_LOAD, MOV_STORE])
    }

    /// The first 32-bit variable that the function compares with `number`.
    pub(super) fn compared_with(&self, function: &str, number: u8) -> Option<Addr> {
        let (entry, bytes) = self.functions.get(function)?;
        bytes.windows(7).enumerate().find_map(|(at, w)| {
            let is = w[..2] == CMP_IMM8 && w[6] == number;
            is.then(|| self.target(*entry, at + 7, &w[2..6]))?
        })
    }

    /// Not a disassembler: an instruction may be seen inside another one. What is found is kept only if it is in the
    /// program's data, and callers check it against something else.
    fn operands(&self, function: &str, opcodes: &[u8]) -> Vec<Addr> {
        let Some((entry, bytes)) = self.functions.get(function) else {
            return Vec::new();
        };
        bytes
            .windows(6)
            .enumerate()
            .filter(|(_, w)| opcodes.contains(&w[0]) && w[1] & MODRM_MASK == MODRM_RIP)
            .filter_map(|(at, w)| self.target(*entry, at + 6, &w[2..6]))
            .collect()
    }

    fn target(&self, entry: Addr, next: usize, distance: &[u8]) -> Option<Addr> {
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        let target = Addr(
            entry
                .0
                .wrapping_add(next as u64)
                .wrapping_add(i64::from(distance) as u64),
        );
        self.data.contains(target).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_counted_from_the_end_of_the_instruction() {
        let bytes = [
            &[0x90][..],
            &[0x48, 0x8d, 0x05, 0xf8, 0x0f, 0, 0], // lea 0xff8(%rip),%rax: 0x1008 + 0xff8
            &[0x8b, 0x0d, 0xfa, 0x0f, 0, 0],       // mov 0xffa(%rip),%ecx: 0x100e + 0xffa
            &[0x83, 0x3d, 0x03, 0x10, 0, 0, 2],    // cmpl $2,0x1003(%rip): 0x1015 + 0x1003
            &[0x8d, 0x05, 0, 0, 0, 0x7f],          // elsewhere
        ]
        .concat();
        let code = Code {
            functions: [("f", (Addr(0x1000), bytes))].into_iter().collect(),
            data: AddrRange {
                start: Addr(0x2000),
                end: Addr(0x3000),
            },
        };
        assert_eq!(code.leas("f"), [Addr(0x2000)]);
        assert_eq!(code.loads("f"), [Addr(0x2008)]);
        assert_eq!(code.references("f"), [Addr(0x2000), Addr(0x2008)]);
        assert_eq!(code.compared_with("f", 2), Some(Addr(0x2018)));
        assert_eq!(code.compared_with("f", 1), None);
        assert!(code.leas("g").is_empty());
    }
}
