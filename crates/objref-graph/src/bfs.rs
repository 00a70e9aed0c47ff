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
    let words = nodes.div_ceil(64);
    let mut reached = G::room(words);
    reached.extend((0..words).map(|_| AtomicU64::new(0)));
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
    label: u32,
}

/// The tree so far.
struct Search<'c> {
    column: &'c [AtomicU16],
    reached: Reached<'c>,
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
        let mut nodes = [0; BATCH];
        for first in part.clone().step_by(BATCH) {
            let nodes = &mut nodes[..BATCH.min(part.end - first)];
            nodes.copy_from_slice(&self.order[first..first + nodes.len()]);
            let reached = self.reached;
            if KEEP {
                self.edges.begin(nodes.len());
            }
            let mut append = Append::<KEEP> {
                search: self,
                first: first as u32,
            };
            graph.explore(nodes, reached, scratch, notes, &mut append);
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
        let (column, reached) = (self.column, self.reached);
        let pieces = self.order[part.clone()].par_chunks(PIECE);
        let found: Vec<(Claiming<'_, KEEP>, G::Notes)> = pieces
            .enumerate()
            .map_init(G::Scratch::default, |scratch, (piece, frontier)| {
                let mut notes = G::Notes::default();
                let mut claim = Claiming {
                    column,
                    mine: CLAIMED | piece as u16,
                    first: (part.start + piece * PIECE) as u32,
                    claims: Vec::new(),
                    edges: Part::default(),
                };
                for nodes in frontier.chunks(BATCH) {
                    if KEEP {
                        claim.edges.begin(nodes.len());
                    }
                    graph.explore(nodes, reached, scratch, &mut notes, &mut claim);
                    claim.first += nodes.len() as u32;
                }
                (claim, notes)
            })
            .collect();
        let (mut claims, mut edges) = (Vec::with_capacity(found.len()), Vec::new());
        for (claim, new) in found {
            claims.push(claim.claims);
            notes.push(new);
            if KEEP {
                edges.push(claim.edges);
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
        pieces
            .par_iter_mut()
            .for_each(|(claims, nodes, at, above, far)| {
                for ((claim, node), at) in claims.iter().zip(nodes.iter_mut()).zip(*at..) {
                    *node = claim.node;
                    above.push(claim.by);
                    far.push(at, claim.label);
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
                claimed.store(cell(claim.label), Relaxed);
            }
            stands
        });
    });
}

/// Appends what is reached to the order at once.
struct Append<'a, 'c, const KEEP: bool> {
    search: &'a mut Search<'c>,
    /// Where in the order the nodes that are explored start.
    first: u32,
}

impl<const KEEP: bool> Reach for Append<'_, '_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.search.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, from: u32, to: u32, label: u32) -> bool {
        if KEEP {
            self.search.edges.push(from, to);
        }
        let claimed = &self.search.column[to as usize];
        let new = claimed.load(Relaxed) == NOWHERE;
        if new {
            claimed.store(cell(label), Relaxed);
            self.search.far.push(self.search.order.len() as u32, label);
            self.search.order.push(to);
            self.search.above.push(self.first + from);
        }
        new
    }
}

/// Claims what is reached for a piece of the frontier.
struct Claiming<'c, const KEEP: bool> {
    column: &'c [AtomicU16],
    mine: u16,
    /// Where in the order the nodes that are explored start.
    first: u32,
    claims: Vec<Claim>,
    /// The edges of the piece.
    edges: Part,
}

impl<const KEEP: bool> Reach for Claiming<'_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, from: u32, to: u32, label: u32) -> bool {
        if KEEP {
            self.edges.push(from, to);
        }
        let cell = &self.column[to as usize];
        let claimed = cell.load(Relaxed);
        if claimed > self.mine && cell.fetch_min(self.mine, Relaxed) > self.mine {
            self.claims.push(Claim {
                node: to,
                by: self.first + from,
                label,
            });
        }
        // Claims of this level become labels only when a part of it has been walked.
        claimed >= CLAIMED
    }
}
