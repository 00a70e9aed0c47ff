//! The one place that knows petgraph: its visit traits for [`Csr`].
//!
//! With these, petgraph's algorithms and walkers (`Bfs`, `dijkstra`, `Dot`, ...) run on our graphs:
//! on small derived ones in earnest, on the others as the oracle of the tests. Its
//! `dominators::simple_fast` is quadratic on linked lists and its `tarjan_scc` recurses, so neither
//! is for object graphs.

use std::ops::Range;

use petgraph::Directed;
use petgraph::visit::{
    Data, EdgeCount, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges, IntoNeighbors,
    IntoNodeIdentifiers, NodeCompactIndexable, NodeCount, NodeIndexable, VisitMap, Visitable,
};

use crate::{Csr, Successors};

impl GraphBase for Csr {
    type NodeId = u32;
    type EdgeId = usize;
}

impl NodeCount for Csr {
    fn node_count(&self) -> usize {
        self.len()
    }
}

impl NodeIndexable for Csr {
    fn node_bound(&self) -> usize {
        self.len()
    }

    fn to_index(&self, node: u32) -> usize {
        node as usize
    }

    fn from_index(&self, index: usize) -> u32 {
        index as u32
    }
}

impl NodeCompactIndexable for Csr {}

impl<'a> IntoNeighbors for &'a Csr {
    type Neighbors = std::iter::Copied<std::slice::Iter<'a, u32>>;

    fn neighbors(self, node: u32) -> Self::Neighbors {
        self.targets(node).iter().copied()
    }
}

impl IntoNodeIdentifiers for &Csr {
    type NodeIdentifiers = Range<u32>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        0..self.len() as u32
    }
}

impl Data for Csr {
    type NodeWeight = ();
    type EdgeWeight = ();
}

impl GraphProp for Csr {
    type EdgeType = Directed;
}

impl EdgeCount for Csr {
    fn edge_count(&self) -> usize {
        self.edge_count()
    }
}

/// One edge, as petgraph wants to see it. Its id is its position among all edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    source: u32,
    target: u32,
    id: usize,
}

impl EdgeRef for Edge {
    type NodeId = u32;
    type EdgeId = usize;
    type Weight = ();

    fn source(&self) -> u32 {
        self.source
    }

    fn target(&self) -> u32 {
        self.target
    }

    fn weight(&self) -> &() {
        &()
    }

    fn id(&self) -> usize {
        self.id
    }
}

/// The edges of some nodes, in order of node, then of row.
#[derive(Clone, Debug)]
pub struct Edges<'a> {
    graph: &'a Csr,
    nodes: Range<u32>,
    row: Range<usize>,
}

impl Iterator for Edges<'_> {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        while self.row.is_empty() {
            self.nodes.next()?;
            if self.nodes.is_empty() {
                return None;
            }
            self.row = self.graph.row(self.nodes.start);
        }
        let id = self.row.next()?;
        Some(Edge {
            source: self.nodes.start,
            target: self.graph.target_at(id),
            id,
        })
    }
}

impl<'a> IntoEdgeReferences for &'a Csr {
    type EdgeRef = Edge;
    type EdgeReferences = Edges<'a>;

    fn edge_references(self) -> Edges<'a> {
        let row = if self.is_empty() { 0..0 } else { self.row(0) };
        Edges {
            graph: self,
            nodes: 0..self.len() as u32,
            row,
        }
    }
}

impl<'a> IntoEdges for &'a Csr {
    type Edges = Edges<'a>;

    fn edges(self, node: u32) -> Edges<'a> {
        Edges {
            graph: self,
            nodes: node..node + 1,
            row: self.row(node),
        }
    }
}

/// Which nodes a walk has seen.
#[derive(Clone, Debug, Default)]
pub struct Visited(Vec<bool>);

impl VisitMap<u32> for Visited {
    fn visit(&mut self, node: u32) -> bool {
        !std::mem::replace(&mut self.0[node as usize], true)
    }

    fn is_visited(&self, node: &u32) -> bool {
        self.0[*node as usize]
    }

    fn unvisit(&mut self, node: u32) -> bool {
        std::mem::replace(&mut self.0[node as usize], false)
    }
}

impl Visitable for Csr {
    type Map = Visited;

    fn visit_map(&self) -> Visited {
        Visited(vec![false; self.len()])
    }

    fn reset_map(&self, map: &mut Visited) {
        map.0.clear();
        map.0.resize(self.len(), false);
    }
}
