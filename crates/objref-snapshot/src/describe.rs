//! The words by which each object is held in the tree.
//!
//! All threads look for the keys of steps, a piece of the tree each; what a piece found first is numbered when those
//! before it are, so that the numbers are those that one thread would give.

use objref_go::ObjId;
use objref_graph::{BfsTree, NONE};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::roots::Root;
use crate::step::{Describer, Reference, StepId, StepKey, Steps};

/// Objects per piece of work.
const PIECE: usize = 1 << 13;

/// Pieces that are worked on before their steps are numbered: what is kept of them until then stays small.
const PIECES: usize = 128;

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

    /// Per object: the step from its parent in the tree.
    pub(crate) fn describe(&mut self, tree: &BfsTree, roots: &[Root]) -> Vec<StepId> {
        let mut step_of = vec![StepId(NONE); tree.parent.len()];
        for root in roots {
            step_of[root.target.0 as usize] = root.step;
        }
        let first = tree.levels.get(1).map_or(0, |&end| end as usize);
        let mut rest = &tree.order[first..];
        while !rest.is_empty() {
            let mut pieces = Vec::with_capacity(PIECES);
            while !rest.is_empty() && pieces.len() < PIECES {
                let (piece, others) = rest.split_at(end_of_piece(tree, rest));
                pieces.push(piece);
                rest = others;
            }
            let describer = self.describer;
            let keys = pieces.par_iter().map(|piece| keys(describer, tree, piece));
            let found: Vec<Keys> = keys.collect();
            for (piece, found) in pieces.into_iter().zip(found) {
                let steps: Vec<StepId> = found.keys.into_iter().map(|k| self.step(k)).collect();
                for (object, index) in piece.iter().zip(found.indices) {
                    step_of[*object as usize] = steps[index as usize];
                }
            }
        }
        step_of
    }
}

/// Where to end the first piece of `objects`: not between two that have the same parent.
fn end_of_piece(tree: &BfsTree, objects: &[u32]) -> usize {
    let parent = |object: &u32| tree.parent[*object as usize];
    let Some(last) = objects.get(PIECE - 1).map(parent) else {
        return objects.len();
    };
    let more = objects[PIECE..].iter();
    PIECE + more.take_while(|object| parent(object) == last).count()
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

/// Children of one parent stand together, in the order in which it refers to them first: each parent is read once, and
/// each of its references compared with the next child only.
fn keys(describer: Describer<'_, '_>, tree: &BfsTree, children: &[u32]) -> Keys {
    let mut keys = Keys::default();
    keys.indices.reserve(children.len());
    while let Some(&child) = children.get(keys.indices.len()) {
        let before = keys.indices.len();
        describer.references(ObjId(tree.parent[child as usize]), |reference| {
            if children.get(keys.indices.len()) == Some(&reference.target.0) {
                keys.add(describer.key(&reference));
            }
        });
        // The search came this way, so that there is a reference; but better a wrong word than no end.
        if keys.indices.len() == before {
            keys.add(describer.key(&Reference::to(ObjId(child))));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with `broods[0]` children, the first of which has `broods[1]`, and so on.
    fn tree(broods: &[usize]) -> BfsTree {
        let len = 1 + broods.iter().sum::<usize>();
        let (mut parent, mut levels) = (vec![objref_graph::ROOT], vec![0, 1]);
        let mut of = 0;
        for brood in broods {
            let first = parent.len() as u32;
            parent.resize(parent.len() + brood, of);
            levels.push(parent.len() as u32);
            of = first;
        }
        BfsTree {
            order: (0..len as u32).collect(),
            parent,
            levels,
        }
    }

    #[test]
    fn pieces_end_between_parents() {
        let tree = tree(&[PIECE - 1, 5, 3, PIECE]);
        let mut rest = &tree.order[1..];
        let mut ends = Vec::new();
        while !rest.is_empty() {
            let end = end_of_piece(&tree, rest);
            ends.push(end);
            rest = &rest[end..];
        }
        // The second parent's children do not fit the first piece, those of the last parent are in one.
        assert_eq!(ends, [PIECE + 4, 3 + PIECE]);
    }
}
