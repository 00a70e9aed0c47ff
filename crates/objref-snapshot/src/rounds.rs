//! The order of inference: level by level of the breadth-first search, each level by all threads, while it is searched.
//! So each object is read once, for where its references lead and for what they say.
//!
//! What is found must not depend on the number of threads. Of the objects of the level that is being followed, and of
//! those before, nobody changes the view while others read it: what is said of them is kept until the level is done.
//! Of all other objects the best view is kept, whoever comes first. Then the objects whose view became better are
//! followed again, before the next level.

use std::hint::black_box;

use arrayvec::ArrayVec;
use objref_go::{Batch, ObjId, Object};
use objref_graph::{
    BATCH, BfsTree, Explore, LABELS, Labels, Outgoing, Reach, Reached, explore, explore_keeping,
};
use objref_mem::{Addr, room};
use rayon::prelude::*;

use crate::fit::{Plans, Verdict};
use crate::infer::{Inference, Miss, Said};
use crate::shape::{Hold, Pointer, Shape};
use crate::view::{Code, Fit, Form, Source};

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
    fn is_empty(&self) -> bool {
        self.late.is_empty() && self.misses.is_empty()
    }

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
    code: Code,
    /// Address of its data.
    start: u64,
    /// Of each of the values that it consists of; of more than any object where there is one.
    size: u64,
    shape: &'s Shape,
}

/// What came of the search.
pub(crate) struct Search {
    pub(crate) tree: BfsTree,
    /// For each object where in its parent the reference to it is ([`Offset`]).
    pub(crate) labels: Labels,
    /// The references, if they were to be kept.
    pub(crate) edges: Option<Outgoing>,
    /// How many objects were not followed again when more became known of them.
    pub(crate) dropped: u64,
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

    fn room<T>(len: usize) -> Vec<T> {
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
        // A chain has as many levels as objects.
        if notes.iter().all(Findings::is_empty) {
            return;
        }
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
    /// Searches the heap from `roots`, and follows the references of every object on the way; keeps them if `keep` says so.
    pub(crate) fn run(&mut self, roots: impl Iterator<Item = u32>, keep: bool) -> Search {
        let mut follower = Follower {
            left: self.heap.len() * AGAIN + (1 << 20),
            infer: self,
            dropped: 0,
        };
        let (tree, labels, edges) = if keep {
            let (tree, labels, edges) = explore_keeping(&mut follower, roots);
            (tree, labels, Some(edges))
        } else {
            let (tree, labels) = explore(&mut follower, roots);
            (tree, labels, None)
        };
        let reached = |object| labels.is_reached(object);
        let guessed = follower.infer.guess(reached);
        follower.follow_again(guessed, reached);
        Search {
            tree,
            labels,
            edges,
            dropped: follower.dropped,
        }
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
        let mut holders = ArrayVec::<_, BATCH>::new();
        for &object in batch.objects() {
            holders.push(self.holder(object, &followed, plans, found));
        }
        batch.references(heap, space, &mut |references| {
            let touched = references
                .iter()
                .map(|r| reach.touch(r.target.0) ^ self.views.touch(r.target.0));
            black_box(touched.fold(0, |all, one| all ^ one));
            for reference in references {
                let target = reference.target.0;
                let label = Offset::new(reference.offset);
                let ahead = reach.edge(reference.holder.into(), target, label.0, reference.to_leaf);
                let Some(holder) = &holders[usize::from(reference.holder)] else {
                    continue;
                };
                let offset = remainder(reference.offset, holder.size);
                let known = self.views.code(target);
                let pointer = holder.shape.pointer(offset);
                if pointer.is_some_and(|pointer| known.covers(pointer.best)) {
                    // Most objects are referred to by others that say the same.
                    continue;
                }
                let followed = |object| !ahead && followed(object);
                let (object, value) = (reference.object(heap), reference.value);
                let word = Addr(holder.start.wrapping_add(reference.offset));
                if let Some(pointer) = pointer.filter(|pointer| pointer.best.is_known()) {
                    let best = pointer.best;
                    let inside = self.inside(&object, value);
                    if known.is_known() {
                        if self.explains(known, best, &object, inside) {
                            continue;
                        }
                    } else if holder.code.source() != Source::Layout {
                        let extent = || {
                            let (hold, at) = holder.shape.hold(pointer, word)?;
                            self.extent(hold, at)
                        };
                        match self.first_verdict(&object, best, inside, extent, plans) {
                            Verdict::View(code) => {
                                self.offer(target, code, followed, found);
                                continue;
                            }
                            Verdict::Nothing => continue,
                            Verdict::Ask => {}
                        }
                    }
                }
                let Some((hold, at)) = self.hold(holder, pointer, offset, word) else {
                    continue;
                };
                if known.covers(hold.best(self.byte)) {
                    continue;
                }
                match self.says(holder, hold, at, value) {
                    Ok(Some(said)) => self.propose(object, said, value, followed, plans, found),
                    Ok(None) => {}
                    Err(miss) => found.miss(miss, objects[usize::from(reference.holder)]),
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
        let code = self.views.code(id.0);
        if !code.is_known() {
            self.follow_untyped(object, &mut |said, value, target| match said {
                Ok(said) => self.propose(target, said, value, &followed, plans, found),
                Err(miss) => found.miss(miss, id.0),
            });
            return None;
        }
        let shape = self.shapes.get(&self.model, code.ty());
        let size = match code.form() {
            Form::Opaque => return None,
            Form::Many => shape.size.max(1),
            _ => u64::MAX,
        };
        Some(Holder {
            code,
            start: at + start,
            size,
            shape,
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
            let place = self.place(holder.code.ty(), offset, word)?;
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
        Ok(said.map(|said| match (holder.code.source(), said.source) {
            (Source::Layout, Source::Reference) => Said {
                source: Source::Layout,
                ..said
            },
            _ => said,
        }))
    }

    /// How many bytes into the object's data `value` points; of those in front of it, more than there are.
    #[inline]
    fn inside(&self, object: &Object<'p>, value: u64) -> u64 {
        value.wrapping_sub(object.at + self.heap.data_offset(object.span))
    }

    /// Whether what is known of an object leaves nothing to say to a reference to one value, `inside` bytes into it, which
    /// says `best` at best.
    #[inline]
    fn explains(&self, known: Code, best: Code, object: &Object<'p>, inside: u64) -> bool {
        let explains = known.explains(best, inside == 0) && !object.span.is_tiny();
        debug_assert!(
            !explains || {
                let said = Said::new(best.ty(), best.form(), best.source());
                let start = object.at + self.heap.data_offset(object.span);
                let value = start.wrapping_add(inside);
                let closer = self.verdict(*object, said, value);
                closer.is_none_or(|closer| !closer.beats(known, &self.model.types))
            }
        );
        explains
    }

    /// Makes of an object what a reference says of it.
    fn propose(
        &self,
        target: Object<'p>,
        said: Said,
        value: u64,
        followed: impl Fn(u32) -> bool,
        plans: &mut Plans,
        found: &mut Findings,
    ) {
        let best = Code::new(Fit::Whole, said.source, said.form, said.ty);
        let known = self.views.code(target.id.0);
        let inside = self.inside(&target, value.wrapping_sub(said.before));
        if known.covers(best) || self.explains(known, best, &target, inside) {
            return;
        }
        let quick = match !known.is_known() && said.source != Source::Layout {
            true => self.first_verdict(&target, best, inside, || said.extent, plans),
            false => Verdict::Ask,
        };
        let code = match quick {
            Verdict::View(code) => Some(code),
            Verdict::Nothing => None,
            Verdict::Ask => self.verdict(target, said, value),
        };
        if let Some(code) = code {
            self.offer(target.id.0, code, followed, found);
        }
    }

    /// Makes a view known, at once or, where others may be reading the object's, when the level is done.
    #[inline]
    fn offer(&self, object: u32, code: Code, followed: impl Fn(u32) -> bool, found: &mut Findings) {
        match followed(object) {
            true => found.late.push((object, code)),
            false => {
                self.views.offer(object, code, &self.model.types);
            }
        }
    }
}

/// Nobody wants to know of edges.
struct Nobody;

impl Reach for Nobody {
    fn touch(&self, _: u32) -> u32 {
        0
    }

    fn edge(&mut self, _: u32, _: u32, _: u32, _: bool) -> bool {
        false
    }
}

/// `n % size`, without the long division where that is possible.
#[inline]
pub(crate) fn remainder(n: u64, size: u64) -> u64 {
    if n < size {
        return n;
    }
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
