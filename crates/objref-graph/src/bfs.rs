//! Breadth-first search from many roots at once.
//!
//! The result is defined by the sequential algorithm: a queue, roots first, successors in the order
//! the graph lists them. Wide levels are walked by all threads and still give that very result:
//!
//! ```text
//! order:  [ level 0 | level 1 | ... | frontier                     |  next level ... ]
//!                                   | piece 0 | piece 1 | ...
//! column: per node, that it was not reached; the first piece of the frontier that points at it; once that is settled, the
//!         label of the edge by which it was reached first ([`crate::labels`])
//! ```
//!
//! Every thread lowers the claims of the successors of its piece of the frontier (`fetch_min`) and
//! notes the ones that it lowered, in the order in which it came by. When all are done, a note
//! counts only if its claim still stands. Notes that count, read piece by piece, are the next level
//! in queue order: each node stands where its first holder came by first.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use crate::Successors;
use crate::above::Above;
use crate::explore::{BATCH, Explore, Plain, Reach, Reached};
use crate::labels::{CLAIMED, FarLabels, Labels, NOWHERE, OF_ROOT, cell};
use crate::outgoing::{Outgoing, Part};
use crate::tree::{BfsTree, NONE};

/// A frontier narrower than this is walked by one thread: a linked list of a million nodes has a
/// million levels, and handing out work costs more than a few thousand nodes do.
const PARALLEL_FRONTIER: usize = 4096;

/// Nodes of the frontier per piece of work.
const PIECE: usize = 1024;

/// Nodes of the frontier whose successors are settled together: until then all of them are noted. Their pieces have numbers
/// of one byte.
const ROUND: usize = 256 * PIECE;

/// The breadth-first tree of `graph` from `roots`.
///
/// Each reached node hangs from the first node that reaches it: by distance, then by the order of
/// the search, which starts with the order of `roots`. A root that is named twice counts once. The
/// result does not depend on the number of threads.
///
/// # Panics
///
/// If the graph has more than `u32::MAX - 2` nodes, or a root or successor is not below its length.
pub fn bfs<G: Successors>(graph: &G, roots: impl Iterator<Item = u32>) -> BfsTree {
    explore(&mut Plain(graph), roots).0
}

/// As [`bfs()`], for a graph that is looked at on the way. Also returns, for each node of the graph, the label of the edge
/// by which it was reached.
///
/// # Panics
///
/// As [`bfs()`].
pub fn explore<G: Explore>(graph: &mut G, roots: impl Iterator<Item = u32>) -> (BfsTree, Labels) {
    let (tree, labels, _) = search::<G, false>(graph, roots);
    (tree, labels)
}

/// As [`explore()`], and also returns the edges that were met: all of what was reached.
///
/// # Panics
///
/// As [`bfs()`].
pub fn explore_keeping<G: Explore>(
    graph: &mut G,
    roots: impl Iterator<Item = u32>,
) -> (BfsTree, Labels, Outgoing) {
    search::<G, true>(graph, roots)
}

/// Where nothing is to be kept, nothing of that is left in the code.
fn search<G: Explore, const KEEP: bool>(
    graph: &mut G,
    roots: impl Iterator<Item = u32>,
) -> (BfsTree, Labels, Outgoing) {
    let nodes = graph.len();
    assert!(
        nodes < NONE as usize - 1,
        "{nodes} nodes do not fit 32-bit ids"
    );
    let mut column = G::room(nodes);
    // One thread fills memory as fast as it comes; handing out single cells costs several times as much.
    column.extend((0..nodes).map(|_| AtomicU16::new(NOWHERE)));
    let [reached, leaves] = [(); 2].map(|()| {
        let words = nodes.div_ceil(64);
        let mut bits = G::room(words);
        bits.extend((0..words).map(|_| AtomicU64::new(0)));
        bits
    });
    // Room for all, so that nothing has to be moved; what is not filled takes no memory.
    let mut order = G::room(nodes);
    for root in roots {
        if column[root as usize].swap(OF_ROOT, Relaxed) == NOWHERE {
            order.push(root);
        }
    }

    let mut search = Search {
        column: &column,
        reached: Reached::new(&reached),
        leaves: Leaves(&leaves),
        order,
        above: Above::default(),
        far: FarLabels::default(),
        kept: Outgoing::with_room(if KEEP { nodes } else { 0 }, G::room),
        edges: Part::default(),
    };
    let mut levels = vec![0];
    let mut start = 0;
    let (mut scratch, mut notes) = (G::Scratch::default(), [G::Notes::default()]);
    while start < search.order.len() {
        let end = search.order.len();
        levels.push(end as u32);
        if end - start < PARALLEL_FRONTIER {
            search.order[start..]
                .iter()
                .for_each(|node| search.reached.add(*node));
            search.walk::<G, KEEP>(graph, start..end, &mut scratch, &mut notes[0]);
            graph.settle(search.reached, &mut notes);
        } else {
            let level = &search.order[start..];
            mark(level, search.reached);
            graph.prepare(level, search.reached);
            let mut notes = Vec::new();
            for first in (start..end).step_by(ROUND) {
                search.walk_parallel::<G, KEEP>(graph, first..end.min(first + ROUND), &mut notes);
            }
            graph.settle(search.reached, &mut notes);
        }
        start = end;
    }

    search.put_by();
    let Search {
        mut order,
        above,
        far,
        mut kept,
        ..
    } = search;
    order.shrink_to_fit();
    kept.shrink();
    let labels = Labels::new(column, far);
    (BfsTree::new(nodes, order, levels, above), labels, kept)
}

/// A node that a piece of the frontier has claimed first.
#[derive(Clone, Copy)]
struct Claim {
    node: u32,
    /// Where in `order` who claims it stands.
    by: u32,
    /// That of the edge, with [`LEAF`] if the node is one.
    label: u32,
}

/// More than any label.
const LEAF: u32 = 1 << 31;

/// Which places in the order are of nodes that have no edges, a bit each.
#[derive(Clone, Copy)]
struct Leaves<'c>(&'c [AtomicU64]);

impl<'c> Leaves<'c> {
    /// To say it of the places from this one on, of which it has not been said.
    fn from(self, place: u32) -> LeavesFrom<'c> {
        LeavesFrom {
            words: &self.0[place as usize / 64..],
            bits: 0,
            bit: 1 << (place % 64),
        }
    }
}

/// Says which places are of leaves, one after the other.
struct LeavesFrom<'c> {
    words: &'c [AtomicU64],
    /// Of the first of the words.
    bits: u64,
    /// That of the next place; 0 if it is in the next word.
    bit: u64,
}

impl LeavesFrom<'_> {
    #[inline]
    fn push(&mut self, is_leaf: bool) {
        if self.bit == 0 {
            self.put();
            self.words = &self.words[1..];
            (self.bits, self.bit) = (0, 1);
        }
        self.bits |= if is_leaf { self.bit } else { 0 };
        self.bit <<= 1;
    }

    fn put(&self) {
        if self.bits != 0 {
            self.words[0].fetch_or(self.bits, Relaxed);
        }
    }
}

impl Drop for LeavesFrom<'_> {
    fn drop(&mut self) {
        self.put();
    }
}

/// Nodes to explore, which stand near each other in the order.
struct Nodes {
    nodes: [u32; BATCH],
    /// Of each, how far behind the first place that was looked at it stands.
    places: [u32; BATCH],
}

impl Default for Nodes {
    fn default() -> Self {
        Nodes {
            nodes: [0; BATCH],
            places: [0; BATCH],
        }
    }
}

impl Nodes {
    /// The nodes from `at` on that are not leaves, as many as are explored together but none from `end` on; `at` is then
    /// behind them. Returns how many.
    fn fill(&mut self, order: &[u32], leaves: Leaves<'_>, at: &mut usize, end: usize) -> usize {
        let (first, mut len) = (*at, 0);
        while *at < end && len < BATCH {
            let others = !leaves.0[*at / 64].load(Relaxed) >> (*at % 64);
            let ahead = (64 - *at % 64).min(end - *at);
            let mut others = others & (u64::MAX >> (64 - ahead));
            let (nodes, mut next) = (&order[*at..*at + ahead], *at + ahead);
            while others != 0 {
                let place = others.trailing_zeros() as usize;
                if len == BATCH {
                    next = *at + place;
                    break;
                }
                self.nodes[len] = nodes[place];
                self.places[len] = (*at - first + place) as u32;
                len += 1;
                others &= others - 1;
            }
            *at = next;
        }
        len
    }
}

/// The tree so far.
struct Search<'c> {
    column: &'c [AtomicU16],
    reached: Reached<'c>,
    leaves: Leaves<'c>,
    order: Vec<u32>,
    above: Above,
    far: FarLabels,
    /// The edges of what has been explored but for the last, which are in `edges`.
    kept: Outgoing,
    edges: Part,
}

impl Search<'_> {
    /// Appends the successors of a part of the order that were not reached yet.
    fn walk<G: Explore, const KEEP: bool>(
        &mut self,
        graph: &G,
        part: Range<usize>,
        scratch: &mut G::Scratch,
        notes: &mut G::Notes,
    ) {
        let (mut at, mut batch) = (part.start, Nodes::default());
        while at < part.end {
            let first = at;
            let len = batch.fill(&self.order, self.leaves, &mut at, part.end);
            let reached = self.reached;
            if KEEP {
                self.edges.begin(at - first);
            }
            let mut append = Append::<KEEP> {
                search: self,
                first: first as u32,
                places: &batch.places,
            };
            graph.explore(&batch.nodes[..len], reached, scratch, notes, &mut append);
            if KEEP && self.edges.is_full() {
                self.put_by();
            }
        }
    }

    /// Puts the edges of narrow levels behind those before them.
    fn put_by(&mut self) {
        self.kept.extend([mem::take(&mut self.edges)]);
    }

    /// The same as [`Search::walk`], by all threads. Appends the graph's notes of each piece.
    fn walk_parallel<G: Explore, const KEEP: bool>(
        &mut self,
        graph: &G,
        part: Range<usize>,
        notes: &mut Vec<G::Notes>,
    ) {
        let &mut Search {
            column,
            reached,
            leaves,
            ref order,
            ..
        } = self;
        let pieces = (0..part.len().div_ceil(PIECE)).into_par_iter();
        let found: Vec<(Found, G::Notes)> = pieces
            .map_init(Default::default, |(scratch, batch), piece| {
                let (mut notes, mut found) = (G::Notes::default(), Found::default());
                let mut at = part.start + piece * PIECE;
                let end = part.end.min(at + PIECE);
                let batch: &mut Nodes = batch;
                while at < end {
                    let first = at;
                    let len = batch.fill(order, leaves, &mut at, end);
                    if KEEP {
                        found.edges.begin(at - first);
                    }
                    let mut claim = Claiming::<KEEP> {
                        column,
                        mine: CLAIMED | piece as u16,
                        first: first as u32,
                        places: &batch.places,
                        found: &mut found,
                    };
                    let nodes = &batch.nodes[..len];
                    graph.explore(nodes, reached, scratch, &mut notes, &mut claim);
                }
                (found, notes)
            })
            .collect();
        let (mut claims, mut edges) = (Vec::with_capacity(found.len()), Vec::new());
        for (found, new) in found {
            claims.push(found.claims);
            notes.push(new);
            if KEEP {
                edges.push(found.edges);
            }
        }
        if KEEP {
            self.put_by();
            let settle = || settle(&mut claims, column);
            rayon::join(settle, || self.kept.extend(edges));
        } else {
            settle(&mut claims, column);
        }
        self.append(&claims, part.start);
    }

    /// Appends the claims of the pieces of a frontier that starts at `first` of the order.
    fn append(&mut self, claims: &[Vec<Claim>], first: usize) {
        let position = |piece: usize| (first + piece * PIECE) as u32;
        let (mut start, mut before) = (self.order.len(), self.above.len());
        let new: usize = claims.iter().map(Vec::len).sum();
        self.order.resize(start + new, 0);
        let mut rest = &mut self.order[start..];
        let mut pieces = Vec::with_capacity(claims.len());
        for (piece, claims) in claims.iter().enumerate() {
            let (nodes, behind) = rest.split_at_mut(claims.len());
            let (at, above) = (start as u32, Above::behind(before, position(piece)));
            pieces.push((claims, nodes, at, above, FarLabels::default()));
            (rest, before) = (behind, before + claims.len());
            start += claims.len();
        }
        let leaves = self.leaves;
        pieces
            .par_iter_mut()
            .for_each(|(claims, nodes, at, above, far)| {
                let mut leaves = leaves.from(*at);
                for ((claim, node), at) in claims.iter().zip(nodes.iter_mut()).zip(*at..) {
                    *node = claim.node;
                    above.push(claim.by);
                    far.push(at, claim.label & !LEAF);
                    leaves.push(claim.label & LEAF != 0);
                }
            });
        for (piece, (.., above, far)) in pieces.iter_mut().enumerate() {
            self.above.append(above, position(piece));
            self.far.extend(far);
        }
    }
}

/// Adds the nodes to those that are reached.
fn mark(nodes: &[u32], reached: Reached<'_>) {
    let nodes = nodes.par_iter().with_min_len(PIECE);
    nodes.for_each(|node| reached.add(*node));
}

/// Leaves of the claims of each piece those that stand, and their labels in the column.
fn settle(claims: &mut [Vec<Claim>], column: &[AtomicU16]) {
    let pieces = claims.par_iter_mut().enumerate();
    pieces.for_each(|(piece, claims)| {
        claims.retain(|claim| {
            let claimed = &column[claim.node as usize];
            let stands = claimed.load(Relaxed) == CLAIMED | piece as u16;
            if stands {
                claimed.store(cell(claim.label & !LEAF), Relaxed);
            }
            stands
        });
    });
}

/// Appends what is reached to the order at once.
struct Append<'a, 'c, const KEEP: bool> {
    search: &'a mut Search<'c>,
    /// Where in the order the first node is that is explored, and how far behind it the others are.
    first: u32,
    places: &'a [u32; BATCH],
}

impl<const KEEP: bool> Reach for Append<'_, '_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.search.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, from: u32, to: u32, label: u32, is_leaf: bool) -> bool {
        let place = self.places[from as usize];
        if KEEP {
            self.search.edges.push(place, to);
        }
        let claimed = &self.search.column[to as usize];
        let new = claimed.load(Relaxed) == NOWHERE;
        if new {
            claimed.store(cell(label), Relaxed);
            let at = self.search.order.len() as u32;
            self.search.far.push(at, label);
            self.search.leaves.from(at).push(is_leaf);
            self.search.order.push(to);
            self.search.above.push(self.first + place);
        }
        new
    }
}

/// Claims what is reached for a piece of the frontier.
struct Claiming<'c, const KEEP: bool> {
    column: &'c [AtomicU16],
    mine: u16,
    /// Where in the order the first node is that is explored, and how far behind it the others are.
    first: u32,
    places: &'c [u32; BATCH],
    found: &'c mut Found,
}

/// What has been found in a piece of the frontier.
#[derive(Default)]
struct Found {
    claims: Vec<Claim>,
    edges: Part,
}

impl<const KEEP: bool> Reach for Claiming<'_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, from: u32, to: u32, label: u32, is_leaf: bool) -> bool {
        let place = self.places[from as usize];
        if KEEP {
            self.found.edges.push(place, to);
        }
        let cell = &self.column[to as usize];
        let claimed = cell.load(Relaxed);
        if claimed > self.mine && cell.fetch_min(self.mine, Relaxed) > self.mine {
            self.found.claims.push(Claim {
                node: to,
                by: self.first + place,
                label: label | if is_leaf { LEAF } else { 0 },
            });
        }
        // Claims of this level become labels only when a part of it has been walked.
        claimed >= CLAIMED
    }
}
