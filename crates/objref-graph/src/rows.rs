//! The edges of a graph, kept in the order in which its nodes were found.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use rayon::prelude::*;

use crate::{BfsTree, Entries, NONE, ROOT, Successors};

/// Places per piece of work, a row each.
pub(crate) const PIECE: usize = 1 << 14;
/// Rows are searched for targets that come twice up to this length.
const SHORT: usize = 8;

/// Per place, where its edges lead. Places are the pseudo-root, then the entries, then the nodes in the order of the
/// breadth-first search.
pub(crate) struct Rows {
    pieces: Vec<Piece>,
    /// How many places there are.
    pub(crate) len: usize,
    /// Per place, how many others lead there: 0, 1, or 2 for more.
    pub(crate) referrers: Vec<u8>,
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

    fn row(&self, index: usize) -> &[u32] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.targets[start as usize..self.ends[index] as usize]
    }
}

impl Rows {
    pub(crate) fn of<G: Successors>(graph: &G, tree: &BfsTree, entries: &Entries) -> Rows {
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
            out.targets.shrink_to_fit();
            out
        };
        let pieces = (0..len.div_ceil(PIECE)).into_par_iter().map(piece);
        Rows {
            pieces: pieces.collect(),
            len,
            referrers: referrers.into_iter().map(AtomicU8::into_inner).collect(),
        }
    }

    /// Where the edges of `place` lead.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> &[u32] {
        self.pieces[place / PIECE].row(place % PIECE)
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
