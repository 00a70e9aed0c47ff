//! Goroutine stacks, merged: goroutines that stand in the same place share a path from their first function inwards.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// A function on a merged stack: an id into [`StackTree`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct StackNode(pub u32);

/// All distinct stacks, as a tree of functions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StackTree {
    parents: Vec<Option<StackNode>>,
    names: Vec<u32>,
    goroutines: Vec<u32>,
    /// Per goroutine, the node of its innermost function.
    innermost: Vec<StackNode>,
    texts: Vec<String>,
    #[serde(skip)]
    ids: FxHashMap<String, u32>,
    #[serde(skip)]
    children: FxHashMap<(Option<StackNode>, u32), StackNode>,
}

impl StackTree {
    /// The node for `name` called from `parent`, or first on the stack.
    pub(crate) fn child(&mut self, parent: Option<StackNode>, name: &str) -> StackNode {
        let name = match self.ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.texts.len() as u32;
                self.texts.push(name.to_owned());
                self.ids.insert(name.to_owned(), id);
                id
            }
        };
        let next = StackNode(self.parents.len() as u32);
        *self.children.entry((parent, name)).or_insert_with(|| {
            self.parents.push(parent);
            self.names.push(name);
            self.goroutines.push(0);
            next
        })
    }

    /// Counts the next goroutine, whose innermost function is `node`, there and in all its callers.
    pub(crate) fn count(&mut self, node: StackNode) {
        self.innermost.push(node);
        let mut at = Some(node);
        while let Some(node) = at {
            self.goroutines[node.0 as usize] += 1;
            at = self.parents[node.0 as usize];
        }
    }

    /// Whether every number that leads somewhere leads to something, for that many goroutines.
    pub(crate) fn is_sound(&self, goroutines: usize) -> bool {
        let nodes = self.parents.len();
        let behind = |(node, parent): (usize, &Option<StackNode>)| {
            parent.is_none_or(|parent| (parent.0 as usize) < node)
        };
        self.names.len() == nodes
            && self.goroutines.len() == nodes
            && self.innermost.len() <= goroutines
            && self.parents.iter().enumerate().all(behind)
            && self
                .names
                .iter()
                .all(|name| (*name as usize) < self.texts.len())
            && self.innermost.iter().all(|node| (node.0 as usize) < nodes)
    }

    /// Number of nodes; ids are `0..len`, callers before callees.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// The innermost function of each goroutine, in the order of their list.
    pub fn innermost(&self) -> &[StackNode] {
        &self.innermost
    }

    /// Whether there is no stack at all.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The caller.
    pub fn parent(&self, node: StackNode) -> Option<StackNode> {
        self.parents[node.0 as usize]
    }

    /// The function's name.
    pub fn name(&self, node: StackNode) -> &str {
        &self.texts[self.names[node.0 as usize] as usize]
    }

    /// How many goroutines have this node on their stacks.
    pub fn goroutines(&self, node: StackNode) -> u32 {
        self.goroutines[node.0 as usize]
    }

    /// The rank of each node when stacks are sorted by their functions' names, first function first.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.len() + 1];
        for node in 0..self.len() as u32 {
            let parent = self
                .parent(StackNode(node))
                .map_or(self.len(), |p| p.0 as usize);
            children[parent].push(node);
        }
        let mut ranks = vec![0; self.len()];
        let mut next = 0;
        let mut pending = vec![self.len()];
        while let Some(at) = pending.pop() {
            if let Some(rank) = ranks.get_mut(at) {
                *rank = next;
                next += 1;
            }
            let below = &mut children[at];
            below.sort_by(|a, b| self.name(StackNode(*b)).cmp(self.name(StackNode(*a))));
            pending.extend(below.iter().map(|n| *n as usize));
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_share_their_outer_functions_and_sort_by_name() {
        let mut tree = StackTree::default();
        let worker = tree.child(None, "main.worker");
        let recv = tree.child(Some(worker), "runtime.chanrecv");
        let sleep = tree.child(Some(worker), "main.sleep");
        let main = tree.child(None, "main.main");
        assert_eq!(tree.child(Some(worker), "runtime.chanrecv"), recv);
        tree.count(recv);
        tree.count(recv);
        tree.count(sleep);
        tree.count(main);
        assert_eq!(tree.goroutines(worker), 3);
        assert_eq!(tree.goroutines(recv), 2);
        assert_eq!(tree.name(sleep), "main.sleep");
        // main.main, main.worker, main.worker>main.sleep, main.worker>runtime.chanrecv
        assert_eq!(tree.ranks(), [1, 3, 2, 0]);
    }
}
