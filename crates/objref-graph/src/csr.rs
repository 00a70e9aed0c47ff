//! Edges in compressed sparse rows.

use std::ops::Range;

use crate::Successors;

/// A directed graph as two flat arrays: where each node's successors start, and the successors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    offsets: Vec<usize>,
    targets: Vec<u32>,
}

impl Csr {
    /// Builds the graph over `nodes` nodes by counting sort; a node's successors keep the order in
    /// which `edges` names them. `edges` is walked twice.
    ///
    /// # Panics
    ///
    /// If an edge names a node that is not below `nodes`.
    pub fn from_edges(nodes: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut offsets = vec![0; nodes + 1];
        for (from, to) in edges.clone() {
            assert!(
                (to as usize) < nodes,
                "edge {from} -> {to} in a graph of {nodes} nodes"
            );
            offsets[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut targets = vec![0; offsets[nodes]];
        let mut free = offsets.clone();
        for (from, to) in edges {
            targets[free[from as usize]] = to;
            free[from as usize] += 1;
        }
        Self { offsets, targets }
    }

    /// The successors of `node`.
    pub fn targets(&self, node: u32) -> &[u32] {
        &self.targets[self.row(node)]
    }

    /// Where the successors of `node` stand among all.
    pub(crate) fn row(&self, node: u32) -> Range<usize> {
        self.offsets[node as usize]..self.offsets[node as usize + 1]
    }

    /// The target of the edge that is `id`th among all.
    pub(crate) fn target_at(&self, id: usize) -> u32 {
        self.targets[id]
    }

    /// How many edges there are.
    pub fn edge_count(&self) -> usize {
        self.targets.len()
    }

    /// The graph with every edge turned around; a node's successors ascend.
    pub fn reversed(&self) -> Self {
        let edges = (0..self.len() as u32)
            .flat_map(|from| self.targets(from).iter().map(move |&to| (to, from)));
        Self::from_edges(self.len(), edges)
    }
}

impl Successors for Csr {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    fn successors(&self, node: u32, visit: &mut impl FnMut(u32)) {
        for &target in self.targets(node) {
            visit(target);
        }
    }
}
