//! Dominators against their definition, and against petgraph.

use objref_graph::{
    Csr, Entries, Flaw, NONE, Outgoing, ROOT, Successors, Sums, bfs, certify, dominators, retained,
};
use petgraph::algo::dominators::simple_fast;
use petgraph::graph::DiGraph;
use proptest::prelude::*;

/// Who dominates whom, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    idom: Vec<u32>,
    sums: Sums,
}

/// A graph, and what holds it.
#[derive(Clone, Debug)]
struct Held {
    graph: Csr,
    parents: Vec<u32>,
    holds: Vec<(u32, u32)>,
}

impl Held {
    fn from_roots(graph: Csr, roots: &[u32]) -> Held {
        let entries = 0..roots.len() as u32;
        Held {
            graph,
            parents: vec![ROOT; roots.len()],
            holds: entries.zip(roots.iter().copied()).collect(),
        }
    }

    fn dominators(&self) -> Found {
        let tree = bfs(&self.graph, self.holds.iter().map(|(_, node)| *node));
        let entries = Entries::new(self.parents.clone(), self.holds.clone());
        let idom = dominators(
            Outgoing::of(&self.graph, &tree),
            &tree,
            &entries,
            bytemuck::zeroed_vec,
        );
        let sums = retained(&tree, &entries, &idom, size);
        Found { idom, sums }
    }

    fn certify(&self, found: &Found) -> Result<(), Flaw> {
        let tree = bfs(&self.graph, self.holds.iter().map(|(_, node)| *node));
        let entries = Entries::new(self.parents.clone(), self.holds.clone());
        certify(&self.graph, &tree, &entries, size, &found.idom, &found.sums)
    }

    /// The same with the entries as nodes behind the others, and its roots.
    fn flat(&self) -> (Csr, Vec<u32>) {
        let nodes = self.graph.len() as u32;
        let mut edges: Vec<(u32, u32)> = (0..nodes)
            .flat_map(|from| self.graph.targets(from).iter().map(move |to| (from, *to)))
            .collect();
        edges.extend(
            self.holds
                .iter()
                .map(|(entry, node)| (nodes + entry, *node)),
        );
        let mut roots = Vec::new();
        for (entry, &parent) in (nodes..).zip(&self.parents) {
            match parent {
                ROOT => roots.push(entry),
                parent => edges.push((nodes + parent, entry)),
            }
        }
        let all = nodes as usize + self.parents.len();
        (Csr::from_edges(all, edges.iter().copied()), roots)
    }
}

/// Makes the retained sizes those of the tree, whatever it is; gives up on what is none.
trait AddUp {
    fn add_up(&mut self, held: &Held);
}

impl AddUp for Found {
    fn add_up(&mut self, held: &Held) {
        let nodes = held.graph.len() as u32;
        self.sums.nodes.fill(0);
        self.sums.entries.fill(0);
        for node in (0..nodes).filter(|node| self.idom[*node as usize] != NONE) {
            let mut at = node;
            for _ in 0..100 {
                match at.checked_sub(nodes) {
                    None => self.sums.nodes[at as usize] += size(node),
                    Some(entry) => self.sums.entries[entry as usize] += size(node),
                }
                at = match at.checked_sub(nodes) {
                    None => self.idom[at as usize],
                    Some(entry) => match held.parents[entry as usize] {
                        ROOT => ROOT,
                        parent => nodes + parent,
                    },
                };
                if at >= ROOT {
                    break;
                }
            }
        }
    }
}

fn size(node: u32) -> u64 {
    u64::from(node) * 7 + 1
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
fn check(held: &Held) -> Result<(), TestCaseError> {
    let found = held.dominators();
    prop_assert_eq!(held.certify(&found), Ok(()));
    let (flat, roots) = held.flat();
    let nodes = held.graph.len() as u32;
    let all = reached(&flat, &roots, NONE);
    let above = |node: u32| match found.idom.get(node as usize) {
        Some(above) => *above,
        None => match held.parents[(node - nodes) as usize] {
            ROOT => ROOT,
            parent => nodes + parent,
        },
    };
    for node in 0..flat.len() as u32 {
        let entry = node.checked_sub(nodes);
        let retained = match entry {
            None => found.sums.nodes[node as usize],
            Some(entry) => found.sums.entries[entry as usize],
        };
        if !all[node as usize] {
            prop_assert_eq!(found.idom[node as usize], NONE);
            prop_assert_eq!(retained, 0);
            continue;
        }
        let left = reached(&flat, &roots, node);
        let lost: Vec<u32> = (0..flat.len() as u32)
            .filter(|n| all[*n as usize] && !left[*n as usize])
            .collect();
        let sum: u64 = lost.iter().filter(|n| **n < nodes).map(|n| size(*n)).sum();
        prop_assert_eq!(retained, sum, "retained by {}", node);
        for &other in lost.iter().filter(|n| **n != node) {
            let up = |node: u32| Some(above(node)).filter(|above| *above != ROOT);
            let chain: Vec<u32> = std::iter::successors(up(other), |&n| up(n)).collect();
            prop_assert!(chain.contains(&node), "{} dominates {}", node, other);
        }
    }
    Ok(())
}

/// The immediate dominators of the nodes, by petgraph.
fn petgraph_says(held: &Held) -> Vec<u32> {
    let (flat, roots) = held.flat();
    let mut other = DiGraph::<(), ()>::new();
    let nodes: Vec<_> = (0..=flat.len()).map(|_| other.add_node(())).collect();
    let top = nodes[flat.len()];
    for from in 0..flat.len() as u32 {
        for &to in flat.targets(from) {
            other.add_edge(nodes[from as usize], nodes[to as usize], ());
        }
    }
    for &root in &roots {
        other.add_edge(top, nodes[root as usize], ());
    }
    let found = simple_fast(&other, top);
    let idom = |node: u32| match found.immediate_dominator(nodes[node as usize]) {
        None => NONE,
        Some(above) if above == top => ROOT,
        Some(above) => above.index() as u32,
    };
    (0..held.graph.len() as u32).map(idom).collect()
}

fn graphs(nodes: u32, edges: usize) -> impl Strategy<Value = Held> {
    (1..nodes, 1..6u32).prop_flat_map(move |(n, entries)| {
        let edge = (0..n, 0..n);
        let holds = proptest::collection::vec((0..entries, 0..n), 1..8);
        let parents =
            (0..entries).map(|e| prop_oneof![Just(ROOT), Just(e.wrapping_sub(1).min(ROOT))]);
        let parents: Vec<_> = parents.collect();
        (proptest::collection::vec(edge, 0..edges), holds, parents).prop_map(
            move |(edges, holds, mut parents)| {
                parents[0] = ROOT;
                Held {
                    graph: Csr::from_edges(n as usize, edges.iter().copied()),
                    parents,
                    holds,
                }
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_node_dominates_what_is_lost_without_it(held in graphs(14, 40)) {
        check(&held)?;
    }

    #[test]
    fn a_wrong_tree_is_found_out(held in graphs(14, 40), at in 0..14usize, above in 0..20u32) {
        let mut found = held.dominators();
        let nodes = held.graph.len();
        let above = match above as usize {
            above if above < nodes + held.parents.len() => above as u32,
            _ => ROOT,
        };
        let at = at % nodes;
        if found.idom[at] != above && found.idom[at] != NONE {
            found.idom[at] = above;
            // With the sizes that go with it, if it is a tree at all.
            found.add_up(&held);
            prop_assert!(held.certify(&found).is_err());
        }
    }

    #[test]
    fn petgraph_agrees(held in graphs(60, 160)) {
        prop_assert_eq!(held.dominators().idom, petgraph_says(&held));
    }
}

#[test]
fn long_lists_and_wide_fans() {
    let nodes = 300_000u32;
    // A doubly linked list, each with a value of its own; and a fan over all values.
    let list = (1..nodes).flat_map(|n| [(n - 1, n), (n, n - 1)]);
    let values = (0..nodes).map(|n| (n, nodes + n));
    let graph = Csr::from_edges(2 * nodes as usize + 1, list.clone().chain(values.clone()));
    let found = Held::from_roots(graph, &[0]).dominators();
    assert!((1..nodes).all(|n| found.idom[n as usize] == n - 1));
    assert!((0..nodes).all(|n| found.idom[(nodes + n) as usize] == n));
    let all: u64 = (0..2 * nodes).map(size).sum();
    assert_eq!(
        (found.sums.nodes[0], &found.sums.entries[..]),
        (all, &[all][..])
    );

    let fan = (0..nodes).map(|n| (2 * nodes, nodes + n));
    let graph = Csr::from_edges(2 * nodes as usize + 1, list.chain(values).chain(fan));
    let found = Held::from_roots(graph, &[0, 2 * nodes]).dominators();
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
    let held = Held::from_roots(graph, &[1, 2, 3]);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| held.dominators())
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert_eq!(one.idom, petgraph_says(&held));
}
