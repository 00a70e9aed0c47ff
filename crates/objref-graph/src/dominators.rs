//! Dominators: whose end would be the end of whom.
//!
//! A node dominates another if every path from the roots to that one leads through it. The
//! immediate dominator is the nearest; over a pseudo-root they form a tree. What a node retains is
//! itself and all that it dominates.
//!
//! The path of the breadth-first search leads to a node through all of its dominators, so that tree is half of the answer.
//!
//! 1. **Edges.** Those that are not in the tree, which the search has kept or the graph is asked for ([`crate::outgoing`]).
//! 2. **Contraction.** A node that no such edge leads to is dominated by its parent. If none leads to or from what is below
//!    it either, the whole tree below it can be set aside: no path leads through it back to the rest. Most of a heap goes
//!    that way (strings, the ends of lists, values of maps; [`crate::plain`]). The others, behind the pseudo-root and the
//!    entries, get *places*, and their edges become rows ([`crate::rows`]).
//! 3. **Lengauer and Tarjan** on what is left (*A Fast Algorithm for Finding Dominators in a
//!    Flowgraph*, TOPLAS 1979, the simple version), over the preorder numbers of a depth-first
//!    search ([`crate::forest`], [`crate::lengauer`]). Semi-NCA, which is faster on graphs
//!    of code, is quadratic on a long list whose values an index holds, too.

use std::sync::atomic::Ordering::Relaxed;

use rayon::prelude::*;

use crate::columns::{Zeros, close, filled, open};
use crate::forest::{Forest, Incoming};
use crate::lengauer::immediate;
use crate::outgoing::{Outgoing, PIECE};
use crate::plain::Plain;
use crate::rows::Rows;
use crate::{BfsTree, Entries, NONE, ROOT};

/// What everything retains. See [`retained`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Per node: what it retains; 0 if it was not reached.
    pub nodes: Vec<u64>,
    /// Per entry: what it retains.
    pub entries: Vec<u64>,
}

/// The dominators of the nodes of `tree`, which `entries` hold. `edges` are those of the nodes; `tree` is the breadth-first
/// tree from what the entries hold, and `zeros` makes columns that are read all over.
///
/// Returns per node its immediate dominator: a node, or behind the nodes an entry; [`ROOT`] if only the pseudo-root
/// dominates it, [`NONE`] if it was not reached. An entry is dominated by the entry that it is part of.
///
/// O(m log n) in the worst case, near to linear in practice; nothing recurses. The result does not depend on the number
/// of threads.
pub fn dominators(
    edges: Outgoing,
    tree: &BfsTree,
    entries: &Entries,
    zeros: Zeros<u32>,
) -> Vec<u32> {
    let (plain, parents) = Plain::of(&edges, tree, entries);
    let mut rows = Rows::of(edges, tree, entries, &plain, parents, zeros);
    let Forest { number, parent } = Forest::search(&mut rows, zeros);
    let incoming = Incoming::of(rows, &number, zeros);
    let above = immediate(parent, incoming);
    by_node(tree, entries, &plain, number, above, zeros)
}

/// What each node and entry retains, by `size` of the nodes: itself and all that it dominates. `idom` are the dominators,
/// and `tree` and `entries` those that they were found with.
pub fn retained(
    tree: &BfsTree,
    entries: &Entries,
    idom: &[u32],
    size: impl Fn(u32) -> u64 + Sync,
) -> Sums {
    let own = (0..idom.len() as u32).into_par_iter();
    let own = own.map(|node| match idom[node as usize] {
        NONE => 0,
        _ => size(node),
    });
    let mut sums = Sums {
        nodes: own.collect(),
        entries: vec![0; entries.len()],
    };
    // What a node dominates was found after it.
    for &node in tree.order.iter().rev() {
        let bytes = sums.nodes[node as usize];
        match (
            idom[node as usize],
            (idom[node as usize] as usize).checked_sub(idom.len()),
        ) {
            (ROOT, _) => {}
            (above, None) => sums.nodes[above as usize] += bytes,
            (_, Some(entry)) => sums.entries[entry] += bytes,
        }
    }
    for entry in (0..entries.len() as u32).rev() {
        if let above @ 0..ROOT = entries.parent(entry) {
            sums.entries[above as usize] += sums.entries[entry as usize];
        }
    }
    sums
}

/// Per node its immediate dominator. `number` are the numbers of the places, and `above` the immediate dominators by number;
/// what is plain hangs from its only referrer, which is its parent in the breadth-first tree or an entry.
fn by_node(
    tree: &BfsTree,
    entries: &Entries,
    plain: &Plain,
    number: Vec<u32>,
    above: Vec<u32>,
    zeros: Zeros<u32>,
) -> Vec<u32> {
    let (nodes, first) = (tree.nodes(), entries.len() + 1);
    // By numbers, what nodes and entries are called.
    let mut names = filled(zeros, number.len(), || ROOT);
    for (name, &number) in (nodes as u32..).zip(&number[1..first]) {
        names[number as usize] = name;
    }
    let others = plain.others_in(0..tree.order.len());
    for (position, &number) in others.zip(&number[first..]) {
        names[number as usize] = tree.order[position];
    }

    let all = 0..entries.len() as u32;
    let held = all.flat_map(|entry| {
        entries
            .targets(entry)
            .iter()
            .map(move |node| (*node, entry))
    });
    let mut held: Vec<(u32, u32)> = held.collect();
    held.sort_unstable();
    let holder = |node: u32| {
        let (_, entry) = held[held.partition_point(|(other, _)| *other < node)];
        nodes as u32 + entry
    };

    let idom = open(zeros, nodes, NONE);
    let roots = tree.roots();
    let pieces = tree.order.par_chunks(PIECE).enumerate();
    pieces.for_each(|(piece, nodes)| {
        let start = piece * PIECE;
        let mut parents = tree.parents_at(start.max(roots));
        let mut place = first + plain.others_before(start);
        for (position, &node) in (start..).zip(nodes) {
            let parent = if position < roots {
                None
            } else {
                parents.next()
            };
            let is_other = !plain.has(position);
            let above = match parent {
                _ if is_other => names[above[number[place] as usize] as usize],
                None => holder(node),
                Some(parent) => tree.order[parent as usize],
            };
            place += usize::from(is_other);
            idom[node as usize].store(above, Relaxed);
        }
    });
    close(idom)
}
