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
//! 1. **Rows.** The graph is asked once; its edges are kept by place ([`crate::rows`]).
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

use crate::rows::{PIECE, Rows};
use crate::{BfsTree, Entries, NONE, ROOT, Successors};

/// The dominator tree of a graph and its entries. See [`dominators`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dominators {
    /// Per node: its immediate dominator; a node, or behind the nodes an entry; [`ROOT`] if only the pseudo-root
    /// dominates it, [`NONE`] if it was not reached.
    pub idom: Vec<u32>,
    /// Per node: what it retains; 0 if it was not reached.
    pub retained: Vec<u64>,
    /// Per entry: what it retains.
    pub entries: Vec<u64>,
}

/// The dominators of `graph`, which `entries` hold, and what each node and entry retains, by `size` of the nodes.
/// `tree` is the breadth-first tree from what the entries hold.
///
/// An entry is dominated by the entry that it is part of.
///
/// O(m log n) in the worst case, near to linear in practice; nothing recurses. The result does not depend on the number
/// of threads.
pub fn dominators<G: Successors>(
    graph: &G,
    tree: &BfsTree,
    entries: &Entries,
    size: impl Fn(u32) -> u64 + Sync,
) -> Dominators {
    let rows = Rows::of(graph, tree, entries);
    let plain = plain_places(&rows);
    let forest = Forest::search(&rows, &plain);
    let (semi, retreating) = edges(&rows, &forest);
    let number_above = immediate(&forest, semi, &retreating);
    drop(retreating);
    let above = all_places(&rows, &plain, &forest, &number_above);
    drop((rows, plain, forest, number_above));

    let first = entries.len() + 1;
    let nodes = tree.order.par_iter().map(|node| size(*node));
    let mut sum: Vec<u64> = rayon::iter::repeat_n(0, first).chain(nodes).collect();
    for place in (1..above.len()).rev() {
        sum[above[place] as usize] += sum[place];
    }
    // One column after the other, so that no more than two of each are there at a time.
    let mut idom = vec![NONE; graph.len()];
    for (&node, &above) in tree.order.iter().zip(&above[first..]) {
        idom[node as usize] = match above as usize {
            0 => ROOT,
            entry if entry < first => (graph.len() + entry - 1) as u32,
            place => tree.order[place - first],
        };
    }
    drop(above);
    let mut retained = vec![0; graph.len()];
    for (&node, &sum) in tree.order.iter().zip(&sum[first..]) {
        retained[node as usize] = sum;
    }
    sum.truncate(first);
    sum.remove(0);
    Dominators {
        idom,
        retained,
        entries: sum,
    }
}

/// Which places have one referrer and lead to nothing but such places.
fn plain_places(rows: &Rows) -> BitSet {
    // What a place that is not shared is the only one to lead to comes behind it.
    let mut plain = BitSet::new(rows.len);
    for place in (1..rows.len).rev() {
        let is_plain = |target: &u32| *target as usize == place || plain.has(*target as usize);
        if rows.referrers[place] == 1 && rows.row(place).iter().all(is_plain) {
            plain.add(place);
        }
    }
    plain
}

/// A bit per place.
struct BitSet(Vec<u64>);

impl BitSet {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn add(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    #[inline]
    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 != 0
    }
}

/// The depth-first search over the places that are not plain. Numbers are preorder; 0 is the
/// pseudo-root.
struct Forest {
    /// Per number, the place.
    vertex: Vec<u32>,
    /// Per number, that of the parent.
    parent: Vec<u32>,
    /// Per place, its number; 0 if it has none.
    number: Vec<u32>,
}

impl Forest {
    fn search(rows: &Rows, plain: &BitSet) -> Forest {
        let mut forest = Forest {
            vertex: vec![0],
            parent: vec![0],
            number: vec![0; rows.len],
        };
        // The way down to where the search is: numbers, and how far their rows have been followed.
        let mut path: Vec<(u32, u32)> = vec![(0, 0)];
        while let Some((above, next)) = path.last_mut() {
            let row = rows.row(forest.vertex[*above as usize] as usize);
            let unseen = |target: &u32| {
                *target != 0 && forest.number[*target as usize] == 0 && !plain.has(*target as usize)
            };
            let Some(ahead) = row[*next as usize..].iter().position(unseen) else {
                path.pop();
                continue;
            };
            let target = row[*next as usize + ahead];
            *next += ahead as u32 + 1;
            let number = forest.vertex.len() as u32;
            forest.number[target as usize] = number;
            forest.vertex.push(target);
            forest.parent.push(*above);
            path.push((number, 0));
        }
        forest
    }
}

/// Edges that lead to smaller numbers, in rows by their ends.
struct Retreating {
    /// Per number, where its row starts; then the end of the last.
    starts: Vec<usize>,
    sources: Vec<u32>,
}

impl Retreating {
    fn row(&self, to: usize) -> &[u32] {
        &self.sources[self.starts[to]..self.starts[to + 1]]
    }
}

/// Sorts the edges: per number, the smallest that leads to it, if that is smaller; and the others.
fn edges(rows: &Rows, forest: &Forest) -> (Vec<u32>, Retreating) {
    let least: Vec<AtomicU32> = forest.parent.iter().map(|&p| AtomicU32::new(p)).collect();
    let piece = |piece: usize| {
        let mut retreating = Vec::new();
        let places = piece * PIECE..rows.len.min((piece + 1) * PIECE);
        for place in places {
            let from = forest.number[place];
            if from == 0 && place != 0 {
                continue;
            }
            for &target in rows.row(place) {
                let to = forest.number[target as usize];
                if from < to {
                    least[to as usize].fetch_min(from, Relaxed);
                } else if from > to && to != 0 {
                    retreating.push((to, from));
                }
            }
        }
        retreating
    };
    let pieces = (0..rows.len.div_ceil(PIECE)).into_par_iter().map(piece);
    let pieces: Vec<Vec<(u32, u32)>> = pieces.collect();
    let mut starts = vec![0; forest.vertex.len() + 1];
    for &(to, _) in pieces.iter().flatten() {
        starts[to as usize + 1] += 1;
    }
    for number in 1..starts.len() {
        starts[number] += starts[number - 1];
    }
    // Filled from the back of each row, so that the starts are right again in the end.
    let mut sources = vec![0; starts[forest.vertex.len()]];
    for (to, from) in pieces.into_iter().flatten() {
        let end = &mut starts[to as usize + 1];
        *end -= 1;
        sources[*end] = from;
    }
    starts.remove(0);
    starts.push(sources.len());
    let least = least.into_iter().map(AtomicU32::into_inner).collect();
    (least, Retreating { starts, sources })
}

/// Per place, that of its immediate dominator.
fn all_places(rows: &Rows, plain: &BitSet, forest: &Forest, number_above: &[u32]) -> Vec<u32> {
    let mut above = vec![0; rows.len];
    for (number, &place) in forest.vertex.iter().enumerate() {
        above[place as usize] = forest.vertex[number_above[number] as usize];
    }
    for place in 0..rows.len {
        for &target in rows.row(place) {
            if plain.has(target as usize) && target as usize != place {
                above[target as usize] = place as u32;
            }
        }
    }
    above
}

/// Per number, that of its immediate dominator; `semi` are the semidominators through no other
/// number.
fn immediate(forest: &Forest, mut semi: Vec<u32>, edges: &Retreating) -> Vec<u32> {
    let nodes = forest.vertex.len();
    let mut links = Links {
        above: forest.parent.clone(),
        label: (0..nodes as u32).collect(),
        path: Vec::new(),
    };
    // Lists of the numbers that have one semidominator; 0 is in none. What came out of its list has
    // its dominator, or one with the same dominator, in place of the next in the list.
    let mut first: Vec<u32> = vec![0; nodes];
    let mut idom: Vec<u32> = vec![0; nodes];
    for w in (1..nodes).rev() {
        for from in edges.row(w) {
            let label = links.eval(*from, w as u32 + 1, &semi);
            semi[w] = semi[w].min(semi[label as usize]);
        }
        let list = &mut first[semi[w] as usize];
        idom[w] = std::mem::replace(list, w as u32);
        let parent = forest.parent[w];
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
