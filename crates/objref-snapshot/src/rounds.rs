//! The order of inference: level by level of the breadth-first search, each level by all threads, while it is searched.
//! So each object is read once, for where its references lead and for what they say.
//!
//! What is found must not depend on the number of threads. Of the objects of the level that is being followed, and of
//! those before, nobody changes the view while others read it: what is said of them is kept until the level is done.
//! Of all other objects the best view is kept, whoever comes first. Then the objects whose view became better are
//! followed again, before the next level.

use std::hint::black_box;

use objref_go::{Batch, ObjId, Object};
use objref_graph::{BATCH, BfsTree, Explore, LABELS, NONE, Reach, Reached, explore};
use objref_mem::{Addr, room};
use rayon::prelude::*;

use crate::fit::Plans;
use crate::infer::{Inference, Miss, Said};
use crate::shape::{Hold, Pointer, Shape};
use crate::view::{Code, Form, Source, View};

/// Fewer objects are followed again by one thread.
const PARALLEL: usize = 2048;
/// Objects per piece of work.
const PIECE: usize = 512;
/// One in so many objects of a wide level is followed before the others: a prime, so that no pattern in it hides some.
const SAMPLE: usize = 61;
/// How often an object is followed again, on average. Each time its view is a better one; this only stops damage.
const AGAIN: usize = 8;

/// What was found in a piece of a level, and has to wait for its end.
#[derive(Default)]
pub(crate) struct Findings {
    /// Views of objects that are being followed, or have been.
    late: Vec<(u32, Code)>,
    misses: Vec<Miss>,
    /// Objects to follow again once the misses are looked up.
    again: Vec<u32>,
}

impl Findings {
    fn miss(&mut self, miss: Miss, object: u32) {
        self.misses.push(miss);
        self.again.push(object);
    }
}

/// Where in an object's data a reference is: the label of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset(pub(crate) u32);

impl Offset {
    /// Pointers are aligned at least so.
    const UNIT: u64 = 4;

    /// Farther from the start than can be told.
    const FAR: u32 = LABELS - 1;

    fn new(bytes: u64) -> Offset {
        Offset((bytes / Offset::UNIT).min(u64::from(Offset::FAR)) as u32)
    }

    /// In bytes; `None` for one farther from the start than the 8 GiB that can be told.
    pub(crate) fn bytes(self) -> Option<u64> {
        (self.0 != Offset::FAR).then_some(u64::from(self.0) * Offset::UNIT)
    }
}

/// Memory to work in.
#[derive(Default)]
pub(crate) struct Work<'p> {
    batch: Batch<'p>,
    plans: Plans,
}

/// An object whose type says what its references lead to.
#[derive(Clone, Copy)]
struct Holder<'s> {
    view: View,
    /// Address of its data.
    start: u64,
    /// Of each of the values that it consists of; of more than any object where there is one.
    size: u64,
    shape: &'s Shape,
}

/// The inference on its way through the levels.
struct Follower<'i, 'p> {
    infer: &'i mut Inference<'p>,
    /// How often objects may still be followed again.
    left: usize,
    /// How many were not, for that reason.
    dropped: u64,
}

impl<'p> Explore for Follower<'_, 'p> {
    type Notes = Findings;
    type Scratch = Work<'p>;

    fn len(&self) -> usize {
        self.infer.heap.len()
    }

    fn room<T>(&self, len: usize) -> Vec<T> {
        room(len)
    }

    fn explore(
        &self,
        nodes: &[u32],
        reached: Reached<'_>,
        work: &mut Work<'p>,
        notes: &mut Findings,
        reach: &mut impl Reach,
    ) {
        let followed = |object| reached.has(object);
        self.infer.follow(nodes, followed, work, notes, reach);
    }

    /// What is met for the first time has to be looked up before it can be followed: better for a few objects than for
    /// all.
    fn prepare(&mut self, level: &[u32], reached: Reached<'_>) {
        let followed = |object| reached.has(object);
        let some: Vec<u32> = level.iter().copied().step_by(SAMPLE).collect();
        let again = self.infer.round(&some, followed);
        self.follow_again(again, followed);
    }

    fn settle(&mut self, reached: Reached<'_>, notes: &mut [Findings]) {
        let again = self.infer.conclude(notes);
        self.follow_again(again, |object| reached.has(object));
    }
}

impl Follower<'_, '_> {
    /// Follows objects of which more became known, until no more does. `followed` tells which have been.
    fn follow_again(&mut self, mut again: Vec<u32>, followed: impl Fn(u32) -> bool + Sync) {
        while !again.is_empty() && self.left > again.len() {
            self.left -= again.len();
            again = self.infer.round(&again, &followed);
        }
        self.dropped += again.len() as u64;
    }
}

impl<'p> Inference<'p> {
    /// Searches the heap from `roots`, and follows the references of every object on the way. Returns the tree, as
    /// [`explore()`] does for each object where in its parent the reference to it is ([`Offset`]), and how many objects
    /// were not followed again when more became known of them.
    pub(crate) fn run(&mut self, roots: impl Iterator<Item = u32>) -> (BfsTree, Vec<u32>, u64) {
        let mut follower = Follower {
            left: self.heap.len() * AGAIN + (1 << 20),
            infer: self,
            dropped: 0,
        };
        let (tree, offsets) = explore(&mut follower, roots);
        let reached = |object: u32| offsets[object as usize] != NONE;
        let guessed = follower.infer.guess(reached);
        follower.follow_again(guessed, reached);
        (tree, offsets, follower.dropped)
    }

    /// Follows `objects` again. Returns those whose view became better after they had been followed.
    fn round(&mut self, objects: &[u32], followed: impl Fn(u32) -> bool + Sync) -> Vec<u32> {
        let this = &*self;
        let piece = |objects: &[u32]| {
            let (mut work, mut found) = (Work::default(), Findings::default());
            for objects in objects.chunks(BATCH) {
                this.follow(objects, &followed, &mut work, &mut found, &mut Nobody);
            }
            found
        };
        if objects.len() < PARALLEL {
            let found = piece(objects);
            return self.conclude(&mut [found]);
        }
        let mut found: Vec<Findings> = objects.par_chunks(PIECE).map(piece).collect();
        self.conclude(&mut found)
    }

    /// Makes known what was found, and leaves it empty. Returns the objects to follow again.
    fn conclude(&mut self, found: &mut [Findings]) -> Vec<u32> {
        let (mut again, mut misses) = (Vec::new(), Vec::new());
        for piece in found {
            for (object, code) in piece.late.drain(..) {
                let known = self.views.code(object);
                let better = self.views.offer(object, code, &self.model.types);
                // Who only told it more surely has nothing new to say of what it holds.
                let same = known.says_the_same(code) && known.source() != Source::Layout;
                if better && !same {
                    again.push(object);
                }
            }
            again.append(&mut piece.again);
            misses.append(&mut piece.misses);
        }
        misses.sort_unstable();
        misses.dedup();
        for miss in misses {
            self.resolve(miss);
        }
        again.sort_unstable();
        again.dedup();
        again
    }

    /// Follows the references of `objects`, [`BATCH`] at most, and tells `reach` of them.
    fn follow(
        &self,
        objects: &[u32],
        followed: impl Fn(u32) -> bool,
        work: &mut Work<'p>,
        found: &mut Findings,
        reach: &mut impl Reach,
    ) {
        let (heap, space) = (self.heap, &self.process.space);
        let Work { batch, plans } = work;
        batch.load(heap, space, objects.iter().copied().map(ObjId));
        let mut holders = [None; BATCH];
        for (holder, &object) in holders.iter_mut().zip(batch.objects()) {
            *holder = self.holder(object, &followed, plans, found);
        }
        batch.references(heap, space, |references| {
            let touched = references
                .iter()
                .map(|r| reach.touch(r.target.0) ^ self.views.touch(r.target.0));
            black_box(touched.fold(0, |all, one| all ^ one));
            for reference in references {
                let label = Offset::new(reference.offset);
                reach.edge(reference.holder, reference.target.0, label.0);
                let Some(holder) = &holders[reference.holder as usize] else {
                    continue;
                };
                let mut offset = reference.offset;
                if offset >= holder.size {
                    offset = remainder(offset, holder.size);
                }
                let known = self.views.code(reference.target.0);
                let pointer = holder.shape.pointer(offset);
                if pointer.is_some_and(|pointer| known.covers(pointer.best)) {
                    // Most objects are referred to by others that say the same.
                    continue;
                }
                let word = Addr(holder.start.wrapping_add(reference.offset));
                let Some((hold, at)) = self.hold(holder, pointer, offset, word) else {
                    continue;
                };
                if known.covers(hold.best(self.byte)) {
                    continue;
                }
                let (target, value) = (reference.object(heap), reference.value);
                match self.says(holder, hold, at, value) {
                    Ok(Some(said)) => self.propose(target, said, value, &followed, plans, found),
                    Ok(None) => {}
                    Err(miss) => found.miss(miss, objects[reference.holder as usize]),
                }
            }
        });
    }

    /// The object as a holder of references; `None` if they say nothing.
    fn holder(
        &self,
        object: Object<'p>,
        followed: impl Fn(u32) -> bool,
        plans: &mut Plans,
        found: &mut Findings,
    ) -> Option<Holder<'_>> {
        let (heap, space) = (self.heap, &self.process.space);
        let Object { id, span, at } = object;
        if span.noscan {
            return None;
        }
        let start = heap.data_offset(span);
        if let Some(descriptor) = heap.stored_type(space, span, at) {
            match self.stored(descriptor) {
                Ok(ty) => {
                    let stated = ty.and_then(|ty| self.statement(ty, span.elem_size - start));
                    if let Some(code) = stated {
                        self.views.offer(id.0, code, &self.model.types);
                    }
                }
                Err(miss) => {
                    found.miss(miss, id.0);
                    return None;
                }
            }
        }
        let Some(view) = self.views.get(id.0) else {
            self.follow_untyped(object, &mut |said, value, target| match said {
                Ok(said) => self.propose(target, said, value, &followed, plans, found),
                Err(miss) => found.miss(miss, id.0),
            });
            return None;
        };
        let size = match view.form {
            Form::Many => self.model.get(view.ty).size.max(1),
            _ => u64::MAX,
        };
        (view.form != Form::Opaque).then(|| Holder {
            view,
            start: at + start,
            size,
            shape: self.shapes.get(&self.model, view.ty),
        })
    }

    /// What kind of reference the pointer at `word` is, which is `offset` bytes into the holder's value, and where the value
    /// starts that it is part of; `None` where it says nothing.
    #[inline]
    fn hold(
        &self,
        holder: &Holder<'_>,
        pointer: Option<Pointer>,
        offset: u64,
        word: Addr,
    ) -> Option<(Hold, Addr)> {
        let quick = pointer.and_then(|pointer| holder.shape.hold(pointer, word));
        quick.or_else(|| {
            let place = self.place(holder.view.ty, offset, word)?;
            Some((place.slot().hold, place.at))
        })
    }

    /// What a reference says of where it leads.
    #[inline]
    fn says(
        &self,
        holder: &Holder<'_>,
        hold: Hold,
        at: Addr,
        value: u64,
    ) -> Result<Option<Said>, Miss> {
        let said = self.said(hold, at, value)?;
        Ok(said.map(|said| match (holder.view.source, said.source) {
            (Source::Layout, Source::Reference) => Said {
                source: Source::Layout,
                ..said
            },
            _ => said,
        }))
    }

    fn propose(
        &self,
        target: Object<'p>,
        said: Said,
        value: u64,
        followed: impl Fn(u32) -> bool,
        plans: &mut Plans,
        found: &mut Findings,
    ) {
        match self.quick_verdict(target, said, value, plans) {
            Some(code) if followed(target.id.0) => found.late.push((target.id.0, code)),
            Some(code) => {
                self.views.offer(target.id.0, code, &self.model.types);
            }
            None => {}
        }
    }
}

/// Nobody wants to know of edges.
struct Nobody;

impl Reach for Nobody {
    fn touch(&self, _: u32) -> u32 {
        0
    }

    fn edge(&mut self, _: u32, _: u32, _: u32) -> bool {
        false
    }
}

/// `n % size`, without the long division where that is possible.
#[inline]
fn remainder(n: u64, size: u64) -> u64 {
    match (u32::try_from(n), u32::try_from(size)) {
        (Ok(n), Ok(size)) => u64::from(n % size),
        _ => n % size,
    }
}

#[cfg(test)]
mod tests {
    use super::Offset;

    #[test]
    fn offsets_reach_8_gib() {
        for bytes in [0, 8, 12, (1 << 33) - 12] {
            assert_eq!(Offset::new(bytes).bytes(), Some(bytes));
        }
        for bytes in [(1 << 33) - 8, 1 << 33, u64::MAX] {
            assert_eq!(Offset::new(bytes).bytes(), None);
        }
    }
}
