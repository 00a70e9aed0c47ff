//! The breadth-first tree against a queue written down naively, and against petgraph.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use objref_graph::pieces::Part;
use objref_graph::{
    BATCH, BfsTree, Csr, Entries, Explore, LabeledEdge, NONE, Outgoing, ROOT, Reach, Reached,
    Successors, bfs, dominators, explore, explore_keeping,
};
use petgraph::visit::{Bfs, NodeCount};
use proptest::prelude::*;

fn csr(nodes: usize, edges: &[(u32, u32)]) -> Csr {
    Csr::from_edges(nodes, edges.iter().copied())
}

/// The definition: a queue.
fn naive(graph: &Csr, roots: &[u32]) -> BfsTree {
    let mut parent = vec![NONE; graph.len()];
    let mut distance = vec![0; graph.len()];
    let mut queue = VecDeque::new();
    for &root in roots {
        if parent[root as usize] == NONE {
            parent[root as usize] = ROOT;
            queue.push_back(root);
        }
    }
    let (mut order, mut levels) = (Vec::new(), Vec::new());
    while let Some(node) = queue.pop_front() {
        if distance[node as usize] == levels.len() {
            levels.push(order.len() as u32);
        }
        order.push(node);
        for &next in graph.targets(node) {
            if parent[next as usize] == NONE {
                parent[next as usize] = node;
                distance[next as usize] = distance[node as usize] + 1;
                queue.push_back(next);
            }
        }
    }
    levels.push(order.len() as u32);
    BfsTree::from_columns(order, parent, levels).expect("one tree")
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Wide enough for the parallel walk, with duplicate edges and many ways to each node.
fn random(nodes: u32, edges: usize, mut seed: u64) -> Csr {
    let edges: Vec<(u32, u32)> = (0..edges)
        .map(|_| {
            let from = xorshift(&mut seed) % u64::from(nodes);
            (from as u32, (xorshift(&mut seed) % u64::from(nodes)) as u32)
        })
        .collect();
    csr(nodes as usize, &edges)
}

#[test]
fn empty_graph_and_no_roots() {
    let tree = bfs(&csr(0, &[]), std::iter::empty());
    assert_eq!(
        tree,
        BfsTree::from_columns(vec![], vec![], vec![0]).unwrap()
    );
    let tree = bfs(&csr(2, &[(0, 1)]), std::iter::empty());
    assert_eq!(tree.parents(), [NONE, NONE]);
    assert_eq!(tree.depth(), 0);
}

#[test]
fn the_first_holder_wins() {
    //  0 -> 2 -> 3,  1 -> 3,  4 alone
    let tree = bfs(&csr(5, &[(0, 2), (2, 3), (1, 3)]), [1, 0, 1].into_iter());
    assert_eq!(tree.order, [1, 0, 3, 2]);
    assert_eq!(tree.parents(), [ROOT, ROOT, 0, 1, NONE]);
    assert_eq!(tree.levels, [0, 2, 4]);
    assert_eq!(tree.distances(), [0, 0, 1, 1, NONE]);
    assert_eq!(
        (0..4).map(|p| tree.distance_at(p)).collect::<Vec<_>>(),
        [0, 0, 1, 1]
    );
}

#[test]
fn a_list_of_a_million_is_a_million_levels() {
    let nodes = 1_000_000;
    let edges = (0..nodes as u32 - 1).map(|n| (n, n + 1));
    let tree = bfs(&Csr::from_edges(nodes, edges), std::iter::once(0));
    assert_eq!(tree.depth(), nodes);
    assert_eq!(tree.parents()[nodes - 1], nodes as u32 - 2);
}

/// Counts edges, and remembers what was said of its nodes.
struct Curious<'g> {
    graph: &'g Csr,
    seen: Vec<u32>,
}

impl Explore for Curious<'_> {
    /// The ends of edges that were in their level or before it, and how many there were of others.
    type Notes = (Vec<u32>, u64);
    type Scratch = Vec<u32>;

    fn len(&self) -> usize {
        self.graph.len()
    }

    fn heavy(&self) -> impl Iterator<Item = Range<u32>> {
        let end = self.graph.len() as u32;
        [7..8, 19..20, 100..end.max(100)].into_iter()
    }

    fn weight(&self, node: u32) -> usize {
        (self.graph.targets(node).len() / 8).max(1)
    }

    fn explore(
        &self,
        nodes: &[u32],
        part: Part,
        reached: Reached<'_>,
        ends: &mut Vec<u32>,
        notes: &mut (Vec<u32>, u64),
        reach: &mut impl Reach,
    ) {
        assert!(nodes.len() <= BATCH && nodes.iter().all(|node| reached.has(*node)));
        assert!(part == Part::WHOLE || nodes.len() == 1);
        ends.clear();
        let within = |node| {
            let targets = self.graph.targets(node);
            let of = |number: u32| targets.len() * number as usize / part.of as usize;
            (0..)
                .zip(targets)
                .take(of(part.number + 1))
                .skip(of(part.number))
        };
        // All are looked at before the first of them is told.
        let targets = nodes
            .iter()
            .flat_map(|node| within(*node).map(|(_, to)| to));
        let seen: Vec<u32> = targets.map(|to| reach.touch(*to)).collect();
        let mut seen = seen.into_iter();
        for (from, &node) in nodes.iter().enumerate() {
            for (label, &to) in within(node) {
                let edge = LabeledEdge {
                    from,
                    to,
                    // The how-manieth edge of its node it is.
                    label,
                    to_leaf: to.is_multiple_of(2) && self.graph.targets(to).is_empty(),
                };
                reach.edge(edge, seen.next().unwrap());
                ends.push(to);
                match reached.has(to) {
                    true => notes.0.push(to),
                    false => notes.1 += 1,
                }
            }
        }
        // That they were reached now does not make them known.
        let again = ends.iter().filter(|end| !reached.has(**end)).count() as u64;
        notes.1 -= again;
    }

    fn prepare(&mut self, level: &[u32], reached: Reached<'_>) {
        assert!(level.iter().all(|node| reached.has(*node)));
    }

    fn settle(&mut self, reached: Reached<'_>, notes: &mut [(Vec<u32>, u64)]) {
        for (known, changed) in notes {
            assert_eq!(*changed, 0);
            assert!(known.iter().all(|node| reached.has(*node)));
            self.seen.append(known);
        }
    }
}

#[test]
fn who_looks_around_sees_every_edge_once_on_any_number_of_threads() {
    let graph = random(100_000, 400_000, 7919);
    let expected = naive(&graph, &[3, 5]);
    let distances = expected.distances();
    let mut back: Vec<u32> = Vec::new();
    for &node in &expected.order {
        let near = |to: &&u32| distances[**to as usize] <= distances[node as usize];
        back.extend(graph.targets(node).iter().filter(near));
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut curious = Curious {
            graph: &graph,
            seen: Vec::new(),
        };
        let (tree, labels) = pool.install(|| explore(&mut curious, [3, 5].into_iter()));
        assert_eq!(tree, expected);
        assert_eq!(curious.seen, back);
        for node in 0..graph.len() as u32 {
            assert_eq!(labels.is_reached(node), tree.is_reached(node));
        }
        for (position, &node) in (0..).zip(&tree.order) {
            let first = match tree.parents()[node as usize] {
                ROOT => None,
                parent => graph.targets(parent).iter().position(|to| *to == node),
            };
            let label = labels.label(node, position);
            assert_eq!(label.map(|label| label as usize), first);
        }
    }
}

#[test]
fn nodes_with_many_edges_are_shared_out() {
    // Of a narrow level and of a wide one; others lead back.
    let fans = [
        (7, 20_000..50_000),
        (19, 30_000..60_000),
        (45_000, 0..200_000),
        (45_001, 70..90),
    ];
    let fans = fans
        .into_iter()
        .flat_map(|(from, to)| to.map(move |to| (from, to)));
    let back = (20_000..60_000).map(|from| (from, from % 90));
    let graph = Csr::from_edges(200_000, fans.chain([(3, 7), (3, 19)]).chain(back));
    let expected = naive(&graph, &[3]);
    assert_eq!(expected.order.len(), 200_000);
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let search = || {
            let (graph, seen) = (&graph, Vec::new());
            explore_keeping(&mut Curious { graph, seen }, iter::once(3))
        };
        let (tree, labels, kept) = pool.install(search);
        assert_eq!(tree, expected);
        let mut first = vec![None; graph.len()];
        for parent in 0..graph.len() as u32 {
            for (label, &to) in (0..).zip(graph.targets(parent)) {
                if tree.parents()[to as usize] == parent {
                    first[to as usize].get_or_insert(label);
                }
            }
        }
        for (position, &node) in (0..).zip(&tree.order) {
            assert_eq!(labels.label(node, position), first[node as usize]);
        }
        let entries = Entries::each(&[3]);
        let read = Outgoing::of(&graph, &tree);
        let expected = dominators(read, &tree, &entries, bytemuck::zeroed_vec);
        assert!(dominators(kept, &tree, &entries, bytemuck::zeroed_vec) == expected);
    }
}

#[test]
fn labels_of_a_long_row_are_kept() {
    let row = 1 << 18;
    let edges = (0..row).map(|to| (7, (to * 5) % row));
    let graph = Csr::from_edges(row as usize, edges);
    let mut place = vec![0; row as usize];
    for (label, &to) in (0..).zip(graph.targets(7)) {
        place[to as usize] = label;
    }
    let search = |roots| {
        let mut curious = Curious {
            graph: &graph,
            seen: Vec::new(),
        };
        explore(&mut curious, roots)
    };
    // By one thread, and by all.
    for roots in [7..8, 0..5000] {
        let (tree, labels) = search(roots.clone());
        assert_eq!(tree.order.len(), row as usize);
        for (position, &node) in (0..).zip(&tree.order) {
            let expected = (!roots.contains(&node)).then(|| place[node as usize]);
            assert_eq!(labels.label(node, position), expected);
        }
    }
}

#[test]
fn wide_levels_give_the_sequential_tree_on_any_number_of_threads() {
    for seed in 1..=4 {
        let graph = random(200_000, 900_000, seed * 7919);
        let roots: Vec<u32> = (0..20).map(|n| n * 31).collect();
        let expected = naive(&graph, &roots);
        assert!(
            expected.levels.windows(2).any(|l| l[1] - l[0] > 50_000),
            "wide enough"
        );
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let tree = pool.install(|| bfs(&graph, roots.iter().copied()));
            assert_eq!(tree, expected, "seed {seed}, {threads} threads");
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_queue(
        (nodes, edges, roots) in (1usize..60).prop_flat_map(|nodes| {
            let node = 0..nodes as u32;
            (
                Just(nodes),
                prop::collection::vec((node.clone(), node.clone()), 0..200),
                prop::collection::vec(node, 0..5),
            )
        })
    ) {
        let graph = csr(nodes, &edges);
        let tree = bfs(&graph, roots.iter().copied());
        prop_assert_eq!(&tree, &naive(&graph, &roots));

        // What was written before is used again: nodes, not places in the order, which has fewer of them.
        let (mut above, mut nodes) = (tree.parent_nodes_at(tree.roots()), [NONE; 7]);
        for children in tree.order[tree.roots()..].chunks(nodes.len()) {
            prop_assert_eq!(above.fill(&mut nodes), children.len());
            for (child, parent) in children.iter().zip(nodes) {
                prop_assert_eq!(parent, tree.parents()[*child as usize]);
            }
        }
        prop_assert_eq!(above.fill(&mut nodes), 0);

        // petgraph starts from one node and stacks up nothing else: give it the first root.
        if let Some(&root) = roots.first() {
            let one = bfs(&graph, std::iter::once(root));
            let mut walk = Bfs::new(&graph, root);
            let order: Vec<u32> = std::iter::from_fn(|| walk.next(&graph)).collect();
            prop_assert_eq!(&one.order, &order);
            let lengths = petgraph::algo::dijkstra(&graph, root, None, |_| 1u32);
            let distances = one.distances();
            for node in 0..graph.node_count() as u32 {
                let expected = lengths.get(&node).copied().unwrap_or(NONE);
                prop_assert_eq!(distances[node as usize], expected);
            }
        }
    }

    #[test]
    fn rows_keep_the_order_of_the_edges(
        edges in prop::collection::vec((0u32..20, 0u32..20), 0..100)
    ) {
        let graph = csr(20, &edges);
        prop_assert_eq!(graph.edge_count(), edges.len());
        for node in 0..20 {
            let expected: Vec<u32> =
                edges.iter().filter(|e| e.0 == node).map(|e| e.1).collect();
            prop_assert_eq!(graph.targets(node), &expected[..]);
        }
        let back = graph.reversed().reversed();
        for node in 0..20 {
            let mut expected = graph.targets(node).to_vec();
            expected.sort_unstable();
            prop_assert_eq!(back.targets(node), &expected[..]);
        }
    }
}
