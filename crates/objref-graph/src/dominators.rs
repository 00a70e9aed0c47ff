//! Dominators: whose end would be the end of whom.
//!
//! A node dominates another if every path from the roots to that one leads through it. The
//! immediate dominator is the nearest; over a pseudo-root they form a tree. What a node retains is
//! itself and all that it dominates.
//!
//! Everything is done over *places*: the pseudo-root, the entries, then the nodes in the order of the
//! breadth-first search. A dominator of a node is on every path to it, so on that of the search, too,
//! and has a smaller place.
//!
//! 1. **Rows.** The edges, which the search has kept or the graph is asked for ([`crate::outgoing`]), by place
//!    ([`crate::rows`]).
//! 2. **Contraction.** A node with one referrer is dominated by it. If the same holds for all that
//!    it leads to, the whole tree below it can be set aside: no path leads through it back to the
//!    rest. Most of a heap goes that way (strings, the ends of lists, values of maps).
//! 3. **Lengauer and Tarjan** on what is left (*A Fast Algorithm for Finding Dominators in a
//!    Flowgraph*, TOPLAS 1979, the simple version), over the preorder numbers of a depth-first
//!    search. Semidominators that come from smaller numbers need no search and are taken in while the
//!    edges are read; edges from larger numbers are kept in rows. Semi-NCA, which is faster on graphs
//!    of code, is quadratic on a long list whose values an index holds, too.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

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
/// tree from what the entries hold.
///
/// Returns per node its immediate dominator: a node, or behind the nodes an entry; [`ROOT`] if only the pseudo-root
/// dominates it, [`NONE`] if it was not reached. An entry is dominated by the entry that it is part of.
///
/// O(m log n) in the worst case, near to linear in practice; nothing recurses. The result does not depend on the number
/// of threads.
pub fn dominators(edges: Outgoing, tree: &BfsTree, entries: &Entries) -> Vec<u32> {
    let first = entries.len() + 1;
    let (rows, shared) = Rows::of(edges, tree, entries);
    let plain = Plain::of(&rows, &shared);
    drop(shared);
    let Forest {
        vertex,
        parent,
        number,
    } = Forest::search(&rows, &plain);
    let (semi, retreating) = sorted(&rows, &plain, &parent, &number);
    drop((rows, number));
    let above = immediate(parent, semi, &retreating);
    drop(retreating);
    let above = by_place(tree, entries, &plain, &vertex, &above);
    drop((vertex, plain));

    let mut idom = vec![NONE; tree.nodes()];
    for (&node, &above) in tree.order.iter().zip(&above[first..]) {
        idom[node as usize] = match above as usize {
            0 => ROOT,
            entry if entry < first => (tree.nodes() + entry - 1) as u32,
            place => tree.order[place - first],
        };
    }
    idom
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

/// The depth-first search over the places that are not plain. Numbers are preorder; 0 is the
/// pseudo-root.
struct Forest {
    /// Per number, the place.
    vertex: Vec<u32>,
    /// Per number, that of the parent.
    parent: Vec<u32>,
    /// Per place that is not plain, its number.
    number: Vec<u32>,
}

impl Forest {
    fn search(rows: &Rows, plain: &Plain) -> Forest {
        let others = plain.others_before(rows.len() as u32 - 1) + 1;
        let mut forest = Forest {
            vertex: vec![0],
            parent: vec![0],
            number: vec![NONE; others],
        };
        forest.number[0] = 0;
        // The way down to where the search is: numbers, and how far their rows have been followed.
        let mut path: Vec<(u32, u32)> = vec![(0, 0)];
        while let Some((above, next)) = path.last_mut() {
            let row = rows.row(forest.vertex[*above as usize] as usize);
            let unseen = |target: &u32| {
                !plain.has(*target) && forest.number[plain.others_before(*target)] == NONE
            };
            let Some(ahead) = row[*next as usize..].iter().position(unseen) else {
                path.pop();
                continue;
            };
            let target = row[*next as usize + ahead];
            *next += ahead as u32 + 1;
            let number = forest.vertex.len() as u32;
            forest.number[plain.others_before(target)] = number;
            forest.vertex.push(target);
            forest.parent.push(*above);
            path.push((number, 0));
        }
        forest
    }
}

/// Edges that lead to smaller numbers, in rows by their ends. The order in a row is any.
struct Retreating {
    /// Per number, where its row starts; then the end of the last.
    starts: Vec<u32>,
    sources: Vec<AtomicU32>,
}

impl Retreating {
    fn row(&self, to: usize) -> &[AtomicU32] {
        &self.sources[self.starts[to] as usize..self.starts[to + 1] as usize]
    }
}

/// Sorts the edges: per number, the smallest that leads to it, if that is smaller; and the others.
///
/// # Panics
///
/// At four thousand million edges that lead back.
fn sorted(rows: &Rows, plain: &Plain, parent: &[u32], number: &[u32]) -> (Vec<u32>, Retreating) {
    let walk = |visit: &(dyn Fn(u32, u32) + Sync)| {
        (0..rows.len().div_ceil(PIECE))
            .into_par_iter()
            .for_each(|piece| {
                for place in piece * PIECE..rows.len().min((piece + 1) * PIECE) {
                    if plain.has(place as u32) {
                        continue;
                    }
                    let from = number[plain.others_before(place as u32)];
                    for &target in rows.row(place).iter().filter(|target| !plain.has(**target)) {
                        visit(from, number[plain.others_before(target)]);
                    }
                }
            });
    };
    let least: Vec<AtomicU32> = parent.iter().map(|&p| AtomicU32::new(p)).collect();
    let counts: Vec<AtomicU32> = (0..=parent.len()).map(|_| AtomicU32::new(0)).collect();
    walk(&|from, to| {
        if from < to {
            least[to as usize].fetch_min(from, Relaxed);
        } else if from > to {
            counts[to as usize].fetch_add(1, Relaxed);
        }
    });
    // The ends of the rows, which are filled from there down to their starts.
    let mut sum = 0u32;
    for count in &counts {
        sum = sum
            .checked_add(count.load(Relaxed))
            .expect("fewer than 2^32 edges that lead back");
        count.store(sum, Relaxed);
    }
    let sources: Vec<AtomicU32> = (0..sum).map(|_| AtomicU32::new(0)).collect();
    walk(&|from, to| {
        if from > to {
            let end = counts[to as usize].fetch_sub(1, Relaxed);
            sources[end as usize - 1].store(from, Relaxed);
        }
    });
    let starts = counts.into_iter().map(AtomicU32::into_inner).collect();
    let least = least.into_iter().map(AtomicU32::into_inner).collect();
    (least, Retreating { starts, sources })
}

/// Per place, that of its immediate dominator. `vertex` and `above` are the places and the immediate dominators by
/// number; what is plain hangs from its only referrer, which is its parent in the breadth-first tree or an entry.
fn by_place(
    tree: &BfsTree,
    entries: &Entries,
    plain: &Plain,
    vertex: &[u32],
    above: &[u32],
) -> Vec<u32> {
    let first = entries.len() + 1;
    let mut out = vec![0; first + tree.order.len()];
    for (&place, &number) in vertex.iter().zip(above) {
        out[place as usize] = vertex[number as usize];
    }
    let mut held: Vec<(u32, u32)> = Vec::new();
    for entry in 0..entries.len() as u32 {
        if plain.has(entry + 1) {
            out[entry as usize + 1] = match entries.parent(entry) {
                ROOT => 0,
                parent => parent + 1,
            };
        }
        held.extend(entries.targets(entry).iter().map(|node| (*node, entry + 1)));
    }
    held.sort_unstable();
    let roots = tree.roots();
    for (place, &node) in (first..).zip(&tree.order[..roots]) {
        if plain.has(place as u32) {
            out[place] = held[held.partition_point(|(other, _)| *other < node)].1;
        }
    }
    for (place, parent) in (first + roots..).zip(tree.parents_at(roots)) {
        if plain.has(place as u32) {
            out[place] = first as u32 + parent;
        }
    }
    out
}

/// Per number, that of its immediate dominator; `semi` are the semidominators through no other
/// number.
fn immediate(parent: Vec<u32>, mut semi: Vec<u32>, edges: &Retreating) -> Vec<u32> {
    let nodes = parent.len();
    let mut links = Links {
        above: parent,
        label: (0..nodes as u32).collect(),
        path: Vec::new(),
    };
    // Lists of the numbers that have one semidominator; 0 is in none. What came out of its list has
    // its dominator, or one with the same dominator, in place of the next in the list.
    let mut first: Vec<u32> = vec![0; nodes];
    let mut idom: Vec<u32> = vec![0; nodes];
    for w in (1..nodes).rev() {
        for from in edges.row(w) {
            let label = links.eval(from.load(Relaxed), w as u32 + 1, &semi);
            semi[w] = semi[w].min(semi[label as usize]);
        }
        let list = &mut first[semi[w] as usize];
        idom[w] = std::mem::replace(list, w as u32);
        // What is not in the forest yet still hangs from its parent.
        let parent = links.above[w];
        let mut v = std::mem::take(&mut first[parent as usize]);
        while v != 0 {
            let label = links.eval(v, w as u32, &semi);
            let same = semi[label as usize] < semi[v as usize];
            let above = if same { label } else { parent };
            v = std::mem::replace(&mut idom[v as usize], above);
        }
    }
    for w in 1..nodes {
        if idom[w] != semi[w] {
            idom[w] = idom[idom[w] as usize];
        }
    }
    idom
}

/// The forest of the numbers whose semidominators are known, with its paths made shorter as they
/// are walked.
struct Links {
    /// Per number, an ancestor: the parent, until a path was made shorter.
    above: Vec<u32>,
    /// Per number, the one with the smallest semidominator from it up to below `above`.
    label: Vec<u32>,
    /// Space for a path.
    path: Vec<u32>,
}

impl Links {
    /// The number with the smallest semidominator from `v` up to the root of its tree, which is
    /// left out; numbers from `linked` on are in the forest.
    fn eval(&mut self, v: u32, linked: u32, semi: &[u32]) -> u32 {
        let mut at = v;
        while self.above[at as usize] >= linked {
            self.path.push(at);
            at = self.above[at as usize];
        }
        // `at` hangs from a number that is not in the forest; all below it now hang from that, too.
        let root = self.above[at as usize];
        let mut best = self.label[at as usize];
        while let Some(below) = self.path.pop() {
            let label = &mut self.label[below as usize];
            if semi[best as usize] < semi[*label as usize] {
                *label = best;
            } else {
                best = *label;
            }
            self.above[below as usize] = root;
        }
        self.label[v as usize]
    }
}
