//! The graph that is left when what is plain is set aside.

use std::sync::atomic::Ordering::Relaxed;

use rayon::prelude::*;

use crate::columns::{Zeros, close, cut, filled, open};
use crate::outgoing::{Outgoing, PIECE};
use crate::plain::Plain;
use crate::{BfsTree, Entries, NONE, ROOT};

/// Per place, where its edges lead. Places are the pseudo-root, then the entries, then the nodes that are not plain, in the order
/// of the breadth-first search.
pub(crate) struct Rows {
    /// Per place, where its row starts; then the end of the last.
    pub(crate) starts: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

impl Rows {
    /// What is not `plain` of `tree`, which `entries` hold; `parents` as of [`Plain::of`], and `edges` those of the nodes that
    /// are not in the tree.
    ///
    /// # Panics
    ///
    /// At four thousand million edges.
    pub(crate) fn of(
        mut edges: Outgoing,
        tree: &BfsTree,
        entries: &Entries,
        plain: &Plain,
        parents: Vec<u32>,
        zeros: Zeros<u32>,
    ) -> Rows {
        let first = entries.len() + 1;
        let place = |position: usize| (first + plain.others_before(position)) as u32;
        let held = {
            let places = places(tree, plain, first as u32, zeros);
            edges.translate(|node| places[node as usize]);
            held(entries, |node| places[node as usize])
        };

        // Each that is no root is the child of one; what is plain has no other edges.
        let children_before =
            |position: usize| parents.partition_point(|parent| (*parent as usize) < position);
        let edges_before =
            |position: usize| held.len() + children_before(position) + edges.first_of(position);
        let (places, end) = (first + plain.others(), edges_before(tree.order.len()));
        let end = u32::try_from(end).expect("fewer than 2^32 edges");
        let mut rows = Rows {
            starts: filled(zeros, places + 1, || end),
            targets: filled(zeros, end as usize, || NONE),
        };
        for (target, (_, to)) in rows.targets.iter_mut().zip(&held) {
            *target = *to;
        }
        let mut start = 0;
        for (place, its_start) in (0..first as u32).zip(&mut rows.starts) {
            *its_start = start as u32;
            start += held[start..].partition_point(|(from, _)| *from == place);
        }

        // Each piece of the order has its own part of the rows.
        let (mut starts, mut targets) =
            (&mut rows.starts[first..], &mut rows.targets[held.len()..]);
        let mut pieces = Vec::new();
        for start in (0..tree.order.len()).step_by(PIECE) {
            let positions = start..tree.order.len().min(start + PIECE);
            let [from, to] = [positions.start, positions.end];
            let (its_starts, behind) = starts.split_at_mut((place(to) - place(from)) as usize);
            starts = behind;
            let (its_targets, behind) = targets.split_at_mut(edges_before(to) - edges_before(from));
            targets = behind;
            pieces.push((positions, its_starts, its_targets));
        }
        pieces
            .into_par_iter()
            .for_each(|(positions, starts, targets)| {
                let first = edges_before(positions.start) as u32;
                let mut end = first;
                let mut parents = parents[children_before(positions.start)..]
                    .iter()
                    .copied()
                    .peekable();
                let mut child = place(tree.roots()) + children_before(positions.start) as u32;
                let mut edges = edges.from(positions.start).peekable();
                for (position, start) in plain.others_in(positions).zip(starts) {
                    *start = end;
                    let mut add = |to: u32| {
                        targets[(end - first) as usize] = to;
                        end += 1;
                    };
                    while parents.next_if_eq(&(position as u32)).is_some() {
                        add(child);
                        child += 1;
                    }
                    while let Some((_, to)) = edges.next_if(|(from, _)| *from == position as u32) {
                        add(to);
                    }
                }
            });
        rows
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Leaves out the edges that lead to [`NONE`].
    pub(crate) fn retain(&mut self) {
        let (mut kept, places) = (0, self.len());
        for place in 0..places as u32 {
            let row = self.row(place);
            self.starts[place as usize] = kept;
            for edge in row {
                let target = self.targets[edge as usize];
                self.targets[kept as usize] = target;
                kept += u32::from(target != NONE);
            }
        }
        self.starts[places] = kept;
        cut(&mut self.targets, kept as usize);
    }

    /// Where in `targets` the edges of `place` are.
    #[inline]
    pub(crate) fn row(&self, place: u32) -> std::ops::Range<u32> {
        self.starts[place as usize]..self.starts[place as usize + 1]
    }
}

/// Per node its place, [`NONE`] if it has none; the first has the place `first`.
fn places(tree: &BfsTree, plain: &Plain, first: u32, zeros: Zeros<u32>) -> Vec<u32> {
    let places = open(zeros, tree.nodes(), NONE);
    let pieces = tree.order.par_chunks(PIECE).enumerate();
    pieces.for_each(|(piece, nodes)| {
        let start = piece * PIECE;
        let others = plain.others_in(start..start + nodes.len());
        for (place, position) in (first + plain.others_before(start) as u32..).zip(others) {
            places[nodes[position - start] as usize].store(place, Relaxed);
        }
    });
    close(places)
}

/// Edges of the pseudo-root and of the entries, by places. `place`: that of a node, [`NONE`] if it has none.
fn held(entries: &Entries, place: impl Fn(u32) -> u32) -> Vec<(u32, u32)> {
    let mut held = Vec::new();
    for entry in 0..entries.len() as u32 {
        let above = match entries.parent(entry) {
            ROOT => 0,
            parent => parent + 1,
        };
        held.push((above, entry + 1));
        let targets = entries.targets(entry).iter().map(|node| place(*node));
        let targets = targets.filter(|place| *place != NONE);
        held.extend(targets.map(|to| (entry + 1, to)));
    }
    held.sort_unstable();
    held
}
