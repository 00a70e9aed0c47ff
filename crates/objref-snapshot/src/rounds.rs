//! The order of inference: level by level of the breadth-first tree, each level by all threads.
//!
//! What is found must not depend on the number of threads. Of the objects of the level that is being followed, and of
//! those before, nobody changes the view while others read it: what is said of them is kept until the level is done.
//! Of all other objects the best view is kept, whoever comes first. Then the objects whose view became better are
//! followed again.

use objref_go::{ObjId, Object, Span};
use objref_graph::BfsTree;
use objref_mem::Addr;
use rayon::prelude::*;

use crate::infer::{Inference, Miss, Said};
use crate::shape::{Found, Hold};
use crate::view::{Code, Form, Source};

/// Fewer objects are followed by one thread.
const PARALLEL: usize = 2048;
/// Objects per piece of work.
const PIECE: usize = 512;
/// Spans per piece of work.
const SPANS: usize = 16;
/// A level that has one in this many objects of the heap, or more, is followed in the order of addresses.
const WIDE: usize = 128;

/// What one thread found in its piece of a level.
#[derive(Default)]
struct Findings {
    /// Views of objects that are being followed, or have been.
    late: Vec<(u32, Code)>,
    misses: Vec<Miss>,
    /// Objects to follow again once the misses are looked up.
    again: Vec<u32>,
}

/// A bit an object.
struct Marks(Vec<u64>);

impl Marks {
    fn new(objects: usize) -> Marks {
        Marks(vec![0; objects.div_ceil(64)])
    }

    fn add(&mut self, objects: &[u32]) {
        for object in objects {
            self.0[*object as usize / 64] |= 1 << (object % 64);
        }
    }

    fn add_all(&mut self, others: &Marks) {
        for (word, others) in self.0.iter_mut().zip(&others.0) {
            *word |= others;
        }
    }

    fn has(&self, object: u32) -> bool {
        self.0[object as usize / 64] >> (object % 64) & 1 != 0
    }
}

impl<'p> Inference<'p> {
    /// Follows the references of every object of the tree. Returns how many were not followed again when more became
    /// known of them.
    pub(crate) fn run(&mut self, tree: &BfsTree) -> u64 {
        let objects = self.heap.len();
        // Which are being followed, or have been; and which of these are, where a level is wide.
        let (mut followed, mut marks) = (Marks::new(objects), Marks::new(objects));
        // Each time that an object is followed again its view is a better one; this only stops damage.
        let mut left = tree.order.len() * 8 + (1 << 20);
        let mut dropped = 0;
        for level in 0..tree.depth() {
            let level = tree.level(level);
            let again = if level.len() < PARALLEL.max(objects / WIDE) {
                followed.add(level);
                self.round(level, &followed)
            } else {
                marks.0.fill(0);
                marks.add(level);
                followed.add_all(&marks);
                self.wide_round(&marks, &followed)
            };
            dropped += self.follow_again(again, &followed, &mut left);
        }
        let guessed = self.guess(tree);
        dropped + self.follow_again(guessed, &followed, &mut left)
    }

    /// Follows objects of which more became known, `left` of them in all. Returns how many were too many.
    fn follow_again(&mut self, mut again: Vec<u32>, followed: &Marks, left: &mut usize) -> u64 {
        while !again.is_empty() && *left > again.len() {
            *left -= again.len();
            again = self.round(&again, followed);
        }
        again.len() as u64
    }

    /// Follows `objects`. Returns those whose view became better after they had been followed.
    fn round(&mut self, objects: &[u32], followed: &Marks) -> Vec<u32> {
        let this = &*self;
        let piece = |objects: &[u32]| {
            let mut found = Findings::default();
            for &object in objects {
                let id = ObjId(object);
                let (span, at) = this.heap.locate(id);
                this.follow(Object { id, span, at }, followed, &mut found);
            }
            found
        };
        if objects.len() < PARALLEL {
            let found = piece(objects);
            return self.conclude([found]);
        }
        let found: Vec<Findings> = objects.par_chunks(PIECE).map(piece).collect();
        self.conclude(found)
    }

    /// As [`Inference::round`], for a large part of all objects: in the order of their addresses, neither they nor what
    /// they hold have to be fetched from all over memory.
    fn wide_round(&mut self, objects: &Marks, followed: &Marks) -> Vec<u32> {
        let this = &*self;
        let piece = |spans: &'p [Span]| {
            let mut found = Findings::default();
            let follow = |object| this.follow(object, followed, &mut found);
            this.heap.marked(spans, &objects.0, follow);
            found
        };
        let pieces = this.heap.spans().par_chunks(SPANS);
        let found: Vec<Findings> = pieces.map(piece).collect();
        self.conclude(found)
    }

    /// Makes known what was found. Returns the objects to follow again.
    fn conclude(&mut self, found: impl IntoIterator<Item = Findings>) -> Vec<u32> {
        let (mut again, mut misses) = (Vec::new(), Vec::new());
        for mut piece in found {
            for (object, code) in piece.late {
                if self.views.offer(object, code, &self.model.types) {
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

    fn follow(&self, object: Object<'p>, followed: &Marks, found: &mut Findings) {
        let before = found.misses.len();
        self.follow_once(object, followed, found);
        if found.misses.len() > before {
            found.again.push(object.id.0);
        }
    }

    fn follow_once(&self, object: Object<'p>, followed: &Marks, found: &mut Findings) {
        let (heap, space) = (self.heap, &self.process.space);
        let Object { id, span, at } = object;
        if span.noscan {
            return;
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
                Err(miss) => return found.misses.push(miss),
            }
        }
        let Some(view) = self.views.get(id.0) else {
            return self.follow_untyped(object, &mut |said, value, target| match said {
                Ok(said) => self.propose(target, said, value, followed, found),
                Err(miss) => found.misses.push(miss),
            });
        };
        if view.form == Form::Opaque {
            return;
        }
        let size = self.model.get(view.ty).size.max(1);
        let shape = self.shapes.get(&self.model, view.ty);
        heap.pointers_at(space, span, at, |offset, value| {
            let Some(target) = heap.resolve(value) else {
                return;
            };
            let word = Addr(at + offset);
            let mut offset = offset.wrapping_sub(start);
            if view.form == Form::Many {
                offset %= size;
            }
            let (hold, at) = match shape.at(offset) {
                Some(Found::Slot(index)) => {
                    let slot = &shape.slots[index];
                    if offset != slot.pointer_offset() {
                        return;
                    }
                    (slot.hold, Addr(word.0 - (offset - slot.offset)))
                }
                Some(Found::Within(..)) => match self.place(view.ty, offset, word) {
                    Some(place) => (place.slot().hold, place.at),
                    None => return,
                },
                None => return,
            };
            if hold == Hold::Unknown {
                return;
            }
            match self.said(hold, at, value) {
                Ok(Some(mut said)) => {
                    if view.source == Source::Layout && said.source == Source::Reference {
                        said.source = Source::Layout;
                    }
                    self.propose(target, said, value, followed, found);
                }
                Ok(None) => {}
                Err(miss) => found.misses.push(miss),
            }
        });
    }

    fn propose(
        &self,
        target: Object<'p>,
        said: Said,
        value: u64,
        followed: &Marks,
        found: &mut Findings,
    ) {
        match self.verdict(target, said, value) {
            Some(code) if followed.has(target.id.0) => found.late.push((target.id.0, code)),
            Some(code) => {
                self.views.offer(target.id.0, code, &self.model.types);
            }
            None => {}
        }
    }
}
