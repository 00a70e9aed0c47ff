//! Pointer masks of the types that the runtime keeps with objects, read once before any object is scanned.

use objref_mem::{Addr, AddressSpace};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::bits::PointerBits;
use super::{Heap, SlotWord, ones};
use crate::rtype::{RuntimeTypes, TypeMask};

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
    pub(super) fn collect(space: &AddressSpace, types: &RuntimeTypes, heap: &Heap) -> TypeMasks {
        let seen: FxHashSet<u64> = heap
            .spans
            .par_iter()
            .fold(FxHashSet::default, |mut seen, span| {
                match span.bits {
                    PointerBits::Large => _ = seen.insert(span.large_type.0),
                    PointerBits::Header => {
                        let words: &[SlotWord] =
                            &heap.words[span.first_word as usize..][..span.word_count()];
                        for (w, word) in words.iter().enumerate() {
                            for bit in ones(word.live) {
                                let slot =
                                    span.start + (w as u64 * 64 + u64::from(bit)) * span.elem_size;
                                seen.extend(space.u64(Addr(slot)));
                            }
                        }
                    }
                    _ => {}
                }
                seen
            })
            .reduce(FxHashSet::default, |a, b| {
                let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
                large.extend(small);
                large
            });
        let by_type = seen
            .into_iter()
            .filter(|ty| *ty != 0)
            .filter_map(|ty| Some((ty, types.mask(space, Addr(ty))?)))
            .collect();
        TypeMasks { by_type }
    }
}
