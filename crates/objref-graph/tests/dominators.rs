//! Dominators against their definition, and against petgraph.

use objref_graph::{Csr, Dominators, NONE, ROOT, Successors, bfs, dominators};
use petgraph::algo::dominators::simple_fast;
use petgraph::graph::DiGraph;
use proptest::prelude::*;

fn of(graph: &Csr, roots: &[u32]) -> Dominators {
    dominators(graph, &bfs(graph, roots.iter().copied()))
}

/// What is reached when `without` is not there.
fn reached(graph: &Csr, roots: &[u32], without: u32) -> Vec<bool> {
    let mut seen = vec![false; graph.len()];
    let mut pending: Vec<u32> = roots.to_vec();
    while let Some(node) = pending.pop() {
        if node != without && !seen[node as usize] {
            seen[node as usize] = true;
            pending.extend(graph.targets(node));
        }
    }
    seen
}

/// The definition: a node dominates what is not reached without it, and retains what it dominates.
fn check(graph: &Csr, roots: &[u32]) -> Result<(), TestCaseError> {
    let found = of(graph, roots);
    let size = |node: u32| u64::from(node) * 7 + 1;
    let retained = found.retained(size);
    let all = reached(graph, roots, NONE);
    let nodes = 0..graph.len() as u32;
    let chain = |node: u32| {
        std::iter::successors(found.parent(node), |&above| found.parent(above)).collect::<Vec<_>>()
    };
    let mut order = found.order.clone();
    order.sort_unstable();
    let reachable: Vec<u32> = nodes.clone().filter(|n| all[*n as usize]).collect();
    prop_assert_eq!(&order, &reachable);
    for node in nodes {
        if !all[node as usize] {
            prop_assert_eq!(found.idom[node as usize], NONE);
            prop_assert_eq!(retained[node as usize], 0);
            continue;
        }
        let left = reached(graph, roots, node);
        let lost: Vec<u32> = reachable
            .iter()
            .copied()
            .filter(|n| !left[*n as usize])
            .collect();
        let sum: u64 = lost.iter().map(|n| size(*n)).sum();
        prop_assert_eq!(retained[node as usize], sum, "retained by {}", node);
        for &other in lost.iter().filter(|n| **n != node) {
            prop_assert!(chain(other).contains(&node), "{} dominates {}", node, other);
        }
    }
    let place = |node: u32| found.order.iter().position(|n| *n == node).unwrap();
    for &node in &found.order {
        if let Some(above) = found.parent(node) {
            prop_assert!(place(above) < place(node));
        }
    }
    Ok(())
}

fn petgraph_says(graph: &Csr, roots: &[u32]) -> Vec<u32> {
    let mut other = DiGraph::<(), ()>::new();
    let nodes: Vec<_> = (0..=graph.len()).map(|_| other.add_node(())).collect();
    let top = nodes[graph.len()];
    for from in 0..graph.len() as u32 {
        for &to in graph.targets(from) {
            other.add_edge(nodes[from as usize], nodes[to as usize], ());
        }
    }
    for &root in roots {
        other.add_edge(top, nodes[root as usize], ());
    }
    let found = simple_fast(&other, top);
    let idom = |node: u32| match found.immediate_dominator(nodes[node as usize]) {
        None => NONE,
        Some(above) if above == top => ROOT,
        Some(above) => above.index() as u32,
    };
    (0..graph.len() as u32).map(idom).collect()
}

fn graphs(nodes: u32, edges: usize) -> impl Strategy<Value = (Csr, Vec<u32>)> {
    (1..nodes).prop_flat_map(move |n| {
        let edge = (0..n, 0..n);
        let roots = proptest::collection::vec(0..n, 1..4);
        (proptest::collection::vec(edge, 0..edges), roots).prop_map(move |(edges, roots)| {
            (Csr::from_edges(n as usize, edges.iter().copied()), roots)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_node_dominates_what_is_lost_without_it((graph, roots) in graphs(14, 40)) {
        check(&graph, &roots)?;
    }

    #[test]
    fn petgraph_agrees((graph, roots) in graphs(60, 160)) {
        prop_assert_eq!(of(&graph, &roots).idom, petgraph_says(&graph, &roots));
    }
}

#[test]
fn long_lists_and_wide_fans() {
    let nodes = 300_000u32;
    // A doubly linked list, each with a value of its own; and a fan over all values.
    let list = (1..nodes).flat_map(|n| [(n - 1, n), (n, n - 1)]);
    let values = (0..nodes).map(|n| (n, nodes + n));
    let graph = Csr::from_edges(2 * nodes as usize + 1, list.clone().chain(values.clone()));
    let found = of(&graph, &[0]);
    assert!((1..nodes).all(|n| found.idom[n as usize] == n - 1));
    assert!((0..nodes).all(|n| found.idom[(nodes + n) as usize] == n));
    let retained = found.retained(|_| 1);
    assert_eq!(retained[0], 2 * u64::from(nodes));

    let fan = (0..nodes).map(|n| (2 * nodes, nodes + n));
    let graph = Csr::from_edges(2 * nodes as usize + 1, list.chain(values).chain(fan));
    let found = of(&graph, &[0, 2 * nodes]);
    assert!((0..nodes).all(|n| found.idom[(nodes + n) as usize] == ROOT));
}

#[test]
fn the_threads_do_not_matter() {
    let mut seed = 88_172_645_463_325_252u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % 200_000) as u32
    };
    let edges: Vec<(u32, u32)> = (0..350_000).map(|_| (next(), next())).collect();
    let graph = Csr::from_edges(200_000, edges.iter().copied());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| of(&graph, &[1, 2, 3]))
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert_eq!(one.idom, petgraph_says(&graph, &[1, 2, 3]));
}
