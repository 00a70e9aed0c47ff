//! Dominators: whose end would be the end of whom.
//!
//! A node dominates another if every path from the roots to that one leads through it. The
//! immediate dominator is the nearest; over a pseudo-root they form a tree.
//!
//! Two steps:
//!
//! 1. **Contraction.** A node with one referrer is dominated by it. If the same holds for all that
//!    it leads to, the whole tree below it can be set aside: no path leads through it back to the
//!    rest. Most of a heap goes that way (strings, the ends of lists, values of maps).
//! 2. **Lengauer and Tarjan** on what is left (*A Fast Algorithm for Finding Dominators in a
//!    Flowgraph*, TOPLAS 1979, the simple version), over the preorder numbers of a depth-first
//!    search. Semidominators that come from smaller numbers need no search and are taken in while the
//!    edges are read; edges from larger numbers are kept in rows. Semi-NCA, which is faster on graphs
//!    of code, is quadratic on a long list whose values an index holds, too.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::{BfsTree, NONE, ROOT, Successors};

/// Nodes per piece of work.
const PIECE: usize = 1 << 14;

/// The dominator tree of what was reached. See [`dominators`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dominators {
    /// Per node of the graph: its immediate dominator; [`ROOT`] if only the pseudo-root dominates
    /// it, [`NONE`] if it was not reached.
    pub idom: Vec<u32>,
    /// The reached nodes, each after its immediate dominator.
    pub order: Vec<u32>,
}

impl Dominators {
    /// Per node, the sum of `size` over it and all that it dominates; 0 where not reached.
    pub fn retained(&self, size: impl Fn(u32) -> u64 + Sync) -> Vec<u64> {
        let mut retained: Vec<u64> = (0..self.idom.len() as u32)
            .into_par_iter()
            .map(|node| match self.idom[node as usize] {
                NONE => 0,
                _ => size(node),
            })
            .collect();
        for &node in self.order.iter().rev() {
            if let Some(above) = self.parent(node) {
                retained[above as usize] += retained[node as usize];
            }
        }
        retained
    }

    /// The immediate dominator, unless that is the pseudo-root or the node was not reached.
    pub fn parent(&self, node: u32) -> Option<u32> {
        let above = self.idom[node as usize];
        (above < ROOT).then_some(above)
    }
}

/// The dominators of `graph`, of which `tree` is the breadth-first tree from its roots.
///
/// O(m log n) in the worst case, near to linear in practice; nothing recurses. The result
/// does not depend on the number of threads.
pub fn dominators<G: Successors>(graph: &G, tree: &BfsTree) -> Dominators {
    let plain = plain_nodes(graph, tree);
    let forest = Forest::search(graph, tree, &plain);
    let (semi, retreating) = edges(graph, tree, &forest);
    let above = immediate(&forest, semi, &retreating);
    drop(retreating);

    let mut idom = vec![NONE; graph.len()];
    let mut order = Vec::with_capacity(tree.order.len());
    order.extend_from_slice(&forest.vertex[1..]);
    for (number, &node) in forest.vertex.iter().enumerate().skip(1) {
        idom[node as usize] = match above[number] {
            0 => ROOT,
            dominator => forest.vertex[dominator as usize],
        };
    }
    for &node in tree.order.iter().filter(|n| plain[**n as usize]) {
        idom[node as usize] = tree.parent[node as usize];
        order.push(node);
    }
    Dominators { idom, order }
}

/// Which nodes have one referrer and lead to nothing but such nodes.
fn plain_nodes<G: Successors>(graph: &G, tree: &BfsTree) -> Vec<bool> {
    // 0, 1, or more referrers; being a root is one more.
    let referrers: Vec<AtomicU8> = tree
        .parent
        .par_iter()
        .map(|&parent| AtomicU8::new(u8::from(parent == ROOT)))
        .collect();
    tree.order.par_chunks(PIECE).for_each(|nodes| {
        for &node in nodes {
            graph.successors(node, &mut |next| {
                let seen = &referrers[next as usize];
                match seen.load(Relaxed) {
                    0 if seen.fetch_add(1, Relaxed) == 0 => {}
                    _ => seen.store(2, Relaxed),
                }
            });
        }
    });
    let shared = |node: u32| referrers[node as usize].load(Relaxed) != 1;
    let plain: Vec<AtomicU8> = (0..graph.len()).map(|_| AtomicU8::new(1)).collect();
    tree.order.par_chunks(PIECE).for_each(|nodes| {
        for &node in nodes {
            let mut leads_back = shared(node) || tree.parent[node as usize] == ROOT;
            graph.successors(node, &mut |next| leads_back |= shared(next));
            if leads_back {
                plain[node as usize].store(0, Relaxed);
            }
        }
    });
    // A node that is not plain has holders that are not: of those with one, that is the parent here.
    let mut plain: Vec<bool> = plain.into_iter().map(|p| p.into_inner() == 1).collect();
    for &node in tree.order.iter().rev() {
        let parent = tree.parent[node as usize];
        if !plain[node as usize] && parent != ROOT {
            plain[parent as usize] = false;
        }
    }
    plain
}

/// The depth-first search over the nodes that are not plain. Numbers are preorder; 0 is the
/// pseudo-root.
struct Forest {
    /// Per number, the node; the pseudo-root stands for none.
    vertex: Vec<u32>,
    /// Per number, that of the parent.
    parent: Vec<u32>,
    /// Per node, its number; 0 if it has none.
    number: Vec<u32>,
}

impl Forest {
    fn search<G: Successors>(graph: &G, tree: &BfsTree, plain: &[bool]) -> Forest {
        let mut forest = Forest {
            vertex: vec![NONE],
            parent: vec![0],
            number: vec![0; graph.len()],
        };
        // Nodes to visit, and the number of who wants it. The last to want a node is its parent, so
        // that the order is that of a search that goes down at once.
        let mut pending: Vec<(u32, u32)> = Vec::new();
        for &root in tree.level(0) {
            if !plain[root as usize] {
                pending.push((root, 0));
            }
            while let Some((node, parent)) = pending.pop() {
                if forest.number[node as usize] != 0 {
                    continue;
                }
                let number = forest.vertex.len() as u32;
                forest.number[node as usize] = number;
                forest.vertex.push(node);
                forest.parent.push(parent);
                graph.successors(node, &mut |next| {
                    if !plain[next as usize] && forest.number[next as usize] == 0 {
                        pending.push((next, number));
                    }
                });
            }
        }
        forest
    }
}

/// Edges that lead to smaller numbers, in rows by their ends. The order in a row is any.
struct Retreating {
    /// Per number, where its row starts; then the end of the last.
    starts: Vec<usize>,
    sources: Vec<AtomicU32>,
}

impl Retreating {
    fn row(&self, to: usize) -> &[AtomicU32] {
        &self.sources[self.starts[to]..self.starts[to + 1]]
    }
}

/// Sorts the edges: per number, the smallest that leads to it, if that is smaller; and the others.
fn edges<G: Successors>(graph: &G, tree: &BfsTree, forest: &Forest) -> (Vec<u32>, Retreating) {
    let nodes = forest.vertex.len();
    let walk = |visit: &(dyn Fn(u32, u32) + Sync)| {
        let numbers = (1..nodes as u32).into_par_iter().with_min_len(PIECE);
        numbers.for_each(|from| {
            graph.successors(
                forest.vertex[from as usize],
                &mut |next| match forest.number[next as usize] {
                    0 => {}
                    to => visit(from, to),
                },
            );
        });
    };
    let least: Vec<AtomicU32> = forest.parent.iter().map(|&p| AtomicU32::new(p)).collect();
    for &root in tree.level(0) {
        least[forest.number[root as usize] as usize].store(0, Relaxed);
    }
    let counts: Vec<AtomicU32> = (0..nodes).map(|_| AtomicU32::new(0)).collect();
    walk(&|from, to| {
        if from < to {
            least[to as usize].fetch_min(from, Relaxed);
        } else if from > to {
            counts[to as usize].fetch_add(1, Relaxed);
        }
    });
    let mut starts = Vec::with_capacity(nodes + 1);
    let mut sum = 0;
    for count in &counts {
        starts.push(sum);
        sum += count.load(Relaxed) as usize;
    }
    starts.push(sum);
    let sources: Vec<AtomicU32> = (0..sum).map(|_| AtomicU32::new(0)).collect();
    walk(&|from, to| {
        if from > to {
            let left = counts[to as usize].fetch_sub(1, Relaxed) as usize;
            sources[starts[to as usize] + left - 1].store(from, Relaxed);
        }
    });
    let least = least.into_iter().map(AtomicU32::into_inner).collect();
    (least, Retreating { starts, sources })
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
            let label = links.eval(from.load(Relaxed), w as u32 + 1, &semi);
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
