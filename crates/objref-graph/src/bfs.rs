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
use crate::explore::{BATCH, Explore, Plain, Reached, Way};

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
    explore(&mut Plain(graph), roots).0
}

/// As [`bfs()`], for a graph that is looked at on the way. Also returns, for each node in the order of the search after
/// the roots, what is kept of the edge by which it was reached.
///
/// # Panics
///
/// As [`bfs()`].
pub fn explore<G: Explore>(
    graph: &mut G,
    roots: impl Iterator<Item = u32>,
) -> (BfsTree, Vec<G::Label>) {
    let nodes = graph.len();
    assert!(nodes < ROOT as usize, "{nodes} nodes do not fit 32-bit ids");
    let claims: Vec<AtomicU32> = (0..nodes)
        .into_par_iter()
        .map(|_| AtomicU32::new(NONE))
        .collect();
    // Room for all, so that nothing has to be moved; what is not filled takes no memory.
    let (mut order, mut labels) = (Vec::with_capacity(nodes), Vec::with_capacity(nodes));
    for root in roots {
        if claims[root as usize].swap(0, Relaxed) == NONE {
            order.push(root);
        }
    }

    let mut levels = vec![0];
    let mut start = 0;
    let (mut scratch, mut notes) = (G::Scratch::default(), [G::Notes::default()]);
    while start < order.len() {
        let end = order.len();
        levels.push(end as u32);
        let mut level = Level {
            claims: &claims,
            order: &mut order,
            labels: &mut labels,
            start,
            end,
        };
        let reached = level.reached();
        if end - start < PARALLEL_FRONTIER {
            level.walk(graph, &mut scratch, &mut notes[0]);
            graph.settle(reached, &mut notes);
        } else {
            graph.prepare(level.nodes(), reached);
            let mut notes = level.walk_parallel(graph);
            graph.settle(reached, &mut notes);
        }
        start = end;
    }

    order.shrink_to_fit();
    labels.shrink_to_fit();
    claims.par_iter().for_each(|claim| {
        let parent = match claim.load(Relaxed) {
            NONE => NONE,
            0 => ROOT,
            position => order[position as usize - 1],
        };
        claim.store(parent, Relaxed);
    });
    // In place.
    let parent = claims.into_iter().map(AtomicU32::into_inner).collect();
    let tree = BfsTree {
        order,
        parent,
        levels,
    };
    (tree, labels)
}

/// A node that a piece of a level has claimed: the node, the claim, the label of the edge.
type Claimed<L> = (u32, u32, L);

/// One level on its way to the next: `order[start..end]`.
struct Level<'s, 'c, L> {
    claims: &'c [AtomicU32],
    order: &'s mut Vec<u32>,
    /// Those of `order`, after the roots.
    labels: &'s mut Vec<L>,
    start: usize,
    end: usize,
}

impl<'c, L: Copy + Send + Sync> Level<'_, 'c, L> {
    fn nodes(&self) -> &[u32] {
        &self.order[self.start..self.end]
    }

    fn reached(&self) -> Reached<'c> {
        Reached::new(self.claims, self.start)
    }

    /// Appends the successors that nobody has claimed yet.
    fn walk<G: Explore<Label = L>>(
        &mut self,
        graph: &G,
        scratch: &mut G::Scratch,
        notes: &mut G::Notes,
    ) {
        let (claims, reached) = (self.claims, self.reached());
        let mut nodes = [0; BATCH];
        for first in (self.start..self.end).step_by(BATCH) {
            let nodes = &mut nodes[..BATCH.min(self.end - first)];
            nodes.copy_from_slice(&self.order[first..first + nodes.len()]);
            graph.explore(nodes, reached, scratch, notes, &mut |ways| {
                touch(claims, ways);
                for way in ways {
                    let claim = &claims[way.to as usize];
                    if claim.load(Relaxed) == NONE {
                        claim.store(first as u32 + way.from + 1, Relaxed);
                        self.order.push(way.to);
                        self.labels.push(way.label);
                    }
                }
            });
        }
    }

    /// The same as [`Level::walk`], by all threads. Returns the graph's notes of each piece.
    fn walk_parallel<G: Explore<Label = L>>(&mut self, graph: &G) -> Vec<G::Notes> {
        let (claims, reached) = (self.claims, self.reached());
        let pieces = self.nodes().par_chunks(PIECE);
        let (mut claimed, notes): (Vec<Vec<Claimed<L>>>, Vec<G::Notes>) = pieces
            .enumerate()
            .map_init(G::Scratch::default, |scratch, (piece, frontier)| {
                let (mut claimed, mut notes) = (Vec::new(), G::Notes::default());
                let mut position = (self.start + piece * PIECE) as u32;
                for nodes in frontier.chunks(BATCH) {
                    graph.explore(nodes, reached, scratch, &mut notes, &mut |ways| {
                        touch(claims, ways);
                        for way in ways {
                            let mine = position + way.from + 1;
                            let claim = &claims[way.to as usize];
                            if claim.load(Relaxed) > mine && claim.fetch_min(mine, Relaxed) > mine {
                                claimed.push((way.to, mine, way.label));
                            }
                        }
                    });
                    position += nodes.len() as u32;
                }
                (claimed, notes)
            })
            .unzip();
        claimed.par_iter_mut().for_each(|claimed| {
            claimed.retain(|&(next, mine, _)| claims[next as usize].load(Relaxed) == mine)
        });
        for claimed in claimed {
            self.order.extend(claimed.iter().map(|(next, ..)| next));
            self.labels.extend(claimed.iter().map(|(.., label)| label));
        }
        notes
    }
}

/// Loads the claims of all ends: none of these loads waits for another, as they would where each decides what is next.
#[inline]
fn touch<L>(claims: &[AtomicU32], ways: &[Way<L>]) {
    let all = ways
        .iter()
        .fold(0, |all, way| all ^ claims[way.to as usize].load(Relaxed));
    std::hint::black_box(all);
}
