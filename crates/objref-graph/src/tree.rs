//! The breadth-first tree.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use rayon::prelude::*;

use crate::above::{Above, Positions};
use crate::columns::{close, open};

/// In [`BfsTree::parents`]: the node was not reached.
pub const NONE: u32 = u32::MAX;

/// In [`BfsTree::parents`]: the node is itself one of the roots.
pub const ROOT: u32 = u32::MAX - 1;

/// Nodes per piece of work.
const PIECE: usize = 1 << 14;

/// Who reached whom first. See [`crate::bfs()`].
#[derive(Clone, Debug)]
pub struct BfsTree {
    /// The reached nodes, nearest first; within a distance in the order of the sequential search.
    pub order: Vec<u32>,
    /// Where each distance starts in `order`, then the length of `order`: the nodes at distance `d`
    /// are `order[levels[d]..levels[d + 1]]`. Roots are at distance 0.
    pub levels: Vec<u32>,
    /// Of each node of `order` after the roots: where its parent stands.
    above: Above,
    /// How many nodes the graph has.
    nodes: usize,
    parents: OnceLock<Vec<u32>>,
}

impl PartialEq for BfsTree {
    fn eq(&self, other: &Self) -> bool {
        let parts = |tree: &Self| (tree.nodes, tree.order.len());
        parts(self) == parts(other)
            && self.order == other.order
            && self.levels == other.levels
            && self.above == other.above
    }
}

impl Eq for BfsTree {}

impl BfsTree {
    pub(crate) fn new(nodes: usize, order: Vec<u32>, levels: Vec<u32>, above: Above) -> Self {
        BfsTree {
            order,
            levels,
            above,
            nodes,
            parents: OnceLock::new(),
        }
    }

    /// The tree of these columns. `parents` are as [`BfsTree::parents`] tells them.
    ///
    /// `None` if they contradict each other: levels are parts of the order, in which each reached node stands once, one
    /// level behind its parent; those of one level stand in the order of their parents.
    pub fn from_columns(order: Vec<u32>, parents: Vec<u32>, levels: Vec<u32>) -> Option<Self> {
        let ends = (levels.first() == Some(&0))
            && levels
                .last()
                .is_some_and(|end| *end as usize == order.len())
            && levels.is_sorted_by(|a, b| a < b);
        let reached = parents.iter().filter(|parent| **parent != NONE).count();
        if !ends || reached != order.len() {
            return None;
        }
        let mut above = Above::default();
        let mut seen = vec![false; parents.len()];
        for level in 0..levels.len() - 1 {
            let part = |level: usize| levels[level] as usize..levels[level + 1] as usize;
            let mut turn = level.checked_sub(1).map(part);
            for &node in &order[part(level)] {
                let parent = *parents.get(node as usize)?;
                if std::mem::replace(&mut seen[node as usize], true) {
                    return None;
                }
                match &mut turn {
                    None if parent == ROOT => {}
                    None => return None,
                    Some(turn) => {
                        turn.start = turn.clone().find(|at| order[*at] == parent)?;
                        above.push(turn.start as u32);
                    }
                }
            }
        }
        let tree = Self::new(parents.len(), order, levels, above);
        tree.parents.get_or_init(|| parents);
        Some(tree)
    }

    /// How many nodes the graph has.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Per node of the graph: the node it was first reached from, [`ROOT`] or [`NONE`]. Made when first asked for.
    pub fn parents(&self) -> &[u32] {
        self.parents.get_or_init(|| {
            let column = open(bytemuck::zeroed_vec, self.nodes, NONE);
            let roots = self.roots();
            for &root in &self.order[..roots] {
                column[root as usize].store(ROOT, Relaxed);
            }
            let pieces = self.order[roots..].par_chunks(PIECE);
            pieces.enumerate().for_each(|(piece, nodes)| {
                let parents = self.parents_at(roots + piece * PIECE);
                for (&node, parent) in nodes.iter().zip(parents) {
                    column[node as usize].store(self.order[parent as usize], Relaxed);
                }
            });
            close(column)
        })
    }

    /// Where in `order` the children stand of the nodes from `position` on.
    pub(crate) fn children_from(
        &self,
        position: usize,
    ) -> Children<impl Iterator<Item = u32> + '_> {
        let child = self.roots() + self.above.first_at(position as u32);
        let mut parents = self.parents_at(child);
        Children {
            child,
            parent: parents.next(),
            parents,
        }
    }

    /// For the nodes of `order` from `position` on, which is behind the roots: where their parents stand in it.
    pub fn parents_at(&self, position: usize) -> Positions<'_> {
        self.above.from(position - self.roots())
    }

    /// As [`BfsTree::parents_at`], which nodes they are.
    pub fn parent_nodes_at(&self, position: usize) -> ParentNodes<'_> {
        ParentNodes {
            positions: self.parents_at(position),
            order: &self.order,
        }
    }

    /// How many roots there are.
    pub fn roots(&self) -> usize {
        self.levels.get(1).map_or(0, |end| *end as usize)
    }

    /// Whether `node` was reached.
    pub fn is_reached(&self, node: u32) -> bool {
        self.parents()[node as usize] != NONE
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
        let mut distances = vec![NONE; self.nodes];
        for distance in 0..self.depth() {
            for &node in self.level(distance) {
                distances[node as usize] = distance as u32;
            }
        }
        distances
    }
}

/// The parents of nodes that follow each other in the order of a tree.
#[derive(Clone, Debug)]
pub struct ParentNodes<'t> {
    positions: Positions<'t>,
    order: &'t [u32],
}

impl ParentNodes<'_> {
    /// Writes the next parents to the start of `to`, as many as there are room for and left; what is behind them stays as it
    /// is. Returns how many. No load waits for another.
    #[inline]
    pub fn fill(&mut self, to: &mut [u32]) -> usize {
        let len = self.positions.fill(to);
        for to in &mut to[..len] {
            *to = self.order[*to as usize];
        }
        len
    }
}

/// Goes through a tree from parents to children, in its order.
pub(crate) struct Children<P> {
    /// The first child that has not been told of, and its parent.
    child: usize,
    parent: Option<u32>,
    /// The parents of those behind it.
    parents: P,
}

impl<P: Iterator<Item = u32>> Children<P> {
    /// Where the children of the next node stand, which is the one at `position`.
    #[inline]
    pub(crate) fn next(&mut self, position: usize) -> Range<usize> {
        let start = self.child;
        while self.parent == Some(position as u32) {
            self.parent = self.parents.next();
            self.child += 1;
        }
        start..self.child
    }
}
