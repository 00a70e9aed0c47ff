//! The words by which each object is held in the tree.
//!
//! All threads look for the keys of steps, a piece of the tree each; what a piece found first is numbered when those
//! before it are, so that the numbers are those that one thread would give.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use objref_go::ObjId;
use objref_graph::{BATCH, BfsTree, NONE};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::roots::Root;
use crate::rounds::Offset;
use crate::step::{Container, Describer, Reference, StepId, StepKey, Steps};

/// Objects per piece of work.
const PIECE: usize = 1 << 13;

/// Objects that are worked on before their steps are numbered: what is kept of them until then stays small.
const AT_ONCE: usize = 128 * PIECE;

/// Steps, numbered in the order in which they are met.
pub(crate) struct Vocabulary<'a, 'p> {
    pub(crate) describer: Describer<'a, 'p>,
    pub(crate) steps: Steps,
    by_key: FxHashMap<StepKey, StepId>,
}

impl<'a, 'p> Vocabulary<'a, 'p> {
    pub(crate) fn new(describer: Describer<'a, 'p>) -> Self {
        Vocabulary {
            describer,
            steps: Steps::default(),
            by_key: FxHashMap::default(),
        }
    }

    pub(crate) fn step(&mut self, key: StepKey) -> StepId {
        *self
            .by_key
            .entry(key)
            .or_insert_with(|| self.steps.intern(self.describer.text(key)))
    }

    /// Per object: the step from its parent in the tree. `offsets` are, per object, where in its parent the reference is.
    pub(crate) fn describe(
        &mut self,
        tree: &BfsTree,
        offsets: Vec<u32>,
        roots: &[Root],
    ) -> Vec<StepId> {
        // Steps take the place of the offsets.
        let column: Vec<AtomicU32> = offsets.into_iter().map(AtomicU32::new).collect();
        for root in roots {
            column[root.target.0 as usize].store(root.step.0, Relaxed);
        }
        for first in (tree.roots()..tree.order.len()).step_by(AT_ONCE) {
            let objects = &tree.order[first..tree.order.len().min(first + AT_ONCE)];
            let describer = self.describer;
            let pieces = objects.par_chunks(PIECE).enumerate();
            let keys = pieces.map(|(piece, objects)| {
                keys(describer, tree, first + piece * PIECE, objects, &column)
            });
            let found: Vec<Keys> = keys.collect();
            let number = |keys: Keys| {
                let steps = keys.keys.into_iter().map(|key| self.step(key)).collect();
                (steps, keys.indices)
            };
            let numbered: Vec<(Vec<StepId>, Vec<u32>)> = found.into_iter().map(number).collect();
            let pieces = objects.par_chunks(PIECE).zip(numbered);
            pieces.for_each(|(objects, (steps, indices))| {
                for (object, index) in objects.iter().zip(indices) {
                    column[*object as usize].store(steps[index as usize].0, Relaxed);
                }
            });
        }
        // In place.
        let steps = column.into_iter().map(|step| StepId(step.into_inner()));
        steps.collect()
    }
}

/// The keys of the steps to the objects of a piece.
struct Keys {
    /// Each once, in the order in which they are met.
    keys: Vec<StepKey>,
    /// Per object: index of its key.
    indices: Vec<u32>,
    known: FxHashMap<StepKey, u32>,
    /// Places of which nothing else has to be known, and the index of the key: most references are in one of a few.
    plain: Vec<Option<(Container, u64, u32)>>,
}

/// Places that are remembered.
const PLAIN: usize = 256;

impl Keys {
    fn new(objects: usize) -> Keys {
        Keys {
            keys: Vec::new(),
            indices: Vec::with_capacity(objects),
            known: FxHashMap::default(),
            plain: vec![None; PLAIN],
        }
    }

    fn index(&mut self, key: StepKey) -> u32 {
        *self.known.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        })
    }

    /// The key of a reference at this place, if it is all that decides.
    #[inline]
    fn plain(
        &mut self,
        describer: Describer<'_, '_>,
        container: Container,
        offset: u64,
    ) -> Option<u32> {
        let at = (u64::from(container.ty.0).wrapping_mul(31) ^ (offset / 8)) as usize % PLAIN;
        if let Some((known, place, index)) = self.plain[at]
            && (known, place) == (container, offset)
        {
            return Some(index);
        }
        let index = self.index(describer.declared(container, offset)?);
        self.plain[at] = Some((container, offset, index));
        Some(index)
    }
}

/// Children of one parent stand together, so that what is known of it is looked up once. `first` is where in the order of
/// the tree `objects` stand.
fn keys(
    describer: Describer<'_, '_>,
    tree: &BfsTree,
    first: usize,
    objects: &[u32],
    offsets: &[AtomicU32],
) -> Keys {
    let mut keys = Keys::new(objects.len());
    let mut above = tree.parents_at(first);
    let (mut parent, mut container, mut size) = (NONE, None, None);
    let mut batch = [(NONE, Offset(0)); BATCH];
    for objects in objects.chunks(BATCH) {
        // These loads do not wait for each other.
        for ((entry, object), at) in batch.iter_mut().zip(objects).zip(&mut above) {
            let offset = offsets[*object as usize].load(Relaxed);
            *entry = (tree.order[at as usize], Offset(offset));
        }
        let batch = &batch[..objects.len()];
        let views = &describer.infer.views;
        black_box(batch.iter().fold(0, |all, (p, _)| all ^ views.touch(*p)));
        for (&object, &(above, offset)) in objects.iter().zip(batch) {
            if above != parent {
                parent = above;
                (container, size) = describer.container(ObjId(parent));
            }
            let inside = offset.bytes();
            let container = container.filter(|_| inside.is_some());
            let inside = inside.unwrap_or(0);
            let offset = match size {
                Some(size) if inside >= size => inside % size,
                _ => inside,
            };
            let plain = container.and_then(|c| keys.plain(describer, c, offset));
            let index = plain.unwrap_or_else(|| {
                let reference = Reference {
                    container,
                    offset,
                    target: ObjId(object),
                };
                keys.index(describer.key(&reference, || describer.pointer(ObjId(parent), inside)))
            });
            keys.indices.push(index);
        }
    }
    keys
}
