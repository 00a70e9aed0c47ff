//! The order of inference: level by level of the breadth-first search, each level by all threads, while it is searched.
//! So each object is read once, for where its references lead and for what they say.
//!
//! What is found must not depend on the number of threads. Of the objects of the level that is being followed, and of
//! those before, nobody changes the view while others read it: what is said of them is kept until the level is done.
//! Of all other objects the best view is kept, whoever comes first. Then the objects whose view became better are
//! followed again, before the next level.

use std::ops::Range;

use bytemuck::Zeroable;
use objref_go::{ObjId, Span};
use objref_graph::pieces::{self, Heavy, PIECE, Part, Piece};
use objref_graph::{
    BATCH, BfsTree, Explore, LabeledEdge, Labels, Outgoing, Reach, Reached, explore,
    explore_keeping,
};
use objref_mem::zeros;
use rayon::prelude::*;

use crate::follow::Work;
use crate::infer::{Inference, Miss};
use crate::memo::scattered;
use crate::view::{Code, Source};

/// Objects of which it takes some time to see how large they are.
const MANY: usize = 2048;
/// Fewer pieces are followed again by one thread.
const PARALLEL: usize = 3;
/// Bytes of an object that takes as long to follow as most.
const USUAL: u64 = 64;
/// Objects that are not larger count as such: there are too many of them to look at their size.
const LIGHT: u64 = 1 << 10;
/// One in so many objects of a wide level is followed before the others ...
const SAMPLE: usize = 61;
/// ... or so many of a very wide one ...
const SAMPLES: usize = 1 << 13;
/// ... if one in so many of these, or so many of a less wide level, have anything to say that was not known.
const FIRST: (usize, usize) = (8, 64);
/// Of one in so many objects of a level ...
const CANDIDATES: usize = 15;
/// ... or of so many of a very wide one ...
const MOST_CANDIDATES: usize = 1 << 15;
/// ... so many are followed as well, which are the largest.
const LARGEST: usize = 16;
/// How often an object is followed again, on average. Each time its view is a better one; this only stops damage.
const AGAIN: usize = 8;

/// What was missed among so many last is not noted again: it will be sought only once.
const FEW: usize = 8;

/// What was found in a piece of a level, and has to wait for its end.
#[derive(Default)]
pub(crate) struct Findings {
    /// Views of objects that are being followed, or have been.
    pub(crate) late: Vec<(u32, Code)>,
    misses: Vec<Miss>,
    /// Objects to follow again once the misses are looked up.
    again: Vec<u32>,
}

impl Findings {
    fn is_empty(&self) -> bool {
        self.late.is_empty() && self.misses.is_empty()
    }

    pub(crate) fn miss(&mut self, miss: Miss, object: u32) {
        // A large object may miss the same a million times.
        if !self.misses.iter().rev().take(FEW).any(|met| *met == miss) {
            self.misses.push(miss);
        }
        if self.again.last() != Some(&object) {
            self.again.push(object);
        }
    }
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

    fn zeros<T: Zeroable>(len: usize) -> Vec<T> {
        zeros(len)
    }

    fn heavy(&self) -> impl Iterator<Item = Range<u32>> {
        let heap = self.infer.heap;
        let spans = heap.spans().iter().enumerate();
        let heavy = spans.filter(|(_, span)| is_heavy(span));
        heavy.map(|(number, _)| heap.ids(number))
    }

    fn weight(&self, object: u32) -> usize {
        self.infer.weight(object)
    }

    fn explore(
        &self,
        nodes: &[u32],
        part: Part,
        reached: Reached<'_>,
        work: &mut Work<'p>,
        notes: &mut Findings,
        reach: &mut impl Reach,
    ) {
        let followed = |object| reached.has(object);
        self.infer.follow(nodes, part, followed, work, notes, reach);
    }

    /// What is met for the first time has to be looked up before it can be followed: better for a few objects than for
    /// all.
    fn prepare(&mut self, level: &[u32], reached: Reached<'_>) {
        let followed = |object| reached.has(object);
        let all = (level.len() / SAMPLE).min(SAMPLES);
        let (part, least) = FIRST;
        let mut first = sample(level, (all / part).max(least));
        first.extend(self.largest(level));
        if self.look_at(&first, followed) {
            self.look_at(&sample(level, all), followed);
        }
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
    /// The largest of some of the objects: they are rare, and have more that may not have been met than all others.
    fn largest(&self, level: &[u32]) -> impl Iterator<Item = u32> {
        let stride = (level.len() / MOST_CANDIDATES).max(CANDIDATES);
        let some = level.par_iter().step_by(stride).with_min_len(MANY);
        let sizes = some.filter_map(|object| {
            let span = self.infer.heap.span(ObjId(*object));
            (!span.noscan).then_some((span.elem_size, *object))
        });
        let mut sizes: Vec<(u64, u32)> = sizes.collect();
        if sizes.len() > LARGEST {
            sizes.select_nth_unstable_by(LARGEST, |a, b| b.cmp(a));
            sizes.truncate(LARGEST);
        }
        sizes.into_iter().map(|(_, object)| object)
    }

    /// Follows objects of the level before all of it is, one part of those that have many. Whether that brought news.
    fn look_at(&mut self, objects: &[u32], followed: impl Fn(u32) -> bool + Sync) -> bool {
        let mut again = self.infer.round(objects, Extent::Some, &followed);
        let news = !again.is_empty();
        // Of these not all is known yet, and all of it is followed soon.
        again.retain(|object| self.infer.weight(*object) <= PIECE || !objects.contains(object));
        self.follow_again(again, followed);
        news
    }

    /// Follows objects of which more became known, until no more does. `followed` tells which have been.
    fn follow_again(&mut self, mut again: Vec<u32>, followed: impl Fn(u32) -> bool + Sync) {
        while !again.is_empty() && self.left > again.len() {
            self.left -= again.len();
            again = self.infer.round(&again, Extent::All, &followed);
        }
        self.dropped += again.len() as u64;
    }
}

/// Whether the span's objects may take longer to follow than most.
fn is_heavy(span: &Span) -> bool {
    !span.noscan && span.elem_size > LIGHT
}

/// How much of the objects that are cut into parts is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All parts.
    All,
    /// One of each.
    Some,
}

/// About so many of the objects, all over the level, but in no pattern that those of a program may have, too.
fn sample(level: &[u32], count: usize) -> Vec<u32> {
    let pieces = (0..).zip(level.chunks((level.len() / count.max(1)).max(1)));
    let some = pieces.map(|(number, piece)| piece[scattered(number, u32::BITS) % piece.len()]);
    some.collect()
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

    /// How many usual objects it takes as long to follow as.
    fn weight(&self, object: u32) -> usize {
        let span = self.heap.span(ObjId(object));
        if !is_heavy(span) {
            return 1;
        }
        let weight = (span.elem_size / USUAL) as usize;
        match self.heap.has_parts(span) {
            true => weight,
            false => weight.min(PIECE),
        }
    }

    /// Follows `objects` again. Returns those whose view became better after they had been followed.
    fn round(
        &mut self,
        objects: &[u32],
        extent: Extent,
        followed: impl Fn(u32) -> bool + Sync,
    ) -> Vec<u32> {
        let this = &*self;
        let weights = objects.iter().map(|object| this.weight(*object));
        let heavy = weights.enumerate().filter(|(_, weight)| *weight > 1);
        let heavy: Vec<Heavy> = heavy.map(|(at, weight)| Heavy { at, weight }).collect();
        let pieces = pieces::cut(0..objects.len(), &heavy).filter(|Piece { nodes, part }| {
            let one = scattered(nodes.start as u64, u32::BITS) % part.of as usize;
            extent == Extent::All || part.number as usize == one
        });
        let pieces: Vec<Piece> = pieces.collect();
        let follow = |Piece { nodes, part }: Piece| {
            let (mut work, mut found) = (Work::default(), Findings::default());
            for objects in objects[nodes].chunks(BATCH) {
                this.follow(objects, part, &followed, &mut work, &mut found, &mut Nobody);
            }
            found
        };
        let mut found: Vec<Findings> = match pieces.len() {
            ..PARALLEL => pieces.into_iter().map(follow).collect(),
            _ => pieces.into_par_iter().map(follow).collect(),
        };
        self.conclude(&mut found)
    }

    /// Makes known what was found, and leaves it empty. Returns the objects to follow again.
    fn conclude(&mut self, found: &mut [Findings]) -> Vec<u32> {
        let (mut again, mut misses) = (Vec::new(), Vec::new());
        for piece in found {
            for (object, code) in piece.late.drain(..) {
                let known = self.views.code(object);
                let better = self.views.offer(object, code, &self.model.types);
                // Who only told it more surely has nothing new to say of what it holds, and a leaf holds nothing.
                let same = known.says_the_same(code) && known.source() != Source::Layout;
                if better && !same && !self.heap.span(ObjId(object)).noscan {
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
}

/// Nobody wants to know of edges.
struct Nobody;

impl Reach for Nobody {
    fn touch(&self, _: u32) -> u32 {
        0
    }

    fn edge(&mut self, _: LabeledEdge, _: u32) -> bool {
        false
    }
}
