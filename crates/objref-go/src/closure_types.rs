//! Types of closures, from the code that makes them. Before Go 1.23 DWARF does not say what a closure captured, and
//! without DWARF nothing does, but the allocator is given a type:
//!
//! ```text
//!     lea   type:struct { F uintptr; X0 *T },%rax
//!     call  runtime.newobject
//!     lea   main.f.func1,%rcx
//!     mov   %rcx,(%rax)
//! ```

use memchr::memchr_iter;
use objref_mem::{Addr, AddressSpace, Arch};
use rustc_hash::FxHashMap;

use crate::module::Module;
use crate::rtype::{Kind, RuntimeTypes};

/// From a function's entry to the descriptor of the struct that its closures are.
#[derive(Debug, Default)]
pub struct ClosureTypes {
    by_code: FxHashMap<Addr, Addr>,
}

/// How far behind the type the function is named, in bytes of code.
const NEAR: usize = 128;

impl ClosureTypes {
    /// Reads the code of all modules. Empty on architectures of which code is not understood.
    pub fn read(
        space: &AddressSpace,
        arch: Arch,
        types: &RuntimeTypes,
        modules: &[Module],
    ) -> ClosureTypes {
        let mut found = ClosureTypes::default();
        if arch != Arch::Amd64 {
            return found;
        }
        let mut closures = FxHashMap::default();
        for module in modules {
            let Ok(len) = usize::try_from(module.text.len()) else {
                continue;
            };
            let Ok(code) = space.bytes(module.text.start, len) else {
                continue;
            };
            let mut last: Option<(usize, Addr)> = None;
            for (at, target) in leas(&code, module.text.start) {
                if module.types.contains(target) {
                    let is_closure = *closures
                        .entry(target)
                        .or_insert_with(|| is_closure(space, types, target));
                    if is_closure {
                        last = Some((at, target));
                    }
                } else if module.text.contains(target)
                    && let Some((from, descriptor)) = last.take()
                    && at - from < NEAR
                {
                    found.by_code.entry(target).or_insert(descriptor);
                }
            }
        }
        found
    }

    /// The descriptor of closures of the function that starts here.
    pub fn get(&self, code: Addr) -> Option<Addr> {
        self.by_code.get(&code).copied()
    }
}

/// Addresses that 64-bit `lea` instructions take relative to the next instruction: offset of the instruction, address.
/// Not a disassembler: an instruction may be seen inside another one.
// Intel SDM, volume 2: REX.W with or without REX.R, 8D /r, with mod 00 and r/m 101.
fn leas(code: &[u8], start: Addr) -> impl Iterator<Item = (usize, Addr)> {
    memchr_iter(0x8d, code).filter_map(move |opcode| {
        let at = opcode.checked_sub(1)?;
        let w = code.get(at..at + 7)?;
        let is_lea = w[0] & 0xfb == 0x48 && w[2] & 0xc7 == 0x05;
        is_lea.then(|| {
            let distance = i32::from_le_bytes([w[3], w[4], w[5], w[6]]);
            let next = start.0.wrapping_add(at as u64 + 7);
            (at, Addr(next.wrapping_add(i64::from(distance) as u64)))
        })
    })
}

// cmd/compile/internal/typecheck/func.go: ClosureType: the first field is .F up to Go 1.20
fn is_closure(space: &AddressSpace, types: &RuntimeTypes, at: Addr) -> bool {
    let Some(ty) = types.read(space, at).filter(|ty| ty.kind == Kind::Struct) else {
        return false;
    };
    let fields = types.fields(space, &ty, 1);
    let first = fields.first();
    first.is_some_and(|f| matches!(f.name.as_str(), "F" | ".F") && f.offset == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_from_the_end_of_the_instruction() {
        let code = [
            &[0x90][..],
            &[0x48, 0x8d, 0x05, 0xf8, 0x0f, 0, 0], // lea 0xff8(%rip),%rax: 0x1008 + 0xff8
            &[0x4c, 0x8d, 0x0d, 0xf1, 0xef, 0xff, 0xff], // lea -0x100f(%rip),%r9: 0x100f - 0x100f
            &[0x48, 0x8d, 0x44, 0x24, 0x08, 0, 0], // lea 0x8(%rsp),%rax
            &[0x48, 0x8d, 0x05, 0, 0, 0],          // cut short
        ]
        .concat();
        let found: Vec<_> = leas(&code, Addr(0x1000)).collect();
        assert_eq!(found, [(1, Addr(0x2000)), (8, Addr(0))]);
        assert_eq!(leas(&[0x8d, 0x05, 0, 0, 0, 0, 0], Addr(0)).count(), 0);
    }
}
