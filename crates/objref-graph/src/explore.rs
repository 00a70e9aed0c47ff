//! Graphs that are looked at while they are searched.

use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytemuck::Zeroable;

use crate::Successors;
use crate::pieces::Part;

/// At most as many nodes are explored in one call.
pub const BATCH: usize = 128;

/// An edge of a graph that is explored.
#[derive(Clone, Copy, Debug)]
pub struct LabeledEdge {
    /// Which of the nodes that are explored it leaves.
    pub from: usize,
    /// Where it leads.
    pub to: u32,
    /// Less than [`crate::LABELS`]; kept if it turns out to be the edge by which `to` is reached first.
    pub label: u32,
    /// Whether `to` is known to have no edges itself, and need not be explored.
    pub to_leaf: bool,
}

/// Who is told of edges.
pub trait Reach {
    /// What is known of a node now, for [`Reach::edge`]: asked for many of them, the loads do not wait for each other.
    fn touch(&self, to: u32) -> u32;

    /// There is this edge; `seen` is what [`Reach::touch`] said of its target not long ago. Returns whether the target is
    /// sure not to be one of those that [`Reached`] has.
    fn edge(&mut self, edge: LabeledEdge, seen: u32) -> bool;
}

/// A graph whose edges are expensive to come by: who looks at a node's edges for another reason can do so while
/// [`crate::explore()`] walks along them.
pub trait Explore: Sync {
    /// What a piece of a level leaves for its end.
    type Notes: Default + Send;
    /// Memory to work in, which one call leaves to the next.
    type Scratch: Default + Send;

    /// How many nodes there are.
    fn len(&self) -> usize;

    /// Whether the graph has no nodes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many zeros, for a column that is read all over. That no memory is taken until they are written to is for the
    /// better.
    fn zeros<T: Zeroable>(len: usize) -> Vec<T> {
        bytemuck::zeroed_vec(len)
    }

    /// The nodes that may take much longer to explore than others, as [`Explore::weight`] says of each.
    fn heavy(&self) -> impl Iterator<Item = Range<u32>> {
        iter::empty()
    }

    /// How many usual nodes it takes as long to explore as, of which [`Explore::heavy`] nodes alone are asked. Those that
    /// weigh more than a piece are explored in parts.
    fn weight(&self, _node: u32) -> usize {
        1
    }

    /// Tells `reach` all edges of `nodes`, at most [`BATCH`] of them: those of the first before those of the second, and
    /// those of one node always in the same order. Where it is not the whole, of those of the only node this part.
    fn explore(
        &self,
        nodes: &[u32],
        part: Part,
        reached: Reached<'_>,
        scratch: &mut Self::Scratch,
        notes: &mut Self::Notes,
        reach: &mut impl Reach,
    );

    /// A wide level is about to be explored by all threads.
    fn prepare(&mut self, level: &[u32], reached: Reached<'_>);

    /// A level has been explored; `notes` are those of its pieces, in their order, and may be left as they are.
    fn settle(&mut self, reached: Reached<'_>, notes: &mut [Self::Notes]);
}

/// Which nodes are in the level that is being explored, or in one before.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'c>(&'c [AtomicU64]);

impl<'c> Reached<'c> {
    /// `bits`: one for each node.
    pub(crate) fn new(bits: &'c [AtomicU64]) -> Self {
        Reached(bits)
    }

    /// Adds the nodes, and calls `visit` with each word of 64 numbers that some of them are in, and where those stand.
    #[inline]
    pub(crate) fn add(&self, nodes: &[u32], mut visit: impl FnMut(usize, Range<usize>)) {
        // Neighbours in the order are so often neighbours by number, too, that it pays to add them at once.
        let word_of = |node: u32| node as usize / 64;
        let mut add = |word: usize, bits, nodes| {
            self.0[word].fetch_or(bits, Relaxed);
            visit(word, nodes);
        };
        let (mut word, mut bits, mut start) =
            (nodes.first().map_or(0, |node| word_of(*node)), 0, 0);
        for (i, node) in nodes.iter().enumerate() {
            let at = word_of(*node);
            if at != word {
                add(word, bits, start..i);
                (word, bits, start) = (at, 0, i);
            }
            bits |= 1 << (node % 64);
        }
        if bits != 0 {
            add(word, bits, start..nodes.len());
        }
    }

    /// Whether the node is one of them.
    #[inline]
    pub fn has(&self, node: u32) -> bool {
        self.0[node as usize / 64].load(Relaxed) >> (node % 64) & 1 != 0
    }
}

/// A graph of which nobody wants more than its edges.
pub(crate) struct Plain<'g, G>(pub(crate) &'g G);

impl<G: Successors> Explore for Plain<'_, G> {
    type Notes = ();
    type Scratch = Vec<Met>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn explore(
        &self,
        nodes: &[u32],
        _: Part,
        _: Reached<'_>,
        edges: &mut Vec<Met>,
        (): &mut (),
        reach: &mut impl Reach,
    ) {
        for (from, &node) in nodes.iter().enumerate() {
            self.0.successors(node, &mut |to| {
                if edges.len() == EDGES {
                    tell(edges, reach);
                }
                edges.push(Met { from, to, seen: 0 });
            });
        }
        tell(edges, reach);
    }

    fn prepare(&mut self, _: &[u32], _: Reached<'_>) {}

    fn settle(&mut self, _: Reached<'_>, _: &mut [()]) {}
}

/// An edge, and what [`Reach::touch`] said of where it leads.
pub(crate) struct Met {
    from: usize,
    to: u32,
    seen: u32,
}

/// Edges that are gathered before they are told: a node may have millions.
const EDGES: usize = 1024;

/// Tells of edges, and forgets them.
fn tell(edges: &mut Vec<Met>, reach: &mut impl Reach) {
    for met in edges.iter_mut() {
        met.seen = reach.touch(met.to);
    }
    for Met { from, to, seen } in edges.drain(..) {
        let edge = LabeledEdge {
            from,
            to,
            label: 0,
            to_leaf: false,
        };
        reach.edge(edge, seen);
    }
}
