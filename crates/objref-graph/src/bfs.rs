//! Breadth-first search from many roots at once.
//!
//! The result is defined by the sequential algorithm: a queue, roots first, successors in the order
//! the graph lists them. Wide levels are walked by all threads and still give that very result:
//!
//! ```text
//! order:  [ level 0 | level 1 | ... | frontier            |  next level ... ]
//!                                     ^ position p
//! claim:  per node, 1 + the smallest position in `order` of a node that points at it
//! ```
//!
//! Every thread lowers the claims of the successors of its piece of the frontier (`fetch_min`) and
//! notes the ones that it lowered, in the order in which it came by. When all are done, a note
//! counts only if its claim still stands. Notes that count, read piece by piece, are the next level
//! in queue order: each node stands where its first holder came by first.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::Successors;

/// In [`BfsTree::parent`]: the node was not reached.
pub const NONE: u32 = u32::MAX;

/// In [`BfsTree::parent`]: the node is itself one of the roots.
pub const ROOT: u32 = u32::MAX - 1;

/// A frontier narrower than this is walked by one thread: a linked list of a million nodes has a
/// million levels, and handing out work costs more than a few thousand nodes do.
const PARALLEL_FRONTIER: usize = 4096;

/// Nodes of the frontier per piece of work.
const PIECE: usize = 1024;

/// Who reached whom first. See [`bfs()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfsTree {
    /// The reached nodes, nearest first; within a distance in the order of the sequential search.
    pub order: Vec<u32>,
    /// Per node of the graph: the node it was first reached from, [`ROOT`] or [`NONE`].
    pub parent: Vec<u32>,
    /// Where each distance starts in `order`, then the length of `order`: the nodes at distance `d`
    /// are `order[levels[d]..levels[d + 1]]`. Roots are at distance 0.
    pub levels: Vec<u32>,
}

impl BfsTree {
    /// Whether `node` was reached.
    pub fn is_reached(&self, node: u32) -> bool {
        self.parent[node as usize] != NONE
    }

    /// The number of distances that occur: the farthest node is at `depth() - 1`.
    pub fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// The nodes at `distance`, in the order of the search.
    pub fn level(&self, distance: usize) -> &[u32] {
        &self.order[self.levels[distance] as usize..self.levels[distance + 1] as usize]
    }

    /// The distance of the node that stands at `position` in [`BfsTree::order`].
    pub fn distance_at(&self, position: u32) -> u32 {
        self.levels.partition_point(|&start| start <= position) as u32 - 1
    }

    /// The distance of every node of the graph, [`NONE`] where it was not reached.
    pub fn distances(&self) -> Vec<u32> {
        let mut distances = vec![NONE; self.parent.len()];
        for distance in 0..self.depth() {
            for &node in self.level(distance) {
                distances[node as usize] = distance as u32;
            }
        }
        distances
    }
}

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
    let nodes = graph.len();
    assert!(nodes < ROOT as usize, "{nodes} nodes do not fit 32-bit ids");
    let claims: Vec<AtomicU32> = (0..nodes)
        .into_par_iter()
        .map(|_| AtomicU32::new(NONE))
        .collect();
    let mut order: Vec<u32> = Vec::new();
    for root in roots {
        if claims[root as usize].swap(0, Relaxed) == NONE {
            order.push(root);
        }
    }

    let mut levels = vec![0];
    let mut start = 0;
    while start < order.len() {
        let end = order.len();
        levels.push(end as u32);
        if end - start < PARALLEL_FRONTIER {
            walk(graph, &claims, &mut order, start, end);
        } else {
            walk_parallel(graph, &claims, &mut order, start, end);
        }
        start = end;
    }

    order.shrink_to_fit();
    let parent = claims
        .into_par_iter()
        .map(|claim| match claim.into_inner() {
            NONE => NONE,
            0 => ROOT,
            position => order[position as usize - 1],
        })
        .collect();
    BfsTree {
        order,
        parent,
        levels,
    }
}

/// Appends the successors of `order[start..end]` that nobody has claimed yet.
fn walk<G: Successors>(
    graph: &G,
    claims: &[AtomicU32],
    order: &mut Vec<u32>,
    start: usize,
    end: usize,
) {
    for position in start..end {
        graph.successors(order[position], &mut |next| {
            let claim = &claims[next as usize];
            if claim.load(Relaxed) == NONE {
                claim.store(position as u32 + 1, Relaxed);
                order.push(next);
            }
        });
    }
}

/// The same as [`walk`], by all threads.
fn walk_parallel<G: Successors>(
    graph: &G,
    claims: &[AtomicU32],
    order: &mut Vec<u32>,
    start: usize,
    end: usize,
) {
    let mut notes: Vec<Vec<(u32, u32)>> = order[start..end]
        .par_chunks(PIECE)
        .enumerate()
        .map(|(piece, frontier)| {
            let mut notes = Vec::new();
            for (position, &node) in (start + piece * PIECE..).zip(frontier) {
                let mine = position as u32 + 1;
                graph.successors(node, &mut |next| {
                    let claim = &claims[next as usize];
                    if claim.load(Relaxed) > mine && claim.fetch_min(mine, Relaxed) > mine {
                        notes.push((next, mine));
                    }
                });
            }
            notes
        })
        .collect();
    notes.par_iter_mut().for_each(|notes| {
        notes.retain(|&(next, mine)| claims[next as usize].load(Relaxed) == mine)
    });
    order.reserve(notes.iter().map(Vec::len).sum());
    for notes in notes {
        order.extend(notes.into_iter().map(|(next, _)| next));
    }
}
