//! Which words of a type hold pointers, as the runtime's own masks have it.

use crate::types::{Kind, TypeId, TypeModel};

/// Types contain one another by value at most this deep; deeper is taken for damage.
const MAX_DEPTH: u32 = 128;

/// Which words of a type may be pointers, a bit each.
pub(crate) struct Masks {
    pub(crate) all: Vec<u64>,
    /// Of these, see [`Mask::type_words`].
    pub(crate) type_words: Vec<u64>,
}

/// Which of 64 words may be pointers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mask {
    /// A bit a word.
    pub(crate) all: u64,
    /// Of these, the words of interfaces that tell the type: no pointers to the collector, unless `reflect` made the type.
    // cmd/compile/internal/typebits/typebits.go: set; reflect/type.go: addTypeBits
    pub(crate) type_words: u64,
}

/// How the pointers of a type compare with those of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pointers {
    /// The object has pointers where the type has none.
    Contradict,
    /// The type has pointers where the object has none: memory that the collector does not manage is pointed to, or the
    /// type is wrong.
    Fewer,
    Same,
}

impl Mask {
    /// Whether these are the pointers of the object.
    #[inline]
    pub(crate) fn is(self, found: u64) -> bool {
        found | self.type_words == self.all
    }

    /// Compares with the pointers of an object.
    pub(crate) fn compare(self, found: u64) -> Pointers {
        match found & !self.all {
            0 if self.is(found) => Pointers::Same,
            0 => Pointers::Fewer,
            _ => Pointers::Contradict,
        }
    }

    /// Compares with the pointers of an object that this is tiled over, with values of `words` words.
    pub(crate) fn compare_values(self, found: u64, words: u64) -> Pointers {
        // The runtime knows how many elements there are; the slot may have room for more.
        let last = (64 - u64::from(found.leading_zeros())).max(1);
        let used = u64::MAX >> (64 - (last.div_ceil(words) * words).min(64));
        let used = Mask {
            all: self.all & used,
            type_words: self.type_words & used,
        };
        used.compare(found)
    }

    /// The mask of values of `words` words one after the other, over `room` words (at most 64).
    pub(crate) fn tile(self, words: u64, room: u64) -> Mask {
        let mut tiled = Mask::default();
        let mut at = 0;
        while words > 0 && at < room.min(64) {
            tiled.all |= self.all << at;
            tiled.type_words |= self.type_words << at;
            at += words;
        }
        tiled
    }
}

/// For the first `len * 64` words of `ty`.
pub(crate) fn pointer_mask(model: &TypeModel<'_>, ty: TypeId, len: usize) -> Masks {
    let mut bits = Bits {
        model,
        masks: Masks {
            all: vec![0; len],
            type_words: vec![0; len],
        },
        steps: Steps::default(),
    };
    bits.mark(ty, 0, 0);
    bits.masks
}

struct Bits<'m, 'p> {
    model: &'m TypeModel<'p>,
    masks: Masks,
    steps: Steps,
}

/// How much of a type is looked at: damaged types that consist of one another many times over have no end.
pub(crate) struct Steps(u32);

impl Default for Steps {
    fn default() -> Self {
        Steps(1 << 16)
    }
}

impl Steps {
    /// Whether one more part may be looked at.
    pub(crate) fn take(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }
}

impl Bits<'_, '_> {
    fn mark(&mut self, ty: TypeId, at: u64, depth: u32) {
        if depth > MAX_DEPTH || !self.steps.take() || at >= self.masks.all.len() as u64 * 512 {
            return;
        }
        let model = self.model;
        let ty = model.get(ty);
        match ty.kind {
            Kind::Scalar => {}
            Kind::Interface | Kind::EmptyInterface => {
                set(&mut self.masks.type_words, at);
                set(&mut self.masks.all, at);
                set(&mut self.masks.all, at + 8);
            }
            Kind::Pointer(_)
            | Kind::UnsafePointer
            | Kind::Slice(_)
            | Kind::String
            | Kind::Map { .. }
            | Kind::Chan { .. }
            | Kind::Func => set(&mut self.masks.all, at),
            Kind::Array(elem, count) => {
                let size = model.get(elem).size;
                if size == 0 || !has_pointers(model, elem, depth, &mut self.steps) {
                    return;
                }
                let room = (self.masks.all.len() as u64 * 512 - at).div_ceil(size);
                for i in 0..count.min(room) {
                    self.mark(elem, at + i * size, depth + 1);
                }
            }
            Kind::Struct => {
                for field in &ty.fields {
                    self.mark(field.ty, at.saturating_add(field.offset), depth + 1);
                }
            }
        }
    }
}

fn set(words: &mut [u64], at: u64) {
    if let Some(word) = words.get_mut((at / 512) as usize) {
        *word |= 1 << (at / 8 % 64);
    }
}

/// Whether values of `ty`, which is `depth` deep in another type, hold pointers.
pub(crate) fn has_pointers(
    model: &TypeModel<'_>,
    ty: TypeId,
    depth: u32,
    steps: &mut Steps,
) -> bool {
    if depth > MAX_DEPTH || !steps.take() {
        return false;
    }
    let ty = model.get(ty);
    match ty.kind {
        Kind::Scalar => false,
        Kind::Array(elem, count) => count > 0 && has_pointers(model, elem, depth + 1, steps),
        Kind::Struct => ty
            .fields
            .iter()
            .any(|f| has_pointers(model, f.ty, depth + 1, steps)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// struct { a *T; b any; c int }
    const MASK: Mask = Mask {
        all: 0b0111,
        type_words: 0b0010,
    };

    #[test]
    fn the_word_that_tells_the_type_of_an_interface_may_be_a_pointer() {
        // As the compiler, and as `reflect` has it.
        for found in [0b0101, 0b0111] {
            assert_eq!(MASK.compare(found), Pointers::Same);
        }
        for found in [0b0001, 0b0011, 0b0110, 0] {
            assert_eq!(MASK.compare(found), Pointers::Fewer);
        }
        for found in [0b1101, 0b1000] {
            assert_eq!(MASK.compare(found), Pointers::Contradict);
        }
    }

    proptest! {
        #[test]
        fn values_are_compared_one_by_one_up_to_the_last_with_a_pointer(
            words in 1u64..9,
            all: u64,
            type_words: u64,
            room in 1u64..=64,
            found: u64,
            as_the_mask_has_it: bool,
        ) {
            let bits = |n: u64| u64::MAX >> (64 - n);
            let mask = Mask { all: all & bits(words), type_words: all & type_words & bits(words) };
            let tiled = mask.tile(words, room);
            let found = match as_the_mask_has_it {
                true => tiled.all & !(found & tiled.type_words) & bits(room),
                false => found & bits(room),
            };
            let mut naive = Pointers::Same;
            let last = 64 - u64::from(found.leading_zeros());
            for at in (0..64).step_by(words as usize) {
                let value = found >> at & bits(words);
                // A value that the room cuts off has what pointers there are.
                let whole = at + words <= 64;
                let cut = if whole { mask } else { Mask {
                    all: mask.all & bits(64 - at),
                    type_words: mask.type_words & bits(64 - at),
                } };
                match cut.compare(value) {
                    _ if at >= room => {}
                    Pointers::Contradict => naive = Pointers::Contradict,
                    Pointers::Fewer if at < last.max(1) && naive == Pointers::Same => {
                        naive = Pointers::Fewer;
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(tiled.compare_values(found, words), naive);
        }
    }
}
