//! A check of a dominator tree by what makes it one.
//!
//! A tree over the nodes is the dominator tree if and only if (Georgiadis and Tarjan, *Dominator Tree Certification and
//! Divergent Spanning Trees*, TALG 2015, lemma 2.2)
//!
//! - every edge `v → w` starts at or below the parent of `w`: what stands above a node in the tree does dominate it; and
//! - no node dominates one of its siblings: nothing nearer does.
//!
//! The first is looked up edge by edge, on a walk through the tree. For the second each edge is taken to start at the
//! sibling of `w` that `v` is at or below; over these edges, a graph of another shape, nothing but the parent may be
//! found to dominate anything. That is asked of [`dominators()`] itself, for the iterative algorithms that would be
//! independent of it are quadratic on long lists.

use crate::{BfsTree, Csr, Entries, NONE, Outgoing, ROOT, Successors, Sums, bfs, dominators};

/// What is wrong with a dominator tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The node is not reached and has a dominator, or the other way round, or one that comes behind it.
    Misplaced(u32),
    /// The node can be reached past its dominator.
    Avoidable(u32),
    /// Something nearer dominates the node.
    NotNearest(u32),
    /// What the node or entry (behind the nodes) retains is not what is below it.
    Retained(u32),
}

/// Checks the dominators `idom` of `graph`, which `entries` hold, and what everything retains; the rest as it was given to
/// [`dominators`](crate::dominators()) and [`retained`](crate::retained()).
///
/// # Errors
///
/// The first flaw.
pub fn certify<G: Successors>(
    graph: &G,
    tree: &BfsTree,
    entries: &Entries,
    size: impl Fn(u32) -> u64,
    idom: &[u32],
    sums: &Sums,
) -> Result<(), Flaw> {
    let nodes = graph.len() as u32;
    let all = nodes as usize + entries.len();
    let parent = |node: u32| match node.checked_sub(nodes) {
        None => idom[node as usize],
        Some(entry) => match entries.parent(entry) {
            ROOT => ROOT,
            above => nodes + above,
        },
    };
    let order: Vec<u32> = (nodes..all as u32)
        .chain(tree.order.iter().copied())
        .collect();
    let mut place = vec![NONE; all];
    for (at, &node) in (0..).zip(&order) {
        place[node as usize] = at;
    }
    for node in 0..all as u32 {
        let (at, above) = (place[node as usize], parent(node));
        let is_placed = match above {
            NONE => at == NONE,
            ROOT => at != NONE,
            above => at != NONE && place.get(above as usize).is_some_and(|above| *above < at),
        };
        if !is_placed {
            return Err(Flaw::Misplaced(node));
        }
    }
    retains(&order, parent, nodes, size, sums)?;

    // Children of each node and, last, of the pseudo-root.
    let (mut first, mut next) = (vec![NONE; all + 1], vec![NONE; all]);
    let slot = |above: u32| (above as usize).min(all);
    for &node in order.iter().rev() {
        let above = slot(parent(node));
        next[node as usize] = first[above];
        first[above] = node;
    }
    let mut depth = vec![0u32; all];
    for &node in &order {
        if let above @ 0..ROOT = parent(node) {
            depth[node as usize] = depth[above as usize] + 1;
        }
    }
    // Per node, whether its parent leads to it; and the siblings that do: pairs of node and sibling.
    let mut is_led_to = vec![false; all];
    // What an entry is part of leads to it, and nothing else does.
    is_led_to[nodes as usize..].fill(true);
    let mut siblings: Vec<(u32, u32)> = Vec::new();
    let mut flaw = None;
    // The walk: from the pseudo-root to where it is.
    let mut path: Vec<u32> = Vec::new();
    let mut lead = |from: u32, to: u32, path: &[u32]| {
        let above = parent(to);
        let level = depth[to as usize] as usize;
        let is_below = above == ROOT || level > 0 && path.get(level - 1) == Some(&above);
        match path.get(level) {
            _ if from == above => is_led_to[to as usize] = true,
            Some(&sibling) if is_below && sibling != to => siblings.push((to, sibling)),
            Some(_) if is_below => {}
            _ => flaw = flaw.or(Some(Flaw::Avoidable(to))),
        }
    };
    let mut at = first[all];
    while at != NONE {
        path.push(at);
        match at.checked_sub(nodes) {
            None => graph.successors(at, &mut |to| lead(at, to, &path)),
            Some(entry) => {
                for &to in entries.targets(entry) {
                    lead(at, to, &path);
                }
            }
        }
        if first[at as usize] != NONE {
            at = first[at as usize];
            continue;
        }
        at = loop {
            let Some(done) = path.pop() else { break NONE };
            if next[done as usize] != NONE {
                break next[done as usize];
            }
        };
    }
    match flaw {
        Some(flaw) => Err(flaw),
        None => nearest(&order, &is_led_to, &siblings),
    }
}

/// Every node retains what is below it, itself included.
fn retains(
    order: &[u32],
    parent: impl Fn(u32) -> u32,
    nodes: u32,
    size: impl Fn(u32) -> u64,
    stated: &Sums,
) -> Result<(), Flaw> {
    let mut sums = vec![0u64; nodes as usize + stated.entries.len()];
    for &node in order.iter().rev() {
        if node < nodes {
            sums[node as usize] += size(node);
        }
        if let above @ 0..ROOT = parent(node) {
            sums[above as usize] += sums[node as usize];
        }
    }
    let stated = stated.nodes.iter().chain(&stated.entries);
    match sums
        .iter()
        .zip(stated)
        .position(|(sum, stated)| sum != stated)
    {
        Some(node) => Err(Flaw::Retained(node as u32)),
        None => Ok(()),
    }
}

/// No node dominates a sibling: over the edges from their parents and between them, every node that its parent does not
/// lead to itself has to be held by several that it does lead to.
fn nearest(order: &[u32], is_led_to: &[bool], siblings: &[(u32, u32)]) -> Result<(), Flaw> {
    let edges = siblings.iter().map(|&(to, sibling)| (sibling, to));
    let graph = Csr::from_edges(is_led_to.len(), edges);
    let (led, others): (Vec<u32>, Vec<u32>) =
        order.iter().partition(|node| is_led_to[**node as usize]);
    let tree = bfs(&graph, led.iter().copied());
    let idom = dominators(
        Outgoing::of(&graph, &tree),
        &tree,
        &Entries::each(&led),
        bytemuck::zeroed_vec,
    );
    match others.iter().find(|node| idom[**node as usize] != ROOT) {
        Some(&node) => Err(Flaw::NotNearest(node)),
        None => Ok(()),
    }
}
