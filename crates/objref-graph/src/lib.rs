//! Graph algorithms over dense ids.
//!
//! This crate knows nothing of Go, of ELF or of objects: a graph is something that has `len` nodes,
//! numbered from 0, and can list a node's successors. Nothing in here allocates per node, nothing
//! recurses, and every result is the same whatever the number of threads.
//!
//! - [`Successors`]: what a graph has to be able to do.
//! - [`bfs()`]: the breadth-first tree from a list of roots, in parallel where that pays.
//! - [`explore()`]: the same for a graph that is looked at on the way: [`Explore`].
//!   Its nodes may differ in what it takes to explore them: [`pieces`].
//! - [`dominators()`]: whose end would be the end of whom; [`retained()`]: and of how much; [`Entries`]: what the graph
//!   is held from. They are found over [`Outgoing`] edges, which [`explore_keeping()`] keeps on its way.
//! - [`certify()`]: whether a dominator tree is one.
//! - [`Csr`]: edges in compressed sparse rows; the graph of the tests and of derived graphs. It
//!   implements petgraph's visit traits, so petgraph's algorithms run on it.

mod above;
mod bfs;
mod certify;
mod columns;
mod csr;
mod dominators;
mod entries;
mod explore;
mod forest;
mod frontier;
mod labels;
mod lengauer;
mod outgoing;
mod petgraph;
pub mod pieces;
mod plain;
mod rows;
mod tree;

pub use above::Positions;
pub use bfs::{bfs, explore, explore_keeping};
pub use certify::{Flaw, certify};
pub use columns::{Zeros, filled};
pub use csr::Csr;
pub use dominators::{Sums, dominators, retained};
pub use entries::Entries;
pub use explore::{BATCH, Explore, LabeledEdge, Reach, Reached};
pub use labels::{FarLabels, FarLabelsFrom, LABELS, Labels};
pub use outgoing::Outgoing;
pub use petgraph::{Edge, Edges, Visited};
pub use tree::{BfsTree, NONE, ParentNodes, ROOT};

/// A directed graph over the nodes `0..len`.
///
/// `Sync`, because [`bfs()`] asks for successors from several threads at once.
pub trait Successors: Sync {
    /// How many nodes there are.
    fn len(&self) -> usize;

    /// Calls `visit` with every successor of `node`, always in the same order.
    ///
    /// A successor may come more than once; an id that is not below [`Successors::len`] is a bug in
    /// the implementation and may panic.
    fn successors(&self, node: u32, visit: &mut impl FnMut(u32));

    /// Whether the graph has no nodes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
