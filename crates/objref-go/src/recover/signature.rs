//! What functions take and return, in which registers.
// cmd/compile/abi-internal.md: Function call argument and result passing

use objref_mem::Addr;

use super::meaning::{Meaning, Words};
use crate::rtype::Kind;

/// Words in registers for integers, by the number of the register; of others nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) params: Vec<(usize, Meaning)>,
    pub(super) results: Vec<(usize, Meaning)>,
}

/// How many registers there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    pub(super) ints: usize,
    pub(super) floats: usize,
}

/// Types nest no deeper.
const MAX_DEPTH: u32 = 32;
/// More parameters than registers do not matter; this is a bound for damage.
const MAX_PARAMS: u64 = 64;

/// Gives values their registers, one value after the other.
struct Assigner<'a> {
    words: Words<'a>,
    limits: Registers,
    ints: usize,
    floats: usize,
    found: Vec<(usize, Meaning)>,
}

impl Assigner<'_> {
    /// A value that does not fit into the registers that are left is passed in memory as a whole.
    fn value(&mut self, ty: Addr) {
        let before = (self.ints, self.floats, self.found.len());
        if self.assign(ty, ty, 0, 0).is_none() {
            (self.ints, self.floats) = (before.0, before.1);
            self.found.truncate(before.2);
        }
    }

    /// The part of a `whole` that is a `ty` at `offset`.
    fn assign(&mut self, whole: Addr, ty: Addr, offset: u64, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let this = self.words.read(ty)?;
        let (types, space) = (self.words.types, self.words.space);
        match this.kind {
            Kind::Float32 | Kind::Float64 => self.float(1),
            Kind::Complex64 | Kind::Complex128 => self.float(2),
            Kind::String | Kind::Interface => self.int(whole, offset, 2),
            Kind::Slice => self.int(whole, offset, 3),
            Kind::Array => match types.array_len(space, &this)? {
                0 => Some(()),
                1 => self.assign(whole, types.elem(space, &this)?, offset, depth + 1),
                _ => None,
            },
            Kind::Struct => {
                for (_, field, at) in types.raw_fields(space, &this, MAX_PARAMS) {
                    self.assign(whole, field, offset.checked_add(at)?, depth + 1)?;
                }
                Some(())
            }
            Kind::Invalid => None,
            _ => self.int(whole, offset, 1),
        }
    }

    fn int(&mut self, whole: Addr, offset: u64, count: usize) -> Option<()> {
        for i in 0..count {
            if let Some(meaning) = self.words.word(whole, offset + i as u64 * 8) {
                self.found.push((self.ints + i, meaning));
            }
        }
        self.ints += count;
        (self.ints <= self.limits.ints).then_some(())
    }

    fn float(&mut self, count: usize) -> Option<()> {
        self.floats += count;
        (self.floats <= self.limits.floats).then_some(())
    }
}

impl Words<'_> {
    /// The words of values of these types, passed together from this register on.
    pub(super) fn passed(
        self,
        types: impl IntoIterator<Item = Addr>,
        limits: Registers,
        first: usize,
    ) -> Vec<(usize, Meaning)> {
        let mut assigner = Assigner {
            words: self,
            limits,
            ints: first,
            floats: 0,
            found: Vec::new(),
        };
        for ty in types {
            assigner.value(ty);
        }
        assigner.found
    }

    /// The signature of a function of type `func`, which for a method comes without its receiver.
    pub(super) fn signature(
        self,
        receiver: Option<Addr>,
        func: Addr,
        limits: Registers,
    ) -> Option<Signature> {
        let ty = self.read(func).filter(|ty| ty.kind == Kind::Func)?;
        let (params, results) = self.types.func_parts(self.space, &ty, MAX_PARAMS)?;
        Some(Signature {
            params: self.passed(receiver.into_iter().chain(params), limits, 0),
            results: self.passed(results, limits, 0),
        })
    }

    /// The signature of a method of an interface: the first register has the word that the interface holds.
    pub(super) fn method(self, func: Addr, limits: Registers) -> Option<Signature> {
        let ty = self.read(func).filter(|ty| ty.kind == Kind::Func)?;
        let (params, results) = self.types.func_parts(self.space, &ty, MAX_PARAMS)?;
        Some(Signature {
            params: self.passed(params, limits, 1),
            results: self.passed(results, limits, 0),
        })
    }
}
