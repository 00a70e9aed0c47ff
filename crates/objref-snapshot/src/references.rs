//! Every reference of the heap, in words: read from the dump again, or from an index.

use std::borrow::Cow;

use objref_go::{Heap, ObjId};
use objref_graph::Successors;
use rayon::prelude::*;

use crate::edges::Edges;
use crate::infer::Inference;
use crate::snapshot::Snapshot;
use crate::step::{Describer, StepId, StepKey};

/// Objects per piece of work.
const PIECE: usize = 1 << 14;

/// The references between the objects of a snapshot.
pub struct References<'a>(Source<'a>);

enum Source<'a> {
    Dump(Box<Inference<'a>>),
    Index(Edges),
}

/// What a reference is called: few words serve many references.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Word(Spelled);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Spelled {
    Key(StepKey),
    Step(StepId),
}

impl<'a> References<'a> {
    pub(crate) fn of_dump(infer: Inference<'a>) -> Self {
        References(Source::Dump(Box::new(infer)))
    }

    pub(crate) fn of_index(edges: Edges) -> Self {
        References(Source::Index(edges))
    }

    /// Calls `visit` with each object that `object` refers to and what the reference is called, in the order of the
    /// pointers in it.
    pub fn each(&self, object: u32, mut visit: impl FnMut(u32, Word)) {
        match &self.0 {
            Source::Dump(infer) => {
                let describer = Describer { infer };
                describer.references(ObjId(object), |target, key| {
                    visit(target.0, Word(Spelled::Key(key)));
                });
            }
            Source::Index(edges) => {
                for (target, step) in edges.of(object) {
                    visit(target, Word(Spelled::Step(step)));
                }
            }
        }
    }

    /// How many of `among` refer to `target`, and the first of them, `most` at most: one pass, by all threads.
    pub fn referrers(&self, among: &[u32], target: u32, most: usize) -> (u64, Vec<u32>) {
        let piece = |objects: &[u32]| {
            let (mut count, mut first) = (0, Vec::new());
            for &object in objects {
                let mut refers = false;
                self.successors(object, &mut |next| refers |= next == target);
                if refers {
                    count += 1;
                    if first.len() < most {
                        first.push(object);
                    }
                }
            }
            (count, first)
        };
        let pieces: Vec<(u64, Vec<u32>)> = among.par_chunks(PIECE).map(piece).collect();
        let count = pieces.iter().map(|(count, _)| count).sum();
        let first = pieces.into_iter().flat_map(|(_, first)| first);
        (count, first.take(most).collect())
    }

    /// The words for a reference; none for one between two parts of one Go value, which reports do not show.
    pub fn text<'s>(&self, snapshot: &'s Snapshot, word: Word) -> Cow<'s, str> {
        match (word.0, &self.0) {
            (Spelled::Step(step), _) => snapshot.steps.text(step).into(),
            (Spelled::Key(key), Source::Dump(infer)) => Describer { infer }.text(key).into(),
            // A word of another heap.
            (Spelled::Key(_), Source::Index(_)) => "?".into(),
        }
    }
}

impl Successors for References<'_> {
    fn len(&self) -> usize {
        match &self.0 {
            Source::Dump(infer) => infer.heap.len(),
            Source::Index(edges) => edges.len(),
        }
    }

    #[inline]
    fn successors(&self, node: u32, visit: &mut impl FnMut(u32)) {
        match &self.0 {
            Source::Dump(infer) => successors(infer.process, infer.heap, node, visit),
            Source::Index(edges) => edges.of(node).for_each(|(target, _)| visit(target)),
        }
    }
}

/// Calls `visit` with each object that the object `node` refers to.
#[inline]
pub(crate) fn successors(
    process: &objref_go::GoProcess,
    heap: &Heap,
    node: u32,
    visit: &mut impl FnMut(u32),
) {
    heap.pointers(&process.space, ObjId(node), |_, value| {
        if let Some(target) = heap.find(value) {
            visit(target.0);
        }
    });
}
