//! Chains of references from a root to an object, each as different from the others as can be.

use std::borrow::Cow;

use objref_go::RootKind;
use objref_graph::{BfsTree, Successors, bfs};
use objref_snapshot::{Holder, INSIDE, References, Root, Snapshot};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::Exclude;

/// Variables of package sync that keep the contents of pools for the collector to clear.
// sync/pool.go: allPools, oldPools
const POOLS: [&str; 2] = ["sync.allPools", "sync.oldPools"];
/// What the fields `local` and `victim` of a sync.Pool lead to.
const POOL_CONTENTS: &str = "sync.poolLocal";

/// A set of objects.
pub(crate) struct ObjectSet(Vec<u64>);

impl ObjectSet {
    pub(crate) fn new(objects: usize) -> Self {
        ObjectSet(vec![0; objects.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, object: u32) {
        self.0[object as usize / 64] |= 1 << (object % 64);
    }

    #[inline]
    pub(crate) fn contains(&self, object: u32) -> bool {
        self.0[object as usize / 64] >> (object % 64) & 1 != 0
    }
}

/// The heap without some objects.
struct Without<'a, 'd> {
    references: &'a References<'d>,
    left_out: &'a ObjectSet,
}

impl Successors for Without<'_, '_> {
    fn len(&self) -> usize {
        self.references.len()
    }

    #[inline]
    fn successors(&self, node: u32, visit: &mut impl FnMut(u32)) {
        self.references.successors(node, &mut |next| {
            if !self.left_out.contains(next) {
                visit(next);
            }
        });
    }
}

/// The heap with some of its objects and roots left out.
pub(crate) struct Search<'a, 'd> {
    pub(crate) snapshot: &'a Snapshot,
    references: &'a References<'d>,
    left_out: ObjectSet,
    roots_left_out: FxHashSet<Holder>,
    /// Whether anything is left out at all.
    whole: bool,
}

/// A chain of references: the root, and the objects from the one that it holds to the last.
pub(crate) struct Chain<'a> {
    pub(crate) root: &'a Root,
    pub(crate) objects: Vec<u32>,
}

/// The shortest chain to each object that can be reached in what is left.
pub(crate) struct Shortest<'a> {
    pub(crate) tree: Cow<'a, BfsTree>,
    /// The first root of each object that a root holds.
    roots: FxHashMap<u32, &'a Root>,
}

impl<'a, 'd> Search<'a, 'd> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        references: &'a References<'d>,
        exclude: &Exclude,
    ) -> Self {
        let mut search = Search {
            snapshot,
            references,
            left_out: ObjectSet::new(snapshot.objects.len()),
            roots_left_out: FxHashSet::default(),
            whole: true,
        };
        let mut kinds = Vec::new();
        if exclude.weak {
            kinds.push(RootKind::WeakHandle);
        }
        if exclude.finalizer {
            kinds.extend([
                RootKind::Finalizer,
                RootKind::FinalizerQueue,
                RootKind::Cleanup,
                RootKind::CleanupQueue,
            ]);
        }
        let kinds = kinds.into_iter().map(Holder::Runtime);
        search.roots_left_out.extend(kinds);
        if exclude.pool {
            search.leave_out_pools();
        }
        search.whole &= search.roots_left_out.is_empty();
        search
    }

    fn leave_out_pools(&mut self) {
        let snapshot = self.snapshot;
        let variables = snapshot.variables.iter().enumerate();
        let pools = variables.filter(|(_, name)| POOLS.contains(&name.as_str()));
        let pools = pools.map(|(index, _)| Holder::Variable(index as u32));
        self.roots_left_out.extend(pools);
        let views = snapshot.distinct_views().iter().skip(1);
        let contents: Vec<bool> = std::iter::once(false)
            .chain(views.map(|view| snapshot.allocated_name(view) == POOL_CONTENTS))
            .collect();
        for &object in &snapshot.tree.order {
            if contents[snapshot.view_index(object) as usize] {
                self.left_out.insert(object);
                self.whole = false;
            }
        }
    }

    /// Searches what is left: one pass over the heap.
    pub(crate) fn shortest(&self) -> Shortest<'a> {
        let all = || self.snapshot.roots.iter().chain(&self.snapshot.other_roots);
        let stays = |root: &&Root| {
            !self.roots_left_out.contains(&root.holder) && !self.left_out.contains(root.target.0)
        };
        let mut roots = FxHashMap::default();
        for root in all().filter(stays) {
            roots.entry(root.target.0).or_insert(root);
        }
        let tree = match self.whole {
            true => Cow::Borrowed(&self.snapshot.tree),
            false => {
                let rest = Without {
                    references: self.references,
                    left_out: &self.left_out,
                };
                let starts = all().filter(stays).map(|root| root.target.0);
                Cow::Owned(bfs(&rest, starts))
            }
        };
        Shortest { tree, roots }
    }

    /// Leaves out what a chain consists of: its root, and all its objects but the last.
    pub(crate) fn leave_out(&mut self, chain: &Chain<'_>) {
        self.whole = false;
        self.roots_left_out.insert(chain.root.holder);
        if let Some((_, inner)) = chain.objects.split_last() {
            for object in inner {
                self.left_out.insert(*object);
            }
        }
    }

    /// Calls `visit` with each object that another one refers to, and the words for it.
    pub(crate) fn each(&self, from: u32, mut visit: impl FnMut(u32, Cow<'a, str>)) {
        self.references.each(from, |target, word| {
            visit(target, self.references.text(self.snapshot, word));
        });
    }

    /// The words for the reference from one object to the next; none for one inside of a Go value.
    pub(crate) fn words(&self, from: u32, to: u32) -> Cow<'a, str> {
        let snapshot = self.snapshot;
        if snapshot.tree.parents()[to as usize] == from {
            return match snapshot.step(to) {
                INSIDE => "".into(),
                step => snapshot.steps.text(step).into(),
            };
        }
        let mut found = None;
        self.references.each(from, |target, word| {
            if target == to && found.is_none() {
                found = Some(word);
            }
        });
        found.map_or("?".into(), |word| self.references.text(snapshot, word))
    }
}

impl<'a> Shortest<'a> {
    /// The chain to an object; `None` if it cannot be reached.
    pub(crate) fn chain(&self, object: u32) -> Option<Chain<'a>> {
        let parent = self.tree.parents();
        if !self.tree.is_reached(object) {
            return None;
        }
        let mut objects = vec![object];
        let mut at = object;
        while (parent[at as usize] as usize) < parent.len() {
            at = parent[at as usize];
            objects.push(at);
        }
        objects.reverse();
        Some(Chain {
            root: self.roots.get(&at)?,
            objects,
        })
    }

    /// The first of the roots that hold the object itself.
    pub(crate) fn held_by_root(&self, object: u32) -> Option<&'a Root> {
        self.roots.get(&object).copied()
    }
}
