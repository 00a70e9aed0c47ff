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
//! Every thread lowers the claims of the successors of its piece of the frontier and notes the ones
//! that it lowered, in the order in which it came by. Two of them may do so to one claim at once, and
//! the higher one may be left: so when all are done, those that were noted are lowered once more.
//! Then a note counts only if its claim stands. Notes that count, read piece by piece, are the next
//! level in queue order: each node stands where its first holder came by first.

use std::ops::Range;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use crate::Successors;
use crate::above::Above;
use crate::columns::filled;
use crate::explore::{Explore, LabeledEdge, Plain, Reach, Reached};
use crate::frontier::{Leaves, Nodes};
use crate::labels::{CLAIMED, FarLabels, Labels, NOWHERE, OF_ROOT, cell};
use crate::outgoing::{Edge, Outgoing, Recent};
use crate::pieces::{Heavies, PIECE, Part, Piece, cut, weight};
use crate::tree::{BfsTree, NONE};

/// A frontier that weighs less than this is walked by one thread: a linked list of a million nodes has a
/// million levels, and handing out work costs more than a few thousand nodes do.
const PARALLEL_FRONTIER: usize = 4096;

/// Pieces for each thread whose successors are settled together: until then all of them are noted.
const AT_ONCE: usize = 64;
/// At most as many are, for all threads: they have numbers of one byte.
const MOST_AT_ONCE: usize = 256;
/// Of a small graph they are one part in so many, so that what is noted is little beside the columns ...
const SHARE: usize = 64;
/// ... unless that is less than so many for each thread.
const FEW: usize = 8;

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
    let column = filled(G::zeros, nodes, || AtomicU16::new(NOWHERE));
    let [reached, leaves] = [(); 2].map(|()| G::zeros::<AtomicU64>(nodes.div_ceil(64)));
    let mut order = Order {
        nodes: vec![0; nodes],
        len: 0,
    };
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
        kept: Outgoing::of_at_most(if KEEP { nodes } else { 0 }),
        found: Vec::new(),
    };
    let threads = rayon::current_num_threads();
    let small = (nodes / (SHARE * PIECE)).max(FEW * threads);
    let round = (AT_ONCE * threads).min(MOST_AT_ONCE).min(small);
    let mut levels = vec![0];
    let mut start = 0;
    let (mut scratch, mut notes) = (G::Scratch::default(), [G::Notes::default()]);
    let heavies = Heavies::of(graph);
    while start < search.order.len {
        let end = search.order.len;
        levels.push(end as u32);
        let level = search.order.from(start);
        let reach = |first, nodes: &[u32]| heavies.reach(graph, search.reached, nodes, first);
        let heavy = match level.len() {
            ..PARALLEL_FRONTIER => reach(start, level),
            _ => {
                let pieces = level.par_chunks(PIECE).enumerate();
                let heavy = pieces.map(|(piece, nodes)| reach(start + piece * PIECE, nodes));
                heavy.flatten_iter().collect()
            }
        };
        if weight(level.len(), &heavy) < PARALLEL_FRONTIER {
            search.walk::<G, KEEP>(graph, start..end, &mut scratch, &mut notes[0]);
            graph.settle(search.reached, &mut notes);
        } else {
            graph.prepare(level, search.reached);
            let mut notes = Vec::new();
            let pieces: Vec<Piece> = cut(start..end, &heavy).collect();
            for pieces in pieces.chunks(round) {
                search.walk_parallel::<G, KEEP>(graph, pieces, &mut notes);
            }
            graph.settle(search.reached, &mut notes);
        }
        start = end;
    }

    let Search {
        order,
        above,
        far,
        kept,
        ..
    } = search;
    let order = order.into_nodes();
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

impl Claim {
    fn label(self) -> u32 {
        self.label & !LEAF
    }

    fn is_leaf(self) -> bool {
        self.label & LEAF != 0
    }
}

/// The nodes that are reached, in the order of the search.
struct Order {
    /// Room for all, zeros from the start: what is not filled takes no memory, and threads can fill it side by side. In small
    /// pages, so that none waits for a large one to be cleared, of which a round of the search fills less than one.
    nodes: Vec<u32>,
    len: usize,
}

impl Order {
    #[inline]
    fn push(&mut self, node: u32) {
        self.nodes[self.len] = node;
        self.len += 1;
    }

    /// Room for so many more, to be filled.
    fn grow(&mut self, new: usize) -> &mut [u32] {
        let start = self.len;
        self.len += new;
        &mut self.nodes[start..self.len]
    }

    /// Those from this place on.
    fn from(&self, start: usize) -> &[u32] {
        &self.nodes[start..self.len]
    }

    fn into_nodes(mut self) -> Vec<u32> {
        self.nodes.truncate(self.len);
        self.nodes.shrink_to_fit();
        self.nodes
    }
}

/// The tree so far.
struct Search<'c> {
    column: &'c [AtomicU16],
    reached: Reached<'c>,
    leaves: Leaves<'c>,
    order: Order,
    above: Above,
    far: FarLabels,
    /// The edges that are not in the tree.
    kept: Outgoing,
    /// Of each piece that is walked at once with others: their memory is used again.
    found: Vec<Found>,
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
            let len = batch.fill(&self.order.nodes, self.leaves, &mut at, part.end);
            let reached = self.reached;
            let mut append = Append::<KEEP> {
                search: self,
                first: first as u32,
                nodes: &batch,
                recent: Recent::default(),
            };
            let nodes = &batch.nodes[..len];
            graph.explore(nodes, Part::WHOLE, reached, scratch, notes, &mut append);
        }
    }

    /// The same as [`Search::walk`], by all threads. Appends the graph's notes of each piece.
    fn walk_parallel<G: Explore, const KEEP: bool>(
        &mut self,
        graph: &G,
        pieces: &[Piece],
        notes: &mut Vec<G::Notes>,
    ) {
        let &mut Search {
            column,
            reached,
            leaves,
            ref order,
            ref mut found,
            ..
        } = self;
        if found.len() < pieces.len() {
            found.resize_with(pieces.len(), Found::default);
        }
        let found = &mut found[..pieces.len()];
        let walk = |(scratch, batch): &mut (_, Nodes), (number, found): (usize, &mut Found)| {
            let mut notes = G::Notes::default();
            let Piece { nodes, part } = &pieces[number];
            let mut at = nodes.start;
            while at < nodes.end {
                let first = at;
                let len = batch.fill(&order.nodes, leaves, &mut at, nodes.end);
                let mut claim = Claiming::<KEEP> {
                    column,
                    mine: CLAIMED | number as u16,
                    first: first as u32,
                    nodes: batch,
                    found,
                };
                let nodes = &batch.nodes[..len];
                graph.explore(nodes, *part, reached, scratch, &mut notes, &mut claim);
            }
            notes
        };
        let numbered = found.par_iter_mut().enumerate();
        notes.par_extend(numbered.map_init(Default::default, walk));
        settle::<KEEP>(found, column);
        let parts = found
            .iter_mut()
            .map(|piece| (&piece.claims[..], &mut piece.edges));
        let (claims, edges): (Vec<_>, Vec<_>) = parts.unzip();
        let kept = &mut self.kept;
        let put_by = || {
            edges
                .into_iter()
                .for_each(|edges| kept.extend(edges.drain(..)))
        };
        let (order, above, far) = (&mut self.order, &mut self.above, &mut self.far);
        rayon::join(put_by, || {
            append(order, above, far, leaves, &claims, pieces)
        });
        found.iter_mut().for_each(Found::clear);
    }
}

/// Appends to the tree the claims of these pieces of a frontier.
fn append(
    order: &mut Order,
    above: &mut Above,
    far: &mut FarLabels,
    leaves: Leaves<'_>,
    claims: &[&[Claim]],
    pieces: &[Piece],
) {
    let position = |piece: usize| pieces[piece].nodes.start as u32;
    let (mut start, mut before) = (order.len, above.len());
    let new: usize = claims.iter().map(|claims| claims.len()).sum();
    let mut rest = order.grow(new);
    let mut parts = Vec::with_capacity(claims.len());
    for (piece, claims) in claims.iter().enumerate() {
        let (nodes, behind) = rest.split_at_mut(claims.len());
        let above = Above::behind(before, position(piece));
        parts.push((claims, nodes, start as u32, above, FarLabels::default()));
        (rest, before) = (behind, before + claims.len());
        start += claims.len();
    }
    parts
        .par_iter_mut()
        .for_each(|(claims, nodes, at, above, far)| {
            let mut leaves = leaves.from(*at);
            let places = claims.iter().zip(nodes.iter_mut()).zip(*at..);
            above.extend(places.map(|((claim, node), at)| {
                *node = claim.node;
                far.push(at, claim.label());
                leaves.push(claim.is_leaf());
                claim.by
            }));
        });
    for (piece, (.., its_above, its_far)) in parts.iter_mut().enumerate() {
        above.append(its_above, position(piece));
        far.extend(its_far);
    }
}

/// Leaves of the claims of each piece those that stand, and their labels in the column. The others are edges beside the tree.
/// One that was made twice stands once.
fn settle<const KEEP: bool>(found: &mut [Found], column: &[AtomicU16]) {
    let mine = |piece: usize| CLAIMED | piece as u16;
    found.par_iter().enumerate().for_each(|(piece, found)| {
        for claim in &found.claims {
            let cell = &column[claim.node as usize];
            if cell.load(Relaxed) > mine(piece) {
                cell.fetch_min(mine(piece), Relaxed);
            }
        }
    });
    let pieces = found.par_iter_mut().enumerate();
    pieces.for_each(|(piece, Found { claims, edges, .. })| {
        let known = edges.len();
        claims.retain(|claim| {
            let claimed = &column[claim.node as usize];
            let stands = claimed.load(Relaxed) == mine(piece);
            if stands {
                claimed.store(cell(claim.label()), Relaxed);
            } else if KEEP {
                edges.push((claim.by, claim.node));
            }
            stands
        });
        if edges.len() > known {
            edges.sort_by_key(|(from, _)| *from);
        }
    });
}

/// Appends what is reached to the order at once.
struct Append<'a, 'c, const KEEP: bool> {
    search: &'a mut Search<'c>,
    /// Where in the order the first node stands that was looked at.
    first: u32,
    /// Those that are explored.
    nodes: &'a Nodes,
    recent: Recent,
}

impl<const KEEP: bool> Reach for Append<'_, '_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.search.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, edge: LabeledEdge, seen: u32) -> bool {
        let LabeledEdge { from, to, .. } = edge;
        let by = self.first + self.nodes.places[from];
        let adds = KEEP && self.recent.adds(by, || self.nodes.nodes[from], to);
        let claimed = &self.search.column[to as usize];
        // An edge that was told after it was seen may have come first.
        let new = seen == u32::from(NOWHERE) && claimed.load(Relaxed) == NOWHERE;
        if new {
            claimed.store(cell(edge.label), Relaxed);
            let at = self.search.order.len as u32;
            self.search.far.push(at, edge.label);
            self.search.leaves.from(at).push(edge.to_leaf);
            self.search.order.push(to);
            self.search.above.push(by);
        } else if adds {
            self.search.kept.push((by, to));
        }
        new
    }
}

/// Claims what is reached for a piece of the frontier.
struct Claiming<'c, const KEEP: bool> {
    column: &'c [AtomicU16],
    mine: u16,
    /// Where in the order the first node stands that was looked at.
    first: u32,
    /// Those that are explored.
    nodes: &'c Nodes,
    found: &'c mut Found,
}

/// What has been found in a piece of the frontier.
#[derive(Default)]
struct Found {
    claims: Vec<Claim>,
    recent: Recent,
    /// The edges that claim nothing.
    edges: Vec<Edge>,
}

impl Found {
    /// Keeps no more memory than most pieces need: a single node may have millions of edges.
    fn clear(&mut self) {
        self.claims.clear();
        self.claims.shrink_to(4 * PIECE);
        self.edges.shrink_to(4 * PIECE);
    }
}

impl<const KEEP: bool> Reach for Claiming<'_, KEEP> {
    #[inline]
    fn touch(&self, to: u32) -> u32 {
        self.column[to as usize].load(Relaxed).into()
    }

    #[inline]
    fn edge(&mut self, edge: LabeledEdge, seen: u32) -> bool {
        let LabeledEdge { from, to, .. } = edge;
        let found = &mut *self.found;
        let by = self.first + self.nodes.places[from];
        let adds = KEEP && found.recent.adds(by, || self.nodes.nodes[from], to);
        let (mine, cell) = (self.mine, &self.column[to as usize]);
        // An edge that was told after it was seen may have claimed it. In two steps, between which another piece may claim
        // it: a `fetch_min` for each object would take longer than to settle that.
        if seen > mine.into() && cell.load(Relaxed) > mine {
            cell.store(mine, Relaxed);
            found.claims.push(Claim {
                node: to,
                by,
                label: edge.label | if edge.to_leaf { LEAF } else { 0 },
            });
        } else if adds {
            found.edges.push((by, to));
        }
        // Claims of this level become labels only when a part of it has been walked.
        seen >= CLAIMED.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_does_not_stand_is_an_edge_beside_the_tree() {
        // Nodes from 5 on have not been reached.
        let labels = (0..8).map(|node| if node < 5 { 0 } else { NOWHERE });
        let column: Vec<_> = labels.map(AtomicU16::new).collect();
        let [mut early, mut late] = [Found::default(), Found::default()];
        let (mut nodes, mut others) = (Nodes::default(), Nodes::default());
        // The first two are 1 and 2, those from the tenth on 3 and 4.
        let order: Vec<u32> = (1..11).chain(3..13).collect();
        let leaves: Vec<_> = (0..1).map(|_| AtomicU64::new(0)).collect();
        nodes.fill(&order, Leaves(&leaves), &mut 0, 2);
        others.fill(&order, Leaves(&leaves), &mut 10, 12);
        let claim = |piece: u32, nodes, found, edges: &[Edge]| {
            let mut claiming = Claiming::<true> {
                column: &column,
                mine: CLAIMED | piece as u16,
                first: 10 * piece,
                nodes,
                found,
            };
            for &(from, to) in edges {
                let edge = LabeledEdge {
                    from: from as usize,
                    to,
                    label: 30 * piece + to,
                    to_leaf: false,
                };
                let seen = claiming.touch(to);
                claiming.edge(edge, seen);
            }
        };
        // The later piece comes by first, more than once.
        let edges = [(0, 5), (0, 6), (0, 5), (0, 3), (1, 5), (1, 7)];
        claim(1, &others, &mut late, &edges);
        claim(0, &nodes, &mut early, &[(0, 6), (1, 6), (1, 5)]);
        let mut found = [early, late];
        settle::<true>(&mut found, &column);
        let [early, late] = found;
        let claimed = |piece: &Found| -> Vec<Edge> {
            piece
                .claims
                .iter()
                .map(|claim| (claim.by, claim.node))
                .collect()
        };
        assert_eq!(claimed(&early), [(0, 6), (1, 5)]);
        assert_eq!(early.edges, [(1, 6)]);
        assert_eq!(claimed(&late), [(11, 7)]);
        assert_eq!(late.edges, [(10, 5), (10, 6), (11, 5)]);
        let labels = [5, 6, 7].map(|node: usize| column[node].load(Relaxed));
        assert_eq!(labels, [5, 6, 37]);
    }
}
