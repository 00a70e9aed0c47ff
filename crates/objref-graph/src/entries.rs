//! Entries: the named places from which a graph is held.

use crate::ROOT;

/// A forest of named places outside of a graph that hold its nodes: variables, functions on stacks.
///
/// Entries are numbered from 0, each after the one that it is part of. In results an entry stands behind the nodes of
/// the graph: entry `e` of a graph of `n` nodes is `n + e`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    parents: Vec<u32>,
    starts: Vec<usize>,
    targets: Vec<u32>,
}

impl Entries {
    /// The entries with these parents, [`ROOT`] for those that are part of none, and what each holds: pairs of entry
    /// and node, of which equal ones count once.
    ///
    /// # Panics
    ///
    /// If a parent is not smaller than its child, or an entry in `holds` is not there.
    pub fn new(parents: Vec<u32>, mut holds: Vec<(u32, u32)>) -> Self {
        let is_forest =
            |(child, &parent): (usize, &u32)| parent == ROOT || (parent as usize) < child;
        assert!(
            parents.iter().enumerate().all(is_forest),
            "entries stand behind their parents"
        );
        holds.sort_unstable();
        holds.dedup();
        let mut starts = vec![0; parents.len() + 1];
        for &(entry, _) in &holds {
            starts[entry as usize + 1] += 1;
        }
        for entry in 0..parents.len() {
            starts[entry + 1] += starts[entry];
        }
        let targets = holds.into_iter().map(|(_, node)| node).collect();
        Self {
            parents,
            starts,
            targets,
        }
    }

    /// An entry for each of `roots`, which holds nothing else.
    pub fn each(roots: &[u32]) -> Self {
        let holds = (0..roots.len() as u32).zip(roots.iter().copied());
        Self::new(vec![ROOT; roots.len()], holds.collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The entry that `entry` is part of; [`ROOT`] if none.
    pub fn parent(&self, entry: u32) -> u32 {
        self.parents[entry as usize]
    }

    /// The nodes that `entry` holds itself, ascending.
    pub fn targets(&self, entry: u32) -> &[u32] {
        &self.targets[self.starts[entry as usize]..self.starts[entry as usize + 1]]
    }
}
