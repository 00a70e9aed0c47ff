//! The words by which each object is held in the tree.
//!
//! All threads look for the keys of steps, a piece of the tree each; what a piece found first is numbered when those
//! before it are, so that the numbers are those that one thread would give.

use objref_go::ObjId;
use objref_graph::{BfsTree, NONE};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::roots::Root;
use crate::rounds::Offset;
use crate::step::{Describer, Reference, StepId, StepKey, Steps};

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

    /// Per object: the step from its parent in the tree. `offsets` are where in their parents the references are, for the
    /// objects of its order that are not roots.
    pub(crate) fn describe(
        &mut self,
        tree: &BfsTree,
        offsets: &[Offset],
        roots: &[Root],
    ) -> Vec<StepId> {
        let mut step_of = vec![StepId(NONE); tree.parent.len()];
        for root in roots {
            step_of[root.target.0 as usize] = root.step;
        }
        let objects = &tree.order[tree.order.len() - offsets.len()..];
        for (objects, offsets) in objects.chunks(AT_ONCE).zip(offsets.chunks(AT_ONCE)) {
            let describer = self.describer;
            let pieces = objects.par_chunks(PIECE).zip(offsets.par_chunks(PIECE));
            let keys = pieces.map(|(objects, offsets)| keys(describer, tree, objects, offsets));
            let found: Vec<Keys> = keys.collect();
            for (objects, found) in objects.chunks(PIECE).zip(found) {
                let steps: Vec<StepId> = found.keys.into_iter().map(|k| self.step(k)).collect();
                for (object, index) in objects.iter().zip(found.indices) {
                    step_of[*object as usize] = steps[index as usize];
                }
            }
        }
        step_of
    }
}

/// The keys of the steps to the objects of a piece.
#[derive(Default)]
struct Keys {
    /// Each once, in the order in which they are met.
    keys: Vec<StepKey>,
    /// Per object: index of its key.
    indices: Vec<u32>,
    known: FxHashMap<StepKey, u32>,
}

impl Keys {
    fn add(&mut self, key: StepKey) {
        let index = *self.known.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        });
        self.indices.push(index);
    }
}

/// Children of one parent stand together, so that what is known of it is looked up once.
fn keys(describer: Describer<'_, '_>, tree: &BfsTree, objects: &[u32], offsets: &[Offset]) -> Keys {
    let mut keys = Keys::default();
    keys.indices.reserve(objects.len());
    let (mut parent, mut container, mut size) = (NONE, None, None);
    for (&object, offset) in objects.iter().zip(offsets) {
        let above = tree.parent[object as usize];
        if above != parent {
            parent = above;
            (container, size) = describer.container(ObjId(parent));
        }
        let inside = offset.bytes();
        let reference = Reference {
            container: container.filter(|_| inside.is_some()),
            offset: match (inside.unwrap_or(0), size) {
                (inside, Some(size)) => inside % size,
                (inside, None) => inside,
            },
            target: ObjId(object),
        };
        let pointer = || describer.pointer(ObjId(parent), inside.unwrap_or(0));
        keys.add(describer.key(&reference, pointer));
    }
    keys
}
