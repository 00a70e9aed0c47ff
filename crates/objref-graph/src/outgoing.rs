//! The edges of what a search has reached, put by in the order in which it came there.
//!
//! Who looks at a node's edges to search can keep them, and need not be asked for them again:
//!
//! ```text
//! counts: [ 2 | 0 | 1 | 3 |                     per node of the order, how many targets
//! chunks: [ a b | c | d e f | ...] [ ... ]      the targets, each piece of the order in one chunk
//! ```
//!
//! No vector is moved when it grows, and no more memory is in use than is filled.

use rayon::prelude::*;

use crate::{BfsTree, Successors};

/// Nodes per piece.
pub(crate) const PIECE: usize = 1 << 14;
/// Targets that a chunk has room for: so large a piece of memory is given back to the system when it is let go.
const CHUNK: usize = 1 << 23;
/// Pieces that are read before they are put behind those before them.
const PIECES: usize = 32;
/// Rows are searched for targets that come twice up to this length.
const SHORT: usize = 8;

/// Where the edges of each node of a breadth-first tree lead, in the order of the tree. Of edges between the same nodes
/// only the first may be there.
#[derive(Debug)]
pub struct Outgoing {
    /// Per node, how many targets it has; in [`Outgoing::settle`] that becomes where they end in their piece.
    counts: Vec<u32>,
    /// Per piece, which chunk its targets are in, and where they start there.
    starts: Vec<(u32, u32)>,
    chunks: Vec<Vec<u32>>,
    room: Room,
}

/// Makes an empty vector with room for so many.
pub(crate) type Room = fn(usize) -> Vec<u32>;

/// The edges of some nodes that stand one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Part {
    counts: Vec<u32>,
    targets: Vec<u32>,
    /// Where in `counts` the nodes start that are being explored.
    first: usize,
}

impl Part {
    /// So many more nodes are explored now.
    pub(crate) fn begin(&mut self, nodes: usize) {
        self.first = self.counts.len();
        self.counts.resize(self.first + nodes, 0);
    }

    /// The `from`th of these nodes leads to `to`; the edges of the nodes before it are known.
    #[inline]
    pub(crate) fn push(&mut self, from: u32, to: u32) {
        let count = &mut self.counts[self.first + from as usize];
        let row = &self.targets[self.targets.len() - *count as usize..];
        if row.len() > SHORT || !row.contains(&to) {
            self.targets.push(to);
            *count += 1;
        }
    }

    /// Whether it is time to put it by.
    pub(crate) fn is_full(&self) -> bool {
        self.counts.len().max(self.targets.len()) >= PIECE
    }
}

impl Outgoing {
    /// The edges of `graph`, which `tree` is of: it is asked for those of each node.
    pub fn of<G: Successors>(graph: &G, tree: &BfsTree) -> Outgoing {
        let part = |nodes: &[u32]| {
            let mut part = Part::default();
            part.begin(nodes.len());
            for (from, &node) in (0..).zip(nodes) {
                graph.successors(node, &mut |to| part.push(from, to));
            }
            part
        };
        let mut out = Outgoing::with_room(tree.order.len(), Vec::with_capacity);
        for nodes in tree.order.chunks(PIECE * PIECES) {
            let parts: Vec<Part> = nodes.par_chunks(PIECE).map(part).collect();
            out.extend(parts);
        }
        out
    }

    /// Nothing yet, of at most `nodes` nodes.
    pub(crate) fn with_room(nodes: usize, room: Room) -> Outgoing {
        Outgoing {
            counts: room(nodes),
            starts: Vec::new(),
            chunks: Vec::new(),
            room,
        }
    }

    /// Puts the edges of the next nodes behind those that are there.
    pub(crate) fn extend(&mut self, parts: impl IntoIterator<Item = Part>) {
        for part in parts {
            self.append(&part);
        }
    }

    fn append(&mut self, part: &Part) {
        let (mut counts, mut targets) = (&part.counts[..], &part.targets[..]);
        while !counts.is_empty() {
            let left = PIECE - self.counts.len() % PIECE;
            if left == PIECE {
                self.begin_piece();
            }
            let (now, later) = counts.split_at(left.min(counts.len()));
            let len = now.iter().map(|count| *count as usize).sum();
            let (these, behind) = targets.split_at(len);
            self.counts.extend_from_slice(now);
            if let Some(chunk) = self.chunks.last_mut() {
                // A piece that is larger than what is left makes the chunk larger.
                chunk.extend_from_slice(these);
            }
            (counts, targets) = (later, behind);
        }
    }

    fn begin_piece(&mut self) {
        let is_free = |chunk: &&Vec<u32>| chunk.len() < chunk.capacity() / 16 * 15;
        let start = match self.chunks.last().filter(is_free) {
            Some(chunk) => chunk.len() as u32,
            None => {
                let len = CHUNK.min(self.counts.capacity() * 2);
                self.chunks.push((self.room)(len));
                0
            }
        };
        self.starts.push((self.chunks.len() as u32 - 1, start));
    }

    /// Gives back the room for nodes that do not come.
    pub(crate) fn shrink(&mut self) {
        self.counts.shrink_to_fit();
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Makes room for a column of nodes that is read all over.
    pub(crate) fn room(&self, len: usize) -> Vec<u32> {
        (self.room)(len)
    }

    /// Has `change` change the targets, piece by piece, by all threads: it is told which node the piece starts with, how many
    /// targets each node has, and these. From then on there are rows.
    ///
    /// # Panics
    ///
    /// At four thousand million edges in a piece.
    pub(crate) fn settle(&mut self, change: impl Fn(usize, &[u32], &mut [u32]) + Sync) {
        let mut pieces = Vec::with_capacity(self.starts.len());
        let of_chunks = self.starts.chunk_by(|a, b| a.0 == b.0);
        for (starts, chunk) in of_chunks.zip(&mut self.chunks) {
            let end = chunk.len();
            let ends = starts[1..].iter().map(|(_, start)| *start as usize);
            let mut rest = &mut chunk[..];
            for ((_, start), end) in starts.iter().zip(ends.chain([end])) {
                let (targets, behind) = rest.split_at_mut(end - *start as usize);
                pieces.push(targets);
                rest = behind;
            }
        }
        let counts = self.counts.par_chunks_mut(PIECE).zip(pieces);
        counts.enumerate().for_each(|(piece, (counts, targets))| {
            change(piece * PIECE, counts, targets);
            let mut end = 0u32;
            for count in counts {
                end = end
                    .checked_add(*count)
                    .expect("fewer than 2^32 edges in a piece");
                *count = end;
            }
        });
    }

    /// Where the edges of the node at this position lead, once they are settled.
    #[inline]
    pub(crate) fn row(&self, position: usize) -> &[u32] {
        let (chunk, from) = self.starts[position / PIECE];
        let start = match position % PIECE {
            0 => 0,
            _ => self.counts[position - 1] as usize,
        };
        let end = self.counts[position] as usize;
        &self.chunks[chunk as usize][from as usize + start..from as usize + end]
    }
}
