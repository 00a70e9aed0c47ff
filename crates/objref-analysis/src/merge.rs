//! Many objects at once of each of which something is wanted that few things decide.
//!
//! All threads look for what decides, a piece each, and add up what goes with it; what follows from it is asked for by one
//! thread, in the order in which it is met first. So the outcome is that of one thread, one object after the other.

use std::hash::Hash;

use arrayvec::ArrayVec;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::Amount;

/// Fewer objects are done by one thread.
pub(crate) const PARALLEL: usize = 4096;
/// Objects per piece of work.
const PIECE: usize = 1 << 13;
/// Objects whose keys are kept at once.
const AT_ONCE: usize = 128 * PIECE;
/// Objects that are looked up together: none of the loads waits for another.
pub(crate) const BATCH: usize = 64;
/// How many keys are found without a search.
const RECENT: usize = 256;

/// What decides about an object.
pub(crate) trait Key: Copy + Eq + Hash + Send + Sync {
    /// Different numbers for most of the keys that follow each other.
    fn mix(self) -> u32;
}

/// What is wanted of objects.
pub(crate) trait Merge: Sync {
    type Key: Key;

    /// Calls `visit` with the key and the bytes of each of `objects`, in their order; the first of them is the one with this
    /// index.
    fn keys(&self, first: usize, objects: &[u32], visit: impl FnMut(Self::Key, u64));

    /// What is wanted of objects of this key, of which there are so many more. At most once for the same key and piece.
    fn settle(&mut self, key: Self::Key, amount: Amount) -> u32;

    /// Whether [`Merge::place`] does anything: otherwise it need not be told.
    fn is_placed(&self) -> bool;

    /// This is what was wanted of the object.
    fn place(&self, object: u32, key: Self::Key, value: u32);
}

/// What was wanted of objects, in their order.
#[derive(Debug)]
pub(crate) enum Values {
    /// A value each.
    Few(Vec<u32>),
    /// Some thousands at a time.
    Many(Vec<Piece>),
}

/// Values of some objects, of which few are different.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Per object: index of its value.
    indices: Vec<u16>,
    values: Vec<u32>,
}

impl Values {
    /// Puts in place of each index, all of which stand in order, the value there.
    #[inline]
    pub(crate) fn gather(&self, indices: &mut [u32]) {
        match self {
            Values::Few(values) => {
                for index in indices {
                    *index = values[*index as usize];
                }
            }
            Values::Many(pieces) => {
                let of = |index: Option<&u32>| index.map(|index| *index as usize / PIECE);
                let (first, last) = (of(indices.first()), of(indices.last()));
                if let Some(piece) = first.filter(|_| first == last) {
                    let piece = &pieces[piece];
                    indices
                        .iter_mut()
                        .for_each(|index| *index = piece.get(*index));
                } else {
                    for index in indices {
                        *index = pieces[*index as usize / PIECE].get(*index);
                    }
                }
            }
        }
    }
}

impl Piece {
    /// The value with this index among all.
    #[inline]
    fn get(&self, index: u32) -> u32 {
        self.values[usize::from(self.indices[index as usize % PIECE])]
    }
}

/// Does it for `objects`, whose keys do not depend on each other.
pub(crate) fn merge<M: Merge>(objects: &[u32], wanted: &mut M) -> Values {
    if objects.len() < PARALLEL {
        let mut keys = ArrayVec::<_, BATCH>::new();
        let mut values = Vec::with_capacity(objects.len());
        for (batch, objects) in objects.chunks(BATCH).enumerate() {
            wanted.keys(batch * BATCH, objects, |key, bytes| keys.push((key, bytes)));
            for (&object, (key, bytes)) in objects.iter().zip(keys.drain(..)) {
                let value = wanted.settle(key, Amount { bytes, objects: 1 });
                wanted.place(object, key, value);
                values.push(value);
            }
        }
        return Values::Few(values);
    }
    let mut all = Vec::with_capacity(objects.len().div_ceil(PIECE));
    for (round, objects) in objects.chunks(AT_ONCE).enumerate() {
        let first = |piece: usize| round * AT_ONCE + piece * PIECE;
        let pieces = objects.par_chunks(PIECE).enumerate();
        let this = &*wanted;
        let found = pieces.map(|(piece, objects)| {
            let mut keys = Keys::new(objects.len());
            this.keys(first(piece), objects, |key, bytes| keys.add(key, bytes));
            keys
        });
        let found: Vec<Keys<M::Key>> = found.collect();
        let mut settle = |keys: &Keys<M::Key>| -> Vec<u32> {
            let sums = keys.sums.iter();
            sums.map(|(key, amount)| wanted.settle(*key, *amount))
                .collect()
        };
        let values: Vec<Vec<u32>> = found.iter().map(&mut settle).collect();
        if wanted.is_placed() {
            let this = &*wanted;
            let pieces = objects.par_chunks(PIECE).zip(&found).zip(&values);
            pieces.for_each(|((objects, keys), values)| {
                for (&object, &at) in objects.iter().zip(&keys.indices) {
                    let (key, _) = keys.sums[usize::from(at)];
                    this.place(object, key, values[usize::from(at)]);
                }
            });
        }
        let pieces = found.into_iter().zip(values);
        all.extend(pieces.map(|(keys, values)| Piece {
            indices: keys.indices,
            values,
        }));
    }
    Values::Many(all)
}

/// The keys in a piece.
struct Keys<K> {
    /// Each once, in the order in which they are met, with what goes with it.
    sums: Vec<(K, Amount)>,
    /// Per object: index of its key.
    indices: Vec<u16>,
    known: FxHashMap<K, u16>,
    /// Some of the known ones, each at the only place where it can be.
    recent: [u16; RECENT],
}

impl<K: Key> Keys<K> {
    fn new(objects: usize) -> Self {
        Keys {
            sums: Vec::new(),
            indices: Vec::with_capacity(objects),
            known: FxHashMap::default(),
            recent: [0; RECENT],
        }
    }

    #[inline]
    fn add(&mut self, key: K, bytes: u64) {
        let mut index = self.recent[key.mix() as usize % RECENT];
        match self.sums.get_mut(usize::from(index)) {
            Some((known, amount)) if *known == key => amount.add(bytes),
            _ => index = self.search(key, bytes),
        }
        self.indices.push(index);
    }

    #[inline(never)]
    fn search(&mut self, key: K, bytes: u64) -> u16 {
        // There are no more keys than objects.
        let next = self.sums.len() as u16;
        let index = *self.known.entry(key).or_insert(next);
        if index == next {
            self.sums.push((key, Amount::default()));
        }
        self.sums[usize::from(index)].1.add(bytes);
        self.recent[key.mix() as usize % RECENT] = index;
        index
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    impl Key for u32 {
        fn mix(self) -> u32 {
            self
        }
    }

    /// Numbers keys in the order in which they are met.
    #[derive(Default)]
    struct Numbers {
        kinds: u32,
        known: FxHashMap<u32, u32>,
        sums: Vec<Amount>,
        /// By a third of the object.
        placed: Vec<AtomicU32>,
    }

    impl Numbers {
        fn key(&self, object: u32) -> u32 {
            object.wrapping_mul(2_654_435_761) >> 7 & (self.kinds - 1)
        }
    }

    impl Merge for Numbers {
        type Key = u32;

        fn keys(&self, first: usize, objects: &[u32], mut visit: impl FnMut(u32, u64)) {
            for (index, &object) in (first..).zip(objects) {
                assert_eq!(object, 3 * index as u32);
                visit(self.key(object), u64::from(object));
            }
        }

        fn settle(&mut self, key: u32, amount: Amount) -> u32 {
            let next = self.known.len() as u32;
            let number = *self.known.entry(key).or_insert(next);
            if number == next {
                self.sums.push(Amount::default());
            }
            self.sums[number as usize] = self.sums[number as usize] + amount;
            number
        }

        fn is_placed(&self) -> bool {
            true
        }

        fn place(&self, object: u32, key: u32, value: u32) {
            assert_eq!(key, self.key(object));
            self.placed[object as usize / 3].store(value, Relaxed);
        }
    }

    #[test]
    fn many_at_once_come_to_the_same_as_one_after_the_other() {
        for (count, kinds) in [(100, 8), (5000, 4), (AT_ONCE as u32 + 5000, 1 << 16)] {
            let objects: Vec<u32> = (0..count).map(|n| 3 * n).collect();
            let mut all = Numbers {
                kinds,
                placed: objects.iter().map(|_| AtomicU32::new(u32::MAX)).collect(),
                ..Numbers::default()
            };
            let values = merge(&objects, &mut all);
            let mut one = Numbers {
                kinds,
                ..Numbers::default()
            };
            let mut gathered: Vec<u32> = (0..count).collect();
            values.gather(&mut gathered);
            for ((object, placed), value) in objects.iter().zip(&all.placed).zip(gathered) {
                let bytes = u64::from(*object);
                let number = one.settle(one.key(*object), Amount { bytes, objects: 1 });
                assert_eq!(number, placed.load(Relaxed));
                assert_eq!(number, value);
            }
            assert_eq!(one.sums, all.sums);
        }
    }
}
