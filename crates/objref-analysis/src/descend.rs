//! Down the breadth-first tree, from each object to those below it.
//!
//! Something is wanted of every object that follows from what it is of its parent and from the step that leads to it: the
//! frame that it is drawn in, the kind of root that holds it. Few pairs of such a value and a step serve many objects:
//! all threads look for the pairs, a piece of a level each, and add up what hangs from them; what follows from a pair is
//! asked for by one thread, in the order in which pairs are met first.

use std::hash::Hash;

use objref_go::ObjId;
use objref_snapshot::{Snapshot, StepId};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::Amount;

/// A narrower level is walked by one thread.
const PARALLEL: usize = 4096;
/// Objects per piece of work.
const PIECE: usize = 1 << 13;
/// Objects whose pairs are kept at once.
const AT_ONCE: usize = 128 * PIECE;
/// Objects that are looked up together: none of the loads waits for another.
const BATCH: usize = 64;

/// What becomes of the values.
pub(crate) trait Descent {
    /// What is wanted of each object.
    type Value: Copy + Eq + Hash + Into<u32> + Send + Sync;

    /// The value of objects below `above` by `step`. At most once for the same pair and piece of a level.
    fn follow(&mut self, above: Self::Value, step: StepId) -> Self::Value;

    /// So much more has this value, `level` references away from a root.
    fn add(&mut self, value: Self::Value, amount: Amount, level: u32);
}

/// Takes `descent` to every reachable object, nearest first. `first` are the values above the objects that roots refer
/// to. Shows `each` all objects with their values, in no order.
pub(crate) fn descend<D: Descent>(
    snapshot: &Snapshot,
    first: Vec<D::Value>,
    descent: &mut D,
    each: impl Fn(u32, D::Value) + Sync,
) {
    let tree = &snapshot.tree;
    if tree.depth() == 0 {
        return;
    }
    let mut way = Way {
        snapshot,
        descent,
        each,
        level: 0,
    };
    let roots = first.len();
    let mut above = match roots < PARALLEL {
        true => way.narrow(tree.level(0), &first, 0..roots),
        false => way.wide(tree.level(0), &first, |start| start..roots),
    };
    // Narrow levels are many, and go on where the one before ended.
    let mut at = tree.roots();
    let mut parents = tree.parents_at(at);
    for level in 1..tree.depth() {
        let (start, objects) = (tree.levels[level] as usize, tree.level(level));
        let first = tree.levels[level - 1];
        let place = |parent: u32| (parent - first) as usize;
        way.level = level as u32;
        above = if objects.len() < PARALLEL {
            if at != start {
                parents = tree.parents_at(start);
            }
            at = start + objects.len();
            way.narrow(objects, &above, parents.by_ref().map(place))
        } else {
            way.wide(objects, &above, |inside| {
                tree.parents_at(start + inside).map(place)
            })
        };
    }
}

/// A descent on its way.
struct Way<'s, D, F> {
    snapshot: &'s Snapshot,
    descent: &'s mut D,
    each: F,
    level: u32,
}

impl<D: Descent, F: Fn(u32, D::Value) + Sync> Way<'_, D, F> {
    /// The values of the `objects` of a level, by one thread. `values` are those of the level above, and `parents` tells of
    /// each object where among those stands the one that it hangs from.
    fn narrow(
        &mut self,
        objects: &[u32],
        values: &[D::Value],
        parents: impl Iterator<Item = usize>,
    ) -> Vec<D::Value> {
        let mut this = Vec::with_capacity(objects.len());
        let Way {
            snapshot,
            descent,
            each,
            level,
        } = self;
        look_up(snapshot, objects, parents, |object, parent, step, bytes| {
            let value = descent.follow(values[parent], step);
            descent.add(value, Amount { bytes, objects: 1 }, *level);
            each(object, value);
            this.push(value);
        });
        this
    }

    /// The same by all threads; `parents` tells it for the objects from the given one on.
    fn wide<P: Iterator<Item = usize>>(
        &mut self,
        objects: &[u32],
        values: &[D::Value],
        parents: impl Fn(usize) -> P + Sync,
    ) -> Vec<D::Value> {
        let (snapshot, each) = (self.snapshot, &self.each);
        let mut this = Vec::with_capacity(objects.len());
        for (round, objects) in objects.chunks(AT_ONCE).enumerate() {
            let first = round * AT_ONCE;
            let pieces = objects.par_chunks(PIECE).enumerate();
            let found = pieces.map(|(piece, objects)| {
                let mut pairs = Pairs::new(objects.len());
                let parents = parents(first + piece * PIECE);
                look_up(snapshot, objects, parents, |_, parent, step, bytes| {
                    pairs.add(values[parent], step, bytes);
                });
                pairs
            });
            let found: Vec<Pairs<D::Value>> = found.collect();
            let settled = found.into_iter().map(|pairs| {
                let values = pairs.sums.into_iter().map(|((above, step), amount)| {
                    let value = self.descent.follow(above, step);
                    self.descent.add(value, amount, self.level);
                    value
                });
                (values.collect(), pairs.indices)
            });
            let settled: Vec<(Vec<D::Value>, Vec<u32>)> = settled.collect();
            let start = this.len();
            let Some(&any) = values.first() else {
                return this;
            };
            // To be written over.
            this.resize(start + objects.len(), any);
            let pieces = objects.par_chunks(PIECE).zip(settled);
            let places = this[start..].par_chunks_mut(PIECE).zip(pieces);
            places.for_each(|(places, (objects, (values, indices)))| {
                for ((place, object), index) in places.iter_mut().zip(objects).zip(indices) {
                    *place = values[index as usize];
                    each(*object, *place);
                }
            });
        }
        this
    }
}

/// Calls `visit` with each of `objects`, its parent, the step from there and its size.
#[inline]
fn look_up(
    snapshot: &Snapshot,
    objects: &[u32],
    mut parents: impl Iterator<Item = usize>,
    mut visit: impl FnMut(u32, usize, StepId, u64),
) {
    let mut batch = [(StepId(0), 0); BATCH];
    for objects in objects.chunks(BATCH) {
        for (entry, &object) in batch.iter_mut().zip(objects) {
            let bytes = snapshot.objects.size(ObjId(object));
            *entry = (snapshot.step(object), bytes);
        }
        for (&object, &(step, bytes)) in objects.iter().zip(&batch) {
            // There are as many parents as objects.
            let Some(parent) = parents.next() else { return };
            visit(object, parent, step, bytes);
        }
    }
}

/// The pairs in a piece of a level.
struct Pairs<T> {
    /// Each once, in the order in which they are met, with what hangs from it.
    sums: Vec<((T, StepId), Amount)>,
    /// Per object: index of its pair.
    indices: Vec<u32>,
    known: FxHashMap<(T, StepId), u32>,
    /// Some of the known ones, each at the only place where it can be.
    recent: [u32; RECENT],
}

/// How many pairs are found without a search.
const RECENT: usize = 256;

impl<T: Copy + Eq + Hash + Into<u32>> Pairs<T> {
    fn new(objects: usize) -> Self {
        Pairs {
            sums: Vec::new(),
            indices: Vec::with_capacity(objects),
            known: FxHashMap::default(),
            recent: [0; RECENT],
        }
    }

    #[inline]
    fn add(&mut self, value: T, step: StepId, bytes: u64) {
        let pair = (value, step);
        let place = value.into().wrapping_mul(31) ^ step.0;
        let recent = &mut self.recent[place as usize % RECENT];
        if self
            .sums
            .get(*recent as usize)
            .is_none_or(|(known, _)| *known != pair)
        {
            *recent = *self.known.entry(pair).or_insert_with(|| {
                self.sums.push((pair, Amount::default()));
                self.sums.len() as u32 - 1
            });
        }
        self.sums[*recent as usize].1.add(bytes);
        self.indices.push(*recent);
    }
}
