//! The edges of a graph by places.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::outgoing::{Outgoing, PIECE, Part};
use crate::{BfsTree, Entries, NONE, ROOT};

/// Per place, where its edges lead. Places are the pseudo-root, then the entries, then the nodes in the order of the
/// breadth-first search.
pub(crate) struct Rows {
    /// The rows of the pseudo-root and the entries.
    held: Outgoing,
    /// Those of the nodes.
    nodes: Outgoing,
}

impl Rows {
    /// The edges of the nodes of `tree`, which `entries` hold, and per place whether it is shared: whether another leads there
    /// than the one by which it is reached first.
    pub(crate) fn of(edges: Outgoing, tree: &BfsTree, entries: &Entries) -> (Rows, Vec<bool>) {
        let first = entries.len() + 1;
        let len = first + tree.order.len();
        let places = places(&edges, tree, first as u32);
        let shared: Vec<AtomicBool> = (0..len)
            .into_par_iter()
            .map(|_| AtomicBool::new(false))
            .collect();
        let share = |place: u32| shared[place as usize].store(true, Relaxed);

        let held = Held::new(entries);
        let mut part = Part::default();
        part.begin(first);
        // Which roots an entry has been seen to hold.
        let mut reached = vec![false; tree.roots()];
        for place in 0..first as u32 {
            held.each(place, |target| match target {
                Target::Entry(entry) => part.push(place, entry + 1),
                Target::Node(node) => {
                    let target = places[node as usize];
                    part.push(place, target);
                    match reached.get_mut(target as usize - first) {
                        Some(reached) if !*reached => *reached = true,
                        _ => share(target),
                    }
                }
            });
        }
        let mut held = Outgoing::with_room(first, Vec::with_capacity);
        held.extend([part]);
        held.settle(|_, _, _| {});

        let mut nodes = edges;
        nodes.settle(|position, counts, targets| {
            for target in targets.iter_mut() {
                *target = places[*target as usize];
            }
            let mut children = tree.children_from(position);
            let mut targets = &targets[..];
            for (position, count) in (position..).zip(counts) {
                let (row, behind) = targets.split_at(*count as usize);
                targets = behind;
                let children = children.next(position);
                for &target in row {
                    let to = target as usize - first;
                    // An edge back to where it comes from is on no shortest way to anything.
                    if !children.contains(&to) && to != position {
                        share(target);
                    }
                }
            }
        });
        let shared = shared.into_iter().map(AtomicBool::into_inner).collect();
        (Rows { held, nodes }, shared)
    }

    /// How many places there are.
    pub(crate) fn len(&self) -> usize {
        self.held.len() + self.nodes.len()
    }

    /// Where the edges of `place` lead.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> &[u32] {
        match place.checked_sub(self.held.len()) {
            None => self.held.row(place),
            Some(position) => self.nodes.row(position),
        }
    }
}

/// Per node, its place; the first of `tree` has the place `first`.
fn places(edges: &Outgoing, tree: &BfsTree, first: u32) -> Vec<u32> {
    let mut places = edges.room(tree.nodes());
    places.resize(tree.nodes(), NONE);
    let column: Vec<AtomicU32> = places.into_iter().map(AtomicU32::new).collect();
    let pieces = tree.order.par_chunks(PIECE).enumerate();
    pieces.for_each(|(piece, nodes)| {
        for (place, &node) in (first + (piece * PIECE) as u32..).zip(nodes) {
            column[node as usize].store(place, Relaxed);
        }
    });
    // In place.
    column.into_iter().map(AtomicU32::into_inner).collect()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::explore::Plain;
    use crate::{Csr, bfs, explore_keeping};

    /// What the rows are and who is shared, by their definition.
    fn expected(graph: &Csr, tree: &BfsTree, entries: &Entries) -> (Vec<Vec<u32>>, Vec<bool>) {
        let place = |node: u32| {
            let position = tree.order.iter().position(|other| *other == node);
            (entries.len() + 1 + position.expect("it is reached")) as u32
        };
        let mut rows = vec![Vec::new(); entries.len() + 1];
        for entry in 0..entries.len() as u32 {
            let above = match entries.parent(entry) {
                ROOT => 0,
                parent => parent as usize + 1,
            };
            rows[above].push(entry + 1);
        }
        for entry in 0..entries.len() as u32 {
            let targets = entries.targets(entry).iter();
            rows[entry as usize + 1].extend(targets.map(|node| place(*node)));
        }
        for &node in &tree.order {
            let mut row = Vec::new();
            for target in graph.targets(node).iter().map(|node| place(*node)) {
                if row.len() > 8 || !row.contains(&target) {
                    row.push(target);
                }
            }
            rows.push(row);
        }
        let referrers = |place: usize| {
            let leads_there =
                |(from, row): &(usize, &Vec<u32>)| *from != place && row.contains(&(place as u32));
            rows.iter().enumerate().filter(leads_there).count()
        };
        let shared = (0..rows.len()).map(|place| referrers(place) > 1).collect();
        (rows, shared)
    }

    fn all((rows, shared): (Rows, Vec<bool>)) -> (Vec<Vec<u32>>, Vec<bool>) {
        let all = (0..rows.len()).map(|place| rows.row(place).to_vec());
        (all.collect(), shared)
    }

    /// As many different numbers below `below` as wanted.
    fn numbers(mut seed: u64, below: u32) -> impl FnMut() -> u32 {
        move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % u64::from(below)) as u32
        }
    }

    proptest! {
        #[test]
        fn rows_are_what_they_are_said_to_be(
            edges in prop::collection::vec((0u32..30, 0u32..30), 0..300),
            // Many edges of one node.
            more in prop::collection::vec(0u32..30, 0..60),
            holds in prop::collection::vec((0u32..4, 0u32..30), 1..8),
        ) {
            let edges = edges.into_iter().chain(more.into_iter().map(|to| (7, to)));
            let graph = Csr::from_edges(30, edges);
            let entries = Entries::new(vec![ROOT, 0, ROOT, 2], holds.clone());
            let roots = || holds.iter().map(|(_, node)| *node);
            let (tree, _, kept) = explore_keeping(&mut Plain(&graph), roots());
            let expected = expected(&graph, &tree, &entries);
            prop_assert_eq!(&all(Rows::of(kept, &tree, &entries)), &expected);
            let read = Outgoing::of(&graph, &tree);
            prop_assert_eq!(&all(Rows::of(read, &tree, &entries)), &expected);
        }
    }

    #[test]
    fn what_a_search_keeps_is_what_the_graph_says_on_any_number_of_threads() {
        let nodes = if cfg!(miri) { 5_000 } else { 150_000 };
        let mut next = numbers(7919, nodes);
        // Wide levels, then a list, which ends in a fan with more edges than a chunk has room for.
        let random: Vec<(u32, u32)> = (0..5 * nodes).map(|_| (next(), next())).collect();
        let list = (nodes..2 * nodes).map(|node| (node - 1, node));
        let fan = (0..5 * nodes).map(|_| (2 * nodes - 1, 2 * nodes + next()));
        let fan: Vec<(u32, u32)> = fan.collect();
        let edges = random
            .iter()
            .copied()
            .chain(list)
            .chain(fan.iter().copied());
        let graph = Csr::from_edges(3 * nodes as usize, edges);
        let roots = [3, 5, 3];
        let entries = Entries::each(&[3, 5]);
        let tree = bfs(&graph, roots.into_iter());
        assert!(tree.order.len() as u32 > 2 * nodes, "all of it is reached");
        let expected = all(Rows::of(Outgoing::of(&graph, &tree), &tree, &entries));
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let found = pool.install(|| {
                let (found, _, kept) = explore_keeping(&mut Plain(&graph), roots.into_iter());
                assert_eq!(found, tree);
                all(Rows::of(kept, &tree, &entries))
            });
            assert!(found == expected, "{threads} threads");
        }
    }
}
