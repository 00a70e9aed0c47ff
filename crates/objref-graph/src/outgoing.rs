//! The edges that a search leaves out of its tree, put by in the order in which it came there.
//!
//! Who looks at a node's edges to search can keep them, and need not be asked for them again. Those by which nodes were
//! reached first are the tree; most nodes have no other:
//!
//! ```text
//! sources: 1 3 3 3 7 ...                  where in the order each edge starts, in a few bits
//! chunks:  [ a b c d ] [ e ... ]          the nodes where they end
//! ```
//!
//! No vector of targets is moved when it grows, and no more memory is in use than is filled.

use rayon::prelude::*;

use crate::above::Above;
use crate::{BfsTree, Successors};

/// Nodes or edges per piece of work.
pub(crate) const PIECE: usize = 1 << 14;
/// Targets that a chunk has room for: so large a piece of memory is given back to the system when it is let go.
const CHUNK: usize = 1 << 23;
/// Pieces that are read before they are put behind those before them.
const PIECES: usize = 32;

/// The edges between what was reached that are not those of a breadth-first tree, in the order of the tree. Edges of a node to
/// itself and to where it leads anyway need not be there.
#[derive(Debug)]
pub struct Outgoing {
    /// Per edge, where in the order the node stands that it starts from.
    sources: Above,
    /// The nodes that edges lead to; in [`Outgoing::translate`] that becomes what they are called then.
    chunks: Vec<Vec<u32>>,
    /// How many targets a chunk has room for.
    chunk: usize,
}

/// Where in the order an edge starts, and the node that it leads to.
pub(crate) type Edge = (u32, u32);

impl Outgoing {
    /// The edges of `graph`, which `tree` is of: it is asked for those of each node.
    pub fn of<G: Successors>(graph: &G, tree: &BfsTree) -> Outgoing {
        let part = |(piece, nodes): (usize, &[u32])| {
            let (mut edges, mut recent) = (Vec::new(), Recent::default());
            let mut children = tree.children_from(piece * PIECE);
            for (position, &node) in (piece * PIECE..).zip(nodes) {
                // A node's children stand in the order in which it leads to them.
                let mut children = &tree.order[children.next(position)];
                graph.successors(node, &mut |to| {
                    let adds = recent.adds(position as u32, || node, to);
                    if let Some((_, rest)) =
                        children.split_first().filter(|(child, _)| **child == to)
                    {
                        children = rest;
                    } else if adds {
                        edges.push((position as u32, to));
                    }
                });
            }
            edges
        };
        let mut out = Outgoing::of_at_most(tree.order.len());
        let pieces: Vec<_> = tree.order.chunks(PIECE).enumerate().collect();
        for pieces in pieces.chunks(PIECES) {
            let parts: Vec<Vec<Edge>> = pieces.par_iter().map(|piece| part(*piece)).collect();
            parts.into_iter().for_each(|part| out.extend(part));
        }
        out
    }

    /// Nothing yet, of at most `nodes` nodes.
    pub(crate) fn of_at_most(nodes: usize) -> Outgoing {
        Outgoing {
            sources: Above::default(),
            chunks: Vec::new(),
            chunk: CHUNK.min(nodes * 2),
        }
    }

    /// Puts by an edge that does not start before those that are there.
    #[inline]
    pub(crate) fn push(&mut self, (from, to): Edge) {
        self.sources.push(from);
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < chunk.capacity() => chunk.push(to),
            _ => {
                let mut chunk = Vec::with_capacity(self.chunk);
                chunk.push(to);
                self.chunks.push(chunk);
            }
        }
    }

    /// Puts by the edges of the next nodes.
    pub(crate) fn extend(&mut self, edges: impl IntoIterator<Item = Edge>) {
        edges.into_iter().for_each(|edge| self.push(edge));
    }

    /// The edges in pieces, for all threads.
    pub(crate) fn pieces(&self) -> impl ParallelIterator<Item = impl Iterator<Item = Edge>> {
        let targets = self.chunks.iter().flat_map(|chunk| chunk.chunks(PIECE));
        let mut start = 0;
        let pieces = targets.map(|targets| {
            let first = start;
            start += targets.len();
            (first, targets)
        });
        let pieces: Vec<(usize, &[u32])> = pieces.collect();
        let pieces = pieces.into_par_iter();
        pieces.map(|(first, targets)| self.sources.from(first).zip(targets.iter().copied()))
    }

    /// How many edges start before `position` of the order.
    pub(crate) fn first_of(&self, position: usize) -> usize {
        self.sources.first_at(position as u32)
    }

    /// The edges of the nodes from `position` of the order on.
    pub(crate) fn from(&self, position: usize) -> impl Iterator<Item = Edge> {
        let first = self.first_of(position);
        let (mut chunk, mut skip) = (0, first);
        while let Some(full) = self.chunks.get(chunk).filter(|chunk| chunk.len() <= skip) {
            (chunk, skip) = (chunk + 1, skip - full.len());
        }
        let (start, rest) = match self.chunks.get(chunk..) {
            Some([start, rest @ ..]) => (&start[skip..], rest),
            _ => (&[][..], &[][..]),
        };
        let targets = start.iter().chain(rest.iter().flatten());
        self.sources.from(first).zip(targets.copied())
    }

    /// Calls all targets by other names.
    pub(crate) fn translate(&mut self, name: impl Fn(u32) -> u32 + Sync) {
        let targets = self.chunks.par_iter_mut();
        let pieces = targets.flat_map(|chunk| chunk.par_chunks_mut(PIECE));
        pieces.for_each(|targets| {
            targets
                .iter_mut()
                .for_each(|target| *target = name(*target))
        });
    }
}

/// Where the node that is being explored was last seen to lead: Go's values often name the same object more than once.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Where in the order the node stands.
    position: u32,
    targets: [u32; 8],
    /// How many have been noted.
    noted: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Recent {
            position: crate::NONE,
            targets: [crate::NONE; 8],
            noted: 0,
        }
    }
}

impl Recent {
    /// Notes that the node at `position` leads to `to`. Returns whether that is news, as far as is known: to itself any
    /// node leads.
    #[inline]
    pub(crate) fn adds(&mut self, position: u32, node: impl FnOnce() -> u32, to: u32) -> bool {
        if self.position != position {
            self.position = position;
            self.targets = [node(); 8];
        }
        let adds = !self.targets.contains(&to);
        if adds {
            self.targets[self.noted % self.targets.len()] = to;
            self.noted += 1;
        }
        adds
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::explore::Plain;
    use crate::{Csr, Entries, bfs, dominators, explore_keeping};

    /// By position and node; the order of a row may be any.
    fn sorted(edges: &Outgoing) -> Vec<Edge> {
        let mut all: Vec<Edge> = edges.from(0).collect();
        let pieces: Vec<Edge> = edges.pieces().flat_map_iter(|edges| edges).collect();
        assert_eq!(all, pieces);
        assert!(all.is_sorted_by_key(|(from, _)| *from));
        all.sort_unstable();
        all
    }

    /// What `graph` says of the edges that are neither in the tree nor lead to where they come from.
    fn expected(graph: &Csr, tree: &BfsTree) -> BTreeSet<Edge> {
        let edges = (0..).zip(&tree.order).flat_map(|(position, &node)| {
            let targets = graph.targets(node).iter();
            let targets =
                targets.filter(move |to| **to != node && tree.parents()[**to as usize] != node);
            targets.map(move |to| (position, *to))
        });
        edges.collect()
    }

    /// Numbers below `below`.
    fn numbers(mut seed: u64, below: u32) -> impl FnMut() -> u32 {
        move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % u64::from(below)) as u32
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_the_tree_does_not_say(
            edges in prop::collection::vec((0u32..30, 0u32..30), 0..150),
            // Many edges of one node.
            more in prop::collection::vec(0u32..30, 0..60),
            roots in prop::collection::vec(0u32..30, 1..8),
        ) {
            let edges = edges.into_iter().chain(more.into_iter().map(|to| (7, to)));
            let graph = Csr::from_edges(30, edges);
            let (tree, _, kept) = explore_keeping(&mut Plain(&graph), roots.iter().copied());
            let found = sorted(&kept);
            prop_assert_eq!(&sorted(&Outgoing::of(&graph, &tree)), &found);
            let set: BTreeSet<Edge> = found.iter().copied().collect();
            let expected = expected(&graph, &tree);
            prop_assert!(set.is_superset(&expected));
            // What more there is is said again of a long row.
            let is_short = |position: u32| {
                let row: BTreeSet<_> = graph.targets(tree.order[position as usize]).iter().collect();
                row.len() < 8
            };
            let short: Vec<Edge> = found.into_iter().filter(|edge| is_short(edge.0)).collect();
            let expected: Vec<Edge> = expected.into_iter().filter(|edge| is_short(edge.0)).collect();
            prop_assert_eq!(short, expected);
            for position in 0..=tree.order.len() {
                let rest = kept.from(position).map(|(from, _)| from);
                let all = kept.from(0).map(|(from, _)| from);
                prop_assert!(rest.eq(all.filter(|from| *from >= position as u32)));
            }
        }
    }

    #[test]
    fn what_a_search_keeps_is_what_the_graph_says_on_any_number_of_threads() {
        let nodes = if cfg!(miri) { 5_000 } else { 150_000 };
        let mut next = numbers(7919, nodes);
        // Wide levels, then a list, which ends in a fan with more edges than there are nodes.
        let random: Vec<Edge> = (0..5 * nodes).map(|_| (next(), next())).collect();
        let list = (nodes..2 * nodes).map(|node| (node - 1, node));
        let fan = (0..5 * nodes).map(|_| (2 * nodes - 1, 2 * nodes + next()));
        let fan: Vec<Edge> = fan.collect();
        let edges = random.iter().copied().chain(list);
        let graph = Csr::from_edges(3 * nodes as usize, edges.chain(fan.iter().copied()));
        let entries = Entries::each(&[3, 5]);
        let tree = bfs(&graph, [3, 5, 3].into_iter());
        assert!(tree.order.len() as u32 > 2 * nodes, "all of it is reached");
        let read = Outgoing::of(&graph, &tree);
        let all = sorted(&read);
        let set: BTreeSet<Edge> = all.iter().copied().collect();
        assert!(set.is_superset(&expected(&graph, &tree)));
        let idom = dominators(read, &tree, &entries, bytemuck::zeroed_vec);
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let roots = [3, 5, 3].into_iter();
                let (found, _, kept) = explore_keeping(&mut Plain(&graph), roots);
                assert_eq!(found, tree);
                assert!(sorted(&kept) == all, "{threads} threads");
                let same = dominators(kept, &tree, &entries, bytemuck::zeroed_vec) == idom;
                assert!(same, "{threads} threads");
            });
        }
    }
}
