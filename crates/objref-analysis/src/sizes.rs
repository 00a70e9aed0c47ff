//! Sizes of objects, without a look at their spans where that can be spared.
//!
//! Objects that follow each other are mostly in one span, and of one size. So a byte says the size of some of them at once.

use std::ops::Range;

use objref_go::{ObjId, ObjectTable};
use rustc_hash::FxHashMap;

/// Objects of one byte.
const GROUP: u32 = 16;

/// The size of each object.
pub(crate) struct Sizes<'a> {
    objects: &'a ObjectTable,
    groups: Groups,
}

impl<'a> Sizes<'a> {
    pub(crate) fn new(objects: &'a ObjectTable) -> Self {
        let spans = objects.spans().iter().enumerate();
        let spans = spans.map(|(number, span)| (objects.ids(number), span.elem_size));
        Sizes {
            objects,
            groups: Groups::new(spans),
        }
    }

    /// Writes the size of each of `objects` to `to`.
    #[inline]
    pub(crate) fn gather(&self, objects: &[u32], to: &mut [u64]) {
        for (to, &object) in to.iter_mut().zip(objects) {
            *to = match self.groups.size(object) {
                0 => self.objects.size(ObjId(object)),
                size => size,
            };
        }
    }
}

/// What a byte says of the objects in a group.
struct Groups {
    /// Per group the index of their size; 0 where they are not all of one.
    indices: Vec<u8>,
    sizes: [u64; 1 << 8],
}

impl Groups {
    /// `spans` tell which objects are of which size, all in their order.
    fn new(spans: impl Iterator<Item = (Range<u32>, u64)>) -> Self {
        let mut groups = Groups {
            indices: Vec::new(),
            sizes: [0; 1 << 8],
        };
        let mut known = FxHashMap::default();
        for (objects, size) in spans {
            // The group that the last span ended in.
            groups.resize(objects.start.div_ceil(GROUP), 0);
            let end = objects.end / GROUP;
            if groups.indices.len() < end as usize {
                let next = known.len() as u8 + 1;
                let index = match known.get(&size) {
                    Some(index) => *index,
                    // None is left for more.
                    None if next == u8::MAX => 0,
                    None => {
                        known.insert(size, next);
                        groups.sizes[usize::from(next)] = size;
                        next
                    }
                };
                groups.resize(end, index);
            }
            groups.resize(objects.end.div_ceil(GROUP), 0);
        }
        groups
    }

    fn resize(&mut self, groups: u32, index: u8) {
        self.indices.resize(groups as usize, index);
    }

    /// The object's size; 0 where it is not that of the whole group.
    #[inline]
    fn size(&self, object: u32) -> u64 {
        let index = self.indices[(object / GROUP) as usize];
        self.sizes[usize::from(index)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn groups_tell_sizes_of_their_objects(
            spans in prop::collection::vec((0u32..100, 1u64..8), 0..40),
        ) {
            let mut end = 0;
            let ids = |&(objects, size)| {
                end += objects;
                (end - objects..end, size)
            };
            let spans: Vec<(Range<u32>, u64)> = spans.iter().map(ids).collect();
            let groups = Groups::new(spans.iter().cloned());
            for (objects, size) in &spans {
                for object in objects.clone() {
                    let told = groups.size(object);
                    prop_assert!(told == 0 || told == *size);
                    let group = object / GROUP * GROUP;
                    let whole = objects.start <= group && group + GROUP <= objects.end;
                    prop_assert_eq!(told > 0, whole);
                }
            }
        }
    }

    #[test]
    fn more_sizes_than_a_byte_can_tell() {
        let spans = (0..300u32).map(|n| (n * GROUP..(n + 1) * GROUP, u64::from(n) + 1));
        let groups = Groups::new(spans);
        let told = (0..300).filter(|n| groups.size(n * GROUP) == u64::from(*n) + 1);
        assert_eq!(told.count(), 254);
        assert_eq!(groups.size(299 * GROUP), 0);
    }
}
