//! The edges of a graph, kept in the order in which its nodes were found.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use rayon::prelude::*;

use crate::{BfsTree, Entries, NONE, ROOT, Successors};

/// Places per piece of work, a row each.
pub(crate) const PIECE: usize = 1 << 14;
/// Pieces that are held before they are put behind those before them.
const PIECES: usize = 32;
/// Rows are searched for targets that come twice up to this length.
const SHORT: usize = 8;

/// Per place, where its edges lead. Places are the pseudo-root, then the entries, then the nodes in the order of the
/// breadth-first search.
pub(crate) struct Rows {
    /// Per piece, where its rows start in `targets`.
    starts: Vec<usize>,
    /// Per place, where its row ends, counted from the start of its piece.
    ends: Vec<u32>,
    targets: Vec<u32>,
}

/// The rows of some places.
#[derive(Default)]
struct Piece {
    ends: Vec<u32>,
    targets: Vec<u32>,
}

impl Piece {
    fn push(&mut self, target: u32, start: usize) {
        let row = &self.targets[start..];
        if row.len() > SHORT || !row.contains(&target) {
            self.targets.push(target);
        }
    }
}

impl Rows {
    /// The rows of a graph, and per place how many others lead there: 0, 1, or 2 for more.
    pub(crate) fn of<G: Successors>(
        graph: &G,
        tree: &BfsTree,
        entries: &Entries,
    ) -> (Rows, Vec<u8>) {
        let first = entries.len() + 1;
        let len = first + tree.order.len();
        let mut places = vec![NONE; graph.len()];
        for (place, &node) in (first as u32..).zip(&tree.order) {
            places[node as usize] = place;
        }
        let referrers: Vec<AtomicU8> = (0..len).into_par_iter().map(|_| AtomicU8::new(0)).collect();
        let held = Held::new(entries);
        let piece = |piece: usize| {
            let mut out = Piece::default();
            for place in piece * PIECE..len.min((piece + 1) * PIECE) {
                let start = out.targets.len();
                if place < first {
                    held.each(place as u32, |target| match target {
                        Target::Entry(entry) => out.push(entry + 1, start),
                        Target::Node(node) => out.push(places[node as usize], start),
                    });
                } else {
                    graph.successors(tree.order[place - first], &mut |next| {
                        out.push(places[next as usize], start);
                    });
                }
                // An edge back to where it comes from is on no shortest way to anything.
                for &target in out.targets[start..]
                    .iter()
                    .filter(|t| **t as usize != place)
                {
                    let seen = &referrers[target as usize];
                    match seen.load(Relaxed) {
                        0 if seen.fetch_add(1, Relaxed) == 0 => {}
                        _ => seen.store(2, Relaxed),
                    }
                }
                out.ends.push(out.targets.len() as u32);
            }
            out
        };
        let mut rows = Rows {
            starts: Vec::with_capacity(len.div_ceil(PIECE)),
            ends: Vec::with_capacity(len),
            targets: Vec::new(),
        };
        let pieces = len.div_ceil(PIECE);
        for batch in (0..pieces).step_by(PIECES) {
            let batch = batch..pieces.min(batch + PIECES);
            let found: Vec<Piece> = batch.into_par_iter().map(piece).collect();
            for piece in found {
                rows.starts.push(rows.targets.len());
                rows.ends.extend(piece.ends);
                rows.targets.extend(piece.targets);
            }
        }
        let referrers = referrers.into_iter().map(AtomicU8::into_inner).collect();
        (rows, referrers)
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the edges of `place` lead.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> &[u32] {
        let from = self.starts[place / PIECE];
        let start = match place % PIECE {
            0 => 0,
            _ => self.ends[place - 1] as usize,
        };
        &self.targets[from + start..from + self.ends[place] as usize]
    }
}

/// What the pseudo-root and the entries lead to.
struct Held<'a> {
    entries: &'a Entries,
    /// Children of the pseudo-root and of each entry, by counting sort.
    starts: Vec<u32>,
    children: Vec<u32>,
}

enum Target {
    Entry(u32),
    Node(u32),
}

impl Held<'_> {
    fn new(entries: &Entries) -> Held<'_> {
        let place = |entry: u32| match entries.parent(entry) {
            ROOT => 0,
            parent => parent as usize + 1,
        };
        let all = 0..entries.len() as u32;
        let mut starts = vec![0u32; entries.len() + 2];
        for entry in all.clone() {
            starts[place(entry) + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut free = starts.clone();
        let mut children = vec![0; entries.len()];
        for entry in all {
            let at = &mut free[place(entry)];
            children[*at as usize] = entry;
            *at += 1;
        }
        Held {
            entries,
            starts,
            children,
        }
    }

    fn each(&self, place: u32, mut visit: impl FnMut(Target)) {
        let (start, end) = (self.starts[place as usize], self.starts[place as usize + 1]);
        for &child in &self.children[start as usize..end as usize] {
            visit(Target::Entry(child));
        }
        if let Some(entry) = place.checked_sub(1) {
            for &node in self.entries.targets(entry) {
                visit(Target::Node(node));
            }
        }
    }
}
