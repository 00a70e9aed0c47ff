//! Pointer masks of the types that the runtime keeps with objects, read once before any object is scanned.

use objref_mem::{Addr, AddressSpace};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::bits::PointerBits;
use super::{ObjectTable, SlotWord, ones};
use crate::rtype::{MaskBudget, RuntimeTypes, TypeMask};

/// Masks by the address of the type descriptor.
#[derive(Debug, Default)]
pub(super) struct TypeMasks {
    by_type: FxHashMap<u64, TypeMask>,
}

impl TypeMasks {
    pub(super) fn get(&self, ty: u64) -> Option<&TypeMask> {
        self.by_type.get(&ty)
    }

    /// Gathers the types named by allocation headers and large spans of the heap.
    pub(super) fn collect(
        space: &AddressSpace,
        types: &RuntimeTypes,
        heap: &ObjectTable,
    ) -> TypeMasks {
        let rooms: FxHashMap<u64, u64> = heap
            .spans
            .par_iter()
            .fold(FxHashMap::default, |mut rooms, span| {
                match span.bits {
                    PointerBits::Large => widen(&mut rooms, span.large_type.0, span.elem_size),
                    PointerBits::Header => {
                        let words: &[SlotWord] =
                            &heap.words[span.first_word as usize..][..span.word_count()];
                        for (w, word) in words.iter().enumerate() {
                            for bit in ones(word.live) {
                                let slot =
                                    span.start + (w as u64 * 64 + u64::from(bit)) * span.elem_size;
                                if let Ok(ty) = space.word(Addr(slot)) {
                                    widen(&mut rooms, ty, span.elem_size);
                                }
                            }
                        }
                    }
                    _ => {}
                }
                rooms
            })
            .reduce(FxHashMap::default, |a, b| {
                let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
                for (ty, room) in small {
                    widen(&mut large, ty, room);
                }
                large
            });
        // In a fixed order, so that the budget ends at the same type every time.
        let mut rooms: Vec<(u64, u64)> = rooms.into_iter().filter(|(ty, _)| *ty != 0).collect();
        rooms.sort_unstable();
        let mut budget = MaskBudget::default();
        let by_type = rooms
            .into_iter()
            .filter_map(|(ty, room)| {
                let mask = types.mask(space, Addr(ty), room, &mut budget)?;
                Some((ty, repeated(mask, space.word_size())))
            })
            .collect();
        TypeMasks { by_type }
    }
}

/// The mask of as many values as 64 words have room for, where that is more than one: arrays of small values are read by it,
/// which repeat it to their end as the runtime repeats that of one value.
fn repeated(mask: TypeMask, word: u64) -> TypeMask {
    let TypeMask { size, words } = &mask;
    let &[bits] = &words[..] else { return mask };
    if *size > 32 * word || !size.is_multiple_of(word) {
        return mask;
    }
    let step = size / word;
    let values = 64 / step;
    let repeated = (0..values).fold(0, |all, i| all | bits << (i * step));
    TypeMask {
        size: values * size,
        words: vec![repeated],
    }
}

/// Notes that a slot of `room` bytes holds values of the type.
fn widen(rooms: &mut FxHashMap<u64, u64>, ty: u64, room: u64) {
    let known = rooms.entry(ty).or_insert(room);
    *known = room.max(*known);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_repeated_mask_says_the_same_of_every_word(
            words in 1u64..70, bits in any::<u64>(), word in prop_oneof![Just(4u64), Just(8)]
        ) {
            let bits = if words < 64 { bits & ((1 << words) - 1) } else { bits };
            let one = TypeMask { size: words * word, words: vec![bits] };
            let many = repeated(one.clone(), word);
            prop_assert!(many.size.is_multiple_of(one.size));
            let bit = |mask: &TypeMask, n: u64| {
                let n = n % (mask.size / word);
                mask.words.get((n / 64) as usize).is_some_and(|bits| bits >> (n % 64) & 1 != 0)
            };
            for n in 0..300 {
                prop_assert_eq!(bit(&one, n), bit(&many, n));
            }
        }
    }
}
