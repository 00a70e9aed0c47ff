//! Variables by the code that uses them: function names survive stripping, and code names data by its distance from
//! itself. How it does so is each architecture's own: see the modules below.

mod amd64;
mod arm64;

use objref_mem::{Addr, AddressSpace, Arch};
use rustc_hash::FxHashMap;

use crate::module::{AddrRange, Module};
use crate::pclntab::Pclntab;

/// What an instruction does with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Takes its address.
    Address,
    /// Reads it as a whole.
    Load,
    /// Writes it as a whole.
    Store,
    /// Compares it with a number.
    Compare(u8),
}

/// Finds the variables in the code of a function that starts at an address, in the order of the code.
type References = fn(Addr, &[u8]) -> Vec<(Use, Addr)>;

/// Of architectures of which code is not understood, there is none.
fn references_of(arch: Arch) -> Option<References> {
    match arch {
        Arch::Amd64 => Some(amd64::references),
        Arch::Arm64 => Some(arm64::references),
        _ => None,
    }
}

/// What the functions that are looked into refer to.
#[derive(Debug, Default)]
pub(super) struct Code {
    functions: FxHashMap<&'static str, Vec<(Use, Addr)>>,
}

/// The functions that refer to what is looked for.
const FUNCTIONS: [&str; 11] = [
    "runtime.allgadd",
    "runtime.gcSweep",
    "runtime.mcommoninit",
    "runtime.gcMark",
    "runtime.readmemstats_m",
    "runtime.gcinit",
    "runtime.queuefinalizer",
    "runtime.freeSpecial",
    "runtime.runCleanups",
    "runtime.createfing",
    "runtime.isSystemGoroutine",
];
const MAX_CODE: u64 = 1 << 16;

impl Code {
    /// The code of the functions that matter. Empty on architectures of which code is not understood.
    pub(super) fn new(space: &AddressSpace, tab: &Pclntab<'_>, module: &Module) -> Code {
        let mut code = Code::default();
        let Some(references) = references_of(space.arch()) else {
            return code;
        };
        // An instruction may be seen inside another one, or a number taken for a distance: only what is in the program's
        // data is kept, and callers check it against something else.
        let data = AddrRange {
            start: module.noptrdata.start,
            end: module.noptrbss.end,
        };
        for function in tab.functions() {
            let Some(name) = FUNCTIONS.into_iter().find(|name| *name == function.name()) else {
                continue;
            };
            let entry = function.entry();
            let len = function.end().0.saturating_sub(entry.0).min(MAX_CODE);
            if let Ok(bytes) = space.bytes(entry, len as usize) {
                let mut found = references(entry, &bytes);
                found.retain(|(_, target)| data.contains(*target));
                code.functions.insert(name, found);
            }
        }
        code
    }

    /// Whether the program has no such function.
    pub(super) fn lacks(&self, function: &str) -> bool {
        !self.functions.is_empty() && !self.functions.contains_key(function)
    }

    /// Variables whose address the function takes, in the order of the code.
    pub(super) fn addresses(&self, function: &str) -> Vec<Addr> {
        self.uses(function, |kind| kind == Use::Address)
    }

    /// Variables that the function reads as a whole, in the order of the code.
    pub(super) fn loads(&self, function: &str) -> Vec<Addr> {
        self.uses(function, |kind| kind == Use::Load)
    }

    /// Variables that the function reads, writes or takes the address of, in the order of the code.
    pub(super) fn references(&self, function: &str) -> Vec<Addr> {
        self.uses(function, |kind| !matches!(kind, Use::Compare(_)))
    }

    /// The first variable that the function compares with `number`.
    pub(super) fn compared_with(&self, function: &str, number: u8) -> Option<Addr> {
        let compared = self.uses(function, |kind| kind == Use::Compare(number));
        compared.first().copied()
    }

    fn uses(&self, function: &str, wanted: impl Fn(Use) -> bool) -> Vec<Addr> {
        let all = self.functions.get(function).into_iter().flatten();
        all.filter(|(kind, _)| wanted(*kind))
            .map(|(_, target)| *target)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_apart() {
        let (a, b, c) = (Addr(0x2000), Addr(0x2008), Addr(0x2010));
        let uses = vec![
            (Use::Load, b),
            (Use::Compare(2), c),
            (Use::Address, a),
            (Use::Store, a),
        ];
        let code = Code {
            functions: [("f", uses)].into_iter().collect(),
        };
        assert_eq!(code.addresses("f"), [a]);
        assert_eq!(code.loads("f"), [b]);
        assert_eq!(code.references("f"), [b, a, a]);
        assert_eq!(code.compared_with("f", 2), Some(c));
        assert_eq!(code.compared_with("f", 1), None);
        assert!(code.addresses("g").is_empty());
        assert!(code.lacks("g") && !code.lacks("f") && !Code::default().lacks("g"));
    }
}
