//! Contraction: which nodes can be set aside before dominators are searched for.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use crate::outgoing::{Outgoing, PIECE};
use crate::{BfsTree, Entries};

/// Which nodes are plain: they have one referrer and lead to nothing but such nodes.
///
/// Everything is by their positions in the order of the search.
pub(crate) struct Plain {
    /// A bit per node, which is set for those that are not.
    others: Vec<u64>,
    /// Per word of `others`, how many such nodes stand before it.
    before: Vec<u32>,
}

impl Plain {
    /// `edges`: those of the nodes of `tree` that are not in it. Also returns where the parents stand of those that are neither
    /// plain nor roots.
    pub(crate) fn of(edges: &Outgoing, tree: &BfsTree, entries: &Entries) -> (Self, Vec<u32>) {
        // What an edge beside the tree leads to has another referrer, and where it starts leads there.
        let shared = bits(tree.nodes());
        let others = bits(tree.order.len());
        edges.pieces().for_each(|edges| {
            for (from, to) in edges {
                set(&shared, to as usize);
                set(&others, from as usize);
            }
        });
        let all = 0..entries.len() as u32;
        let mut held: Vec<u32> = all
            .flat_map(|entry| entries.targets(entry))
            .copied()
            .collect();
        held.sort_unstable();
        let twice = held.windows(2).filter(|pair| pair[0] == pair[1]);
        twice.for_each(|pair| set(&shared, pair[0] as usize));

        let words = others.into_par_iter().zip(tree.order.par_chunks(64));
        let words = words.map(|(word, nodes)| {
            let is_shared = |node: u32| shared[node as usize / 64].load(Relaxed) >> (node % 64) & 1;
            let nodes = nodes.iter().enumerate();
            nodes.fold(word.into_inner(), |word, (i, node)| {
                word | is_shared(*node) << i
            })
        });
        let mut others: Vec<u64> = words.collect();
        drop(shared);
        let parents = lift(&mut others, tree);
        let mut sum = 0;
        let before = others.iter().map(|word| {
            let before = sum;
            sum += word.count_ones();
            before
        });
        let before = before.collect();
        (Plain { others, before }, parents)
    }

    #[inline]
    pub(crate) fn has(&self, position: usize) -> bool {
        self.others[position / 64] >> (position % 64) & 1 == 0
    }

    /// How many of the nodes before this position, at most the end of the order, are not plain.
    #[inline]
    pub(crate) fn others_before(&self, position: usize) -> usize {
        let Some(word) = self.others.get(position / 64) else {
            return self.others();
        };
        let below = word & ((1u64 << (position % 64)) - 1);
        (self.before[position / 64] + below.count_ones()) as usize
    }

    /// The positions in `range` of those that are not plain; it starts at a multiple of 64.
    pub(crate) fn others_in(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        let words = range.start / 64..range.end.div_ceil(64);
        words.flat_map(|word| {
            let next = |bits: &u64| Some(bits & (bits - 1)).filter(|bits| *bits != 0);
            let first = Some(self.others[word]).filter(|bits| *bits != 0);
            let bits = std::iter::successors(first, next);
            bits.map(move |bits| word * 64 + bits.trailing_zeros() as usize)
        })
    }

    /// How many are not plain.
    pub(crate) fn others(&self) -> usize {
        let last = self.others.last().zip(self.before.last());
        last.map_or(0, |(word, before)| (before + word.count_ones()) as usize)
    }
}

/// Adds to `others` whatever has one of them below it. Returns where the parents stand of them all, but for the roots.
fn lift(others: &mut [u64], tree: &BfsTree) -> Vec<u32> {
    let (end, roots) = (tree.order.len(), tree.roots());
    let (mut parents, mut of_others) = (Vec::with_capacity(PIECE), vec![0; PIECE]);
    let mut found = Vec::new();
    for start in (roots..end).step_by(PIECE).rev() {
        parents.clear();
        parents.extend(tree.parents_at(start).take(PIECE));
        let mut len = 0;
        for (i, &parent) in parents.iter().enumerate().rev() {
            let position = start + i;
            let is_other = others[position / 64] >> (position % 64) & 1;
            others[parent as usize / 64] |= is_other << (parent % 64);
            // Without a branch that nobody could foresee.
            of_others[len] = parent;
            len += is_other as usize;
        }
        found.extend_from_slice(&of_others[..len]);
    }
    found.reverse();
    found
}

fn bits(len: usize) -> Vec<AtomicU64> {
    bytemuck::zeroed_vec(len.div_ceil(64))
}

fn set(bits: &[AtomicU64], at: usize) {
    let (word, bit) = (&bits[at / 64], 1 << (at % 64));
    // Most are set more than once, and looking costs less.
    if word.load(Relaxed) & bit == 0 {
        word.fetch_or(bit, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{Csr, ROOT, bfs};

    /// Who is plain, by the definition; by position.
    fn expected(graph: &Csr, tree: &BfsTree, holds: &BTreeSet<(u32, u32)>) -> Vec<bool> {
        let mut plain = vec![false; tree.order.len()];
        let mut by_node = vec![false; tree.nodes()];
        for (position, &node) in tree.order.iter().enumerate().rev() {
            let leads_there = |from: &&u32| **from != node && graph.targets(**from).contains(&node);
            let referrers = tree.order.iter().filter(leads_there).count()
                + holds.iter().filter(|(_, held)| *held == node).count();
            let is_plain = |to: &u32| *to == node || by_node[*to as usize];
            plain[position] = referrers == 1 && graph.targets(node).iter().all(is_plain);
            by_node[node as usize] = plain[position];
        }
        plain
    }

    proptest! {
        #[test]
        fn plain_are_the_trees_that_nothing_else_leads_to(
            edges in prop::collection::vec((0u32..40, 0u32..40), 0..60),
            // Many edges of one node.
            more in prop::collection::vec(0u32..40, 0..30),
            holds in prop::collection::btree_set((0u32..4, 0u32..40), 1..8),
        ) {
            let edges = edges.into_iter().chain(more.into_iter().map(|to| (7, to)));
            let graph = Csr::from_edges(40, edges);
            let entries = Entries::new(vec![ROOT, 0, ROOT, 2], holds.iter().copied().collect());
            let tree = bfs(&graph, holds.iter().map(|(_, node)| *node));
            let (plain, parents) = Plain::of(&Outgoing::of(&graph, &tree), &tree, &entries);
            let expected = expected(&graph, &tree, &holds);
            let all_short = (0..40).all(|node| {
                let row: BTreeSet<_> = graph.targets(node).iter().collect();
                row.len() < 8
            });
            let positions: Vec<usize> = plain.others_in(0..tree.order.len()).collect();
            let mut others = 0;
            for (position, &expected) in expected.iter().enumerate() {
                let found = plain.has(position);
                prop_assert!(expected || !found);
                prop_assert!(found || !expected || !all_short);
                prop_assert_eq!(plain.others_before(position), others);
                prop_assert_eq!(positions.contains(&position), !found);
                others += usize::from(!found);
            }
            prop_assert_eq!(plain.others_before(expected.len()), others);
            prop_assert_eq!(plain.others(), others);
            let all: Vec<u32> = tree.parents_at(tree.roots()).collect();
            let not_roots = positions.iter().filter_map(|at| at.checked_sub(tree.roots()));
            prop_assert!(parents.into_iter().eq(not_roots.map(|at| all[at])));
        }
    }
}
